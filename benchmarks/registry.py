"""What a push costs beside what it must: against a registry of its own (Debian's docker-registry) on this machine.

    python benchmarks/registry.py [--rounds 9] [--megabytes 30] [--json FILE]

Seconds are medians of whole processes. Rows: everything new (beside `cp` of the droplet), nothing changed (goal: at most
0.5 s), and one source line changed, with the bytes that each sends.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from builders import make_wheel
from registry_server import Proxy, noise, private_registry

from stager.digest import Digest, sha256
from stager.formats.codec import CODEC
from stager.model import Artifact, BuildpackPin, Plan, Process, Reason
from stager.planning import lockfile
from stager.planning.buildpacks import load
from stager.planning.inputs import inputs_of
from stager.store import Store
from stager.tree import SourceTree

WHY = Reason("a benchmark")
GOAL = 0.5
"""Seconds for a push of an unchanged image."""
STAGER = [sys.executable, "-m", "stager"]


class Bench:
    """An app with one dependency of some size, its store, and the droplet that was staged last."""

    def __init__(self, place: Path, megabytes: int) -> None:
        self.place = place
        self.app = place / "app"
        self.droplet = place / "droplet.tgz"
        self.app.mkdir()
        (self.app / "Procfile").write_text("web: perl main.pl\n")
        wheel = make_wheel("w", "1.0", {f"w/{number}.bin": noise(1_000_000, number) for number in range(megabytes)})
        Store(str(place / "store")).put(wheel)
        artifact = Artifact("pkg:pypi/w@1.0", "w-1.0-py3-none-any.whl", sha256(wheel), "wheel/1", (".stager/pypi",))
        inputs = tuple((path, Digest(digest)) for path, digest in inputs_of(SourceTree.read(str(self.app))).items())
        pins = (BuildpackPin("procfile", load("procfile").digest, WHY),)
        process = Process("web", "perl main.pl", WHY)
        plan = Plan("debian-12", "amd64", CODEC, pins, inputs, (), (artifact,), (), (), (process,), ())
        (self.app / "stager.lock").write_text(lockfile.dumps(plan))
        drop = ("PYTHONDONTWRITEBYTECODE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
        kept = {name: value for name, value in os.environ.items() if name not in drop}
        self.environ = {**kept, "STAGER_CACHE_DIR": str(place / "store"), "DOCKER_CONFIG": str(place / "none")}

    def stage(self, line: int) -> None:
        """Stage the app with another line in it."""
        (self.app / "main.pl").write_text(f"print {line};\n")
        self.run([*STAGER, "stage", str(self.app), "-q", "-o", str(self.droplet)])

    def push(self, name: str) -> tuple[float, dict[str, Any]]:
        """Seconds of the whole process, and what it reports."""
        seconds, out = self.run([*STAGER, "push", "oci", str(self.droplet), name, "-q", "--json", "--base", "scratch"])
        return seconds, json.loads(out)

    def run(self, command: list[str]) -> tuple[float, str]:
        """Seconds, and standard output."""
        start = time.perf_counter()
        done = subprocess.run(command, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start, done.stdout.decode()

    def copy(self) -> float:
        """Seconds that `cp` of the droplet takes."""
        return self.run(["cp", str(self.droplet), str(self.place / "copy")])[0]


def measure(place: Path, rounds: int, megabytes: int) -> dict[str, Any]:
    """The figures, as medians of `rounds`."""
    bench = Bench(place, megabytes)
    rows: dict[str, list[float]] = {"start": [], "copy": [], "new": [], "unchanged": [], "line": []}
    moved: dict[str, int] = {}
    with private_registry(place / "registry") as registry, Proxy(registry.host) as proxy:
        bench.stage(0)
        bench.push(f"{registry.host}/warm/up:1")
        for number in range(rounds):
            name = f"{registry.host}/round{number}/app"
            rows["start"].append(bench.run([sys.executable, "-I", "-c", "pass"])[0])
            rows["copy"].append(bench.copy())
            seconds, report = bench.push(f"{name}:1")
            rows["new"].append(seconds)
            moved["new"] = report["moved"]
            rows["unchanged"].append(bench.push(f"{name}:1")[0])
            bench.stage(number + 1)
            seconds, report = bench.push(f"{name}:1")
            rows["line"].append(seconds)
            moved["line"] = report["moved"]
        bench.push(f"{proxy.host}/counted/app:1")
        before = len(proxy.seen)
        bench.push(f"{proxy.host}/counted/app:1")
        requests = [f"{seen.method} {seen.path}" for seen in proxy.seen[before:]]
    figures = {name: round(statistics.median(found), 4) for name, found in rows.items() if found}
    size = bench.droplet.stat().st_size
    return {"seconds": figures, "moved": moved, "requests_unchanged": requests, "droplet": size, "goal": GOAL}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--megabytes", type=int, default=30, help="of the app's dependency")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stager-bench-") as folder:
        found = measure(Path(folder), arguments.rounds, arguments.megabytes)
    seconds, moved = found["seconds"], found["moved"]
    print(f"droplet {found['droplet'] / 1e6:.1f} MB, interpreter {seconds['start']:.3f} s, cp {seconds['copy']:.3f} s")
    print(f"everything new   {seconds['new']:.3f} s, {moved['new'] / 1e6:.1f} MB sent")
    print(f"nothing changed  {seconds['unchanged']:.3f} s (goal {GOAL} s), {', '.join(found['requests_unchanged'])}")
    print(f"one line changed {seconds['line']:.3f} s, {moved['line'] / 1e6:.2f} MB sent")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
