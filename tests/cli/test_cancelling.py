"""`cancel` at any moment: the call ends with Cancelled, nothing is left, and the same call then succeeds."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from small_droplets import small_droplet

import stager
from stager.errors import Cancelled
from stager.targets import TARGETS, load


class Nth(threading.Event):
    """An event that is set when it is asked for the `number`-th time; 0 for never."""

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.number, self.asked = number, 0
        self._mutex = threading.Lock()

    def is_set(self) -> bool:
        """Whether it is set by now."""
        with self._mutex:
            self.asked += 1
            return bool(self.number) and self.asked >= self.number


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An app with folders, and a file of several reads."""
    app = tmp_path / "app"
    for number in range(60):
        path = app / f"folder-{number % 7}" / f"file-{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n" * 500)
    (app / "Procfile").write_text("web: true\n")
    (app / "large.bin").write_bytes(os.urandom(5 << 20))
    return app


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("state", ["cold", "warm", "changed", "unchanged"])
def test_a_staging_stops_wherever_it_is(app: Path, tmp_path: Path, state: str) -> None:
    """Cold, with all pieces there, after an edit, and when only a young output's bytes are to be looked at."""
    store, out = stager.Store(str(tmp_path / "store")), tmp_path / "out.tgz"

    def staged(cancel: threading.Event | None = None) -> stager.Droplet:
        return stager.stage(str(app), out=str(out), store=store, save_lock=True, cancel=cancel)

    if state != "cold":
        staged()
        if state != "unchanged":
            out.unlink()
    if state == "changed":
        (app / "large.bin").write_bytes(os.urandom(5 << 20))
    old = out.read_bytes() if out.exists() else b""
    asked = Nth()
    for number in [*range(1, 60), *range(60, 2000, 13)]:
        asked = Nth(number)
        try:
            staged(asked)
        except Cancelled:
            assert (out.read_bytes() if out.exists() else b"") == old
            assert names(tmp_path) == sorted({"app", "store"} | ({"out.tgz"} if old else set()))
            assert names(tmp_path / "store/v1/tmp") == []
        else:
            break
    assert asked.asked < asked.number, "it never came through"
    assert asked.asked > 20
    assert out.read_bytes()[:2] == b"\x1f\x8b"
    assert staged().digest == stager.stage(str(app), out=str(out), store=stager.Store(str(tmp_path / "other"))).digest


@pytest.mark.parametrize("target", TARGETS)
def test_an_export_stops_wherever_it_is(target: str, tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path, {"noise.txt": os.urandom(300_000).hex()})
    out, before = tmp_path / "out", names(tmp_path)
    known = load(target).options.__dataclass_fields__
    told = {name: value for name, value in {"base": "scratch", "image": "host/team/app"}.items() if name in known}
    for number in range(1, 200):
        asked = Nth(number)
        try:
            stager.export(str(droplet), target, str(out), cancel=asked, options=load(target).options(**told))
        except Cancelled:
            assert names(tmp_path) == before
        else:
            break
    assert names(tmp_path) == sorted([*before, "out"])
    assert 1 <= asked.asked < asked.number


def test_a_large_file_is_left_in_the_middle(tmp_path: Path) -> None:
    """Within moments: not after the hours that a slow disk may take for one file."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: true\n")
    with (app / "sparse.bin").open("wb") as file:
        file.truncate(1 << 30)
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        stager.stage(str(app), out=str(tmp_path / "out"), store=stager.Store(str(tmp_path / "store")), cancel=cancel)
    assert time.monotonic() - began < 2
    assert names(tmp_path) == ["app", "store"]
