"""What building inside a sandbox costs, beside the same command run bare and beside what people use today.

    python benchmarks/builds.py [ROUNDS]

Needs bubblewrap, mmdebstrap, npm and a package index. A Vite app is staged cold, with nothing changed, with an edit that no
build reads, and with one that a build reads, round by round beside `npm ci && npm run build && tar | gzip -6` in a folder of
its own. Its command then runs bare and sandboxed by turns, in the same root and folder. Each row has whole processes: the
median of the wall's seconds, the least and most, and the median of the processors' seconds, which other work disturbs less.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stager import sandbox
from stager.builds import apps, roots, running
from stager.builds.compare import FIRST
from stager.droplet import built
from stager.droplet.incremental import Folder
from stager.net.indexes import Indexes
from stager.planning import lockfile, surroundings
from stager.sandbox.inside import environment
from stager.sandbox.job import Job
from stager.settings import Settings
from stager.store import Store

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
COMMITTED = "builds: {build: no}\n"
SDIST = "docopt==0.6.2\n"
"""A package of which there is no wheel."""


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


class Rows:
    """What was measured, by name."""

    def __init__(self) -> None:
        self._wall: dict[str, list[float]] = {}
        self._cpu: dict[str, list[float]] = {}

    def time(self, name: str, act: Callable[[], object]) -> None:
        """Measure something that runs processes."""
        began, before = time.monotonic(), _used()
        act()
        self._wall.setdefault(name, []).append(time.monotonic() - began)
        self._cpu.setdefault(name, []).append(_used() - before)

    def median(self, name: str) -> float:
        """Of the wall's seconds."""
        return statistics.median(self._wall[name])

    def show(self) -> None:
        """Print them all."""
        for name, values in self._wall.items():
            wall, cpu = statistics.median(values), statistics.median(self._cpu[name])
            print(f"{name:52} {wall:8.3f} s ({min(values):.3f} … {max(values):.3f})   processors {cpu:8.3f} s")


def _used() -> float:
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in found)


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


def stage(folder: Path, store: Path) -> list[str]:
    """Stage beside the folder; the names of the builds that ran."""
    builds = stager(folder, store, "stage", "-o", str(folder.parent / f"{folder.name}.tgz")).get("builds", [])
    assert isinstance(builds, list)
    return [build["name"] for build in builds if build["ran"]]


def plain(folder: Path, cache: Path) -> None:
    """What people use today."""
    run(["sh", "-c", f"npm ci --silent && {AGAIN}"], folder, npm_config_cache=str(cache))


def edit(folder: Path, name: str, number: int) -> None:
    """Another content of a file."""
    with open(folder / name, "a", encoding="utf-8") as file:
        file.write(f"// {number}\n")


def settings_of(store: Path) -> Settings:
    """How to use a store from here."""
    return Settings(Store(str(store)), lambda: Indexes.from_environment(os.environ, home=str(Path.home())))


def cold(rows: Rows, work: Path, ours: Path, theirs: Path) -> Path:
    """Nothing is there: all of it, then the root alone and what is left; the store of these."""
    shutil.copytree(ours, work / "first")
    rows.time("cold, the machine's first: stage", lambda: stage(work / "first", work / "all"))
    store = work / "store"
    plan = lockfile.loads((ours / "stager.lock").read_bytes()).plan
    root, making = surroundings.root_of(plan, plan.builds[0]), roots.making(settings_of(store))
    rows.time("… of which the root, once a machine", lambda: roots.made(root, plan.architecture, making))
    rows.time("cold, the root is there: stage", lambda: stage(ours, store))
    rows.time("cold: npm ci, build, tar | gzip", lambda: plain(theirs, work / "npm"))
    rows.time("npm's cache is there: npm ci, build, tar | gzip", lambda: plain(theirs, work / "npm"))
    return store


def restaged(rows: Rows, rounds: int, ours: Path, theirs: Path, store: Path) -> None:
    """Edits, and none; beside the peer, and beside the same app with its output committed."""
    committed = shutil.copytree(ours, ours.parent / "committed")
    (committed / "stager.lock").unlink()
    (committed / "stager.yml").write_text(COMMITTED)
    shutil.copytree(theirs / "dist", committed / "dist")
    stage(committed, store)
    for number in range(rounds):
        rows.time("nothing changed", lambda: stage(ours, store))
        for one in (committed, ours):
            (one / "docs/x.md").write_text(str(number))
        rows.time("an edit that no build reads", lambda: stage(ours, store))
        rows.time("… of the app with its output committed", lambda: stage(committed, store))
        for one in (ours, theirs):
            edit(one, "src/m0.js", number)
        rows.time("an edit that a build reads", lambda: stage(ours, store))
        rows.time("peer: npm ci, build, tar | gzip", lambda: plain(theirs, ours.parent / "npm"))
        rows.time("peer: build, tar | gzip", lambda: run(["sh", "-c", AGAIN], theirs))


@contextmanager
def laid_out(folder: Path, store: Path) -> Iterator[Job]:
    """The app's build as it is to run."""
    settings = settings_of(store)
    read = Folder.read(str(folder), settings.store)
    plan = lockfile.loads((folder / "stager.lock").read_bytes()).plan
    build, record = plan.builds[0], built.app_builds(plan, settings.store)[0]

    def fill(app: str, reverse: bool) -> None:
        apps.lay(read.tree, record, app, reverse)

    with (
        running.place(plan, build, read, settings, {}) as where,
        running.laid_out(
            where, build.command, FIRST, settings, str(folder.parent / "log"), fill=fill, env=dict(build.env)
        ) as job,
    ):
        yield job


def bare(job: Job) -> None:
    """The command of a job in its root and folder, with nothing around it."""
    variables = [word for name, value in environment(job).items() for word in ("--setenv", name, value)]
    places = ["--bind", job.root.path, "/", "--bind", job.app, "/app", "--bind", job.scratch, "/tmp"]
    own = ["--proc", "/proc", "--dev", "/dev", "--chdir", "/app", "--clearenv"]
    run(["bwrap", *places, *own, *variables, "--", *job.command], Path("/"))


def sandboxed(job: Job) -> None:
    """The same as builds run."""
    ended = sandbox.run(job, stop=lambda: False, tell=lambda _: None)
    assert not ended.status, ended


def overhead(rows: Rows, rounds: int, folder: Path, store: Path) -> None:
    """The command bare and sandboxed, by turns."""
    with laid_out(folder, store) as job:
        sandboxed(job)
        for _ in range(2 * rounds):
            rows.time("the build's command, bare in the same root", lambda: bare(job))
            rows.time("… sandboxed", lambda: sandboxed(job))


def second_app(work: Path, store: Path) -> None:
    """Two apps with one package that is built from its source: the second one builds nothing."""
    ran = []
    for name in ("one", "two"):
        folder = work / name
        folder.mkdir()
        (folder / "requirements.in").write_text(SDIST)
        (folder / "main.py").write_text(f"import docopt\nprint('{name}')\n")
        stager(folder, store, "lock")
        ran.append([build for build in stage(folder, store) if build.startswith("docopt")])
    assert len(ran[0]) == 1, ran
    assert not ran[1], ran
    print(f"builds of a package's source: the first app {len(ran[0])}, the second {len(ran[1])}")


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        work, rows = Path(place), Rows()
        ours, theirs = app(work / "ours"), app(work / "theirs")
        stager(ours, work / "locks", "lock")
        shutil.copy(ours / "package-lock.json", theirs)
        store = cold(rows, work, ours, theirs)
        restaged(rows, rounds, ours, theirs, store)
        overhead(rows, rounds, ours, store)
        rows.show()
        more = rows.median("… sandboxed") - rows.median("the build's command, bare in the same root")
        print(f"the sandbox takes {more:.3f} s more")
        hit = rows.median("an edit that no build reads") - rows.median("… of the app with its output committed")
        print(f"a build that is remembered takes {hit * 1000:.1f} ms more")
        second_app(work, store)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
