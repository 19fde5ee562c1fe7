"""How much sooner does a droplet start with its bytecode, what does it cost, and what does making it take?

    python benchmarks/bytecode.py [--store DIR] [--rounds 3]

A Django site and a program that imports pandas are staged three times, with no bytecode, the runtime's, and all of it. Each
droplet is then run in its stack's root (`stager run --in stack`), the three side by side in each round; what starts there is
measured inside, five times, as a whole process that may keep no bytecode of its own. Staging is measured as a whole process,
too: the first time (with the root, if the store has none), and after an edit.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AMOUNTS = ("none", "runtime", "all")
SITE = """\
import os
from django.core.wsgi import get_wsgi_application
from django.urls import path
from django.conf import settings
settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], INSTALLED_APPS=[
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
    "django.contrib.messages", "django.contrib.staticfiles"])
application = get_wsgi_application()
from django.contrib import admin
urlpatterns = [path("admin/", admin.site.urls)]
from django.urls import resolve
resolve("/admin/")
"""
APPS = {
    "django": ("django==5.2.7\nwhitenoise==6.11.0\ngunicorn==23.0.0\n", SITE),
    "pandas": ("pandas==2.3.3\n", "import pandas\n"),
}
TIMED = """\
import os, subprocess, sys, time
for _ in range(5):
    start = time.perf_counter()
    subprocess.run([sys.executable, "main.py"], check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    print(time.perf_counter() - start)
"""


def main() -> None:
    """Print a table an app."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, {model.partition(': ')[2]}, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as place:
        store = arguments.store or f"{place}/store"
        for name, (wanted, program) in APPS.items():
            measure(name, wanted, program, Path(place), store, arguments.rounds)


def stager(store: str, *words: str) -> tuple[str, float]:
    """Run stager as a process of its own; what it printed, and the seconds it took."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "stager", *words, "--cache-dir", store], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout, time.perf_counter() - start


def measure(name: str, wanted: str, program: str, place: Path, store: str, rounds: int) -> None:
    """One app: staged three times, then started by turns."""
    droplets, first, warm = {}, {}, {}
    for amount in AMOUNTS:
        app = place / f"{name}-{amount}"
        app.mkdir()
        (app / "requirements.in").write_text(wanted)
        (app / "main.py").write_text(program)
        (app / "timed.py").write_text(TIMED)
        (app / "stager.yml").write_text(f"python: {{bytecode: {amount}}}\nprocesses: {{web: python main.py}}\n")
        if amount != AMOUNTS[0]:
            shutil.copy(place / f"{name}-{AMOUNTS[0]}" / "pylock.toml", app)
        droplet = place / f"{name}-{amount}.tgz"
        stager(store, "lock", str(app), "-q")
        _, first[amount] = stager(store, "stage", str(app), "-o", str(droplet), "--locked", "-q")
        (app / "main.py").write_text(program + "# edited\n")
        _, warm[amount] = stager(store, "stage", str(app), "-o", str(droplet), "--locked", "-q")
        droplets[amount] = droplet
    taken: dict[str, list[float]] = {amount: [] for amount in AMOUNTS}
    for _ in range(rounds):
        for amount, droplet in droplets.items():
            said, _ = stager(
                store, "run", str(droplet), "--in", "stack", "--no-network", "-q", "--command", "python timed.py"
            )
            taken[amount] += map(float, said.split())
    print(f"\n{name:12} {'droplet':>10} {'start, median':>14} {'least':>8} {'first staging':>14} {'one line':>9}")
    for amount in AMOUNTS:
        size, times = droplets[amount].stat().st_size / 1e6, taken[amount]
        print(
            f"{amount:12} {size:7.1f} MB {statistics.median(times):12.2f} s {min(times):6.2f} s "
            f"{first[amount]:12.2f} s {warm[amount]:7.3f} s"
        )


if __name__ == "__main__":
    main()
