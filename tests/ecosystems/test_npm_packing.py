"""Which files of a repository are the package: as npm itself packs the same folder."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from stager.ecosystems.npm.packing import check_ready, packed
from stager.errors import NeedsBuild
from stager.locking import install
from stager.net.indexes import Indexes
from stager.runtimes.chosen import Asked
from stager.settings import Settings
from stager.store import Store
from stager.tree import SourceTree

EMPTY = """
    README.md License.txt CHANGELOG.md index.js lib/a.js lib/a.test.js lib/deep/b.js lib/deep/c.map dist/x.js dist/x.css
    test/t.js docs/d.md .npmrc .eslintrc src/gen.js src/m.js .github/w.yml a.orig bin/run types/i.d.ts yarn.lock
    lib/.hidden README~ deep/lib/z.js x.swp/.a.swp
"""
FILES = dict.fromkeys(EMPTY.split(), "") | {"package-lock.json": "{}", "src/.gitignore": "gen.js\n"}
CASES: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "nothing said": ({}, {}),
    "gitignore": ({}, {".gitignore": "dist\n*.map\n# x\n/docs/\n!lib/deep/c.map\n"}),
    "npmignore before gitignore": ({}, {".gitignore": "dist\n", ".npmignore": "test\nlib/**/*.test.js\n"}),
    "folders": ({"files": ["lib", "dist/"]}, {".npmignore": "lib\n"}),
    "patterns": ({"files": ["lib/**/*.js", "!lib/**/*.test.js", "*.d.ts"]}, {}),
    "one level": ({"files": ["lib/*"]}, {}),
    "named files": ({"files": ["./lib/a.js", "types/i.d.ts", "/dist/x.css"]}, {}),
    "braces": ({"files": ["dist/*.{js,css}"]}, {}),
    "names anywhere": ({"files": ["lib", "*.js"]}, {}),
    "main and bin": ({"files": ["dist"], "main": "./lib/a.js", "bin": {"run": "bin/run"}}, {}),
    "main as it is": ({"files": ["dist"], "main": "lib/a.js"}, {}),
    "nested": ({"files": ["src"]}, {}),
    "all": ({"files": ["**/*"]}, {}),
    "none": ({"files": []}, {}),
    "a lock asked for": ({"files": ["package-lock.json", "lib", ".npmrc"]}, {}),
}


def files_of(case: str) -> dict[str, str]:
    inside, more = CASES[case]
    manifest = json.dumps({"name": "demo", "version": "1.0.0", **inside})
    return {**FILES, **more, "package.json": manifest}


def ours(case: str) -> set[str]:
    files = files_of(case)
    texts = {path: text.encode() for path, text in files.items() if path.endswith("ignore")}
    return packed(files, json.loads(files["package.json"]), texts)


@pytest.mark.network
def test_as_npm_itself_packs(tmp_path: Path, shared_store: Path) -> None:
    """By the npm that droplets have: older ones have other rules."""
    indexes = Indexes.from_environment(os.environ, home=os.path.expanduser("~"))
    asked: dict[str, Asked] = {"node": (), "npm": ()}
    settings = Settings(Store(str(shared_store)), lambda: indexes)
    node = install(str(tmp_path / "npm"), SourceTree.of({}), asked, settings) + "/node"
    for number, case in enumerate(CASES):
        place = tmp_path / str(number)
        for name, text in files_of(case).items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
        command = [
            f"{node}/bin/node",
            f"{node}/lib/node_modules/npm/bin/npm-cli.js",
            "pack",
            "--dry-run",
            "--json",
            "--ignore-scripts",
            "--offline",
            f"--cache={tmp_path}/cache",
        ]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert ours(case) == {one["path"] for one in json.loads(done.stdout)[0]["files"]}, case


def test_what_is_packed() -> None:
    always = {"package.json", "README.md", "License.txt"}
    assert ours("folders") == always | {"lib/a.js", "lib/a.test.js", "lib/deep/b.js", "lib/deep/c.map", "lib/.hidden",
                                        "dist/x.js", "dist/x.css"}  # fmt: skip
    assert ours("main and bin") == always | {"dist/x.js", "dist/x.css", "bin/run"}
    assert {"src/m.js"} == ours("nested") - always
    assert not {"dist/x.js", "docs/d.md", ".npmrc", "yarn.lock", "a.orig"} & ours("gitignore")


@pytest.mark.parametrize(
    "script", ["husky", "husky install", "is-ci || husky install", "husky || true", "lefthook install"]
)
def test_scripts_that_make_nothing(script: str) -> None:
    check_ready({"scripts": {"prepare": script, "build": "tsc", "postinstall": "node x.js"}}, "demo@1.0.0", "Pack it.")


@pytest.mark.parametrize(
    ("inside", "why"),
    [
        ({"scripts": {"prepare": "tsc"}}, "its script 'prepare' makes it before it is packed"),
        ({"scripts": {"prepack": "husky && tsc"}}, "its script 'prepack' makes it before it is packed"),
        ({"scripts": {"prepare": ["x"]}}, "its script 'prepare' makes it before it is packed"),
        ({"bundleDependencies": ["a"]}, "packages belong into it"),
    ],
)
def test_what_has_to_be_made_first(inside: dict[str, object], why: str) -> None:
    with pytest.raises(NeedsBuild) as refused:
        check_ready(inside, "demo@1.0.0", "Pack it.")
    assert why in refused.value.message
    assert refused.value.hint == "Pack it."
