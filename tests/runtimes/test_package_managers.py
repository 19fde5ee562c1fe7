"""Which pnpm or Yarn the scripts of a build are given: one that Node runs, as the app and its lock ask for it."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import pytest

from stager import runtimes
from stager.digest import Digest
from stager.ecosystems import ecosystem
from stager.facts import stacks
from stager.model import BuildpackPin, Detection, Locked, Reason, Runtime
from stager.net.indexes import Indexes
from stager.planning.buildpacks import load
from stager.planning.builds import _Around, _calls, _with_managers
from stager.planning.detection.foreseen import foreseen
from stager.planning.packages import Aim, Party
from stager.runtimes.chosen import ChosenRuntime
from stager.runtimes.errors import VersionError
from stager.runtimes.record import RuntimeRequest
from stager.tree import SourceTree

WHY = Reason("a test", "package.json", 3)
PUBLISHED = {
    "pnpm": {"8.15.9": ">=16", "9.15.0": ">=18", "10.34.8": ">=18", "11.28.10": ">=22", "12.21.0": ">=18"},
    "yarn": {"1.22.19": ">=4", "1.22.22": ">=4", "2.4.3": ">=10"},
}


class Registry:
    """A registry that has these versions."""

    def get(self, url: str, *, accept: str = "") -> bytes:
        name = url.rpartition("/")[2]
        rows = {
            version: {
                "dist": {"integrity": "sha512-" + base64.b64encode(version.encode().ljust(64, b"\0")).decode()},
                "engines": {"node": engines},
            }
            for version, engines in PUBLISHED[name].items()
        }
        return json.dumps({"versions": rows}).encode()

    def opened(self, url: str, *, accept: str = "") -> io.BytesIO:
        return io.BytesIO(self.get(url, accept=accept))


def choose(name: str, *asked: str, node: str = "24.1.0") -> ChosenRuntime:
    beside = {"node": ChosenRuntime(Runtime("node", node, "npm", (0, 0), WHY), ())}
    stack, indexes = stacks.load("debian-12", "amd64"), Indexes(npm_registry="https://npm.example")
    asks = [(text, WHY) for text in asked]
    request = RuntimeRequest(asks, stack, Registry(), indexes, beside=beside)
    return runtimes.kind(name).choose(request)


@pytest.mark.parametrize(
    ("name", "asked", "node", "version", "program"),
    [
        ("pnpm", ["9 || 10"], "24.1.0", "10.34.8", "bin/pnpm.cjs"),
        ("pnpm", ["9.15.0", "9 || 10"], "24.1.0", "9.15.0", "bin/pnpm.cjs"),
        ("pnpm", [], "24.1.0", "11.28.10", "bin/pnpm.mjs"),
        ("pnpm", [], "20.1.0", "10.34.8", "bin/pnpm.cjs"),
        ("yarn", [], "24.1.0", "1.22.22", "bin/yarn.js"),
        ("yarn", ["1.22.19"], "24.1.0", "1.22.19", "bin/yarn.js"),
    ],
)
def test_a_release_that_node_runs(name: str, asked: list[str], node: str, version: str, program: str) -> None:
    chosen = choose(name, *asked, node=node)
    assert (chosen.runtime.name, chosen.runtime.version) == (name, version)
    assert chosen.links == ((f".stager/node/bin/{name}", f"../lib/node_modules/{name}/{program}"),)
    (artifact,) = chosen.artifacts
    assert artifact.purl == f"pkg:npm/{name}@{version}"
    assert artifact.digest == Digest("sha512:" + version.encode().ljust(64, b"\0").hex())
    assert (artifact.layout, artifact.paths) == (f"{name}-cli/1", (f".stager/node/lib/node_modules/{name}",))


@pytest.mark.parametrize(
    ("name", "asked", "version", "told"),
    [
        ("pnpm", "12.21.0", "11.28.10", "pnpm 11.28.10 runs scripts in place of 12.21.0"),
        ("yarn", "4.5.0", "1.22.22", "Yarn 1.22.22 runs scripts in place of 4.5.0"),
        ("yarn", "2.4.3", "1.22.22", "Yarn 1.22.22 runs scripts in place of 2.4.3"),
    ],
)
def test_for_what_is_no_program_of_node_another_release_runs_scripts(
    name: str, asked: str, version: str, told: str
) -> None:
    chosen = choose(name, asked)
    assert chosen.runtime.version == version
    assert chosen.notes == (f"{told}, which is no program of Node by itself: commands that only that one has fail",)
    assert choose(name, version).notes == ()


def test_what_this_node_does_not_run_is_refused() -> None:
    with pytest.raises(VersionError, match="no release fits and is a program of Node 4"):
        choose("pnpm", "10", node="4.9.1")


@pytest.mark.parametrize(
    ("lock", "text", "wanted"),
    [
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n", ["9 || 10"]),
        ("pnpm-lock.yaml", "lockfileVersion: '6.1'\n", ["8"]),
        ("yarn.lock", "# yarn lockfile v1\n", []),
        ("package-lock.json", "{}", []),
    ],
)
def test_a_lock_says_which_wrote_it(lock: str, text: str, wanted: list[str]) -> None:
    found = ecosystem("npm").requires(SourceTree.of({lock: text}), lock)
    assert [(name, versions) for name, versions, _ in found] == [("pnpm", versions) for versions in wanted]


@pytest.mark.parametrize(
    ("script", "member", "calls"),
    [
        ("vite build", "tsc", False),
        ("pnpm run types && vite build", "tsc", True),
        ("turbo run build", "tsc", True),
        ("npm run build --workspaces", "pnpm exec tsc", True),
        ("node tools/pnpm-check.js", "tsc", False),
    ],
)
def test_it_is_there_where_scripts_call_it(script: str, member: str, calls: bool) -> None:
    files = {
        "package.json": json.dumps({"workspaces": ["a"], "scripts": {"build": script}}),
        "a/package.json": json.dumps({"name": "a", "scripts": {"build": member}}),
        "pnpm-lock.yaml": "",
    }
    tree, pack = SourceTree.of(files), load("nodejs")
    assert _calls(tree, pack, foreseen(tree, [pack])[0], "pnpm") is calls


def test_a_build_without_its_manager_says_what_to_write() -> None:
    manifest = {"packageManager": "yarn@4.5.0", "scripts": {"build": "yarn workspaces foreach -A run build"}}
    tree, pack = SourceTree.of({"package.json": json.dumps(manifest), "yarn.lock": "__metadata:\n"}), load("nodejs")
    stack, indexes = stacks.load("debian-12", "amd64"), Indexes(npm_registry="https://npm.example")
    node = ChosenRuntime(Runtime("node", "24.1.0", "npm", (0, 0), WHY), ())
    detected = Detection("nodejs", WHY, "yarn.lock", ())
    party = Party(detected, pack, BuildpackPin("nodejs", pack.digest, WHY, ""), {"node": node}, Locked(()))
    aim, missing, around = Aim(tree, stack, Registry(), indexes, None), list[str](), _Around("droplet", Locked(()))
    found = _with_managers(aim, foreseen(tree, [pack])[0], party, around, missing)
    assert [(one.name, one.version) for one in found.runtimes] == [("yarn", "1.22.22")]
    assert [text.partition(",")[0] for text in missing] == ["Yarn 1.22.22 runs scripts in place of 4.5.0"]
    node = ChosenRuntime(Runtime("node", "0.1.0", "npm", (0, 0), WHY), ())
    missing.clear()
    party = replace(party, runtimes={"node": node}, detected=replace(detected, lock="pnpm-lock.yaml"))
    pnpm = {"packageManager": "pnpm@9.15.0", "scripts": {"build": "pnpm run x"}}
    tree = SourceTree.of({"package.json": json.dumps(pnpm), "pnpm-lock.yaml": "lockfileVersion: '9.0'\n"})
    aim = replace(aim, tree=tree)
    assert _with_managers(aim, foreseen(tree, [pack])[0], party, around, missing) == around
    assert missing == [
        "build is without pnpm, which its scripts call: pnpm 9.15.0 and 9 || 10: no release fits and is a "
        "program of Node 0.1.0; have them call 'npm run', or write what is run instead in stager.yml, such as "
        "builds: {build: {run: npm run build --workspaces --if-present}}"
    ]
