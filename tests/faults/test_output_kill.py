"""SIGKILL at any moment of a command that writes an output: it is the old one, the new one or absent; nothing stays."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from command import PROGRAM

from stager.files.writing import is_part
from stager.tree import SourceTree


@dataclass
class Bench:
    """A command, the folder its output and temporary folders are in, and how to give it something new to write."""

    folder: Path
    words: Sequence[object]
    output: Callable[[], bytes]
    edit: Callable[[int], None]
    seen: set[bytes] = field(default_factory=lambda: {b""})
    """What the output may be: nothing, or what an unhurt run has made of one of the edits."""

    def start(self, folder: str = "out") -> subprocess.Popen[bytes]:
        place = self.folder / folder
        (place / "tmp").mkdir(parents=True, exist_ok=True)
        command = [*PROGRAM, *(str(word).replace("OUT", str(place)) for word in self.words)]
        environment = {**os.environ, "STAGER_CACHE_DIR": str(self.folder / "store"), "TMPDIR": str(place / "tmp")}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.folder
        )

    def whole(self) -> float:
        """Let it run to its end; the seconds that took. What it made is what it may be from now on."""
        began = time.monotonic()
        process = self.start()
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
        self.seen.add(self.output())
        return time.monotonic() - began

    def writes(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until its output is being written, or it is over."""
        while process.poll() is None and not any(is_part(name) for name in os.listdir(self.folder / "out")):
            time.sleep(0.001)

    def left(self) -> list[str]:
        return sorted([*os.listdir(self.folder / "out"), *os.listdir(self.folder / "out/tmp")])


def hammer(bench: Bench, kills: int, seed: int) -> int:
    """Kill it so many times, each somewhere else; how many kills met an output half made."""
    chance, met = random.Random(seed), 0
    bench.edit(0)
    bench.whole()
    tidy = bench.left()
    longest = max(bench.whole() for _ in range(2))
    for number in range(1, kills + 1):
        bench.edit(number)
        process = bench.start()
        if number % 2:
            time.sleep(chance.uniform(longest * 0.2, longest * 1.2))
        else:
            bench.writes(process)
            if number % 8 == 2:  # the others are killed at once: a quick machine has written all of it soon
                time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        met += bench.left() != tidy
        found = bench.output()
        if found not in bench.seen:  # then it is the new one, whole
            bench.whole()
            assert found == bench.output()
        if number % 5 == 0 or number == kills:
            bench.whole()
            assert bench.left() == tidy
    return met


def hash_of(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest() if path.exists() else b""


def staging(folder: Path) -> Bench:
    """`stager stage` of an app with enough that does not compress for a kill to land in the middle of its droplet."""
    app = folder / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: true\n")
    for number in range(8):
        (app / f"noise-{number}.bin").write_bytes(random.Random(number).randbytes(6 << 20))

    def edit(number: int) -> None:
        (app / "edited.txt").write_text(f"{number}\n")

    output = folder / "out/droplet.tgz"
    return Bench(folder, ["stage", app, "-o", "OUT/droplet.tgz", "--offline", "-q"], lambda: hash_of(output), edit)


def exporting(folder: Path) -> Bench:
    """`stager export oci` into a layout folder; the edits are two droplets in turn."""
    droplets = []
    for name in ("one", "two"):
        place = folder / name
        (place / "app").mkdir(parents=True)
        (place / "app/Procfile").write_text("web: true\n")
        for number in range(4):
            (place / f"app/noise-{number}.bin").write_bytes(random.Random(f"{name}{number}").randbytes(6 << 20))
        words = [*PROGRAM, "stage", str(place / "app"), "-o", str(place / "droplet.tgz"), "--offline", "-q"]
        subprocess.run([*words, "--cache-dir", str(folder / "store")], check=True, capture_output=True)
        droplets.append(place / "droplet.tgz")
    image = folder / "out/image"

    def edit(number: int) -> None:
        (folder / "droplet.tgz").unlink(missing_ok=True)
        os.link(droplets[number % 2], folder / "droplet.tgz")

    def output() -> bytes:
        files = {str(p.relative_to(image)): p.read_bytes() for p in image.rglob("*") if p.is_file()}
        return str(SourceTree.of(files).digest).encode() if image.exists() else b""

    command: list[object] = ["export", "oci", folder / "droplet.tgz", "--base", "scratch", "-o", "OUT/image"]
    return Bench(folder, command, output, edit)


@pytest.mark.parametrize("made", [staging, exporting])
def test_a_killed_command_leaves_nothing_half_made(made: Callable[[Path], Bench], tmp_path: Path) -> None:
    assert hammer(made(tmp_path), 5, 1)


@pytest.mark.slow
@pytest.mark.parametrize("made", [staging, exporting])
def test_two_hundred_kills_leave_nothing(made: Callable[[Path], Bench], tmp_path: Path) -> None:
    assert hammer(made(tmp_path), 200, 2) > 10, "too few kills met an output half made"
