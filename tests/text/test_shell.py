"""What a command line comes to, told without a shell; and what bash itself runs of such a line."""

from __future__ import annotations

import pytest

from stager.text.shell import Simple, app_path, simple

SURE = {
    "gunicorn app:app": [("gunicorn", "app:app")],
    "exec ./serve --port $PORT": [("./serve", "--port", "$PORT")],
    "A=1 B='x y' node server.js": [("node", "server.js")],
    "env -u B A=1 node server.js": [("node", "server.js")],
    "env -i A=1 node x.js": [("node", "x.js")],
    "nohup nice -n 5 ./work": [("./work",)],
    "timeout -k 5 60s ./work now": [("./work", "now")],
    "exec -a name ./work": [("./work",)],
    "a && b; c & d | e": [("a",), ("b",), ("c",), ("d",), ("e",)],
    "a >log 2>&1 && b": [("a", "2"), ("b",)],
    "sh -c 'a && exec b c'": [("a",), ("b", "c")],
    'bash -lc "./start \\"x y\\""': [("./start", "x y")],
    "sh -c": [("sh", "-c")],
    "bash start.sh": [("bash", "start.sh")],
    "echo 'a; b && c'": [("echo", "a; b && c")],
}
UNSURE = [
    "a || b", "if a; then b; fi", "for x in 1 2; do a; done", "[ -f x ] && ./x", "test -x x && ./x", "command -v x && x",
    "$(which x) y", "`x` y", "a <(b)", "(a; b)", "{ a; }", "f() { a; }", "set -e; a", "a 'b", "env -S 'a b'", "eval a",
    "trap 'kill 0' EXIT; a & wait", "# a", "", "; && |", "x" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("line", SURE)
def test_what_is_certain(line: str) -> None:
    assert [one.words for one in simple(line)] == SURE[line]


@pytest.mark.parametrize("line", UNSURE)
def test_what_may_go_several_ways_comes_to_nothing(line: str) -> None:
    assert simple(line) == []


def test_folders_are_followed() -> None:
    found = simple('cd api && ./run; cd .. ; ./x; cd "$WHERE" && ./y; cd $HOME/web; ./z')
    assert [one for one in found if one.words[0] != "cd"] == [
        Simple(("./run",), "api"),
        Simple(("./x",), ""),
        Simple(("./y",), None),
        Simple(("./z",), "web"),
    ]


@pytest.mark.parametrize("line", ["PATH=x:$PATH a", "export PATH=x && a", ". ./env && a", "source env; a", "PATH=x; a"])
def test_another_path_is_noted(line: str) -> None:
    assert simple(line)[-1] == Simple(("a",), "", own_path=True)


@pytest.mark.parametrize(
    ("word", "folder", "path"),
    [
        ("./a", "", "a"),
        ("a/../b", "c", "c/b"),
        ("$HOME/a", None, "a"),
        ("${HOME}/a/b", "x", "a/b"),
        ("~/a", "x", "a"),
        ("/app/a", "x", "a"),
        ("/home/vcap/app/a", "", "a"),
        ("/application/a", "", None),
        ("$HOMES/a", "", None),
        ("../a", "", None),
        ("../a", "b", "a"),
        ("./$A", "", None),
        ("./a*", "", None),
        ("/opt/a", "", None),
        ("./a", None, None),
        (".", "", ""),
    ],
)
def test_paths(word: str, folder: str | None, path: str | None) -> None:
    assert app_path(word, folder) == path
