"""The errors of staging with their hints, from an app's files; and that an app whose author has followed them is staged.

What each format or tool has of its own is tested beside it. Here are whole apps, as far as they come without an index.
"""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from apps_fixture import APPS, expectation, names

import stager
from stager.cli.commands import MODULES
from stager.ecosystems import npm, pypi
from stager.errors import StagerError
from stager.facts import stacks
from stager.planning import detection
from stager.planning.buildpacks import load, load_all
from stager.planning.detection import commands
from stager.planning.packages import unlocked
from stager.tree import SourceTree

Files = dict[str, str | bytes]
BUILDPACKS = load_all()
STACK = stacks.load("debian-12", "amd64")
HASH = "sha256:" + "a" * 64
SRI = "sha512-" + "A" * 86 + "=="


def plan(files: Files) -> list[str]:
    """The start commands of an app, after all that planning checks of its files and locks. Raises as planning does."""
    tree = SourceTree.of(dict(files))
    found = detection.detect(tree, BUILDPACKS)
    installed: set[str] = set()
    for one in found.matched:
        kind = load(one.buildpack).ecosystem
        if kind == "npm" and one.lock:
            npm.check_drift(tree, one.lock)
            installed |= npm.read_lock(tree, one.lock, STACK).names
        elif kind == "pypi" and one.lock:
            pypi.check_drift(tree, one.lock)
            installed |= pypi.read_lock(tree, one.lock, pypi.Target(STACK, (3, 11), "3.11.2")).names
        else:
            assert not unlocked(tree, one, load(one.buildpack))
    return [process.command for process in commands.choose(tree, BUILDPACKS, found, frozenset(installed)).processes]


def manifest(**fields: Any) -> str:
    return json.dumps({"name": "shop", **fields}, indent=1)


def npm_lock(dependencies: dict[str, str], packages: dict[str, Any]) -> str:
    return json.dumps({"lockfileVersion": 3, "packages": {"": {"dependencies": dependencies}, **packages}})


SERVER = "require('http').createServer((q, s) => s.end('hi')).listen(process.env.PORT)\n"
FLASK = "from flask import Flask\n\napp = Flask(__name__)\n"
MS = {"version": "2.1.3", "resolved": "https://mirror.example/ms.tgz", "integrity": SRI}
UV = """version = 1
requires-python = ">=3.11"

[[package]]
name = "shop"
version = "1.0"
source = {{ virtual = "." }}
dependencies = [{{ name = "{name}" }}]

[package.metadata]
requires-dist = [{{ name = "{name}" }}]

[[package]]
name = "{name}"
version = "1.0"
source = {{ registry = "https://index.example/simple" }}
wheels = [{wheels}]
"""


def uv(name: str, wheel: str = "") -> Files:
    row = f'{{ url = "https://files.example/{wheel}", hash = "{HASH}" }}' if wheel else ""
    project = f"[project]\nname = 'shop'\nversion = '1.0'\nrequires-python = '>=3.11'\ndependencies = ['{name}']\n"
    return {"pyproject.toml": project, "uv.lock": UV.format(name=name, hash=HASH, wheels=row), "main.py": ""}


CASES: dict[str, tuple[Files, str, str, str, Files | None]] = {
    # name: the app; its error's message, hint and place; what its author does then (None: nothing that is only files)
    "a program that loads a package": (
        {"server.js": f"const express = require('express')\n{SERVER}"},
        "it loads express, and there is no package.json that asks for it",
        "Run 'npm init -y' and 'npm install express', and commit package.json and package-lock.json.",
        "server.js:1",
        {
            "package.json": manifest(dependencies={"express": "^4"}),
            "package-lock.json": npm_lock(
                {"express": "^4"}, {"node_modules/express": {"version": "4.18.2", "integrity": SRI}}
            ),
        },
    ),
    "a site generator": (
        {
            "package.json": manifest(
                devDependencies={"vuepress": "2"}, scripts={"build": "npm ci && vuepress build docs"}
            )
        },
        "must be built first: shop (there is no start script, and what scripts.build writes is not in the app)",
        "Run 'npm run build' and keep docs/.vuepress/dist/ in the app: commit it, or add the line '!docs/.vuepress/dist/' to "
        ".stagerignore. Then have it served: write 'root: docs/.vuepress/dist' into a file Staticfile.",
        "",
        {
            "docs/.vuepress/dist/index.html": "",
            "Staticfile": "root: docs/.vuepress/dist\n",
        },
    ),
    "a server that a build writes": (
        {"package.json": manifest(scripts={"build": "npm ci && next build", "start": "next start"})},
        "must be built first: shop (scripts.build writes .next/, which scripts.start needs)",
        "Run 'npm run build' and keep .next/ in the app: commit it, or add the line '!.next/' to .stagerignore.",
        "",
        {".next/BUILD_ID": ""},
    ),
    "an app without a name": (
        {"package.json": json.dumps({"main": "dist/run.js", "scripts": {"build": "npm ci && tsc"}}), "src/run.ts": ""},
        "must be built first: the app (package.json's main is a file that scripts.build writes)",
        "Run 'npm run build' and keep dist/ in the app: commit it, or add the line '!dist/' to .stagerignore.",
        "",
        {"dist/run.js": SERVER},
    ),
    "nothing to start, in Node.js": (
        {"package.json": manifest(scripts={"test": "node --test"}, dependencies={}), "lib/a.js": ""},
        "no start command found for nodejs",
        "Add a file Procfile with a line such as 'web: node server.js'. Looked for: a Procfile, ",
        "",
        {"Procfile": "web: node server.js\n", "server.js": SERVER},
    ),
    "a Procfile with a slip, in Node.js": (
        {"package.json": manifest(main="server.js"), "server.js": SERVER, "Procfile": "web node server.js\n"},
        "there is no colon in 'web node server.js'",
        "A line is a process type, a colon and a command, such as 'web: node server.js'.",
        "Procfile:1",
        {"Procfile": "web: node server.js\n"},
    ),
    "two languages": (
        {"main.py": "", "server.js": SERVER},
        "programs of several languages: main.py, server.js",
        "Say whose app it is: write 'buildpacks: [python]' or 'buildpacks: [nodejs]' into stager.yml.",
        "",
        {"stager.yml": "buildpacks: [nodejs]\n"},
    ),
    "two start commands": (
        {
            "requirements.txt": "",
            "app.py": FLASK,
            "package.json": manifest(scripts={"start": "node server.js"}),
            "server.js": SERVER,
        },
        "several start commands: python app.py (app.py is the app's program (app.py)), npm start (package.json's start "
        "script: node server.js (package.json:4))",
        "Add a file Procfile with the one to use, in a line such as 'web: python app.py'.",
        "",
        {"Procfile": "web: python app.py\n"},
    ),
    "a link out of the app": (
        {
            "package.json": manifest(dependencies={"client": "^1.0.0"}, main="server.js"),
            "server.js": SERVER,
            "package-lock.json": npm_lock(
                {"client": "^1.0.0"},
                {"../client": {"version": "1.0.0"}, "node_modules/client": {"resolved": "../client", "link": True}},
            ),
        },
        "client is a link to the folder '../client', which is outside the app",
        "Move the folder into the app, or publish it as a package and depend on that, and make the lock again; or stage a "
        "folder that holds both. What 'npm link' has left ends with 'npm install'.",
        "package-lock.json",
        {
            "client/package.json": '{"name": "client", "version": "1.0.0"}',
            "package.json": manifest(dependencies={"client": "file:client"}, main="server.js"),
            "package-lock.json": npm_lock(
                {"client": "file:client"},
                {"client": {"version": "1.0.0"}, "node_modules/client": {"resolved": "client", "link": True}},
            ),
        },
    ),
    "one missing integrity": (
        {
            "package.json": manifest(dependencies={"ms": "^2.1.0"}, main="server.js"),
            "server.js": SERVER,
            "package-lock.json": npm_lock({"ms": "^2.1.0"}, {"node_modules/ms": {"version": "2.1.3"}}),
        },
        "not pinned by version and digest: ms@2.1.3",
        "Write what \"npm view ms@2.1.3 dist.integrity\" prints into package-lock.json, as its 'integrity'; 'npm install' "
        "adds none.",
        "package-lock.json",
        {"package-lock.json": npm_lock({"ms": "^2.1.0"}, {"node_modules/ms": {"version": "2.1.3", "integrity": SRI}})},
    ),
    "a package from a repository": (
        {
            "package.json": manifest(dependencies={"r": "github:u/r"}, main="server.js"),
            "server.js": SERVER,
            "package-lock.json": npm_lock(
                {"r": "github:u/r"},
                {"node_modules/r": {"version": "1.0.0", "resolved": "git+ssh://git@code.example/u/r.git#abc"}},
            ),
        },
        "must be built first: r@1.0.0 (it comes from a git repository, and no whole commit of it is named)",
        "Depend on a published version; or run 'npm pack git+ssh://git@code.example/u/r.git#abc', put the tarball into the "
        "app, depend on it by 'file:' and its path, and run 'npm install'.",
        "",
        {
            "r-1.0.0.tgz": "bytes",
            "package.json": manifest(dependencies={"r": "file:r-1.0.0.tgz"}, main="server.js"),
            "package-lock.json": npm_lock(
                {"r": "file:r-1.0.0.tgz"}, {"node_modules/r": {"version": "1.0.0", "resolved": "file:r-1.0.0.tgz"}}
            ),
        },
    ),
    "wheels for other Pythons": (
        uv("oldie", "oldie-1.0-cp313-cp313-manylinux_2_17_x86_64.whl"),
        "must be built first: oldie==1.0 (no wheel for cp311 manylinux_2_36 x86_64, only for Python 3.13)",
        "Ask for Python 3.13, by that line in a file .python-version, or for another version of oldie.",
        "",
        None,
    ),
    "wheels for another system": (
        uv("pywin", "pywin-1.0-cp311-cp311-win_amd64.whl"),
        "must be built first: pywin==1.0 (no wheel for cp311 manylinux_2_36 x86_64, only for Windows)",
        "Ask for a version of pywin that has a fitting wheel. For one that has none, publish a wheel on an index of your own "
        "('pip wheel --no-deps' makes one), or do without it.",
        "",
        None,
    ),
    "a descriptor of another tool": (
        {"project.toml": "[_]\nschema-version = '0.2'\n"},
        "no buildpack recognises this folder",
        "python looks for ",
        "",
        {"server.js": SERVER},
    ),
    "hashes on some lines": (
        {"requirements.txt": f"a==1.0 --hash={HASH}\nb==1.0\n", "main.py": ""},
        "not pinned by version and digest: b==1.0 (requirements.txt:2)",
        "Pin these by == and --hash, as the other lines are ('pip hash' prints it of a file), or delete every --hash of "
        "requirements.txt: then 'stager lock' makes pylock.toml of it.",
        "requirements.txt",
        None,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_and_how_to_mend_it(name: str) -> None:
    files, message, hint, where, then = CASES[name]
    with pytest.raises(StagerError) as caught:
        plan(files)
    error = caught.value
    assert (error.message, error.where) == (message, where)
    assert error.hint == hint if hint.endswith(".") else error.hint.startswith(hint)
    if then is not None:
        assert plan({**files, **then})


TAKEN: dict[str, tuple[Files, list[str]]] = {
    "a program alone": ({"server.js": SERVER}, ["node server.js"]),
    "main is the folder": ({"package.json": manifest(main="./"), "index.js": SERVER}, ["node index.js"]),
    "the folder is started": (
        {"package.json": manifest(main="./", scripts={"start": "node ."}), "index.js": SERVER},
        ["npm start"],
    ),
    "a key that is given twice": (
        {"package.json": '{"main": "gone.js", "dependencies": {}, "main": "server.js"}', "server.js": SERVER},
        ["node server.js"],
    ),
    "requirements as Windows writes them": (
        {"requirements.txt": "# none yet\r\n".encode("utf-16"), "main.py": ""},
        ["python main.py"],
    ),
    "requirements of an old editor": (
        {"requirements.txt": "# -*- coding: latin-1 -*-\n# für später\n".encode("latin-1"), "main.py": ""},
        ["python main.py"],
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_its_own_tools_take_is_no_error(name: str) -> None:
    files, expected = TAKEN[name]
    assert plan(files) == expected


# --- every hint that stager has --------------------------------------------------------------------------------


@cache
def texts() -> list[tuple[str, str]]:
    """Every text in stager's own code but docstrings, with its place."""
    found: list[tuple[str, str]] = []
    package = Path(stager.__file__).parent
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            (node.value, f"{path.relative_to(package)}:{node.lineno}")
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare
        ]
    return found


def test_every_command_of_stager_that_a_text_names_is_one() -> None:
    known = {words.split()[0] for words in MODULES}
    named = [(word, place) for text, place in texts() for word in re.findall(r"'stager ([a-z]+)\b", text)]
    assert len(named) > 40
    assert [row for row in named if row[0] not in known] == []


def test_no_text_gives_up_on_saying_what_to_do() -> None:
    vague = re.compile(r"Correct the manifest\b|^Try again\.$|python main\.py' *and stage again")
    assert [row for row in texts() if vague.search(row[0])] == []


def test_the_errors_of_the_sample_apps_have_hints_in_their_own_language() -> None:
    wrong = {name: expectation(name) for name in names() if "error" in expectation(name)}
    assert len(wrong) > 20
    for name, expected in wrong.items():
        hint, files = expected["error"]["hint"], {path.name for path in (APPS / name).rglob("*") if path.is_file()}
        assert hint, name
        if "python main.py" in hint:
            assert any(file.endswith((".py", "Pipfile", ".in", ".txt", ".toml", ".cfg")) for file in files), name
        if "'npm " in hint or "web: node" in hint:
            assert any(file.endswith((".js", ".mjs", ".ts", "package.json")) for file in files), name
