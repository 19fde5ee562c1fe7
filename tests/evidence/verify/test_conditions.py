"""What is changed around the second staging really reaches it, and what cannot be changed is said."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from patched import FILES, build, patch, prepared, verify

from stager.errors import UsageError
from stager.evidence.verify.conditions import ALWAYS, CONDITIONS, HOST, Here, choose

SPY = """
import atexit, json, os, sys
if "stager" in sys.argv or sys.argv[:1] == ["-m"]:
    import time
    def umask():
        now = os.umask(0o22)
        os.umask(now)
        return now
    import stager.staging as staging
    plain = staging.stage_folder
    def spied(folder, out, settings):
        files = [os.path.join(place, name) for place, _, names in os.walk(folder.root) for name in names]
        seen = {
            "root": folder.root, "cwd": os.getcwd(), "store": settings.store.root, "jobs": settings.jobs,
            "home": os.path.expanduser("~"), "uid": os.getuid(), "umask": umask(), "host": os.uname().nodename,
            "zone": time.strftime("%z"), "encoding": sys.getfilesystemencoding(), "time": time.time(), "hash": hash("x"),
            "orders": [os.listdir(folder.root + "/pages") for _ in range(8)],
            "mtimes": sorted({os.stat(path).st_mtime for path in files}),
            "modes": sorted({os.stat(path).st_mode & 0o777 for path in files}),
            "environment": dict(os.environ),
            "blobs": len(os.listdir(settings.store.root + "/v1/blobs/sha256")),
            "memos": len(os.listdir(settings.store.root + "/v1/memo")),
        }
        with open(os.environ["SPY"] + "." + str(os.getuid() * 1000000 + os.getpid()), "w") as file:
            json.dump(seen, file)
        return plain(folder, out, settings)
    staging.stage_folder = spied
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as another user")


@pytest.mark.tools
@root_only
def test_every_condition_reaches_the_second_staging(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    tmp_path.chmod(0o777)
    for path in [tmp_path, *tmp_path.parents]:
        if path.stat().st_mode & 0o001 == 0 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)  # the other user must reach the spy's file
    variables = {**patch(tmp_path, SPY), "SPY": str(tmp_path / "seen"), "TZ": "UTC"}
    build(app, store, variables)
    found = verify(app, store, variables).good().document
    seen = sorted(
        (json.loads(path.read_text()) for path in tmp_path.glob("seen.*")),
        key=lambda one: str(one["environment"].get("STAGER_VERIFY", "")),
    )
    assert len(seen) == 2
    here, there = seen
    assert {one["name"] for one in found["conditions"]["tried"]} >= set(CONDITIONS) - {"python"}
    for name in ("root", "cwd", "store", "home", "uid", "umask", "host", "zone", "encoding", "hash", "mtimes", "modes"):
        assert here[name] != there[name], name
    assert there["root"].count("/") != here["root"].count("/")
    assert (there["uid"], there["host"], there["encoding"]) == (23456, HOST, "ascii")
    assert there["time"] - here["time"] > 300 * 86400
    assert len({tuple(order) for order in there["orders"]}) > 1
    assert len({tuple(order) for order in here["orders"]}) == 1
    assert there["jobs"] not in (0, os.cpu_count())
    assert there["environment"]["SOURCE_DATE_EPOCH"] == "1234567890"
    assert (there["blobs"], there["memos"]) == (1, 1)  # the droplet itself, and the digest of stager's own rules
    assert sorted(there["orders"][0]) == sorted(name.partition("/")[2] for name in FILES if name.startswith("pages/"))


def test_those_that_need_only_python_are_tried_anywhere(tmp_path: Path) -> None:
    bare = Here({"PATH": str(tmp_path)}, "/home/me", sys.executable)
    chosen = choose(bare, str(tmp_path))
    names = {one.name for one in chosen.changes}
    plain = {
        "store",
        "path",
        "home",
        "umask",
        "time zone",
        "locale",
        "hash seed",
        "file order",
        "file times",
        "threads",
        "environment",
    }
    assert names == plain
    assert {one.name for one in chosen.not_tried} == set(CONDITIONS) - plain
    assert all(one.why for one in chosen.not_tried)


def test_a_condition_differs_from_what_is(tmp_path: Path) -> None:
    usual = Here({"PATH": "", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4242"}, "/", sys.executable)
    chosen = choose(usual, str(tmp_path))
    for name in ("time zone", "hash seed"):
        change = chosen.of(name)
        assert change is not None
        assert change.here != change.there


def test_conditions_can_be_left_out_but_not_those_that_verifying_means(tmp_path: Path) -> None:
    here = Here({"PATH": ""}, "/", sys.executable)
    chosen = choose(here, str(tmp_path), skip=["time-zone", "Umask", "store"])
    assert {one.name for one in chosen.not_tried if one.why == "left out as asked"} == {"time zone", "umask"}
    only = choose(here, str(tmp_path), only=["hash seed"])
    assert {one.name for one in only.changes} == {*ALWAYS, "hash seed"}


def test_an_unknown_condition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        choose(Here({}, "/", sys.executable), str(tmp_path), skip=["weather"])
    assert caught.value.message == "there is no condition 'weather'"
    assert "hash seed" in caught.value.hint


def test_an_interpreter_without_stager_is_no_other_python(tmp_path: Path) -> None:
    fake = tmp_path / "python3.12"
    fake.write_bytes(b"\x7fELF")
    fake.chmod(0o755)
    chosen = choose(Here({"PATH": str(tmp_path)}, "/", sys.executable), str(tmp_path), only=["python"])
    assert [one.why for one in chosen.not_tried if one.name == "python"] == [
        "python3.12: no stager 0.1.0 is installed for it"
    ]


@pytest.mark.tools
def test_a_clock_that_another_process_left_broken_is_tried_again(tmp_path: Path) -> None:
    """faketime fails where one that was killed had its process id: its shared memory is still there."""
    real, program = shutil.which("faketime"), tmp_path / "faketime"
    program.write_text(f'#!/bin/sh\nmkdir "{tmp_path}/once" 2>/dev/null && exit 1\nexec {real} "$@"\n')
    program.chmod(0o755)
    here = Here({**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, "/home/me", sys.executable)
    assert choose(here, str(tmp_path)).of("clock")
    assert (tmp_path / "once").is_dir()
