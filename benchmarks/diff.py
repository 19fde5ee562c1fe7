"""How long does diff take on two droplets of 300 MB that share most layers? And on two that share none of their bytes?

    python benchmarks/diff.py [--mb 300] [--wheels 30]

The droplets are staged for real from wheels of random bytes; one wheel of them is another version, and one line of the app
differs. Whole processes are timed. No memo helps: each run has an empty store.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from made_droplets import stage


def droplet(place: Path, name: str, count: int, size: int, store: Path) -> Path:
    """A droplet with `count` wheels of `size` random bytes; `name` decides the app's line and the version of one wheel."""
    wheels = {}
    for number in range(count):
        other = name if not number else ""
        noise = random.Random(f"{number}{other}").randbytes(size)
        files = {
            f"w{number}/{part}.bin": noise[part * 50_000 : (part + 1) * 50_000] for part in range(-(-size // 50_000))
        }
        wheels[f"w{number}"] = (f"1.{ord(other[-1]) if other else 0}", files)
    return stage(place / name, {"main.py": f"NAME = {name!r}\n"}, wheels, store=store)


def measure(a: Path, b: Path, rounds: int, place: Path) -> tuple[float, float, str]:
    """Median seconds of `stager diff`, its peak memory in MiB, and its last line."""
    taken, memory, last = [], 0.0, ""
    for number in range(rounds):
        command = [sys.executable, "-m", "stager", "diff", str(a), str(b), "--cache-dir", str(place / f"empty{number}")]
        start = time.perf_counter()
        with (place / "out").open("wb") as out:
            child = subprocess.Popen(command, stdout=out)
            _, status, usage = os.wait4(child.pid, 0)
        taken.append(time.perf_counter() - start)
        child.returncode = os.waitstatus_to_exitcode(status)
        memory = max(memory, usage.ru_maxrss / 1024)
        last = (place / "out").read_text().splitlines()[-1]
    return statistics.median(taken), memory, last


def main() -> None:
    """Make the droplets, time both comparisons, print a line each; the first must stay below two seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=300)
    parser.add_argument("--wheels", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stager-bench-") as folder:
        place = Path(folder)
        size = arguments.mb * 1_000_000 // arguments.wheels
        with ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn")
        ) as pool:  # a child of ours would be as big as we
            made = [
                pool.submit(droplet, place, name, arguments.wheels, size, place / "store") for name in ("one", "two")
            ]
            a, b = (one.result() for one in made)
        os.sync()  # or the first runs would wait for the writing of what has just been made
        shared, memory, last = measure(a, b, arguments.rounds, place)
        print(f"{a.stat().st_size / 1e6:.0f} MB, most layers shared: {shared:.2f} s, {memory:.0f} MiB, {last}")
        same, memory, last = measure(a, a, arguments.rounds, place)
        print(f"{a.stat().st_size / 1e6:.0f} MB, the same file twice:  {same:.2f} s, {memory:.0f} MiB, {last}")
        sys.exit(0 if shared <= 2 else "diff of droplets that share most layers takes more than 2 s")


if __name__ == "__main__":
    main()
