"""What a process starts must be in the droplet: which commands are refused, and which are left alone."""

from __future__ import annotations

import pytest

from stager.droplet import starting
from stager.errors import BadManifest
from stager.model import Process, Reason
from stager.tree import Executable, SourceTree

PLAN = {
    f".stager/{path}"
    for path in ("python/bin/python3", "python/bin/python", "pypi/bin/gunicorn", "node/bin/node", "node/bin/npm")
} | {"node_modules/.bin/next", ".stager/nginx/serve"}


def start(command: str, files: dict[str, str | bytes | Executable] | None = None, stack: str = "debian-12") -> str:
    """The error that a command gives, on three lines; empty when there is none."""
    process = Process("web", command, Reason("Procfile names it", "Procfile", 3))
    left = starting.unmet(starting.needs([process]), PLAN, stack)
    try:
        if left:
            starting.check(SourceTree.of({"app.py": "", **(files or {})}), left)
    except BadManifest as error:
        return f"{error.where}: {error.message}\n{error.hint}"
    return ""


RIGHT = [
    "gunicorn app:app", "python app.py", "python3 -u app.py", "python -m http.server $PORT", "npm start", "next start",
    "node server.js", "sh \"$HOME/.stager/nginx/serve\"", "exec gunicorn app:app", "A=1 gunicorn app:app", "sleep 600",
    "env A=1 python app.py", "sh -c 'exec python app.py'", "cd sub && python x.py", "cd sub && ./run", "$SERVER", "./$NAME",
    "perl -MIO::Socket::INET -e '1 while sleep 1'", "cat README | grep x > out", "[ -x ./no ] && ./no", "./no || ./run",
    "/usr/bin/perl x.pl", "/opt/java/bin/java -jar x.jar", "$HOME/run", "/app/run", "~/run", "./run", "bash run",
    "bash -c './run'",
    "PATH=$HOME/bin:$PATH tool", "export PATH=$HOME/bin:$PATH && tool", ". ./vars && tool", "printf x", "true", ":",
    "python sub", "ulimit -n 4096; ./run", "exec -a web gunicorn app:app", "curl -s localhost", "wait", "echo hi; exit 3",
]  # fmt: skip
FILES: dict[str, str | bytes | Executable] = {
    "run": Executable("#!/bin/sh\n"),
    "sub/run": Executable("#!/usr/bin/env python3\n"),
    "sub/x.py": "#!/usr/bin/env python\r\n",
    "x.pl": "",
    "vars": "",
}


@pytest.mark.parametrize("command", RIGHT)
def test_commands_that_are_right_or_cannot_be_told(command: str) -> None:
    assert start(command, FILES) == ""


HAVE = "Have it in the app before staging, see that .gitignore does not leave it out, or correct the command."
BUILT = "Start a program that the app brings, built before staging, or stage the app where its language is known."
WRONG = {
    "./bin/serve --port $PORT": f"Procfile:3: web starts ./bin/serve, which is not in the app\n{HAVE}",
    "cd sub && ./other": f"Procfile:3: web starts ./other, which is not in the app\n{HAVE}",
    "gunicorn app:app & bash jobs.sh": f"Procfile:3: web starts jobs.sh, which is not in the app\n{HAVE}",
    "python sever.py": f"Procfile:3: web starts sever.py, which is not in the app\n{HAVE}",
    "bundle exec puma": "Procfile:3: web starts bundle, which is not in the droplet: it is Ruby's, and stager has no Ruby\n"
    + BUILT,
    "java -jar x.jar": "Procfile:3: web starts java, which is not in the droplet: it is Java's, and stager has no Java\n"
    + BUILT,
    "sh -c 'exec php -S 0.0.0.0:$PORT'": "Procfile:3: web starts php, which is not in the droplet: it is PHP's, and stager has"
    f" no PHP\n{BUILT}",
    "uv run gunicorn app:app": "Procfile:3: web starts uv, which is not in the droplet\n"
    "Write the command without 'uv run': the droplet has the app's packages, and its PATH leads to them.",
    "pnpm start": "Procfile:3: web starts pnpm, which is not in the droplet\n"
    "Write it with 'npm run', which the droplet has, or give what the script runs.",
    "source venv/bin/activate && gunicorn app:app": "Procfile:3: web starts venv/bin/activate, which is not in the app\n"
    "Write the command without it: the droplet has the app's packages, and its PATH leads to them.",
    ". ./settings.sh; gunicorn app:app": f"Procfile:3: web starts ./settings.sh, which is not in the app\n{HAVE}",
    "servr": "Procfile:3: web starts servr, which is not in the droplet\n"
    "Add the package that brings servr to the app's dependencies and make the lock again, or correct the command.",
    "/usr/bin/python3 app.py": "Procfile:3: web starts /usr/bin/python3, which is not in the droplet\n"
    "Add a requirements.txt or a pyproject.toml, so that Python is in the droplet.",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_is_not_in_the_droplet_is_named(command: str) -> None:
    assert start(command, FILES) == WRONG[command]


def test_a_file_must_be_executable() -> None:
    assert start("./start.sh", {"start.sh": "#!/bin/sh\n"}) == (
        "start.sh: web starts ./start.sh, which is not executable\n"
        "Run 'chmod +x start.sh', and 'git update-index --chmod=+x start.sh' if it is in git."
    )
    assert start("sh start.sh", {"start.sh": "#!/bin/sh\n"}) == ""


@pytest.mark.parametrize("command", ["./start.sh", "sh start.sh", "bash -x ./start.sh"])
def test_line_ends_of_windows(command: str) -> None:
    found = start(command, {"start.sh": Executable("#!/bin/bash\r\nexec python3 app.py\r\n")})
    assert found.startswith("start.sh:1: its lines end with CR LF, and web starts ")
    assert found.endswith("add the line 'start.sh text eol=lf' to .gitattributes.")


def test_the_interpreter_of_a_script() -> None:
    assert start("./run", {"run": Executable("#!/usr/bin/env ruby\nputs 1\n")}) == (
        "run:1: web starts ./run, and its first line asks for ruby, which is not in the droplet: it is Ruby's, and stager has"
        f" no Ruby\n{BUILT}"
    )
    assert start("./run", {"run": Executable("#!/usr/bin/python3\n")}) == (
        "run:1: web starts ./run, and its first line asks for /usr/bin/python3, which is not in the droplet\n"
        "Write '#!/usr/bin/env python3'."
    )
    for first in (
        "/usr/bin/env -S python3 -u",
        "/bin/bash",
        "/usr/bin/env A=1 node",
        "/opt/ruby",
        "/usr/bin/perl -w",
        "",
    ):
        assert start("./run", {"run": Executable(f"#!{first}\n")}) == ""
    assert start("./run", {"run": Executable(b"\x7fELF\r\n")}) == ""


def test_a_profile_may_make_what_is_not_there() -> None:
    assert start("tool", {".profile.d/path.sh": "PATH=$HOME/bin:$PATH\n"}) == ""
    assert start("./made", {".profile": "cp x made\n"}) == ""


def test_other_stacks_have_programs_of_their_own() -> None:
    assert start("servr", stack="cflinuxfs4") == start("/usr/bin/python3 app.py", stack="ubi9") == ""
    assert start("bundle exec puma", stack="heroku-24") != ""
