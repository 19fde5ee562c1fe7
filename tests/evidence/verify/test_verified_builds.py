"""A droplet with built files, verified: the builds run again in a second store, and what they leave is told as theirs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from building import build, planned
from command import stager

from stager.droplet.ownership import APP, APP_LAYER, Owners
from stager.model import BuildRoot
from stager.store import Store

pytestmark = [pytest.mark.tools, pytest.mark.network]
FILES = {"src/a.txt": "one\n", "static/old.txt": "old"}
JOIN = "mkdir -p static && cat src/*.txt > static/out.txt && ln -s out.txt static/link"


def test_a_droplet_is_built_again(tmp_path: Path, shared_store: Path, plain_pins: BuildRoot) -> None:
    app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
    plan = planned(app, FILES | {"src/b": str(time.time_ns())}, plain_pins, build(JOIN), store=Store(str(shared_store)))
    owners = Owners(plan, {})
    assert [owners.of(path, "file", APP_LAYER) for path in ("static/out.txt", "src/a.txt")] == ["built by own", APP]
    assert owners.of("static", "folder", "skeleton") == "stager"
    stager("stage", app, "-o", droplet, store=shared_store).good()
    verdict = stager("verify", droplet, "--source", app, "--offline", "--json", store=shared_store).good().document
    assert verdict["equal"]
    assert len(verdict["conditions"]["tried"]) > 3


def test_one_that_is_another_each_time(tmp_path: Path, shared_store: Path, plain_pins: BuildRoot) -> None:
    app, droplet = tmp_path / "app", tmp_path / "droplet.tgz"
    command = "mkdir static; cat /proc/sys/kernel/random/uuid > static/out.txt"
    planned(app, {}, plain_pins, build(command, twice=False), store=Store(str(shared_store)))
    stager("stage", app, "-o", droplet, store=shared_store).good()
    done = stager("verify", droplet, "--source", app, "--offline", "--json", store=shared_store)
    assert done.code == 80
    found = done.document["findings"][0]
    assert (found["path"], found["package"]) == ("./app/static/out.txt", "built by own")
