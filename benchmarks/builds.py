"""What building inside a sandbox costs, beside the same command run bare and beside what people use today.

    python benchmarks/builds.py [ROUNDS]

Needs bubblewrap, npm and a package index. A Vite app is staged; then: with nothing changed, with an edit that no build reads,
and with one that a build reads, round by round beside `npm ci && npm run build && tar | gzip -6` in a folder of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 5
MODULES = 500
PACKAGE = {
    "name": "front",
    "private": True,
    "type": "module",
    "scripts": {"build": "vite build"},
    "devDependencies": {"vite": "7.1.0"},
}
AGAIN = "npm run --silent build && tar cf - dist | gzip -6 > ../plain.tgz"
SETTINGS = "builds:\n  build: {inputs: ['**', '!docs/**']}\n"


def app(folder: Path) -> Path:
    """A front end of so many modules."""
    (folder / "src").mkdir(parents=True)
    (folder / "docs").mkdir()
    (folder / "package.json").write_text(json.dumps(PACKAGE))
    (folder / "stager.yml").write_text(SETTINGS)
    (folder / "index.html").write_text(
        '<!doctype html><div id=app></div><script type=module src="/src/main.js"></script>'
    )
    names = [f"m{number}" for number in range(MODULES)]
    for name in names:
        (folder / f"src/{name}.js").write_text(f"export const {name} = document.title + '{name}'\n")
    imports = "".join(f"import {{ {name} }} from './{name}.js'\n" for name in names)
    (folder / "src/main.js").write_text(imports + f"document.body.append([{', '.join(names)}].join())\n")
    return folder


def seconds(act: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def run(command: list[str], folder: Path, **env: str) -> str:
    """Run a program; its standard output."""
    done = subprocess.run(command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def stager(folder: Path, store: Path, *words: str) -> dict[str, object]:
    """A command of stager's, as JSON."""
    text = run(
        [sys.executable, "-m", "stager", *words, str(folder), "--json", "-q"],
        folder.parent,
        STAGER_CACHE_DIR=str(store),
    )
    return dict(json.loads(text)) if text.strip() else {}


def stage(folder: Path, store: Path) -> dict[str, object]:
    """Stage beside the folder."""
    return stager(folder, store, "stage", "-o", str(folder.parent / "droplet.tgz"))


def plain(folder: Path) -> None:
    """What people use today."""
    run(["sh", "-c", f"npm ci --silent && {AGAIN}"], folder)


def edit(folder: Path, name: str, number: int) -> None:
    """Another content of a file."""
    with open(folder / name, "a", encoding="utf-8") as file:
        file.write(f"// {number}\n")


def ran(document: dict[str, object]) -> float:
    """Seconds that the builds of a staging took, of the first run of each."""
    builds = document.get("builds")
    assert isinstance(builds, list)
    return sum(float(build["seconds"] or 0) for build in builds if build["ran"])


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        ours, theirs, store = app(work / "ours"), app(work / "theirs"), work / "store"
        stager(ours, store, "lock")
        shutil.copy(ours / "package-lock.json", theirs)
        rows: dict[str, list[float]] = {}

        def row(name: str, value: float) -> None:
            rows.setdefault(name, []).append(value)

        row("cold: stage, its root made, packages fetched", seconds(lambda: stage(ours, store)))
        row("cold: npm ci, build, tar | gzip", seconds(lambda: plain(theirs)))
        for number in range(rounds):
            row("nothing changed", seconds(lambda: stage(ours, store)))
            (ours / "docs/x.md").write_text(str(number))
            row("an edit that no build reads", seconds(lambda: stage(ours, store)))
            edit(ours, "src/m0.js", number)
            began = time.monotonic()
            told = stage(ours, store)
            row("an edit that a build reads", time.monotonic() - began)
            row("… of which the build's own first run", ran(told))
            edit(theirs, "src/m0.js", number)
            row("peer: npm ci, build, tar | gzip", seconds(lambda: plain(theirs)))
            row("peer: build, tar | gzip", seconds(lambda: run(["sh", "-c", AGAIN], theirs)))
        for name, values in rows.items():
            print(f"{name:48} {statistics.median(values):8.3f} s   {min(values):8.3f} … {max(values):8.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
