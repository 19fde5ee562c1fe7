"""No script of an npm package or of an app runs outside the sandbox, whatever its tools' settings say.

Each trap is an app with a package that must be compiled, whose scripts all spring: `detect` and `plan` run nothing, `lock`
looks into the tarball, `stage` builds in the sandbox, where the canary's folder is not.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from addon_apps import app, integrity, locked
from booby_traps import SECRET, Canary, Files
from builders import make_npm_tarball
from building import stage
from command import in_process
from servers import Server
from trees import lay_out

from stager.builds.errors import BuildFailed
from stager.model import BuildRoot
from stager.store import Store

pytestmark = [pytest.mark.tools, pytest.mark.network]
HOOKS = ("preinstall", "install", "postinstall", "prepare", "prepublish", "prepack", "preprepare", "dependencies")


def spring(canary: Canary) -> str:
    """A shell line that springs, and does not mind when it cannot."""
    return f'mkdir -p "{canary.folder}/sprung-$CANARY_SECRET" || true'


def trap_package(canary: Canary) -> bytes:
    """A package that springs when it is looked at wrongly, and then makes its add-on."""
    made = 'mkdir -p build/Release && echo "secret=$CANARY_SECRET" > build/Release/addon.node'
    scripts = {**dict.fromkeys(HOOKS, spring(canary)), "install": f"{spring(canary)}; {made}"}
    manifest = {"name": "addon", "version": "1.0.0", "scripts": scripts, "main": "index.js"}
    gyp = f"{{'targets': [], 'variables': {{'x': '<!({spring(canary)})'}}}}"
    files = {"binding.gyp": gyp.encode(), "index.js": canary.javascript.encode(), ".npmrc": b"script-shell=./x.sh\n"}
    return make_npm_tarball(manifest, {**files, "x.sh": canary.shell.encode()}, executables=["x.sh"])


def own(canary: Canary, **more: object) -> dict[str, str | bytes]:
    """The app, all of whose scripts spring, too."""
    scripts = {**dict.fromkeys(HOOKS, spring(canary)), "start": "node server.js"}
    words = {"dependenciesMeta": {"addon": {"built": True}}}
    return app("app", {"addon": trap_package(canary)}, scripts=scripts, **words, **more)


def other_lock(canary: Canary, name: str, text: str) -> Files:
    files = own(canary)
    del files["package-lock.json"]
    return {**files, name: text.replace("INTEGRITY", integrity(trap_package(canary)))}


YARN_1 = 'addon@file:vendor/addon.tgz:\n  version "1.0.0"\n  resolved "file:vendor/addon.tgz"\n'
PNPM = """\
lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      addon: {specifier: 'file:vendor/addon.tgz', version: 'file:vendor/addon.tgz'}
packages:
  addon@file:vendor/addon.tgz:
    resolution: {integrity: INTEGRITY, tarball: 'file:vendor/addon.tgz'}
    version: 1.0.0
snapshots:
  addon@file:vendor/addon.tgz: {}
"""
SHELLS = "".join(
    f"{key}=./x.sh\n"
    for key in ("script-shell", "shell", "git", "editor", "viewer", "browser", "python", "node-gyp", "npm_execpath")
)

TRAPS: dict[str, Callable[[Canary], Files]] = {
    "scripts": own,
    "npmrc-shells": lambda c: {**own(c), ".npmrc": SHELLS, "x.sh": c.shell},
    "npmrc-node-options": lambda c: {**own(c), ".npmrc": "node-options=--require ./x.js\n", "x.js": c.javascript},
    "npmrc-init-module": lambda c: {
        **own(c), ".npmrc": "init-module=./x.js\nuserconfig=./u\nglobalconfig=./u\nprefix=./p\n", "u": SHELLS,
        "x.js": c.javascript, "x.sh": c.shell,
    },
    "npmrc-ignore-scripts": lambda c: {**own(c), ".npmrc": "ignore-scripts=false\nforeground-scripts=true\n"},
    "gyp": lambda c: {**own(c), "binding.gyp": f"{{'targets': [], 'x': '<!({spring(c)})'}}", "common.gypi": "{}"},
    "pnpmfile": lambda c: {
        **other_lock(c, "pnpm-lock.yaml", PNPM), ".pnpmfile.cjs": c.javascript, "pnpmfile.cjs": c.javascript,
        "pnpm-workspace.yaml": "configDependencies: {}\npnpmfile: .pnpmfile.cjs\nonlyBuiltDependencies: [addon]\n",
    },
    "yarnrc": lambda c: {
        **other_lock(c, "yarn.lock", YARN_1), ".yarnrc": "yarn-path ./x.js\nscript-shell ./x.sh\n", "x.js": c.javascript,
        ".yarnrc.yml": "yarnPath: ./x.js\nplugins: [{path: ./x.js, spec: x}]\n", ".yarn/releases/yarn.cjs": c.javascript,
        "x.sh": c.shell,
    },
    "bunfig": lambda c: {
        **own(c), "bunfig.toml": 'preload = ["./x.js"]\n[run]\nshell = "./x.sh"\n', "x.js": c.javascript, "x.sh": c.shell,
    },
    "package-manager": lambda c: {
        **own(c, packageManager="npm@11.0.0", devEngines={"packageManager": {"name": "npm", "onFail": "download"}}),
        "corepack.js": c.javascript, ".corepack.env": "COREPACK_NPM_REGISTRY=http://127.0.0.1:1/\n",
    },
    "programs": lambda c: {
        **own(c),
        **dict.fromkeys(("node", "npm", "npx", "git", "sh", "make", "g++", "python3", "node-gyp", "bwrap"), c.shell),
        "bin/node": c.shell, "node_modules/.bin/node": c.shell, "node_modules/.hooks/preinstall": c.shell,
    },
    "environment": lambda c: {
        **own(c), ".env": "NODE_OPTIONS=--require ./x.js\n", "x.js": c.javascript, ".nvmrc": "22\n",
        ".node-version": "22\n", "node_modules/addon/index.js": c.javascript,
    },
}  # fmt: skip


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    with Server() as server:
        yield Canary(tmp_path / "canary", server)


def careless(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller with a secret, whose folder is the app and whose programs are the app's first of all."""
    monkeypatch.setenv("CANARY_SECRET", SECRET)
    monkeypatch.setenv("PATH", f"{folder}:{folder}/bin:{folder}/node_modules/.bin:{os.environ['PATH']}")
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("name", TRAPS)
def test_detecting_planning_and_locking_run_nothing(
    name: str, tmp_path: Path, shared_store: Path, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lay_out(tmp_path / "app", TRAPS[name](canary))
    for path in folder.rglob("*"):
        if path.is_file() and path.read_bytes().startswith(b"#!"):
            path.chmod(0o755)
    careless(folder, monkeypatch)
    for command in ("detect", "plan", "lock"):
        done = in_process(command, ".", "--json", store=shared_store).good()
        assert canary.sprung() == [], command
        assert SECRET not in done.out + done.err
    assert '[[build]]\nname = "addon' in (folder / "stager.lock").read_text()


def test_the_scripts_run_in_the_sandbox_and_nowhere_else(
    tmp_path: Path, shared_store: Path, canary: Canary, plain_pins: BuildRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = tmp_path / "app", Store(str(shared_store))
    files = {name: content for trap in TRAPS.values() for name, content in trap(canary).items()}
    files = {path: content for path, content in files.items() if path not in ("yarn.lock", "pnpm-lock.yaml")} | own(
        canary
    )
    careless(tmp_path, monkeypatch)
    locked(folder, {path: data for path, data in files.items() if "node_modules" not in path}, plain_pins, store)
    careless(folder, monkeypatch)
    stage(folder, store)
    assert canary.sprung() == []
    with tarfile.open(tmp_path / "droplet.tgz") as archive:
        made = archive.extractfile("./app/node_modules/addon/build/Release/addon.node")
        assert made is not None
        assert made.read() == b"secret=\n"


def test_a_script_that_fails_springs_nothing_either(
    tmp_path: Path, shared_store: Path, canary: Canary, plain_pins: BuildRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = tmp_path / "app", Store(str(shared_store))
    manifest = {"name": "addon", "version": "1.0.0", "scripts": {"install": f"{spring(canary)}; exit 1"}}
    package = make_npm_tarball(manifest, {"binding.gyp": b"{}"})
    files = app("app", {"addon": package}, dependenciesMeta={"addon": {"built": True}})
    careless(tmp_path, monkeypatch)
    locked(folder, files, plain_pins, store)
    with pytest.raises(BuildFailed):
        stage(folder, store)
    assert canary.sprung() == []
    assert json.loads((folder / "package.json").read_text())["name"] == "app"
