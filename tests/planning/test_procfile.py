"""Procfiles: what is read, and every line that cannot be."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, strategies

from stager.errors import BadManifest
from stager.planning.detection import procfile
from stager.tree import SourceTree

LINE = "A line is a process type, a colon and a command, such as 'web: ./server'."


def read(content: str | bytes) -> list[tuple[str, str, int | None]]:
    found = procfile.read(SourceTree.of({"Procfile": content}))
    assert all(one.reason.file == "Procfile" and one.reason.text == "Procfile names it" for one in found)
    return [(one.type, one.command, one.reason.line) for one in found]


def test_no_procfile() -> None:
    assert procfile.read(SourceTree.of({"procfile": "web: a"})) == ()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("web: gunicorn app:app --bind 0.0.0.0:$PORT\n", [("web", "gunicorn app:app --bind 0.0.0.0:$PORT", 1)]),
        ("worker: a\nweb: b\n", [("worker", "a", 1), ("web", "b", 2)]),
        ("# comment\n\n  web  :  a b  \n", [("web", "a b", 3)]),
        ("web: a # not a comment\n", [("web", "a # not a comment", 1)]),
        (
            "web: \"gunicorn app:app\"\nworker: 'node x.js'\n",
            [("web", "gunicorn app:app", 1), ("worker", "node x.js", 2)],
        ),
        ('web: "./a"\nb: "x y" z\nc: "a" "b"\n', [("web", '"./a"', 1), ("b", '"x y" z', 2), ("c", '"a" "b"', 3)]),
        ('a: \'sh -c "x y"\'\nb: "it\'s y"\n', [("a", 'sh -c "x y"', 1), ("b", "it's y", 2)]),
        ("web: a\r\nworker: b\r\n", [("web", "a", 1), ("worker", "b", 2)]),
        ("web: a\rworker: b", [("web", "a", 1), ("worker", "b", 2)]),
        (b"\xef\xbb\xbfweb: a", [("web", "a", 1)]),
        ("web:a:b", [("web", "a:b", 1)]),
        ("Web-1_x: a", [("Web-1_x", "a", 1)]),
        ("release: python manage.py migrate\nweb: a", [("release", "python manage.py migrate", 1), ("web", "a", 2)]),
        ("web: env A='x y' sh -c \"a | b\"\n", [("web", "env A='x y' sh -c \"a | b\"", 1)]),
        ("x" * 63 + ": a", [("x" * 63, "a", 1)]),
        ("web: caf\u00e9 \u2028 b", [("web", "caf\u00e9 \u2028 b", 1)]),
    ],
)
def test_what_is_read(content: str | bytes, expected: list[tuple[str, str, int]]) -> None:
    assert read(content) == expected


@pytest.mark.parametrize(
    ("content", "where", "message", "hint"),
    [
        ("", "Procfile", "the file names no process", f"{LINE} Or delete the file."),
        ("# nothing\n", "Procfile", "the file names no process", f"{LINE} Or delete the file."),
        ("web python\n", "Procfile:1", "there is no colon in 'web python'", LINE),
        ("\nwe b: a\n", "Procfile:2", "'we b' is not a process type", LINE),
        (": a\n", "Procfile:1", "'' is not a process type", LINE),
        ("w\u00e9b: a\n", "Procfile:1", "'w\u00e9b' is not a process type", LINE),
        ("x" * 64 + ": a", "Procfile:1", f"{'x' * 64!r} is not a process type", LINE),
        ("../x: a", "Procfile:1", "'../x' is not a process type", LINE),
        ("web:\n", "Procfile:1", "web has no command", LINE),
        ("web: a\n\nweb: b\n", "Procfile:3", "web is given twice; the first is in line 1", "Delete one of them."),
        (b"web: a\nw: \xff", "Procfile:2", "the file is not UTF-8", "Save it as UTF-8."),
        ("web: a\nw: \0", "Procfile:2", "the file holds a NUL character", "Save it as UTF-8."),
    ],
)
def test_errors(content: str | bytes, where: str, message: str, hint: str) -> None:
    with pytest.raises(BadManifest) as caught:
        read(content)
    assert (caught.value.where, caught.value.message, caught.value.hint) == (where, message, hint)


@given(strategies.binary(max_size=200))
def test_any_bytes_are_processes_or_a_typed_error(content: bytes) -> None:
    with suppress(BadManifest):
        found = read(content)
        assert found
        assert all("\n" not in command and command.strip() == command for _, command, _ in found)


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (["main.py"], "python main.py"),
        (["requirements-prod.txt"], "python main.py"),
        (["pyproject.toml", "static/app.js"], "python main.py"),
        (["package.json", "tools.py"], "node server.js"),
        (["index.mjs"], "node server.js"),
        (["package.json", "bun.lock"], "bun run server.ts"),
        (["main.go"], "./server"),
    ],
)
def test_the_example_is_in_the_app_s_language(files: list[str], command: str) -> None:
    for content in ("web python\n", "web:\n", "# nothing\n"):
        with pytest.raises(BadManifest) as caught:
            procfile.read(SourceTree.of({"Procfile": content, **dict.fromkeys(files, "")}))
        assert f"such as 'web: {command}'." in caught.value.hint
