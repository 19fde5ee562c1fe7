"""Lines of things in JSON and TOML texts."""

from __future__ import annotations

import pytest

from stager.text.source_lines import json_line, text_line, toml_line

JSON = """\
{
  "name": "a, {b}: [\\"",
  "x": [{"scripts": 1},
    2],
  "scripts": {
    "build": "x",
    "start": "y"
  }
}"""
TOML = """\
# [no]
a = 1
[project]
name = 'x'

[project.scripts] # here
"go" = 'a'
[tool.poetry.dependencies]
python='3'
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("name", 2),
        ("x", 3),
        ("scripts", 5),
        ("scripts.build", 6),
        ("scripts.start", 7),
        ("start", None),
        ("x.scripts", None),
    ],
)
def test_json(path: str, line: int | None) -> None:
    assert json_line(JSON, path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a", 2),
        ("project", 3),
        ("project.name", 4),
        ("project.scripts.go", 7),
        ("tool.poetry.dependencies.python", 9),
        ("name", None),
    ],
)
def test_toml(path: str, line: int | None) -> None:
    assert toml_line(TOML, path) == line


@pytest.mark.parametrize("text", ["", "}", "]]]]", '"', ":::", "{" * 5000, '{"a":' * 5000])
def test_what_is_no_document_has_no_lines(text: str) -> None:
    assert json_line(text, "b") is None
    assert toml_line(text, "b") is None


def test_positions() -> None:
    assert [text_line("a\nb\n", position) for position in (0, 1, 2)] == [1, 1, 2]
