"""Does a restage depend on how many files the dependencies hold? Two wheels of equal size, 1,000 and 36,000 files.

python benchmarks/flat.py
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from builders import make_wheel

from stager.digest import Digest, sha256
from stager.formats.codec import CODEC
from stager.model import Artifact, BuildpackPin, Plan, Process, Reason
from stager.planning import lockfile
from stager.planning.buildpacks import load
from stager.planning.inputs import inputs_of
from stager.store import Store
from stager.tree import SourceTree

TOTAL = 36_000_000
WHY = Reason("a benchmark")


def measure(files: int, place: Path) -> tuple[float, int]:
    """Median seconds of a staging after one changed line, and the droplet's size, with `files` dependency files."""
    app = place / "app"
    app.mkdir(parents=True)
    (app / "Procfile").write_text("web: true\n")
    noise = random.Random(1).randbytes(TOTAL)
    size = TOTAL // files
    wheel = make_wheel("w", "1.0", {f"w/{n % 100}/{n}.bin": noise[n * size : (n + 1) * size] for n in range(files)})
    Store(str(place / "store")).put(wheel)
    artifact = Artifact("pkg:pypi/w@1.0", "w-1.0-py3-none-any.whl", sha256(wheel), "wheel/1", (".stager/pypi",))
    inputs = tuple((path, Digest(digest)) for path, digest in inputs_of(SourceTree.read(str(app))).items())
    pins = (BuildpackPin("procfile", load("procfile").digest, WHY),)
    plan = Plan("debian-12", "amd64", CODEC, pins, inputs, (), (artifact,), (), (), (Process("web", "true", WHY),), ())
    (app / "stager.lock").write_text(lockfile.dumps(plan))
    out, taken = place / "d.tgz", []
    for number in range(8):
        (app / "main.py").write_text(f"N = {number}\n")
        start = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "stager",
            "stage",
            str(app),
            "-q",
            "-o",
            str(out),
            "--cache-dir",
            str(place / "store"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[2:]), out.stat().st_size


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for count in (1_000, 36_000):
            seconds, size = measure(count, Path(folder) / str(count))
            print(f"{count:6} files: {seconds * 1000:.0f} ms for {size / 1e6:.1f} MB")
