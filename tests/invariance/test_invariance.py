"""Promise 1: the droplet is a function of the source tree and the plan, and of nothing about the machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from apps_fixture import materialise
from axes import AXES, NOT_RUN, ROOT_AXES, TOOL_AXES, Axis, Outcome, control, host_axes, missing, stage
from command import stager
from naive import LEAKS

REAL_APPS = ["django-uv", "express-npm-v3"]
BASE = Axis("base", "none")
REPROTEST = {
    *("environment", "build_path", "kernel", "aslr", "num_cpus", "time", "user_group", "fileordering"),
    *("domain_host", "home", "locales", "exec_path", "timezone", "umask"),
}
"""The variations of reprotest 0.7, all of them."""


def check(axis: Axis, droplet: str, before: Outcome, varied: Outcome, record: Callable[[str, object], None]) -> None:
    """The droplet did not change; the archive that leaks what the axis varies did, and without the leak did not."""
    record("naive differs", varied.leaking != before.leaking)
    assert varied.leaking != before.leaking, "the variation did not reach the command: the axis proves nothing"
    assert varied.sound == before.sound, "the naive archiver differs by something else than its leak"
    assert varied.droplet == droplet


def own_app(into: Path) -> Path:
    """An app without dependencies, with names and contents that machines like to disagree about."""
    app = materialise("procfile-perl", into)
    for name in (
        "A.txt",
        "a b.txt",
        "b.txt",
        "B.txt",
        "Zoë.txt",
        "nested/one.txt",
        "nested/deeper/two.txt",
        "i.txt",
        "I.txt",
    ):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(f"the file {name}\n" * 300)
    for name in ("twin one", "twin two"):
        (app / name).write_text("equal\n" * 100)
    (app / "zeros").write_bytes(bytes(300_000))
    (app / "latest").symlink_to("nested/one.txt")
    return app


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_app(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def droplet(small: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return stage(small, BASE, tmp_path_factory.mktemp("base"), store, "--offline").droplet


def compare(
    axis: Axis, small: Path, droplet: str, store: Path, tmp_path: Path, record: Callable[[str, object], None]
) -> None:
    if why := missing(axis):
        pytest.skip(why)
    before = control(small, axis, folder(tmp_path, "before"), store)
    varied = stage(small, axis, folder(tmp_path, "varied"), store, "--offline")
    check(axis, droplet, before, varied, record)


def folder(base: Path, name: str) -> Path:
    made = base / f"scratch {name}"
    made.mkdir()
    return made


def version(python: str) -> str:
    return subprocess.check_output([python, "-c", "import sys; print(sys.version)"], text=True)


def test_the_axes_are_those_that_are_promised() -> None:
    every = [*AXES, *ROOT_AXES, *TOOL_AXES]
    assert len(every) >= 28
    assert len({axis.name for axis in every}) == len(every)
    assert {axis.reprotest for axis in every} - {""} == REPROTEST
    assert {axis.leak for axis in every} <= LEAKS - {"none"}
    assert all(NOT_RUN.values())


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.name)
def test_an_app_without_dependencies(
    axis: Axis, small: Path, droplet: str, store: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    compare(axis, small, droplet, store, tmp_path, record_property)


@pytest.mark.tools
@pytest.mark.parametrize("axis", [*ROOT_AXES, *TOOL_AXES], ids=lambda axis: axis.name)
def test_an_app_without_dependencies_and_more_tools(
    axis: Axis, small: Path, droplet: str, store: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    compare(axis, small, droplet, store, tmp_path, record_property)


@pytest.mark.slow
def test_an_app_without_dependencies_and_other_hosts(small: Path, droplet: str, store: Path, tmp_path: Path) -> None:
    if not host_axes():
        pytest.skip("STAGER_TEST_HOSTS names no other Python")
    for axis in host_axes():
        before = control(small, axis, folder(tmp_path, f"before {axis.name}"), store)
        varied = stage(small, axis, folder(tmp_path, axis.name), store, "--offline")
        assert varied.droplet == droplet, axis.name
        assert (varied.leaking == before.leaking) is (version(axis.python) == version(sys.executable)), axis.name


def test_another_content_gives_another_droplet(small: Path, droplet: str, store: Path, tmp_path: Path) -> None:
    app = own_app(tmp_path / "changed")
    (app / "A.txt").write_text("other\n")
    assert stage(app, BASE, tmp_path, store, "--offline").droplet != droplet


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.tools
@pytest.mark.parametrize("name", REAL_APPS)
def test_a_real_app_under_every_axis(name: str, shared_store: Path, tmp_path: Path) -> None:
    app = materialise(name, tmp_path)
    for twin in ("twin one", "twin two"):
        (app / twin).write_text("equal\n" * 100)
    (app / "zeros").write_bytes(bytes(300_000))
    stager("lock", app, store=shared_store).good()
    first = stage(app, BASE, folder(tmp_path, "base"), shared_store, "--locked")
    wrong = []
    for axis in [*AXES, *ROOT_AXES, *TOOL_AXES, *host_axes()]:
        if axis.store in ("half", "damaged") or missing(axis):
            continue  # copying a large store for each app would prove nothing that the small app does not
        options = ["--locked"] if axis.store == "cold" else ["--locked", "--offline"]
        varied = stage(app, axis, folder(tmp_path, axis.name), shared_store, *options)
        wrong += [axis.name] if varied.droplet != first.droplet else []
    assert wrong == []
