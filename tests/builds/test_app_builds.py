"""Builds of an app, run for real: their outputs are the app's, found again by what went in, and the same twice."""

from __future__ import annotations

import io
import os
import tarfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from building import build, planned, stage

from stager.builds.errors import BuildDiffers, BuildFailed
from stager.model import BuildRoot
from stager.store import Store

pytestmark = [pytest.mark.tools, pytest.mark.network]
FILES = {"src/a.txt": "one\n", "README": "a text\n"}
JOIN = "mkdir -p static && cat src/*.txt > static/out.txt"


@pytest.fixture
def store(shared_store: Path) -> Store:
    return Store(str(shared_store))


def content(app: Path, name: str) -> str:
    with tarfile.open(fileobj=io.BytesIO((app.parent / "droplet.tgz").read_bytes())) as archive:
        found = archive.extractfile(f"./app/{name}")
        assert found is not None
        return found.read().decode()


def test_what_a_build_leaves_is_in_the_droplet(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    app = tmp_path / "app"
    planned(app, FILES, plain_pins, build(JOIN), store=store)
    first = stage(app, store)
    assert content(app, "static/out.txt") == "one\n"
    assert not (app / "static").exists()
    assert stage(app, store).digest == first.digest


def test_it_runs_only_for_what_it_reads(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    app, told = tmp_path / "app", list[str]()
    planned(app, FILES | {"src/b.txt": tmp_path.name}, plain_pins, build(JOIN, inputs=("src/**",)), store=store)
    stage(app, store, told)
    assert told[0] == "own"
    told.clear()
    (app / "README").write_text("another text\n")
    stage(app, store, told)
    assert told == []
    (app / "src/b.txt").write_text("other\n")
    stage(app, store, told)
    assert told[0] == "own"
    assert content(app, "static/out.txt") == "one\nother\n"


def test_a_later_build_sees_what_an_earlier_one_left(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    app = tmp_path / "app"
    later = build("tr a-z A-Z < static/out.txt > loud.txt", "loud.txt", name="later")
    planned(app, FILES, plain_pins, build(JOIN), later, store=store)
    stage(app, store)
    assert content(app, "loud.txt") == "ONE\n"


def test_what_was_committed_in_its_place_is_replaced(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    app = tmp_path / "app"
    planned(app, FILES | {"static/old.txt": "old"}, plain_pins, build(f"test ! -e static && {JOIN}"), store=store)
    stage(app, store)
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "droplet.tgz").read_bytes())) as archive:
        assert "./app/static/old.txt" not in archive.getnames()


def test_a_build_that_fails_says_what_it_said(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    app = tmp_path / "app"
    planned(app, FILES, plain_pins, build("echo no such thing; exit 3"), store=store)
    with pytest.raises(BuildFailed, match="the build own ended with exit status 3") as caught:
        stage(app, store)
    assert caught.value.data["last"] == ["no such thing"]
    assert Path(str(caught.value.data["log"])).read_text() == "no such thing\n"
    assert not (tmp_path / "droplet.tgz").exists()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("true", "left nothing: there is no static"),
        ("mkdir static; mkfifo static/x", "left static/x, which is neither a file nor a link"),
        ("mkdir static; ln -s /etc static/x", "a link to /etc, which leads outside the app"),
        ("mkdir static; ln -s ../../etc static/x", "which leads outside the app"),
        ("mkdir static; touch $(printf 'static/\\001')", "has a control character"),
    ],
)
def test_what_no_droplet_can_hold_is_refused(
    command: str, why: str, tmp_path: Path, store: Store, plain_pins: BuildRoot
) -> None:
    app = tmp_path / "app"
    planned(app, FILES, plain_pins, build(command), store=store)
    with pytest.raises(BuildFailed, match=why.replace("(", "\\(")):
        stage(app, store)


@pytest.mark.parametrize(
    ("command", "cause"),
    [
        ("date +%s", "clock"),
        ("date -R", "clock"),
        ("date > x; stat -c %Y x", "clock"),
        ("stat -c %Y src/a.txt", "clock"),
        pytest.param(
            f"find src -newermt {datetime.now(UTC) - timedelta(days=200):%F} | grep -c ^", "file times", id="newer"
        ),
        ("cat /proc/sys/kernel/random/uuid", "random value"),
        ("od -An -tx8 -N8 /dev/urandom", "random value"),
        ("mktemp -u", "embedded path"),
        ("nproc", "processors"),
        ("grep -c ^Cpus_allowed_list:.*[,-] /proc/self/status", "processors"),
        ("ls -U src", "order"),
        ("find src -type f", "order"),
        ("touch x; stat -c %a x", "umask"),
        ("grep ' /app ' /proc/self/mountinfo | cut -d' ' -f4", "embedded path"),
    ],
)
def test_a_build_that_is_not_the_same_twice(
    command: str, cause: str, tmp_path: Path, store: Store, plain_pins: BuildRoot
) -> None:
    app = tmp_path / "app"
    many = {f"src/{number}.txt": "" for number in range(40)}
    planned(
        app, FILES | many, plain_pins, build(f"mkdir static; {{ {command}; }} > static/out.txt || true"), store=store
    )
    with pytest.raises(BuildDiffers) as caught:
        stage(app, store)
    assert (caught.value.data["file"], caught.value.data["cause"]) == ("static/out.txt", cause)
    unchecked = build(f"mkdir static; {command} > static/out.txt", twice=False)
    planned(tmp_path / "again", FILES | many, plain_pins, unchecked, store=store)
    stage(tmp_path / "again", store)


def test_what_does_not_stand_another_clock_is_compared_by_the_machines_own(
    tmp_path: Path, store: Store, plain_pins: BuildRoot
) -> None:
    """As programs do that wait by the machine's clock: libfaketime has them fail."""
    app, told = tmp_path / "app", list[str]()
    command = f'{JOIN}; test "$(date +%Y)" -le {datetime.now(UTC).year} || exit 22'
    far = {"src/b.txt": str(time.time_ns())}
    planned(app, FILES | far, plain_pins, build(command), store=store)
    assert stage(app, store, told).builds[0].checked
    assert any("by the machine's own clock" in line for line in told)


def test_the_umask_of_who_stages_decides_nothing(tmp_path: Path, store: Store, plain_pins: BuildRoot) -> None:
    """What a build finds has the same modes, and all of it can be read by whom it runs as."""
    found = set()
    listed = "stat -c '%a %n' . .stager .stager/bin src src/*.txt /tmp > static/out.txt"
    command = f"mkdir static && cat /run/stager/sorted-folders/sitecustomize.py && {listed}"
    for number, umask in enumerate((0o022, 0o077)):
        app = tmp_path / f"{number}" / "app"
        app.parent.mkdir()
        planned(app, FILES, plain_pins, build(f"{command} # {number}", recipes=("sorted-folders/1",)), store=store)
        before = os.umask(umask)
        try:
            stage(app, store)
        finally:
            os.umask(before)
        found.add(content(app, "static/out.txt"))
    assert len(found) == 1
