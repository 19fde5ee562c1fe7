"""Ctrl-C at any time: the process ends soon, nothing half-made is published, and the next staging succeeds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from builders import make_wheel

from stager.digest import Digest, sha256
from stager.formats.codec import CODEC
from stager.model import Artifact, BuildpackPin, Plan, Process, Reason
from stager.planning import lockfile
from stager.planning.inputs import inputs_of
from stager.store import Store
from stager.tree import SourceTree


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app with a lock whose artifacts are in the store, with enough to compress that a signal lands in the middle."""
    from stager.planning.buildpacks import load

    app = tmp_path / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: true\n")
    store, why, artifacts = Store(str(tmp_path / "store")), Reason("a test"), []
    noise = os.urandom(3 << 20)
    for number in range(12):
        data = make_wheel(f"w{number}", "1.0", {f"w{number}/{n}.bin": noise[n:].hex().encode() for n in range(2)})
        store.put(data)
        purl, name = f"pkg:pypi/w{number}@1.0", f"w{number}-1.0-py3-none-any.whl"
        artifacts.append(Artifact(purl, name, sha256(data), "wheel/1", (".stager/pypi",), len(data)))
    inputs = tuple((path, Digest(digest)) for path, digest in inputs_of(SourceTree.read(str(app))).items())
    pins = (BuildpackPin("procfile", load("procfile").digest, why),)
    ordered = tuple(sorted(artifacts, key=lambda one: one.purl))
    plan = Plan("debian-12", "amd64", CODEC, pins, inputs, (), ordered, (), (), (Process("web", "true", why),), ())
    (app / "stager.lock").write_text(lockfile.dumps(plan))
    return app


def start(app: Path) -> subprocess.Popen[bytes]:
    out = str(app.parent / "droplet.tgz")
    command = [sys.executable, "-m", "stager", "stage", str(app), "-o", out, "--offline", "-q"]
    environ = {**os.environ, "STAGER_CACHE_DIR": str(app.parent / "store")}
    return subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def blobs(app: Path) -> int:
    return sum(1 for _ in (app.parent / "store/v1/blobs/sha256").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("made", [0, 1, 4, 8])
def test_an_interrupted_staging_leaves_nothing_and_can_be_repeated(app: Path, made: int) -> None:
    before, droplet = blobs(app), app.parent / "droplet.tgz"
    child = start(app)
    # After so many of twelve pieces, however fast the machine is.
    while blobs(app) < before + made and child.poll() is None:
        time.sleep(0.001)
    if not made:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = child.communicate(timeout=60)
    if child.returncode == 0:
        pytest.fail("the staging was over before the signal came: give it more to do")
    assert child.returncode in (130, -signal.SIGINT), errors.decode()
    assert time.monotonic() - began < 30
    # The signal may come when the droplet has its name already: then it is the whole one.
    published = droplet.read_bytes() if droplet.exists() else None
    assert {path.name for path in app.parent.iterdir()} - {"droplet.tgz"} == {"app", "store"}
    assert not list((app.parent / "store/v1/tmp").glob("*")) or child.returncode == -signal.SIGINT
    again = start(app)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors.decode()
    assert droplet.stat().st_size > 1 << 20
    assert published in (None, droplet.read_bytes())
