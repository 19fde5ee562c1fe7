"""The second staging takes only what the lock names, leaves nothing behind, and stops when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import in_process
from patched import build, patch, prepared, verify

from stager.store import Store


def leftovers(place: Path) -> list[str]:
    return sorted(path.name for path in place.glob("stager-verify-*"))


def mounts() -> str:
    return Path("/proc/self/mounts").read_text()


def test_without_arguments_in_the_app_folder(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    made = in_process("stage", "--locked", "-q", store=store, cwd=app).good()
    done = in_process("verify", store=store, cwd=app).good()
    assert done.out == made.out
    assert "equal: staging again gave the same as droplet.tgz" in done.err
    assert "not tried: python" in done.err or "; python:" in done.err
    assert sorted(path.name for path in app.iterdir()) == [
        "Procfile",
        "droplet.tgz",
        "main.py",
        "pages",
        "serve",
        "stager.lock",
    ]


def test_a_droplet_in_the_source_is_no_source(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    (tmp_path / "elsewhere.tgz").write_bytes(build(app, store, {}).read_bytes())
    inside = app / "release" / "mine.tgz"
    inside.parent.mkdir()
    (tmp_path / "elsewhere.tgz").rename(inside)
    done = in_process("verify", inside, "--source", app, "--conditions", "umask", "--json", store=tmp_path / "store")
    assert done.good().document["equal"] is True


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    place = tmp_path / "tmp"
    place.mkdir()
    out = build(app, store, {})
    verify(app, store, {"TMPDIR": str(place)}).good()
    out.write_bytes(out.read_bytes()[:-100])
    assert verify(app, store, {"TMPDIR": str(place)}).code == 80
    (app / "Procfile").write_text("web: true\n")
    assert verify(app, store, {"TMPDIR": str(place)}).code == 20
    assert leftovers(place) == []
    assert list(place.iterdir()) == []
    assert str(place) not in mounts()


def test_pieces_of_the_first_store_are_not_used(tmp_path: Path) -> None:
    """A poisoned memo makes a wrong droplet here and cannot make the same one there."""
    app, store = prepared(tmp_path)
    poison = "import stager.droplet.launch as launch\nlaunch.LAUNCH += '# poisoned\\n'\n"
    build(app, store, patch(tmp_path, poison))
    out = build(app, store, {})  # unpatched, but the store remembers
    assert b"poisoned" in _tar(out)
    done = verify(app, store, {}, "--conditions", "umask")
    first = done.document["cause"]
    assert (done.code, first["path"], first["package"]) == (80, "./app/.stager/bin/launch", "stager")


def _tar(path: Path) -> bytes:
    import gzip

    return gzip.decompress(path.read_bytes())


def test_a_rotten_artifact_is_refused(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    kept = Store(str(store))
    (lock,) = [
        line
        for line in (app / "stager.lock").read_text().splitlines()
        if line.startswith('digest = "sha256:') and kept.has(line[17:81])
    ]
    blob = Path(kept.path(lock[17:81]))
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes() + b"x")
    done = verify(app, store, {}, "--conditions", "umask")
    assert done.code == 50
    expected = f"apple@1.0's blob sha256:{blob.name}: its bytes do not match its name"
    assert done.document["error"]["message"].endswith(expected)


def test_a_source_without_a_lock_uses_the_plan_in_the_droplet(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    (app / "stager.lock").unlink()
    found = verify(app, store, {}, "--conditions", "umask").good().document
    assert found["notes"] == ["the source has no stager.lock; the plan that the droplet carries was used"]


def test_neither_lock_nor_plan(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    out = build(app, store, {})
    out.write_bytes(out.read_bytes()[:200])
    (app / "stager.lock").unlink()
    assert verify(app, store, {}).document["error"]["code"] == "LockMissing"


def test_a_missing_droplet(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    done = in_process("verify", "--source", app, "--json", store=store, cwd=tmp_path)
    assert (done.code, done.document["error"]["code"]) == (20, "NoDroplet")


def test_a_missing_artifact_offline(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    done = in_process(
        "verify", tmp_path / "droplet.tgz", "--source", app, "--offline", "--json", store=tmp_path / "empty"
    )
    assert (done.code, done.document["error"]["code"]) == (40, "NotCached")


def test_ignore_files_count_in_the_copy(tmp_path: Path) -> None:
    files = {
        ".gitignore": "dist/\nnotes.txt\n",
        ".stagerignore": "!dist/\n",
        "dist/app.js": "1\n",
        "notes.txt": "mine\n",
    }
    app, store = prepared(tmp_path, files)
    out = build(app, store, {})
    assert b"./app/dist/app.js" in _tar(out)
    assert b"./app/notes.txt" not in _tar(out)
    verify(app, store, {}).good()


def test_what_differs_can_be_kept(tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    out = build(app, store, {})
    right = out.read_bytes()
    out.write_bytes(right + b"x")
    kept = tmp_path / "again.tgz"
    assert verify(app, store, {}, "--conditions", "umask", "--keep", kept).code == 80
    assert kept.read_bytes() == right


SLOW = """
import sys, time
if "stage" in sys.argv:
    import stager.staging as staging
    def wait(*arguments):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            pass
    staging.stage_folder = wait
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopping_ends_the_child_and_cleans_up(sign: signal.Signals, tmp_path: Path) -> None:
    app, store = prepared(tmp_path)
    build(app, store, {})
    place = tmp_path / "tmp"
    place.mkdir()
    variables = {**os.environ, **patch(tmp_path, SLOW), "STAGER_CACHE_DIR": str(store), "TMPDIR": str(place)}
    command = [
        sys.executable,
        "-m",
        "stager",
        "verify",
        str(tmp_path / "droplet.tgz"),
        "--source",
        str(app),
        "--offline",
        "-q",
    ]
    process = subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    children = _child(process.pid)
    process.send_signal(sign)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said.decode()
    assert b"stopped as asked" in said
    assert leftovers(place) == []
    assert str(place) not in mounts()
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def _child(pid: int) -> list[int]:
    """The pids of the second staging, once it runs."""
    for _ in range(600):
        found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        for one in found:
            if b"stage\0" in Path(f"/proc/{one}/cmdline").read_bytes():
                time.sleep(0.3)
                return found
        time.sleep(0.05)
    raise AssertionError("it did not begin to stage")
