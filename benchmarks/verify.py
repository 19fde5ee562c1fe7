"""What `stager verify` costs beside a cold staging from a warm artifact store: the goal is at most 1.2 times as much.

    python benchmarks/verify.py [--apps django-uv,flask-uv,express-npm-v3] [--rounds 5] [--json FILE]

A cold staging has the pinned artifacts in its store and nothing else: no pieces, no memos. Each round runs one of each,
in turns, so that a busy moment meets both; figures are medians of whole processes, in wall seconds, and in CPU seconds of
all processes, which other work on the machine disturbs less. The apps are those of tests/apps.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from apps_fixture import materialise

STAGER = [sys.executable, "-m", "stager"]


def run(command: list[str], store: Path, cwd: Path) -> tuple[float, float]:
    """A command's wall seconds, and the CPU seconds of it and its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environment = {**os.environ, "STAGER_CACHE_DIR": str(store)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def artifacts_only(full: Path, place: Path, app: Path) -> Path:
    """A store with the blobs of the app's lock and what names them, and nothing that was made of them."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from stager.planning import lockfile
    from stager.store import Store
    from stager.store.stored import resolve

    shutil.rmtree(place, ignore_errors=True)
    first, second = Store(str(full)), Store(str(place))
    artifacts = lockfile.loads((app / "stager.lock").read_bytes()).artifacts
    with second.lease():
        found = resolve(first, artifacts)
        for artifact in artifacts:
            blob = found[artifact.digest]
            if not Path(second.path(blob)).exists():
                os.link(first.path(blob), second.path(blob))
            second.remember("artifact", artifact.digest, blob)
    return place


def bench(name: str, rounds: int, place: Path) -> dict[str, Any]:
    """One app's figures."""
    app, full = materialise(name, place), place / "store"
    run([*STAGER, "stage", "-q"], full, app)
    rows: dict[str, list[tuple[float, float]]] = {"cold": [], "verify": []}
    for number in range(rounds + 1):
        cold = artifacts_only(full, place / "cold", app)
        pair = {
            "cold": run([*STAGER, "stage", "-q", "--offline", "-o", str(place / "x.tgz")], cold, app),
            "verify": run([*STAGER, "verify", "-q", "--offline"], full, app),
        }
        if number:  # the first round warms the disk's cache
            for key, value in pair.items():
                rows[key].append(value)
    wall = {key: statistics.median(one[0] for one in values) for key, values in rows.items()}
    cpu = {key: statistics.median(one[1] for one in values) for key, values in rows.items()}
    return {
        "app": name,
        "size": (app / "droplet.tgz").stat().st_size,
        "wall": wall,
        "cpu": cpu,
        "ratio": wall["verify"] / wall["cold"],
        "cpu_ratio": cpu["verify"] / cpu["cold"],
    }


def main() -> None:
    """Measure, and print a row for each app."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--apps", default="flask-uv,django-uv,express-npm-v3")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    found = []
    for name in arguments.apps.split(","):
        with tempfile.TemporaryDirectory(prefix="stager-bench-") as place:
            row = bench(name, arguments.rounds, Path(place))
        found.append(row)
        wall, cpu = row["wall"], row["cpu"]
        print(
            f"{name}: {row['size'] / 1e6:.1f} MB; cold {wall['cold']:.2f} s, verify {wall['verify']:.2f} s, "
            f"{row['ratio']:.2f} x; CPU {cpu['cold']:.2f} and {cpu['verify']:.2f} s, {row['cpu_ratio']:.2f} x",
            flush=True,
        )
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"processors": os.cpu_count(), "rows": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
