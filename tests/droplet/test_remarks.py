"""Notes on a droplet that is right: logins that go into it, and names that some systems take for one."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from command import in_process
from test_assembly import Bench

from stager.droplet.remarks import collisions, remarks, wanted
from stager.records import Base, Piece, Remarks, Unmet
from stager.tree import Link, SourceTree

BASE = Base(
    plan="sha256:0", stack="", architecture="", buildpacks=(), processes={}, env={}, runtimes={}, inputs={}, grounds=(),
    files={}, folders=(), roots=(), layers=(), crc=0, length=0, envelope=Piece("", 0, 0, 0), end="", linked="", notes=(),
    starts=Unmet(),
)  # fmt: skip
GOES = (
    ": a login, which goes into the droplet; keep it in the environment or in your own settings, "
    "or name the file in .stagerignore"
)


def notes(files: dict[str, Any], **base: Any) -> list[str]:
    return list(remarks(SourceTree.of(files), BASE.replace(**base), Remarks()).notes)


# --- logins ----------------------------------------------------------------------------------------------------

LOGINS = {
    "requirements.txt": "flask==3\n--extra-index-url https://bob:hunter2pw@pypi.example/simple\n",
    "requirements/dev.txt": "\nfoo @ https://u:hunter2pw@host/foo.whl\n",
    "requirements-dev.in": "\ngit+https://ghp_hunter2pw0123456789@host/x.git\n",
    "pyproject.toml": "[[tool.uv.index]]\nurl = 'https://bob:hunter2pw@pypi.example/simple'\n",
    "Pipfile": '[[source]]\nurl = "https://bob:hunter2pw@pypi.example/simple"\n',
    "Pipfile.lock": '{\n"url": "https://bob:hunter2pw@pypi.example/simple"}',
    "uv.lock": '#\nsource = { registry = "https://bob:hunter2pw@pypi.example/simple" }\n',
    "poetry.lock": '#\nurl = "https://bob:hunter2pw@pypi.example/simple"\n',
    "uv.toml": '\n[[index]]\nurl = "https://bob:hunter2pw@pypi.example/simple"\n'[1:],
    "poetry.toml": '[http-basic.corp]\npassword = "hunter2pw"\n',
    "package.json": '{\n"dependencies": {"a": "git+https://bob:hunter2pw@host/a.git"}}',
    "package-lock.json": '{\n"resolved": "https://bob:hunter2pw@registry.example/a.tgz"}',
    "apps/web/package-lock.json": '{\n"resolved": "https://bob:hunter2pw@registry.example/a.tgz"}',
    "yarn.lock": '#\n  resolved "https://bob:hunter2pw@registry.example/a.tgz#1"\n',
    "pnpm-lock.yaml": "#\ntarball: https://bob:hunter2pw@registry.example/a.tgz\n",
    "bunfig.toml": '[install]\nregistry = { url = "https://x", token = "hunter2pw" }\n',
    "prod.tfvars": 'region = "eu"\ndb_password = "hunter2pw"\n',
    "infra/prod.auto.tfvars.json": '{\n"api_key": "hunter2pw"}',
    "docker-compose.yml": "environment:\n  POSTGRES_PASSWORD: hunter2pw\n",
    "compose.yaml": "environment:\n  - SECRET_KEY=hunter2pw\n",
    "Dockerfile": "FROM x\nENV API_TOKEN=hunter2pw\n",
    "settings.xml": "<server>\n<password>hunter2pw</password>\n",
    "gradle.properties": "#\nossrhPassword=hunter2pw\n",
    "nuget.config": '<x>\n<add key="ClearTextPassword" value="hunter2pw" />\n',
    "manifest.yml": "env:\n  API_TOKEN: hunter2pw\n",
    "stager.yml": "env:\n  CLIENT_SECRET: hunter2pw\n",
    "composer.json": '{\n"url": "https://bob:hunter2pw@host/"}',
    "Gemfile": "\nsource 'https://bob:hunter2pw@gems.example'\n",
    "config/database.yml": "production:\n  password: hunter2pw\n",
    "Procfile": "web: true\nworker: run redis://:hunter2pw@redis:6379\n",
    "reqs/base.in": "\n--index-url https://bob:hunter2pw@host/simple\n",
    "a/b.in": "\n--index-url https://bob:hunter2pw@host/simple\n",
    "deploy/requirements.txt": "\n--index-url https://host/simple?access_token=hunter2pw\n",
    "constraints.txt": "\nfoo @ https://host/foo.whl?a=b&sig=hunter2pw\n",
    "infra/variables.tf": 'x\npassword = "hunter2pw"\n',
    "config/prod.env": "X=1\nDB_PASSWORD=hunter2pw\n",
    "go.env": "#\nGOPROXY=https://bob:hunter2pw@host/\n",
    "setup.cfg": "#\nurl = https://AKIAABCDEFGHIJKLMNOP/\n",
}


@pytest.mark.parametrize("path", LOGINS)
def test_a_login_is_noted_by_its_line_and_never_shown(path: str) -> None:
    assert notes({path: LOGINS[path]}) == [f"{path}:2{GOES}"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("requirements.txt", "--index-url https://${USER}:${PASSWORD}@host/simple\nx @ git+ssh://git@host/x.git\n"),
        ("requirements.txt", "x @ https://user@host/x.whl\ny @ https://:@host/y.whl\n# mail@host\n"),
        ("package.json", '{"author": "A <a@b.c>", "password": "x", "dependencies": {"a": "git+ssh://git@host/a.git"}}'),
        ("package.json", '{"homepage": "https://host/@scope/x", "repository": "https://www.npmjs.example/@a:b/c"}'),
        ("docker-compose.yml", "POSTGRES_PASSWORD: ${DB_PASSWORD}\nPASSWORD_FILE: /run/secrets/x\nTOKEN:\n  file: x\n"),
        ("prod.tfvars", 'password = var.password\n# password = "hunter2pw"\ntoken = ""\n'),
        ("stager.yml", "env:\n  TOKEN: $TOKEN\n"),
        ("settings.xml", "<password>${env.PASSWORD}</password>"),
        (
            "requirements.txt",
            "x @ https://host/x.whl?token=${TOKEN}&other=abcdefgh\ny @ https://host/y.whl?keyboard=abcdefghi\n",
        ),
        ("requirements.txt", "# ask for ?token=abcdefghijkl\n"),
        ("main.py", "URL = 'https://bob:hunter2pw@host/'\n"),
        ("manifest.json", '{"name": "x"}'),
        ("uv.lock", 'url = "https://files.example/a@1.0/b.whl"\n'),
    ],
)
def test_what_holds_no_login(path: str, text: str) -> None:
    assert notes({path: text}) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_login_in_another_encoding(encoding: str) -> None:
    text = "flask\r\n--index-url https://bob:hunter2pw@host/simple\r\n"
    assert notes({"requirements.txt": text.encode(encoding)}) == [f"requirements.txt:2{GOES}"]


def test_many_lines_are_told_in_one_note() -> None:
    text = "--index-url https://b:hunter2pw@h/\n" * 9
    assert notes({"requirements.txt": text}) == [f"requirements.txt:1, 2, 3 and 6 more{GOES}"]


def test_a_hostile_file_costs_little() -> None:
    hostile = [
        "://" * 2_000_000,
        "://" + "a" * 7_000_000,
        "password" * 900_000,
        "token" + " " * 7_000_000,
        "${" * 3_000_000,
        "?token=abcdefghi" * 500_000,
        "&" + "&token" * 1_300_000,
        "\ufeff?" * 2_500_000,
    ]
    begun = time.process_time()
    for text in hostile:
        notes({"docker-compose.yml": text, "uv.lock": text})
    assert time.process_time() - begun < 10


def test_the_users_of_a_static_site() -> None:
    users = (
        "# ours\nbob:$apr1$DuUQEQp8$ZccZCHQElNSjrgerwSFC0/\nann:{PLAIN}secret\n\neve:secret\nmallory\nb:$2y$05$abc\n"
    )
    assert notes({"Staticfile.auth": users}) == [
        "Staticfile.auth:3: a readable password, which goes into the droplet; make it with 'htpasswd -m', "
        "or name the file in .stagerignore",
        "Staticfile.auth:5, 6: a line that lets nobody in, since its hash is none that nginx can check; "
        "make it with 'htpasswd -m', or name the file in .stagerignore",
    ]


def test_it_is_told_by_every_staging_alike(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: true\n")
    (app / "requirements.txt").write_text(LOGINS["requirements.txt"].replace("flask==3", "#"))
    (app / "docker-compose.yml").write_text(LOGINS["docker-compose.yml"])
    (app / "Main.txt").write_text("x")
    (app / "main.txt").write_text("x")
    said = []
    for step in range(4):
        store = tmp_path / ("other" if step == 3 else "store")
        done = (
            in_process("stage", app, "--buildpack", "procfile", "-o", tmp_path / "d.tgz", store=store)
            if not step
            else in_process("stage", app, "-o", tmp_path / "d.tgz", store=store)
        )
        said.append([line for line in done.good().err.splitlines() if "login" in line or "differ" in line])
        assert "hunter2pw" not in done.out + done.err
        if step == 1:
            (app / "code.py").write_text("x")
            os.utime(app / "docker-compose.yml", (1, 1))
    assert said[0] == said[1] == said[2] == said[3]
    assert len(said[0]) == 3


def test_known_files_are_not_read_again() -> None:
    tree = SourceTree.of({"requirements.txt": LOGINS["requirements.txt"], "a": "x"})
    first = remarks(tree, BASE, Remarks())
    again = SourceTree.of({"requirements.txt": LOGINS["requirements.txt"], "a": "y"})
    again._contents["requirements.txt"] = b"changed underfoot"
    second = remarks(again, BASE, first)
    assert (second.notes, second.logins) == (first.notes, first.logins)
    assert remarks(again, BASE, second) == second


@pytest.mark.parametrize("path", ["main.py", "a/requirements", "src/password.txt", "Staticfile", "a/Staticfile.auth"])
def test_most_files_are_never_read(path: str) -> None:
    assert wanted(path) == ""


# --- names -----------------------------------------------------------------------------------------------------

DIFFER = "differ only in case or in how letters are composed: macOS, Windows and their shares cannot hold both"
ONE = f"{{}} (the app) and {{}} (the app) {DIFFER}"


@pytest.mark.parametrize(
    ("paths", "pairs"),
    [
        (["README", "Readme", "plain"], [("README", "Readme")]),
        (["a/x", "A/y", "a/z"], [("A", "a")]),
        (["a/x", "A/x"], [("A", "a")]),
        (["A/x", "a/X", "a/x"], [("A", "a"), ("a/X", "a/x")]),
        (["caf\u00e9", "cafe\u0301"], [("cafe\u0301", "caf\u00e9")]),
        (["stra\u00dfe/a", "STRASSE/b"], [("STRASSE", "stra\u00dfe")]),
        (["\ufb01le", "file"], [("file", "\ufb01le")]),
        (["K", "\u212a"], [("K", "\u212a")]),
        (["a", "b/A", "B/a"], [("B", "b")]),
        (["x/1/a", "x/1/b", "X2/a", "x2"], [("X2", "x2")]),
        (["a", "b", "c/a", "c/b"], []),
    ],
)
def test_names_that_fall_together(paths: list[str], pairs: list[tuple[str, str]]) -> None:
    assert collisions(paths) == collisions(paths[::-1]) == set(pairs)
    assert notes(dict.fromkeys(paths, "x")) == [ONE.format(*pair) for pair in sorted(pairs)]


def test_links_count_and_many_pairs_are_summed_up() -> None:
    assert notes({"Main": Link("x"), "main": "x", "x": "y"}) == [ONE.format("Main", "main")]
    many = notes({name: "x" for number in range(30) for name in (f"A{number}", f"a{number}")})
    assert len(many) == 21
    assert many[-1] == "10 more names differ only so"


def test_the_app_beside_what_the_plan_adds() -> None:
    base = BASE.replace(
        files={".profile.d/000.sh": "a generated file"},
        folders=(".profile.d", ".stager", "Web"),
        roots=("Web/node_modules",),
    )
    tree = SourceTree.of({".Stager/x": "x", ".profile.d/000.SH": "x", "Web/NODE_MODULES/y": "x", "web/z": "x"})
    assert list(remarks(tree, base, Remarks()).notes) == [
        f".Stager (the app) and .stager (what the plan adds) {DIFFER}",
        f".profile.d/000.SH (the app) and .profile.d/000.sh (what the plan adds) {DIFFER}",
        f"Web (the app) and web (the app) {DIFFER}",
        f"Web/NODE_MODULES (the app) and Web/node_modules (what the plan adds) {DIFFER}",
    ]


def test_packages_beside_each_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.wheel("alpha", "1.0", {"shared/Util.py": b"1"})
    bench.wheel("beta", "1.0", {"shared/util.py": b"2", "Alpha/x.py": b"", "alpha/y.py": b""})
    bench.npm("gamma", {"index.js": b"", "INDEX.js": b""})
    said = [note for note in bench.base().notes if "differ only" in note]
    assert [note.partition(" differ")[0] for note in said] == [
        ".stager/pypi/site-packages/Alpha (beta@1.0) and .stager/pypi/site-packages/alpha (beta@1.0)",
        ".stager/pypi/site-packages/shared/Util.py (alpha@1.0) and .stager/pypi/site-packages/shared/util.py (beta@1.0)",
        "node_modules/gamma/INDEX.js (gamma@1.0.0) and node_modules/gamma/index.js (gamma@1.0.0)",
    ]
    assert bench.base().notes == bench.base(jobs=1).notes
