"""Strict YAML: text stays text, everything has a line, and nothing surprising is let through."""

from __future__ import annotations

from contextlib import suppress

import pytest
import yaml
from hypothesis import given, strategies

from stager.errors import BadManifest, StagerError
from stager.text import yamltext


def fail(file: str, why: str, line: int | None) -> StagerError:
    return BadManifest(file, why, line=line)


def parse(text: str) -> yamltext.Document:
    return yamltext.parse(text, "a.yml", fail)


@pytest.mark.parametrize("text", ["3.10", "no", "012", "null", "~", "1e3", "2026-01-01", "0x1f", "yes", "1_000", "NaN"])
def test_scalars_stay_as_they_are_written(text: str) -> None:
    assert parse(f"a: {text}\n").value == {"a": text}


def test_shapes_and_lines() -> None:
    document = parse("# top\na:\n  b: 1\n  c:\n    - x\n    - {d: 2}\ne:\n")
    assert document.value == {"a": {"b": "1", "c": ["x", {"d": "2"}]}, "e": ""}
    assert [document.line(path) for path in ("a", "a.b", "a.c[0]", "a.c[1].d", "e", "f")] == [2, 3, 5, 6, 7, None]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "''\n"])
def test_an_empty_document_is_an_empty_table(text: str) -> None:
    assert parse(text).value == {}


def test_errors_of_nodes_have_a_line() -> None:
    with pytest.raises(BadManifest) as caught:
        parse("a:\n  b: [1]\n").root.at("a").str("b")
    assert (caught.value.message, caught.value.where) == ("a.b: expected a string, found list", "a.yml:2")


REFUSED = {
    "duplicate": ("a: 1\nb: 2\na: 3\n", 3, "'a' is given twice"),
    "anchor": ("a: &x 1\nb: *x\n", 1, "anchors (&name) are not allowed; write the value again"),
    "alias": ("a: *x\n", 1, "aliases (*name) are not allowed; write the value again"),
    "merge": ("a: &x {b: 1}\n", 1, "anchors (&name) are not allowed; write the value again"),
    "tag": ("a: !!int 1\n", 1, "tags (!name) are not allowed; every value is text"),
    "python tag": ("a: !!python/object/apply:os.system [x]\n", 1, "tags (!name) are not allowed; every value is text"),
    "second document": ("a: 1\n---\nb: 2\n", 2, "there is a second document"),
    "a table as key": ("? {a: 1}\n: b\n", 1, "a key must be text"),
    "indentation": ("a:\n b: 1\n  c: 2\n", 3, "not valid YAML: mapping values are not allowed here"),
    "unclosed": ("a: [1\n", 2, "not valid YAML: expected ',' or ']', but got '<stream end>'"),
    "tab": ("a:\n\tb: 1\n", 2, "not valid YAML: found character '\\t' that cannot start any token"),
    "depth": ("a: " + "[" * 100 + "]" * 100 + "\n", 1, "nested too deeply"),
    "control character": ("a: \x00\n", 0, "not valid YAML: it holds a character that YAML does not allow"),
}


@pytest.mark.parametrize("fast", [True, False], ids=["libyaml", "python"])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words with libyaml and without it."""
    if not fast:
        monkeypatch.setattr(yamltext, "_FAST", yaml.SafeLoader)
    text, line, message = REFUSED[name]
    with pytest.raises(BadManifest) as caught:
        parse(text)
    assert (caught.value.message, caught.value.where) == (message, f"a.yml:{line}" if line else "a.yml")


@given(strategies.text(alphabet="ab:-[]{}&*!|>'\"#%@`\n \t,?0\x00é\ud800", max_size=60))
def test_any_text_is_a_value_or_a_typed_error(text: str) -> None:
    with suppress(BadManifest):
        assert isinstance(parse(text).value, (dict, list, str))
