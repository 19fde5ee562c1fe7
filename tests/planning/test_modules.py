"""Which file Node.js runs for a path or a `main`, package.json as npm reads it, and programs without a package.json."""

from __future__ import annotations

import json

import pytest

from stager.ecosystems import npm
from stager.ecosystems.npm.manifest import manifest, workspaces
from stager.errors import BadManifest, StagerError
from stager.planning import detection
from stager.planning.buildpacks import load_all
from stager.planning.detection import commands
from stager.planning.detection.matching import AppFacts
from stager.planning.detection.modules import program
from stager.text.source_lines import json_line
from stager.tree import SourceTree

BUILDPACKS = load_all()
SERVER = "require('http').createServer((q, s) => s.end('hi')).listen(process.env.PORT)\n"


def web(files: dict[str, str]) -> str:
    tree = SourceTree.of(dict(files))
    return commands.choose(tree, BUILDPACKS, detection.detect(tree, BUILDPACKS), frozenset()).processes[0].command


def refusal(files: dict[str, str]) -> tuple[str, str, str]:
    with pytest.raises(BadManifest) as caught:
        web(files)
    return caught.value.message, caught.value.hint, caught.value.where


MAINS = {
    "./": ("index.js", ["index.js"]),
    ".": ("index.js", ["index.js"]),
    "": ("index.js", ["index.js"]),
    "lib": ("lib/index.js", ["lib/index.js", "index.js"]),
    "./lib/": ("lib/index.js", ["lib/index.js", "index.js"]),
    "lib/server": ("lib/server.js", ["lib/server.js"]),
    "./server": ("server.js", ["server.js", "server/index.js"]),
    "server.js": ("server.js", ["server.js"]),
    "gone.js": ("index.js", ["index.js"]),
}


@pytest.mark.parametrize("main", MAINS)
def test_main_leads_where_node_looks(main: str) -> None:
    expected, files = MAINS[main]
    contents = {"package.json": json.dumps({"main": main}), **dict.fromkeys(files, SERVER)}
    assert program(AppFacts(SourceTree.of(dict(contents))), ".") == expected
    assert web(contents) == f"node {expected}"
    for start in ("node .", "node ./"):
        started = {**contents, "package.json": json.dumps({"main": main, "scripts": {"start": start}})}
        assert web(started) == "npm start"


def test_a_folder_s_own_package_json_names_its_program() -> None:
    files = {"package.json": '{"scripts": {"start": "node api"}}', "api/package.json": '{"main": "run"}'}
    assert refusal(files)[0] == "scripts.start runs api, which is not in the app"
    assert web({**files, "api/run.js": SERVER}) == "npm start"


@pytest.mark.parametrize("main", [None, 3, ["a.js"], "../out.js", "/etc/passwd"])
def test_a_main_that_names_nothing_of_the_app_is_passed_over(main: object) -> None:
    facts = AppFacts(SourceTree.of({"package.json": json.dumps({"main": main}), "index.js": SERVER}))
    assert program(facts, ".") == "index.js"


# --- keys that are given twice ---------------------------------------------------------------------------------

TWICE = """{
 "name": "shop", "main": "old.js",
 "scripts": {"start": "node gone.js"},
 "scripts": {
  "start": "node gone.js",
  "start": "node server.js"
 },
 "main": "server.js"
}
"""


def test_of_a_key_that_is_given_twice_the_last_counts_as_for_npm() -> None:
    tree = SourceTree.of({"package.json": TWICE, "server.js": SERVER})
    assert manifest(tree).scripts == {"start": "node server.js"}
    assert manifest(tree).main == "server.js"
    found = commands.choose(tree, BUILDPACKS, detection.detect(tree, BUILDPACKS), frozenset()).processes[0]
    assert (found.command, found.reason.line) == ("npm start", 6)
    assert json_line(TWICE, "main") == 8


def test_a_workspace_s_keys_may_be_given_twice_and_a_lock_s_may_not() -> None:
    files = {
        "package.json": '{"workspaces": ["a"], "workspaces": ["b"]}',
        "b/package.json": '{"name": "b", "name": "c"}',
    }
    assert workspaces(SourceTree.of(dict(files)), ["b"])["b"].name == "c"
    with pytest.raises(StagerError, match="'packages' is given twice"):
        npm.check_drift(
            SourceTree.of({**files, "package-lock.json": '{"packages": {}, "packages": {}}'}), "package-lock.json"
        )


# --- a program alone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["server.js", "index.js", "app.mjs", "src/index.js"])
def test_a_program_without_a_package_json_asks_for_nothing(file: str) -> None:
    files = {file: SERVER, ".nvmrc": "24\n"}
    assert web(files) == f"node {file}"
    assert npm.declared(SourceTree.of(dict(files))) == frozenset()


LOADS = {
    "require": ("const http = require('http')\nconst express = require('express')\n", "express", 2),
    "two in a line": ("const http = require('http'), express = require('express')\n", "express", 1),
    "import": ("import http from 'node:http'\nimport { Hono } from 'hono/tiny'\n", "hono", 2),
    "import over lines": ("import {\n a,\n b,\n} from '@koa/router/x'\n", "@koa/router", 4),
    "import for its effect": ("import 'dotenv/config'\n", "dotenv", 1),
    "export from": ("export { a } from 'pkg'\n", "pkg", 1),
}


@pytest.mark.parametrize("name", LOADS)
def test_a_package_that_no_package_json_names_is_named(name: str) -> None:
    text, package, line = LOADS[name]
    message = f"it loads {package}, and there is no package.json that asks for it"
    hint = f"Run 'npm init -y' and 'npm install {package}', and commit package.json and package-lock.json."
    assert refusal({"server.js": text + SERVER}) == (message, hint, f"server.js:{line}")
    through = {"server.js": f"require('./lib/x')\n{SERVER}", "lib/x.js": text, "other.js": "require('never')"}
    assert refusal(through) == (message, hint, f"lib/x.js:{line}")


@pytest.mark.parametrize(
    "text",
    [
        "const fs = require('fs/promises'), t = require('node:test'), u = require('util')",
        "// require('express')",
        " * require('express')",
        "/* require('express') */",
        "try { require('dotenv').config() } catch {}",
        "try {\n  require('dotenv').config()\n} catch {}",
        "const x = require(process.env.X)",
        "import data from './data.json' with { type: 'json' }",
        "console.log('from Berlin')",
    ],
)
def test_what_node_brings_and_what_is_only_tried_needs_no_package(text: str) -> None:
    assert web({"server.js": f"{text}\n{SERVER}", "data.json": "{}"}) == "node server.js"
