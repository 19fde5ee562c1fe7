"""npm packages that are compiled for real, in the sandbox: what is left, what it answers, and what cannot work."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from addon_apps import addon, app, locked
from building import settings, stage
from command import ask, in_process, running

from stager import entry
from stager.builds.errors import BuildFailed
from stager.errors import NeedsBuild
from stager.model import BuildRoot
from stager.store import Store

pytestmark = [pytest.mark.tools, pytest.mark.network]
APPS = Path(__file__).parent / "apps"
MAKES = "mkdir -p build/Release && echo addon > build/Release/addon.node"


@pytest.fixture
def store(shared_store: Path) -> Store:
    return Store(str(shared_store))


def inside(folder: Path, package: str) -> dict[str, bool]:
    """The files of a package in the app's droplet, and whether they are executable."""
    prefix = f"./app/node_modules/{package}/"
    with tarfile.open(folder.parent / "droplet.tgz") as archive:
        return {
            one.name.removeprefix(prefix): bool(one.mode & 0o100)
            for one in archive
            if one.isfile() and one.name.startswith(prefix)
        }


def test_two_apps_share_an_add_on_that_is_compiled_once(tmp_path: Path, store: Store, compiler_pins: BuildRoot) -> None:
    files = {path.name: path.read_bytes() for path in (APPS / "npm-addons").iterdir()}
    told = list[str]()
    for name in ("first", "second"):
        folder = tmp_path / name / "app"
        manifest = json.loads(files["package.json"])
        lock = json.loads(files["package-lock.json"])
        manifest["name"] = lock["name"] = lock["packages"][""]["name"] = name
        changed = {"package.json": json.dumps(manifest), "package-lock.json": json.dumps(lock)}
        plan = locked(folder, {**files, **changed}, compiler_pins, store)
        assert [build.name for build in plan.builds] == ["unix-dgram-2-0-6"]
        told.clear()
        stage(folder, store, told)
    assert [what for what in told if "dgram" in what] == []
    compiled = inside(tmp_path / "second" / "app", "unix-dgram")
    assert compiled["build/Release/unix_dgram.node"]
    plain = {
        "LICENSE",
        "README.md",
        "binding.gyp",
        "lib/unix_dgram.js",
        "package.json",
        "src/unix_dgram.cc",
        "src/win_dummy.cc",
    }
    tests = {f"test/test-{name}.js" for name in ("connect-callback", "connect", "dgram-unix", "send-error")}
    sources = {"src/unix_dgram.cc", "src/win_dummy.cc"}
    assert compiled.keys() == {*plain, *sources, *tests, "build/Release/unix_dgram.node"}
    droplet = tmp_path / "second" / "droplet.tgz"
    with running(droplet, tmp_path / "log", store=Path(store.root)) as (port, process):
        assert ask(port, "/", process) == (200, "sent and received: hello")


MAKER = """\
const fs = require('fs')
fs.mkdirSync('dist', {recursive: true})
const said = fs.readFileSync('node_modules/maker/build/Release/addon.node', 'utf8').trim()
fs.writeFileSync('dist/server.js', `// made with the ${said}\\nrequire('http').createServer().listen(process.env.PORT)\\n`)
"""


def test_an_add_on_that_only_a_build_has_around_it(tmp_path: Path, store: Store, compiler_pins: BuildRoot) -> None:
    files = app(
        "front", {"maker": addon("maker", MAKES)}, scripts={"build": "node make.js", "start": "node dist/server.js"}
    )
    manifest, lock = json.loads(files["package.json"]), json.loads(files["package-lock.json"])
    for table in (manifest, lock["packages"][""]):
        table["devDependencies"] = table.pop("dependencies")
    lock["packages"]["node_modules/maker"] |= {"dev": True, "hasInstallScript": True}
    files |= {"package.json": json.dumps(manifest), "package-lock.json": json.dumps(lock), "make.js": MAKER}
    folder = tmp_path / "app"
    plan = locked(folder, files, compiler_pins, store)
    assert [(one.name, one.kind) for one in plan.builds] == [("maker-1-0-0", "artifact"), ("build", "app")]
    assert "pkg:npm/maker@1.0.0" not in {one.purl for one in plan.artifacts}
    assert any(note.startswith("compiled when the app is staged: maker@1.0.0") for note in plan.notes)
    stage(folder, store)
    with tarfile.open(tmp_path / "droplet.tgz") as archive:
        names = archive.getnames()
        made = archive.extractfile("./app/dist/server.js")
        assert made is not None
        assert made.read().decode().startswith("// made with the addon\n")
    assert not [name for name in names if "node_modules/maker" in name]
    answer = in_process("receipt", tmp_path / "droplet.tgz", "--json", store=Path(store.root)).good()
    rows = {row["name"]: row for row in answer.document["builds"]}
    assert ("out" in rows["maker-1-0-0"], "out" in rows["build"]) == (False, True)


@pytest.mark.slow
def test_an_add_on_in_a_frameworks_app_that_pnpm_laid_out(
    tmp_path: Path, store: Store, compiler_pins: BuildRoot
) -> None:
    folder = tmp_path / "app"
    files = {path.name: path.read_bytes() for path in (APPS / "express-bcrypt-pnpm").iterdir()}
    plan = locked(folder, files, compiler_pins, store)
    assert [build.name for build in plan.builds] == ["bcrypt-5-1-1"]
    stage(folder, store)
    there = inside(folder, ".pnpm/bcrypt@5.1.1/node_modules/bcrypt")
    assert there["lib/binding/napi-v3/bcrypt_lib.node"]
    assert [name for name in there if name.endswith((".o", ".d", ".mk", "Makefile")) and name != "Makefile"] == []
    with running(tmp_path / "droplet.tgz", tmp_path / "log", store=Path(store.root)) as (port, process):
        assert ask(port, "/", process) == (200, "known again: true")


def test_what_only_laying_out_tells_is_planned_then(tmp_path: Path, store: Store) -> None:
    """The lock says nothing of scripts, and no helper gives it away."""
    folder = tmp_path / "app"
    files = app("silent", {"silent": addon("silent", MAKES, {"x.txt": os.urandom(8).hex().encode()})})
    plan = locked(folder, files, BuildRoot("node", "debian-12", ""), store)
    assert plan.builds == ()
    with pytest.raises(NeedsBuild, match=r"silent@1\.0\.0 \(its install script compiles an add-on"):
        stage_locked(folder, store)
    again = locked(folder, files, BuildRoot("node", "debian-12", ""), store)
    assert [build.name for build in again.builds] == ["silent-1-0-0"]


def stage_locked(folder: Path, store: Store) -> None:
    entry.stage(str(folder), str(folder.parent / "droplet.tgz"), settings(store).replace(locked=True))


def named(name: str) -> dict[str, object]:
    """Words by which the app itself says that a package is built."""
    return {"dependenciesMeta": {name: {"built": True}}}


def test_what_was_made_is_kept_and_what_is_left_of_compiling_is_not(
    tmp_path: Path, store: Store, plain_pins: BuildRoot
) -> None:
    folder = tmp_path / "app"
    script = (
        f"{MAKES} && mkdir -p build/Release/obj.target build/Release/.deps data && echo x > build/Release/obj.target/x.o"
        " && touch build/Makefile build/config.gypi && echo x > build/Release/.deps/x.d && echo x > data/made.txt"
        " && ln -s ../x.txt data/link.txt && ln -s /etc/passwd data/outside && chmod +x data/made.txt && rm gone.txt"
    )
    files = {"x.txt": b"x", "gone.txt": b"x", ".gitignore": b"x", "node_modules/inner/package.json": b"{}"}
    locked(folder, app("made", {"made": addon("made", script, files)}, **named("made")), plain_pins, store)
    stage(folder, store)
    assert inside(folder, "made") == {
        ".npmignore": False, "binding.gyp": False, "build/Release/addon.node": False, "data/link.txt": False,
        "data/made.txt": True, "node_modules/inner/package.json": False, "package.json": False, "x.txt": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "script", "why"),
    [
        ("sharp", "node -e \"require('https').get('https://code.example/x')\"", "sharp 0.33 and newer have packages"),
        ("nothing", "true", "ended well, and made no add-on"),
        ("wrong", "exit 3", "ended with exit status"),
    ],
)
def test_a_script_that_cannot_work_is_told_with_the_way_out(
    tmp_path: Path, store: Store, plain_pins: BuildRoot, name: str, script: str, why: str
) -> None:
    folder = tmp_path / "app"
    locked(folder, app("app", {name: addon(name, script)}, **named(name)), plain_pins, store)
    with pytest.raises(BuildFailed) as failed:
        stage(folder, store)
    assert why in failed.value.message
    assert ("wants a download, and a build has no network" in failed.value.message) == (name == "sharp")
