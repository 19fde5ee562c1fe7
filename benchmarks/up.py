"""How long `stager up` takes from a warm cache, and a swap in dev mode, with where the time goes.

    DOCKER_HOST=unix:///var/run/docker.sock python benchmarks/up.py [APP]

Needs Vagrant and a container engine. The box is made before anything is measured; the machine is removed at the end.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROUNDS = 3
LIMITS = {"up": 15.0, "edit": 3.0, "swap": 2.0}
"""Seconds that each may take."""
TESTS = Path(__file__).parent.parent / "tests"


def stager(*arguments: object) -> tuple[float, dict[str, Any]]:
    """Seconds and result of a command."""
    began = time.monotonic()
    command = [sys.executable, "-m", "stager", *map(str, arguments), "--json", "-q"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return time.monotonic() - began, json.loads(done.stdout)


def ups(app: Path) -> list[dict[str, float]]:
    """Rounds of up and destroy; the first, which makes the box, is not among them."""
    found = []
    for _ in range(ROUNDS + 1):
        whole, document = stager("up", app)
        stager("destroy", app)
        found.append({"whole": whole, **document["times"]})
    return found[1:]


def dev(app: Path) -> dict[str, list[float]]:
    """Seconds until an edit is visible, and until a swap is done, as dev mode itself tells it."""
    seen: dict[str, list[float]] = {"edit": [], "swap": []}
    command = [sys.executable, "-m", "stager", "up", str(app), "--dev", "--json", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = json.loads(process.stdout.readline())["url"]
        _line(process.stderr, "watching")
        pins = (app / "requirements.txt").read_text()
        source = (app / "app.py").read_text()
        for number in range(ROUNDS):
            began = time.monotonic()
            (app / "app.py").write_text(source.replace('"well"', f'"well {number}"'))
            while _get(f"{url}/health") != f"well {number}":
                time.sleep(0.02)
            seen["edit"].append(time.monotonic() - began)
            _line(process.stderr, "files changed")
            other = pins.partition("redis==")[0] if number % 2 == 0 else pins
            (app / "requirements.txt").write_text(other)
            seen["swap"].append(float(_line(process.stderr, "staged again").rsplit(" ", 2)[1]))
        process.send_signal(2)
        process.wait(30)
    stager("destroy", app)
    return seen


def _line(stream: Any, word: str) -> str:
    for line in stream:
        if word in line:
            return str(line)
    raise SystemExit(f"dev mode ended before it said {word!r}")


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def main() -> int:
    sys.path.insert(0, str(TESTS))
    from machine_bench import make_shop

    folder = Path(tempfile.mkdtemp(prefix="stager-bench-"))
    try:
        app = make_shop(folder / "shop")
        source = (app / "app.py").read_text().replace("import redis\n", "")
        (app / "app.py").write_text(
            source.replace("def in_redis() -> int:\n", "def in_redis() -> int:\n    import redis\n\n")
        )
        (app / "stager.yml").write_text("health: {path: /health}\n")
        (app / "Procfile").write_text("web: python app.py\n")
        rounds, seen = ups(app), dev(app)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    facts = (platform.machine(), f"{os.cpu_count()} processors", f"load {os.getloadavg()[0]:.1f}")
    print(", ".join(facts))
    print(f"up, warm, docker: {_shown([row['whole'] for row in rounds], LIMITS['up'])}")
    for part in ("stage", "box", "machine", "check", "ready"):
        print(f"  {part:<8} {statistics.median(row[part] for row in rounds):6.2f} s")
    print(f"an edit is visible: {_shown(seen['edit'], LIMITS['edit'])}")
    print(f"restage and swap:   {_shown(seen['swap'], LIMITS['swap'])}")
    return 0


def _shown(times: list[float], limit: float) -> str:
    middle = statistics.median(times)
    each = ", ".join(f"{value:.2f}" for value in times)
    return f"{middle:.2f} s ({each}); at most {limit:g} s: {'yes' if middle <= limit else 'NO'}"


if __name__ == "__main__":
    sys.exit(main())
