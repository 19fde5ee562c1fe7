"""Templates: strict, sandboxed, and the same text everywhere."""

from __future__ import annotations

import subprocess

import pytest

from stager.errors import InvalidDefinition
from stager.render import render


def test_values_loops_and_final_newline() -> None:
    text = "{% for name in names %}\n{{ name }}\n{% endfor %}\nend {{ count }}\n"
    assert render(text, {"names": ["a", "b"], "count": 2}) == "a\nb\nend 2\n"
    assert render("no newline", {}) == "no newline"
    assert render("a\r\nb", {}) == "a\nb"


@pytest.mark.parametrize("value", ["plain", "with space", "it's", '"$HOME" `x` $(y)', "", "-n", "a\nb", "\\"])
def test_sh_quotes_for_a_shell(value: str) -> None:
    line = render("printf %s {{ value | sh }}", {"value": value})
    assert subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True).stdout == value


@pytest.mark.parametrize(
    ("template", "where", "message"),
    [
        ("{{ missing }}", "t", "cannot be rendered: 'missing' is undefined"),
        ("a\n{% if %}", "t:2", "cannot be rendered: Expected an expression, got 'end of statement block'"),
        ("{{ values }}", "t", "cannot be rendered: a template may print text and numbers, not list"),
        (
            "{{ 'a'.join }}",
            "t",
            "cannot be rendered: a template may print text and numbers, not builtin_function_or_method",
        ),
        (
            "{{ ''.__class__.__mro__ }}",
            "t",
            "cannot be rendered: access to attribute '__class__' of 'str' object is unsafe.",
        ),
        ("{{ values.append(1) }}", "t", "cannot be rendered: access to attribute 'append' of 'list' object is unsafe."),
        ("{{ lipsum() }}", "t", "cannot be rendered: 'lipsum' is undefined"),
        ("{{ values | random }}", "t:1", "cannot be rendered: No filter named 'random'."),
        (
            "{{ range(1000000) | length }}",
            "t",
            "cannot be rendered: Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).",
        ),
        ("{{ 1 // 0 }}", "t", "cannot be rendered: integer division or modulo by zero"),
        ("{% include 'x' %}", "t", "cannot be rendered: no loader for this environment specified"),
    ],
)
def test_what_is_refused(template: str, where: str, message: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        render(template, {"values": [1]}, "t")
    assert (caught.value.where, caught.value.message) == (where, message)
    assert caught.value.hint == f"Correct {where}."
