"""Real projects against the real tools: our node_modules is theirs, file for file.

npm's own node_modules is compared whole. For pnpm the store, its links and its commands' names are compared. For Yarn and
Bun, whose layouts need not be the same, Node itself must find every dependency in a version that was asked for. The
registry is the one that npm is configured for.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from npm_cases import AMD64

from stager.ecosystems import covered, npm
from stager.ecosystems.npm.bins import bin_links
from stager.ecosystems.npm.manifest import manifest
from stager.ecosystems.npm.names import from_purl, tarball_path
from stager.ecosystems.npm.said import PackageSaid
from stager.formats.archive import content_bytes
from stager.model import Artifact, Locked
from stager.tree import SourceTree

pytestmark = [
    pytest.mark.network,
    pytest.mark.tools,
    pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="what npm installs elsewhere is not for the stack"),
]
Files = dict[str, tuple[bool, str]]
"""Path to (executable, digest of the content)."""

SERVER: dict[str, Any] = {
    "name": "server",
    "private": True,
    "version": "1.0.0",
    "workspaces": ["packages/*"],
    "dependencies": {
        "@babel/code-frame": "^7.0.0",
        "debug": "^4.3.0",
        "esbuild": "0.21.5",
        "express": "4.18.2",
        "my-ms": "npm:ms@2.1.2",
        "semver": "7.5.0",
    },
    "optionalDependencies": {"fsevents": "^2.3.2", "sharp": "0.33.5"},
    "devDependencies": {"typescript": "5.4.5", "eslint": "8.57.0"},
}
WORKSPACES: dict[str, Any] = {
    "packages/a/package.json": {
        "name": "@server/a",
        "version": "1.0.0",
        "bin": {"a-tool": "cli.js"},
        "dependencies": {"semver": "^6.0.0"},
        "devDependencies": {"mocha": "10.4.0"},
    },
    "packages/b/package.json": {
        "name": "@server/b",
        "version": "1.0.0",
        "dependencies": {"debug": "2.6.9", "ws": "8.17.0"},
    },
}
BUNDLED: dict[str, Any] = {
    "name": "bundled",
    "version": "1.0.0",
    "dependencies": {
        "npm": "9.9.3",
        "JSONStream": "1.3.5",
        "bcrypt": "6.0.0",
        "bufferutil": "4.0.8",
        "rimraf": "2.7.1",
    },
}
LARGE: dict[str, Any] = {
    "name": "large",
    "version": "1.0.0",
    "dependencies": {
        "jest": "29.7.0",
        "webpack": "5.91.0",
        "webpack-cli": "5.1.4",
        "@nestjs/common": "10.3.8",
        "@nestjs/core": "10.3.8",
        "reflect-metadata": "0.2.2",
        "rxjs": "7.8.1",
        "react": "18.3.1",
        "react-dom": "18.3.1",
        "tailwindcss": "3.4.3",
    },
}
PROJECTS = {"server": (SERVER, 60), "bundled": (BUNDLED, 5), "large": (LARGE, 300)}


def run(folder: Path, *command: str, **env: str) -> str:
    """Run a tool quietly in `folder`; what it says is shown when it fails."""
    quiet = {"npm_config_update_notifier": "false", "YARN_ENABLE_TELEMETRY": "0", "CI": "1", **env}
    done = subprocess.run(command, cwd=folder, env={**os.environ, **quiet}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def project(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write a project, its workspaces included."""
    files = {"package.json": manifest, **(WORKSPACES if "workspaces" in manifest else {})}
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(content, indent=2))
    if "workspaces" in manifest:
        cli = folder / "packages/a/cli.js"
        cli.write_text("#!/usr/bin/env node\n")
        cli.chmod(0o755)
    return folder


class Index:
    """The configured registry, and a folder of what was fetched from it."""

    def __init__(self, cache: Path) -> None:
        self.registry = run(cache, "npm", "config", "get", "registry").strip().rstrip("/")
        self.cache = cache
        self.session = requests.Session()

    def version(self, name: str, version: str) -> Mapping[str, object]:
        """One version's metadata."""
        place = self.cache / f"{name.replace('/', '+')}@{version}.json"
        if not place.exists():
            place.write_bytes(self._get(f"{self.registry}/{name.replace('/', '%2f')}/{version}"))
        found: dict[str, object] = json.loads(place.read_bytes())
        return found

    def tarball(self, artifact: Artifact) -> str:
        """The path of the artifact's verified tarball."""
        place = self.cache / artifact.digest.replace(":", "-")
        if not place.exists():
            name, version = from_purl(artifact.purl)
            data = self._get(self.registry + tarball_path(name, version))
            assert hashlib.new(artifact.digest.algorithm, data).hexdigest() == artifact.digest.hex
            place.write_bytes(data)
        return str(place)

    def _get(self, url: str) -> bytes:
        answer = self.session.get(url, timeout=60)
        answer.raise_for_status()
        return answer.content


@pytest.fixture(scope="module")
def index(shared_store: Path) -> Index:
    cache = shared_store / "npm-tarballs"
    cache.mkdir(exist_ok=True)
    return Index(cache)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pnpm 9, Yarn 1, Yarn 4 and Bun, installed by npm."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "package.json").write_text("{}")
    run(folder, "npm", "install", "--ignore-scripts", "pnpm@9", "yarn@1", "@yarnpkg/cli-dist@4", "bun@1")
    return folder / "node_modules"


def assemble(root: Path, lock: str, index: Index) -> tuple[Locked, Files, dict[str, str]]:
    """The node_modules that our code makes of a project: its files and its links."""
    tree = SourceTree.read(str(root))
    npm.check_drift(tree, lock)
    locked = npm.read_lock(tree, lock, AMD64, lookup=index)
    places = [path for artifact in locked.artifacts for path in artifact.paths]
    files: Files = {}
    placed = []
    for artifact in locked.artifacts:
        for path in artifact.paths:
            with npm.unpack(index.tarball(artifact), artifact, path) as unpacked:
                placed.append((path, PackageSaid.from_json(unpacked.meta)))
                hidden = set(covered(path, [entry.path for entry in unpacked.files], places))
                for entry in unpacked.files:
                    if entry.path not in hidden:
                        assert entry.path not in files
                        content = hashlib.sha256(content_bytes(entry.content)).hexdigest()
                        files[entry.path] = (entry.executable, content)
    return locked, files, {**bin_links(placed, locked.links), **dict(locked.links)}


def installed(root: Path) -> tuple[Files, dict[str, str]]:
    """What a tool has put into all node_modules folders of a project."""
    files: Files = {}
    links: dict[str, str] = {}
    for folder, folders, names in os.walk(root):
        place = os.path.relpath(folder, root)
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        if "node_modules" not in place.split("/"):
            continue
        for name in (*names, *linked):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                links[f"{place}/{name}"] = os.readlink(path)
            else:
                content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
                files[f"{place}/{name}"] = (bool(os.stat(path).st_mode & 0o111), content)
    return files, links


@pytest.mark.parametrize("name", PROJECTS)
def test_the_result_is_that_of_npm_ci_file_for_file(name: str, tmp_path: Path, index: Index) -> None:
    manifest, least = PROJECTS[name]
    root = project(tmp_path, manifest)
    run(root, "npm", "install", "--package-lock-only", "--ignore-scripts")
    run(root, "npm", "ci", "--omit=dev", "--ignore-scripts")
    locked, files, links = assemble(root, "package-lock.json", index)
    expected, expected_links = installed(root)
    del expected["node_modules/.package-lock.json"]  # npm's note to itself
    assert len(locked.artifacts) >= least
    assert files == expected
    assert links == expected_links


def commands(paths: Iterator[str]) -> set[str]:
    return {path for path in paths if "/.bin/" in path}


@pytest.mark.parametrize("name", PROJECTS)
def test_the_result_is_that_of_pnpm_but_for_its_shell_scripts(
    name: str, tmp_path: Path, index: Index, tools: Path
) -> None:
    manifest, least = PROJECTS[name]
    root = project(tmp_path, manifest)
    if "workspaces" in manifest:
        (root / "pnpm-workspace.yaml").write_text("packages:\n  - packages/*\n")
    pnpm = str(tools / ".bin/pnpm")
    run(root, pnpm, "install", "--lockfile-only", "--no-frozen-lockfile")
    run(root, pnpm, "install", "--prod", "--frozen-lockfile", "--ignore-scripts")
    locked, files, links = assemble(root, "pnpm-lock.yaml", index)
    expected, expected_links = installed(root)
    state = ("node_modules/.modules.yaml", "node_modules/.pnpm/lock.yaml", "node_modules/.pnpm-workspace-state")
    scripts = commands(iter(expected))
    assert files == {p: f for p, f in expected.items() if p not in scripts and not p.startswith(state)}
    assert {p: t for p, t in links.items() if "/.bin/" not in p} == expected_links
    ours = commands(iter(links))
    assert scripts <= ours
    # npm links the commands of packages bundled in bundled ones, pnpm does not; pnpm hoists no workspace's commands
    assert not {p for p in ours - scripts if p.count("/node_modules/") < 3 and "/.pnpm/node_modules/.bin/" not in p}
    assert len(locked.artifacts) >= least


def test_the_result_is_that_of_bun_file_for_file(tmp_path: Path, index: Index, tools: Path) -> None:
    programs = sorted(tools.glob("@oven/bun-linux-*/bin/bun"))
    bun = next(
        str(program) for program in programs if not subprocess.run([program, "--version"], check=False).returncode
    )
    root = project(tmp_path, SERVER)
    registry = {"npm_config_registry": index.registry}
    run(root, bun, "install", "--lockfile-only", **registry)
    run(root, bun, "install", "--production", "--frozen-lockfile", "--ignore-scripts", "--linker=hoisted", **registry)
    _, files, links = assemble(root, "bun.lock", index)
    expected, expected_links = installed(root)
    assert files == expected
    native = "node_modules/.bin/esbuild"  # Bun links the program for the platform in place of the script that runs it
    assert {**links, native: ""} == {**expected_links, native: ""}


RESOLVES = """
const fs = require("fs"), path = require("path"), wrong = [];
let seen = 0;
const json = (folder) => JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
const find = (from, name) => {
  for (let at = fs.realpathSync(from); ; at = path.dirname(at)) {
    const place = path.join(at, "node_modules", name);
    if (path.basename(at) !== "node_modules" && fs.existsSync(path.join(place, "package.json"))) return place;
    if (at === path.dirname(at)) return null;
  }
};
for (const [folder, needs] of Object.entries(JSON.parse(fs.readFileSync(0, "utf8")))) {
  for (const [name, wanted] of Object.entries(needs)) {
    const place = find(folder, name);
    const got = place && json(place).version;
    seen++;
    if (got !== wanted) wrong.push([folder, name, wanted, got]);
  }
}
console.log(JSON.stringify({ seen, wrong }));
"""


def write(root: Path, locked: Locked, links: Mapping[str, str], index: Index) -> None:
    """Put our node_modules on the disk."""
    for artifact in locked.artifacts:
        for path in artifact.paths:
            with npm.unpack(index.tarball(artifact), artifact, path) as unpacked:
                for entry in unpacked.files:
                    place = root / entry.path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(content_bytes(entry.content))
                    place.chmod(0o755 if entry.executable else 0o644)
    for path, target in links.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def check_with_node(root: Path, needs: Mapping[str, Mapping[str, str]]) -> None:
    done = subprocess.run(
        ["node", "-e", RESOLVES], input=json.dumps(needs), cwd=root, capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    assert answer == {"seen": sum(map(len, needs.values())), "wrong": []}
    assert answer["seen"] > 50


def test_with_yarn_1_node_finds_every_dependency_as_the_lock_has_it(tmp_path: Path, index: Index, tools: Path) -> None:
    from stager.ecosystems.npm import yarn

    root = project(tmp_path, SERVER)
    run(root, "node", str(tools / "yarn/bin/yarn.js"), "install", "--ignore-scripts", "--registry", index.registry)
    for folder in ("", "packages/a", "packages/b"):
        shutil.rmtree(root / folder / "node_modules", ignore_errors=True)
    locked, _, links = assemble(root, "yarn.lock", index)
    write(root, locked, links, index)
    entries = yarn.parse((root / "yarn.lock").read_text(), "yarn.lock")
    by_version = {(entry.name, entry.version): entry for entry in entries.values()}
    needs = {}
    for artifact in locked.artifacts:
        entry = by_version[from_purl(artifact.purl)]
        wanted = {
            name: entries[f"{name}@{text}"].version for name, text in entry.tables.get("dependencies", {}).items()
        }
        needs.update({path: wanted for path in artifact.paths if wanted})
    check_with_node(root, needs)
    assert (
        run(root, "node", "-e", "require('express'); require('sharp'); console.log(require('my-ms')('1m'))")
        == "60000\n"
    )


def test_with_yarn_4_node_finds_every_dependency_as_the_lock_has_it(tmp_path: Path, index: Index, tools: Path) -> None:
    from stager.ecosystems.npm.berry_lock import Table, entries

    root = project(tmp_path, SERVER)
    (root / ".yarnrc.yml").write_text("nodeLinker: node-modules\n")
    (root / "yarn.lock").write_text("")
    yarn = str(tools / "@yarnpkg/cli-dist/bin/yarn.js")
    run(
        root,
        "node",
        yarn,
        "install",
        "--mode=update-lockfile",
        YARN_NPM_REGISTRY_SERVER=index.registry,
        YARN_ENABLE_IMMUTABLE_INSTALLS="false",
        YARN_ENABLE_GLOBAL_CACHE="true",
    )
    locked, _, links = assemble(root, "yarn.lock", index)
    assert any("trust on first use" in note for note in locked.notes)
    write(root, locked, links, index)
    tree = SourceTree.read(str(root))
    table = Table(entries(tree, "yarn.lock"), manifest(tree), {}, "yarn.lock")
    known = {(entry.name, entry.version): entry for entry in table.found.values()}
    needs = {}
    for artifact in locked.artifacts:
        entry = known[from_purl(artifact.purl)]
        firm = {name: text for name, text in entry.needs.items() if name not in entry.wants}
        wanted = {name: table.by_id[table.target(name, text, entry.name, "")].version for name, text in firm.items()}
        needs.update({path: wanted for path in artifact.paths if wanted})
    check_with_node(root, needs)
    assert (
        run(root, "node", "-e", "require('express'); require('sharp'); console.log(require('my-ms')('1m'))")
        == "60000\n"
    )
