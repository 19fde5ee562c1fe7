"""Promise 1: the droplet is a function of the source tree and the plan, and of nothing about the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from apps_fixture import materialise
from axes import AXES, BASE, CLOCK_AXES, ROOT_AXES, Axis, Outcome, host_axes, stage
from command import stager

REAL_APPS = ["flask-requirements", "django-uv", "express-npm-v3"]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as another user")
EVERY = [
    *(pytest.param(axis, id=axis.name) for axis in AXES),
    *(pytest.param(axis, id=axis.name, marks=root_only) for axis in ROOT_AXES),
]


def check(axis: Axis, base: Outcome, varied: Outcome, record: Callable[[str, object], None]) -> None:
    """The droplet did not change; and where the axis is known to reach an archive, the plain tar did."""
    record("plain tar differs", varied.tar != base.tar)
    assert varied.droplet == base.droplet
    if axis.bites:
        assert varied.tar != base.tar, "the variation did not happen"


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
    (app / "latest").symlink_to("nested/one.txt")
    return app


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return own_app(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def base(small: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return stage(small, BASE, tmp_path_factory.mktemp("base"), store, "--offline")


@pytest.mark.parametrize("axis", EVERY)
def test_an_app_without_dependencies(
    axis: Axis, small: Path, base: Outcome, store: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    check(axis, base, stage(small, axis, tmp_path, store, "--offline"), record_property)


@pytest.mark.tools
@pytest.mark.parametrize("axis", CLOCK_AXES, ids=lambda axis: axis.name)
def test_an_app_without_dependencies_and_another_clock(
    axis: Axis, small: Path, base: Outcome, store: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    check(axis, base, stage(small, axis, tmp_path, store, "--offline"), record_property)


@pytest.mark.slow
def test_an_app_without_dependencies_and_other_hosts(small: Path, base: Outcome, store: Path, tmp_path: Path) -> None:
    for number, axis in enumerate([BASE, *host_axes()]):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        assert stage(small, axis, scratch, store, "--offline").droplet == base.droplet, axis.name


def test_another_content_gives_another_droplet(small: Path, base: Outcome, store: Path, tmp_path: Path) -> None:
    app = own_app(tmp_path / "changed")
    (app / "A.txt").write_text("other\n")
    assert stage(app, BASE, tmp_path, store, "--offline").droplet != base.droplet


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.tools
@pytest.mark.parametrize("name", REAL_APPS)
def test_a_real_app_under_every_axis(name: str, shared_store: Path, tmp_path: Path) -> None:
    app = materialise(name, tmp_path)
    stager("lock", app, store=shared_store).good()
    first = stage(app, BASE, _folder(tmp_path, "base"), shared_store, "--locked")
    wrong, silent = [], []
    for axis in [*AXES, *CLOCK_AXES, *(ROOT_AXES if os.geteuid() == 0 else []), *host_axes()]:
        options = ["--locked"] if axis.cold else ["--locked", "--offline"]
        varied = stage(app, axis, _folder(tmp_path, axis.name), shared_store, *options)
        wrong += [axis.name] if varied.droplet != first.droplet else []
        silent += [axis.name] if axis.bites and varied.tar == first.tar else []
    assert (wrong, silent) == ([], [])


def _folder(base: Path, name: str) -> Path:
    folder = base / f"scratch {name}"
    folder.mkdir()
    return folder
