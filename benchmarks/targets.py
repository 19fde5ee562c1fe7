"""What exporting costs beside copying the droplet: every target that writes files, as whole processes, medians.

    python benchmarks/targets.py [DROPLET …] [--megabytes 100] [--rounds 7] [--json FILE]

Without a droplet one is staged of an app with that many megabytes that do not compress. `cp` is GNU's, from the page cache
to the same disk, and both sides are synced by neither. The row "start" is a Python that imports what `stager --version`
needs and ends: it is part of every stager row, and none of the copying; "net" is the ratio without it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

GOAL = 1.3
"""An export's time, at most, as a multiple of copying the droplet."""
STAGER = [sys.executable, "-m", "stager"]
EXPORTS: dict[str, list[str]] = {
    "oci layout": ["export", "oci", "{droplet}", "--base", "scratch", "-o", "{out}"],
    "oci archive": ["export", "oci", "{droplet}", "--base", "scratch", "-o", "{out}.tar"],
    "openshift": ["export", "openshift", "{droplet}", "--base", "scratch", "--image", "host/app", "-o", "{out}"],
    "heroku": ["export", "heroku", "{droplet}", "-o", "{out}.tgz"],
    "cloudfoundry": ["export", "cloudfoundry", "{droplet}", "-o", "{out}.tgz"],
    "bosh": ["export", "bosh", "{droplet}", "-o", "{out}.tgz"],
}
"""Command lines of the targets; one that this stager does not have, or that fails, is reported as such."""


def timed(command: list[str], place: Path, store: Path) -> float:
    """Wall seconds of one process that succeeds."""
    environment = {**os.environ, "STAGER_CACHE_DIR": str(store)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr else f"exit {done.returncode}")
    return seconds


def median(run: Callable[[], float], rounds: int) -> float:
    """The median of some runs after one that does not count."""
    run()
    return statistics.median(run() for _ in range(rounds))


def staged(place: Path, megabytes: int) -> Path:
    """A droplet of an app of so many megabytes, in files of one each."""
    app = place / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: perl main.pl\n")
    source = random.Random(1)
    for number in range(megabytes):
        (app / f"{number}.bin").write_bytes(source.randbytes(1_000_000))
    timed([*STAGER, "stage", str(app), "-o", str(place / "droplet.tgz"), "--quiet"], place, place / "store")
    return place / "droplet.tgz"


def measure(droplet: Path, place: Path, rounds: int) -> dict[str, object]:
    """Every row for one droplet."""
    store, out = place / "store", place / "out"

    def fresh(command: list[str]) -> Callable[[], float]:
        def run() -> float:
            for path in place.glob("out*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            return timed(command, place, store)

        return run

    copy = median(fresh(["cp", str(droplet), f"{out}.copy"]), rounds)
    start = median(fresh([*STAGER, "--version"]), rounds)
    rows: dict[str, object] = {}
    for name, words in EXPORTS.items():
        command = [*STAGER, *(word.format(droplet=droplet, out=out) for word in words)]
        try:
            seconds = median(fresh(command), rounds)
        except RuntimeError as problem:
            rows[name] = {"failed": str(problem)}
            continue
        rows[name] = {"seconds": seconds, "ratio": seconds / copy, "net": (seconds - start) / copy}
    size = droplet.stat().st_size
    return {"droplet": droplet.name, "size": size, "copy": copy, "start": start, "exports": rows}


def show(found: dict[str, object]) -> None:
    """Print one droplet's rows."""
    exports = found["exports"]
    assert isinstance(exports, dict)
    print(f"{found['droplet']}: {found['size']} bytes; cp {found['copy']:.3f} s, start {found['start']:.3f} s")
    for name, row in exports.items():
        if "failed" in row:
            print(f"  {name:14} {row['failed']}")
        else:
            met = "" if row["net"] <= GOAL else f"  over {GOAL}"
            print(
                f"  {name:14} {row['seconds']:.3f} s  {row['ratio']:.2f} × cp, {row['net']:.2f} without the start{met}"
            )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("droplets", nargs="*", metavar="DROPLET")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("TMPDIR")) as folder:
        place = Path(folder)
        droplets = [Path(name).resolve() for name in arguments.droplets] or [staged(place, arguments.megabytes)]
        for droplet in droplets:
            results.append(measure(droplet, place, arguments.rounds))
            show(results[-1])
    if arguments.json:
        machine = {"python": platform.python_version(), "processors": os.cpu_count(), "load": os.getloadavg()[0]}
        Path(arguments.json).write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
