"""What other platforms have an app build: named with the line to write, unless stager does the same."""

from __future__ import annotations

import pytest

from stager.model import Process, Reason
from stager.planning.detection.appconfig import read
from stager.planning.detection.build_settings import OwnBuild
from stager.planning.detection.foreseen import Foreseen
from stager.planning.detection.other_builds import remarks
from stager.tree import SourceTree

FRONT_END = Foreseen("nodejs", "build", "npm run build", Reason(""), ("dist",))


def told(files: dict[str, str], foreseen: tuple[Foreseen, ...] = (), release: bool = False) -> list[str]:
    processes = [Process("release", "x", Reason(""))] if release else []
    return remarks(SourceTree.of(dict(files)), foreseen, processes)


RENDER = "services:\n  - type: web\n    buildCommand: "
NAMED: dict[str, tuple[dict[str, str], str]] = {
    "a hook with one step": (
        {"bin/post_compile": "#!/bin/bash\n# styles\nset -e\npip install x\nmake css\n"},
        "bin/post_compile is not run. If the app needs what it makes, write in stager.yml: "
        "build: [{run: make css, outputs: [what it makes]}]",
    ),
    "a hook that decides": (
        {"bin/pre_compile": "if [ -f x ]; then\n make\nfi\n"},
        "bin/pre_compile is not run. If the app needs what it makes, write in stager.yml: "
        "build: [{run: bin/pre_compile, outputs: [what it makes]}]",
    ),
    "a list of steps": (
        {"nixpacks.toml": "[phases.build]\ncmds = ['make a', 'make \"b\"']\n"},
        'nixpacks.toml:2 has a build that is not run: make a, make "b". If the app needs what it makes, write in stager.yml: '
        'build: [{run: "make a && make \\"b\\"", outputs: [what it makes]}]',
    ),
    "what is served then": (
        {"netlify.toml": '[build]\ncommand = "hugo"\npublish = "public/"\n'},
        "netlify.toml:2 has a build that is not run: hugo. If the app needs what it makes, write in stager.yml: "
        "build: [{run: hugo, outputs: [public]}]",
    ),
    "a member of JSON": (
        {"railway.json": '{"build": {\n"buildCommand": "make"}}'},
        "railway.json:2 has a build that is not run: make. If the app needs what it makes, write in stager.yml: "
        "build: [{run: make, outputs: [what it makes]}]",
    ),
    "commands of railpack": (
        {"railpack.json": '{"steps": {"build": {"commands": ["...", {"cmd": "make x"}]}}}'},
        "railpack.json:1 has a build that is not run: make x. If the app needs what it makes, write in stager.yml: "
        "build: [{run: make x, outputs: [what it makes]}]",
    ),
    "a line of YAML, with packages and another step": (
        {"render.yaml": RENDER + '"pip install -r requirements.txt && make css"\n'},
        "render.yaml:3 has a build that is not run: make css. If the app needs what it makes, write in stager.yml: "
        "build: [{run: make css, outputs: [what it makes]}]",
    ),
    "lines of YAML": (
        {"render.yaml": RENDER + "|\n      npm ci\n      make css\n    startCommand: x\n"},
        "render.yaml:3 has a build that is not run: make css. If the app needs what it makes, write in stager.yml: "
        "build: [{run: make css, outputs: [what it makes]}]",
    ),
    "another script than the one that is run": (
        {"vercel.json": '{"buildCommand": "npm run build:all", "outputDirectory": "out"}'},
        "vercel.json:1 has a build that is not run: npm run build:all. If the app needs what it makes, write in stager.yml: "
        'build: [{run: "npm run build:all", outputs: [out]}]',
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_builds_are_named_with_the_line_to_write(name: str) -> None:
    files, remark = NAMED[name]
    assert told(files, (FRONT_END,)) == [remark]


def test_the_line_is_one_that_is_read() -> None:
    (remark,) = told({"nixpacks.toml": "[phases.build]\ncmds = ['make \"b\"']\n"})
    line = remark.partition("stager.yml: ")[2]
    assert read(SourceTree.of({"stager.yml": line})).own_builds == (
        OwnBuild("own", 'make "b"', ("what it makes",), line=1),
    )


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"render.yaml": RENDER + "pip install -r requirements.txt\n"},
        {"render.yaml": RENDER + "./build.sh\n", "build.sh": "#!/bin/sh\nset -o errexit\npip install -r requirements.txt\n"
         "python manage.py collectstatic --no-input\n"},
        {"render.yaml": RENDER + "npm install && npm run build\n"},
        {"render.yaml": RENDER + "yarn; yarn build\n"},
        {"railway.json": "no JSON"},
        {"railway.json": '{"build": {"buildCommand": 3}}'},
        {"bin/post_compile": "make\n", "stager.yml": "build: [{run: bin/post_compile, outputs: [out]}]\n"},
    ],
)  # fmt: skip
def test_what_stager_does_itself_is_not_named(files: dict[str, str]) -> None:
    assert told(files, (FRONT_END,)) == []


def test_what_changes_a_database_is_for_a_release() -> None:
    files = {"bin/post_compile": "#!/bin/sh\npython manage.py migrate --noinput\n"}
    assert told(files) == [
        "bin/post_compile runs python manage.py migrate --noinput, which changes a database: give it to a process 'release'"
    ]
    assert told(files, release=True) == []


def test_no_build_without_the_front_end_is_taken_for_granted() -> None:
    assert len(told({"render.yaml": RENDER + "npm run build\n"})) == 1
