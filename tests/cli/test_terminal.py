"""What others wrote never moves the cursor: hostile text in every foreign field, and the real output of each command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command import in_process
from made_droplets import stage

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x7f\x9b31m\u202efdp\u2066\u200b"
SEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""What must never reach people, but for the end of a line."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with an app of hostile text, and two droplets of it that differ."""
    place = tmp_path_factory.mktemp("terminal")
    for name, more in (("a.tgz", ""), ("b.tgz", "x")):
        wheels = {"w": ("1.0", {"w/a.py": more.encode()})}
        stage(
            place,
            {"text": f"{ESCAPES}{more}"},
            wheels,
            web=f"echo '\u202e\x9b31m{more}'",
            env={"A": "\x9b\u2066"},
            name=name,
        )
    return place


@pytest.mark.parametrize(
    "words",
    [
        ("detect", "app"),
        ("plan", "app"),
        ("stage", "app", "-o", "c.tgz"),
        ("inspect", "a.tgz"),
        ("diff", "a.tgz", "b.tgz"),
        ("diff", "a.tgz", "b.tgz", "--markdown"),
        ("explain", "process", "-C", "app"),
        ("explain", "layer", "--droplet", "a.tgz"),
        ("report", "a.tgz", "-o", "r.html"),
        ("report", "a.tgz", "b.tgz", "-o", "r.html"),
        ("sbom", "a.tgz", "-o", "s.json"),
        ("export", "heroku", "a.tgz", "-o", "slug.tgz"),
        ("stage", f"no{ESCAPES}such"),
        ("inspect", f"no{ESCAPES}such"),
        ("diff", f"no{ESCAPES}such", "a.tgz"),
        ("export", f"no{ESCAPES}such", "a.tgz"),
        (f"no{ESCAPES}such",),
    ],
    ids=lambda words: " ".join(words).encode("unicode_escape").decode()[:60],
)
def test_no_command_prints_what_moves_the_cursor(words: tuple[str, ...], made: Path) -> None:
    for more in ((), ("--json",)):
        done = in_process(*words, *more, store=made / "store", cwd=made)
        assert done.out or done.err
        assert SEEN.findall(done.out + done.err) == []
        if more and done.out:
            json.loads(done.out)


FILES = {
    "Procfile": f"web: true\n{ESCAPES}: x\n",
    "stager.yml": f'processes:\n  web: "{ESCAPES[:3]}"\n{ESCAPES}: x\n',
    "stager.lock": f'version = 1\nstack = "{ESCAPES}"\n',
    "Staticfile": f"{ESCAPES}: x\n",
    "package.json": json.dumps({"name": ESCAPES, "engines": {"node": ESCAPES}}),
    "pyproject.toml": f'[project]\nname = "x"\nrequires-python = "{ESCAPES[20:]}"\n',
    "requirements.txt": f"{ESCAPES}==1\n",
    ".python-version": f"{ESCAPES}\n",
    "package-lock.json": json.dumps(
        {"lockfileVersion": 3, "packages": {f"node_modules/{ESCAPES}": {"version": ESCAPES}}}
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_no_file_of_an_app_moves_the_cursor(name: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("x")
    (tmp_path / name).write_text(FILES[name], "utf-8")
    for command in ("detect", "plan", "stage", "explain"):
        options = ["--offline"] if command != "detect" else []
        target = [tmp_path] if command != "explain" else []
        done = in_process(command, *target, *options, store=tmp_path / "store", cwd=tmp_path)
        assert done.out or done.err
        assert SEEN.findall(done.out + done.err) == []
