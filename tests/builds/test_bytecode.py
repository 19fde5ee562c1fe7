"""Bytecode made ahead: by the pinned interpreter in the sandbox, as fresh processes make it, once a machine, or not at all."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from apps_fixture import materialise
from build_roots import making
from builders import make_wheel
from command import stager

from stager import library, staging
from stager.builds import bytecode, roots
from stager.digest import sha256
from stager.droplet.incremental import Folder
from stager.droplet.reader import open_droplet
from stager.errors import UsageError
from stager.facts import stacks
from stager.model import Artifact, BuildRoot, Event, Plan
from stager.net.indexes import Indexes
from stager.planning import lockfile
from stager.settings import Settings
from stager.store import Store

SITE = ".stager/pypi/site-packages"
real = [pytest.mark.tools, pytest.mark.network]
HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
CHECK = """\
import glob, os, subprocess, sys
FRESH = '''
import asyncio, email, json, py_compile, sys, xml.dom.minidom
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
py_compile.compile(sys.argv[1], "/tmp/fresh.pyc", doraise=True, invalidation_mode=mode)
sys.exit(open("/tmp/fresh.pyc", "rb").read() != open(sys.argv[2], "rb").read())
'''
found = sorted(glob.glob("/app/.stager/**/*.pyc", recursive=True))
for one in found[:: max(1, len(found) // 40)]:
    source = one.replace("__pycache__/", "").rsplit(".", 2)[0] + ".py"
    if subprocess.run([sys.executable, "-W", "ignore", "-c", FRESH, source, one]).returncode:
        print("differs:", one)
print(len(found) > 700, len(found))
"""
"""Run in a droplet: compares some of its bytecode with what `py_compile` makes in processes that have imported much else."""


# --- what is usual ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["none", "runtime", "all"])
def test_a_machine_may_say_what_is_usual_on_it(said: str) -> None:
    assert bytecode.usual(stacks.load("debian-12"), {"STAGER_BYTECODE": said}) == (said, "")


def test_a_machine_that_says_something_else() -> None:
    with pytest.raises(UsageError) as caught:
        bytecode.usual(stacks.load("debian-12"), {"STAGER_BYTECODE": "some"})
    assert (caught.value.message, caught.value.hint) == (
        "STAGER_BYTECODE is 'some'",
        "Set it to none, runtime or all.",
    )


def test_none_is_usual_for_another_architecture() -> None:
    other = "arm64" if HERE == "amd64" else "amd64"
    assert bytecode.usual(stacks.load("debian-12", other), {}) == (
        "none",
        "the droplet has no bytecode, so it starts more slowly: must be built first: bytecode "
        f"(only {other} can run this build, and this machine is {HERE})",
    )


# --- real ones -------------------------------------------------------------------------------------------------


def app_with(amount: str, place: Path, files: Mapping[str, str] | None = None) -> Path:
    app = materialise("flask-requirements", place)
    (app / "runtime.txt").unlink()
    (app / "stager.yml").write_text(f"python: {{bytecode: {amount}}}  # {place.name}\n")
    for name, text in (files or {}).items():
        (app / name).write_text(text)
    return app


class TestReal:
    """Staged for real, in the stack's root."""

    pytestmark = real

    @pytest.mark.parametrize("stack", ["debian-12", pytest.param("debian-13", marks=pytest.mark.slow)])
    def test_it_is_that_of_fresh_processes_and_is_used(self, stack: str, tmp_path: Path, shared_store: Path) -> None:
        app, droplet = app_with("all", tmp_path, {"check.py": CHECK}), tmp_path / "d.tgz"
        (app / "stager.yml").write_text(f"stack: {stack}\npython: {{bytecode: all}}\n")
        stager("lock", app, store=shared_store).good()
        assert '"python.bytecode" = "all"' in (app / "stager.lock").read_text()
        stager("stage", app, "-o", droplet, "--locked", store=shared_store).good()
        run = ("run", droplet, "--in", "stack", "--no-network", "-q", "--command")
        said = stager(*run, "python check.py", store=shared_store).good().out
        assert re.fullmatch(r"True \d+\n", said), said
        loaded = stager(*run, "python -v -c 'import flask, json.tool' 2>&1", store=shared_store).good().out
        assert len(re.findall(r"code object from '/app/\.stager/.*\.pyc'", loaded)) > 150
        assert not re.findall(r"code object from (?:'/app/|/app/).*\.py'?\n", loaded)
        sizes = stager("inspect", droplet, "--json", store=shared_store).good().document["packages"]
        names = {one["name"] for one in sizes}
        assert {"bytecode of python (runtime)", "python (runtime)"} < names
        assert [name for name in names if name.startswith("bytecode of flask@")]
        assert "no package" not in names
        stager("sbom", droplet, "-o", tmp_path / "sbom.json", store=shared_store).good()

    def test_a_second_app_runs_nothing(self, tmp_path: Path, shared_store: Path) -> None:
        """Nor does it need a sandbox then, whatever it has of its own."""
        first, other = app_with("all", tmp_path / "a"), app_with("all", tmp_path / "b", {"more.py": "x = 1\n"})
        for app in (first, other):
            stager("lock", app, store=shared_store).good()
        stager("stage", first, "-o", tmp_path / "a.tgz", store=shared_store).good()
        events: list[Event] = []
        made = library.stage(
            str(other),
            out=str(tmp_path / "b.tgz"),
            store=Store(str(shared_store)),
            offline=True,
            progress=events.append,
        )
        assert made.written
        assert [event for event in events if event.verb == "build"] == []
        assert [event for event in events if event.verb == "assemble"]

    def test_by_hand_it_is_a_build_like_others(self, tmp_path: Path, shared_store: Path) -> None:
        app, name = app_with("runtime", tmp_path), "bytecode-python"
        stager("stage", app, "-o", tmp_path / "one.tgz", store=shared_store).good()
        (again,) = stager("build", name, app, "--again", "--json", store=shared_store).good().document["builds"]
        assert (again["name"], again["ran"], again["checked"]) == (name, True, True)
        assert stager("log", name, app, store=shared_store).good().out == ""
        why = stager("explain", "build", name, "-C", app, "--json", store=shared_store).good().document
        (told,) = why["topics"]["build"]
        assert told["answer"] == f"{name} ran, and is remembered since."
        assert told["because"] == [
            "somebody asked for it ('stager build')",
            "it is there because stager.lock asks for it (python.bytecode is runtime)",
        ]
        assert stager("build", app, store=shared_store).good().out == f"{name}: remembered\n"
        stager("stage", app, "-o", tmp_path / "two.tgz", store=shared_store).good()
        assert (tmp_path / "one.tgz").read_bytes() == (tmp_path / "two.tgz").read_bytes()

    def test_another_store_makes_the_same_and_mends_itself(
        self, tmp_path: Path, shared_store: Path, plain_pins: BuildRoot
    ) -> None:
        """Only the root is lent, as it takes long to make; the archive of the runtime's bytecode is damaged afterwards."""
        app = app_with("runtime", tmp_path)
        stager("lock", app, store=shared_store).good()
        stager("stage", app, "-o", tmp_path / "one.tgz", store=shared_store).good()
        (pins,) = lockfile.loads((app / "stager.lock").read_bytes()).plan.roots
        store = Store(str(tmp_path / "store"))
        roots.lend(pins, HERE, making(shared_store), store)
        settings = Settings(store, lambda: Indexes.from_environment(os.environ, home=str(Path.home())))
        digests: list[str] = [sha256((tmp_path / "one.tgz").read_bytes())]
        digests.append(self._staged(app, tmp_path / "two.tgz", settings))
        archive = next(
            path
            for path in (tmp_path / "store/v1/blobs/sha256").iterdir()
            if b"/os.cpython-" in path.read_bytes()[: 1 << 25]
        )  # a tar, so its names can be read
        archive.chmod(0o600)
        data = bytearray(archive.read_bytes())
        data[len(data) // 2] ^= 1
        archive.write_bytes(data)
        for memos in (tmp_path / "store/v1/memo").glob("*"):
            text = memos.read_text() if memos.is_file() else ""
            if '"layers"' in text or "pyc" in text:
                memos.unlink()  # what was made of it
        digests.append(self._staged(app, tmp_path / "three.tgz", settings))
        assert len(set(digests)) == 1

    def _staged(self, app: Path, out: Path, settings: Settings) -> str:
        folder = Folder.read(str(app), settings.store)
        locked = lockfile.loads((app / "stager.lock").read_bytes())
        staging.stage_plan(folder, locked, str(out), settings)
        return sha256(out.read_bytes())

    def test_what_cannot_be_compiled_is_left_out_and_nothing_of_a_package_runs(
        self, tmp_path: Path, shared_store: Path
    ) -> None:
        raises = b"raise SystemExit('a package ran')\n"
        files = {
            "odd/__init__.py": raises,
            "odd/two.py": b"print 'two'\n",
            "odd/null.py": b"x = '\0'\n",
            "odd/deep.py": b"x = " + b"(" * 5000 + b")" * 5000 + b"\n",
            "odd/bytes.py": b"x = '\xff'\n",
            "odd/latin.py": b"# -*- coding: latin-1 -*-\nx = '\xff'\n",
            "odd/warns.py": b"x = '\\d' is 1\n",
            "odd/empty.py": b"",
            "odd/na me.py": b"x = 1\n",
            "odd/\u00fcn\u00ef.py": b"x = 1\n",
            "odd/__pycache__/two.cpython-311.pyc": b"evil",
            "odd/template.py-tpl": b"x = 1\n",
            "sitecustomize.py": raises,
            "usercustomize.py": raises,
            "marshal.py": raises,
            "odd.pth": b"import sys; sys.exit('a package ran')\n",
        }
        plan, folder, settings = self._plan(tmp_path, shared_store)
        data = make_wheel("odd", "1.0", files)
        file = "odd-1.0-py3-none-any.whl"
        one = Artifact("pkg:pypi/odd@1.0", file, sha256(data), "wheel/1", (".stager/pypi",), len(data))
        settings.store.remember("artifact", one.digest, settings.store.put(data))
        locked = lockfile.locked(replace(plan, artifacts=(*plan.artifacts, one)))
        staging.stage_plan(folder, locked, str(tmp_path / "d.tgz"), settings)
        with open_droplet(str(tmp_path / "d.tgz")) as droplet:
            names = [entry.name for _, entry in droplet.layered(contents=False)]
        prefix, cached = f"./app/{SITE}/", re.compile(r"__pycache__/(.+)\.cpython-311\.pyc$")
        found = {cached.sub(r"\1.py", name.removeprefix(prefix)) for name in names if name.endswith(".pyc")}
        of_it = {name for name in found if not name.startswith("./app/")}
        assert of_it == {
            "odd/__init__.py", "odd/latin.py", "odd/warns.py", "odd/empty.py", "odd/na me.py", "odd/\u00fcn\u00ef.py",
            "sitecustomize.py", "usercustomize.py", "marshal.py",
        }  # fmt: skip

    def _plan(self, place: Path, store: Path) -> tuple[Plan, Folder, Settings]:
        app = place / "app"
        app.mkdir()
        (app / "main.py").write_text("print('hello')\n")
        (app / "stager.yml").write_text("python: {bytecode: all}\n")
        settings = Settings(Store(str(store)), lambda: Indexes.from_environment(os.environ, home=str(Path.home())))
        folder, locked = staging.make_plan(Folder.read(str(app), settings.store), None, settings)
        return locked.plan, folder, settings

    def test_a_lock_for_another_architecture_is_never_staged_without(self, tmp_path: Path, shared_store: Path) -> None:
        other = "arm64" if HERE == "amd64" else "amd64"
        app = app_with("runtime", tmp_path)
        stager("lock", app, "--arch", other, store=shared_store).good()
        done = stager("stage", app, "--arch", other, "-o", tmp_path / "d.tgz", store=shared_store)
        assert done.code == 60
        assert (
            f"stager: must be built first: bytecode-python (only {other} can run this build, and this machine is {HERE}) "
            f"[NeedsBuild]\n  Stage on a machine of that architecture, or for --arch {HERE}. What another machine built is "
            "used where its store or its bundle is. Without bytecode ('bytecode: none' in the language's section of "
            "stager.yml, then 'stager lock') none is needed.\n"
        ) in done.err
        assert not (tmp_path / "d.tgz").exists()

    def test_a_new_lock_has_the_runtime_s(self, tmp_path: Path, shared_store: Path) -> None:
        (tmp_path / "main.py").write_text("print('hello')\n")
        done = stager("lock", tmp_path, store=shared_store, STAGER_BYTECODE="").good()
        lock = (tmp_path / "stager.lock").read_text()
        assert ('"python.bytecode" = "runtime"' in lock, "note: " in done.err) == (True, False)
        stager("lock", tmp_path, store=shared_store, STAGER_BYTECODE="none").good()
        assert (tmp_path / "stager.lock").read_text() == lock
        stager("lock", tmp_path, "--upgrade", store=shared_store, STAGER_BYTECODE="none").good()
        assert "bytecode" not in (tmp_path / "stager.lock").read_text()
