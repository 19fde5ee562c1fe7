"""Templates: strict, sandboxed, and the same text everywhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.filters import FILTERS
from jinja2.tests import TESTS

from stager.errors import InvalidDefinition
from stager.text.render import render, render_data


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


# --- what anybody writes ---------------------------------------------------------------------------------------

DATA = {"a": "A", "n": 3, "b": ["x", "y"], "d": {"k": 1, "l": "two"}, "nested": [{"x": [1, 2]}]}

SMALL = {
    "{{ a ~ (n ~ a) ~ '!' }}": "A3A!",
    "{{ n + 1 }} {{ a + a }} {{ -n }}": "4 AA -3",
    "{% for i in range(3) %}{{ loop.index }}{{ i }},{% endfor %}": "10,21,32,",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}": "k=1;l=two;",
    "{% for k, v in d | dictsort(reverse=true) %}{{ k }}{% endfor %}": "lk",
    "{% set x = 'p q'.split() %}{{ x[0] }}{{ x | join('-') }}": "pp-q",
    "{{ 'aXb' | replace('X', 'yy') }} {{ 'a\nb' | indent(2) }}": "ayyb a\n  b",
    "{{ d.k }}{{ d['l'] }}{{ d.get('m', 'none') }}": "1twonone",
    "{{ 'yes' if n is odd and 'x' in b else 'no' }}": "yes",
    "{{ nested[0].x[1] }}{{ b[::-1] | join }}": "2yx",
    "{{ a | sh }} {{ 'it is' | sh }} {{ n | string | sh }}": "A 'it is' 3",
    "{% raw %}{{ a }}{% endraw %}{{ undefined_one | default('d') }}": "{{ a }}d",
}


@pytest.mark.parametrize("template", SMALL)
def test_the_small_part_of_the_language(template: str) -> None:
    assert render_data(template, DATA) == SMALL[template]


BOMBS = {
    "a loop of a thousand million": "{% for i in range(10**9) %}{% endfor %}",
    "a loop of a hundred thousand": "{% for i in range(100000) %}{% endfor %}",
    "loops in loops": "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
    "a loop over a long text": "{% for i in '" + "x" * 20_000 + "' %}{% endfor %}",
    "repetition": "{{ 'a' * 10**9 }}",
    "a power": "{{ 9**9**9 }}",
    "doubling by ~": "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
    "doubling by +": "{% set x = 'aaaaaaaaaa' %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
    "doubling by join": "{% set x = 'aaaaaaaaaa' %}" + "{% set x = [x, x] | join %}" * 40 + "{{ x }}",
    "doubling by replace": "{% set x = 'aa' %}" + "{% set x = x | replace('a', x) %}" * 40 + "{{ x }}",
    "numbers without end": "{% set x = 9 %}" + "{% set x = x + x %}" * 5000 + "{{ x }}",
    "a number of 5,000 digits": "{{ " + "9" * 5000 + " }}",
    "much output": "{% for i in range(9000) %}" + "x" * 1000 + "{% endfor %}",
    "recursion": "{% macro f(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('a') }}",
    "a recursive loop": "{% for x in b recursive %}{{ loop(b) }}{% endfor %}",
    "padding": "{{ 'a'.ljust(10**9) }}{{ '%9999999999d' % 1 }}{{ '{:>9999999999}'.format(1) }}{{ 'a' | center(10**9) }}",
    "indentation": "{{ 'a\n' | indent(10**9) }}{{ 'a' | wordwrap(1) }}",
    "brackets": "{{ " + "(" * 5000,
    "lists in lists": "{{ " + "[" * 500 + "]" * 500 + " }}",
    "conditions in conditions": "{% if a %}" * 500 + "{% endif %}" * 500,
    "loops nested too deeply for Python": "{% for x in b %}" * 30 + "{% endfor %}" * 30,
    "a long sum": "{{ " + "1+" * 9000 + "1 }}",
    "many filters": "{{ a" + "|upper" * 5000 + " }}",
    "many parts": "{{ a }}" * 18_000,
    "a long template": "x" * 200_000,
    "not, not, not": "{{ " + "not " * 9000 + "1 }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_template_takes_long(name: str) -> None:
    """In a process of its own that may use ten seconds of processor time and 1 GiB."""
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (10, 10)); resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from stager.errors import InvalidDefinition\n"
        "from stager.text.render import render_data\n"
        "try:\n    text = render_data(sys.stdin.read(), {'a': 'A', 'b': ['x']}, 't')\n"
        "except InvalidDefinition as error:\n    print(error.message[:200])\nelse:\n    print('gave', len(text))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=BOMBS[name], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    assert done.stdout.startswith("cannot be rendered: "), done.stdout


ODD = [
    "range",
    "b.append",
    "a.format",
    "d.items",
    "self",
    "loop",
    "none",
    "1.5",
    "[range]",
    "{'k': range}",
    "b | reverse",
    "d",
]
LEAKS = [
    *("{{ " + one + " }}" for one in ODD),
    *("{{ '' ~ " + one + " }}" for one in ODD),
    *("{{ " + one + " | " + filter_ + " }}" for one in ODD for filter_ in sorted(FILTERS)),
    *("{{ a | " + filter_ + "(range) }}" for filter_ in sorted(FILTERS)),
    *("{{ b | map('" + filter_ + "') | join }}" for filter_ in sorted(FILTERS)),
    *("{{ " + name + " }}{{ " + name + "() }}{{ '%s' ~ " + name + " }}" for name in sorted(DEFAULT_NAMESPACE)),
    *("{% if range is " + test + " %}1{% else %}0{% endif %}" for test in sorted(TESTS)),
    "{{ '%s' | format(range) }}", "{{ '%s' % range }}", "{{ '{}'.format(range) }}", "{{ [range, a] | sort | first }}",
    "{{ range.__repr__() }}", "{{ a.encode | string }}",
    "{% set x = range %}{{ x ~ a }}", "{{ {range: 1} | dictsort | join }}",
]  # fmt: skip


def test_nothing_of_the_process_gets_into_the_output() -> None:
    """Every filter, test and global of Jinja2 on what has an address or no order, in processes with other hash seeds."""
    code = (
        "import json, sys\nfrom stager.errors import InvalidDefinition\nfrom stager.text.render import render_data\n"
        "found = []\nfor template in json.load(sys.stdin):\n"
        "    try:\n        found.append(render_data(template, {'a': 'A', 'b': ['x', 'y'], 'd': {'k': 1, 'l': 2}}))\n"
        "    except InvalidDefinition:\n        found.append(None)\n"
        "json.dump(found, sys.stdout)\n"
    )
    answers = []
    for seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(LEAKS), capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1] == answers[2]
    assert [text for text in answers[0] if text and (" at 0x" in text or "<" in text)] == []


def fault(template: str) -> str:
    """What is wrong with a template that gets no values; one outside the small part is refused before it begins."""
    try:
        render_data(template, {})
    except InvalidDefinition as error:
        return error.message
    return ""


@pytest.mark.parametrize("folder", ["buildpacks", "boxes"])
def test_all_that_is_shipped_keeps_to_the_small_part(folder: str) -> None:
    from stager.text.resources import folder as place

    found = sorted(Path(place(folder)).rglob("*.j2"))
    assert found
    for path in found:
        assert re.search("^$|is undefined$", fault(path.read_text("utf-8"))), path  # only what it begins with is missed
