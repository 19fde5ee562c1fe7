"""What callers of the library give, and what their callbacks raise: told by name, and given back as it is."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from small_droplets import PROCFILE, small_droplet

import stager
from stager import library
from stager.errors import InternalError, UsageError
from stager.model import Event
from stager.net.errors import NotCached
from stager.store import Store
from stager.tree import SourceTree

VERBS = ("stage", "detect", "plan", "fetch", "assemble", "export")
TREE = SourceTree.of({"Procfile": "web: ./serve\n"})


def plan_of(folder: Path) -> stager.Plan:
    return library.plan(TREE, offline=True, store=Store(str(folder / "store")))


WRONG: dict[str, list[Any]] = {
    "app": [123, b"app", None, ["app"]],
    "out": [1, b"out", None],
    "droplet": [1, b"droplet.tgz", None],
    "target": [1, b"oci", None],
    "options": [{"supervisor": "monit"}, "x", 1],
    "tree": ["app", None, 1],
    "plan": ["stager.lock", 1],
    "previous": ["stager.lock", 1],
    "stack": [1, None, b"debian-12"],
    "architecture": [1, None],
    "buildpacks": ["python", [1], 1, None],
    "targets": ["heroku", [1], 1, None],
    "any_stack": ["yes", 1, None],
    "locked": ["yes", 1, None],
    "save_lock": ["yes", 1, None],
    "offline": ["yes", 0, None],
    "store": ["/tmp/store", 1],
    "environ": ["A=1", {"A": 1}, {1: "a"}, [("A", "1")]],
    "jobs": ["2", 1.5, None, True],
    "progress": ["print", 1],
    "cancel": [True, "now", 0],
}


def right(folder: Path) -> dict[str, Any]:
    return {"app": "app", "tree": TREE, "plan": plan_of(folder), "droplet": "d.tgz", "target": "heroku", "out": "out"}


def needed(verb: str, folder: Path) -> dict[str, Any]:
    names = {"stage": ["app"], "detect": ["tree"], "plan": ["tree"], "fetch": ["plan"], "assemble": ["app", "plan"],
        "export": ["droplet", "target", "out"]}  # fmt: skip
    return {name: right(folder)[name] for name in names[verb]}


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_kind_is_told_by_its_name(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import inspect

    monkeypatch.chdir(tmp_path)
    function = getattr(library, verb)
    parameters = [name for name in inspect.signature(function).parameters if name != "named"]
    assert {*parameters} <= {*WRONG}
    for name in parameters:
        for value in WRONG[name]:
            if verb == "stage" and name == "plan" and value is None:
                continue
            with pytest.raises(TypeError, match=rf"^{verb}\(\): {name} must be .*, not {type(value).__name__}$"):
                function(**{**needed(verb, tmp_path), name: value})
    assert os.listdir(tmp_path) in ([], ["store"])


@pytest.mark.parametrize("verb", VERBS)
def test_a_call_that_does_not_fit(verb: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="missing a required argument"):
        getattr(library, verb)()
    if verb != "export":
        with pytest.raises(TypeError, match="unexpected keyword argument 'nosuch'"):
            getattr(library, verb)(**needed(verb, tmp_path), nosuch=1)


def test_a_number_of_threads_below_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="jobs is -1"):
        library.stage("app", jobs=-1)


def test_paths_may_be_paths(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path, {"Procfile": PROCFILE})
    store = Store(str(tmp_path / "store"))
    made = library.stage(tmp_path / "app", out=tmp_path / "again.tgz", store=store)
    assert made.path == str(tmp_path / "again.tgz")
    assert (tmp_path / "again.tgz").read_bytes() == droplet.read_bytes()
    assert library.export(tmp_path / "again.tgz", "heroku", tmp_path / "slug.tgz").path == str(tmp_path / "slug.tgz")


class Mine(Exception):
    """The caller's own."""


@pytest.mark.parametrize(
    "error", [Mine("x"), OSError(28, "No space"), ValueError("v"), KeyError("k"), UsageError("u"), KeyboardInterrupt()]
)
def test_what_a_callback_raises_comes_back(error: BaseException, tmp_path: Path) -> None:
    small_droplet(tmp_path, {"Procfile": PROCFILE})
    (tmp_path / "droplet.tgz").unlink()
    for verb in ("plan", "assemble"):
        store = Store(str(tmp_path / f"store {verb}"))

        def progress(event: Event, verb: str = verb) -> None:
            if event.verb == verb:
                raise error

        with pytest.raises(type(error)) as caught:
            library.stage(tmp_path / "app", out=tmp_path / "out.tgz", store=store, progress=progress)
        assert caught.value is error
        assert sorted(os.listdir(tmp_path)) == sorted({"app", "store", *(f"store {v}" for v in ("plan", verb))})
        assert os.listdir(tmp_path / f"store {verb}" / "v1" / "tmp") == []
        library.stage(tmp_path / "app", out=tmp_path / "out.tgz", store=store)  # nothing is held, nothing half-made
        (tmp_path / "out.tgz").unlink()


def test_what_a_callback_raises_in_a_thread_that_fetches(tmp_path: Path) -> None:
    """Whatever is told of a fetch; what the callback raises would otherwise be taken for the network's."""
    from servers import Server, serve

    from stager.digest import sha256
    from stager.model import Artifact

    data = os.urandom(3 << 20)
    with Server({"/f.tgz": serve(data)}) as server:
        artifact = Artifact(
            "pkg:npm/f@1.0.0", "f.tgz", sha256(data), "npm/1", ("node_modules/f",), None, f"{server.url}/f.tgz"
        )
        plan = plan_of(tmp_path)
        wanted = type(plan)(**{name: getattr(plan, name) for name in plan.__slots__} | {"artifacts": (artifact,)})
        environ = {
            "NPM_CONFIG_REGISTRY": f"{server.url}/",
            "STAGER_ALLOW_ADDRESSES": "127.0.0.1",
            "HOME": str(tmp_path),
        }
        store = Store(str(tmp_path / "fetched"))
        error = OSError(5, "mine")
        threads = threading.active_count()

        def progress(event: Event) -> None:
            if event.what:
                raise error

        with pytest.raises(OSError, match="mine") as caught:
            library.fetch(wanted, store=store, environ=environ, progress=progress)
        assert caught.value is error
        assert os.listdir(tmp_path / "fetched" / "v1" / "tmp") == []
        gone_by = time.monotonic() + 30  # the server's thread for the connection that was given up ends a little later
        while threading.active_count() > threads and time.monotonic() < gone_by:
            time.sleep(0.05)
        assert threading.active_count() <= threads
        assert not store.has(sha256(data).hex)
        with pytest.raises(NotCached):
            library.fetch(wanted, store=store, environ=environ, offline=True)
        assert library.fetch(wanted, store=store, environ=environ) == {str(sha256(data)): sha256(data).hex}


def test_an_error_of_stager_itself_is_still_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stager.planning.detection.detect", lambda *_, **__: [][1])
    with pytest.raises(InternalError):
        library.detect(TREE)
