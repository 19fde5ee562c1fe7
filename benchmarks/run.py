"""Measures stager beside what people use today, in one run on one machine; medians of whole processes.

    python benchmarks/run.py [--apps flask,data,express] [--rounds 7] [--cold] [--json FILE]

Each app is made fresh below build/bench: its lock by its ecosystem's own resolver, its source files by this script. The
peers are uv (or npm) with a warm cache into a fresh folder, followed by `tar | gzip -6` and `tar | pigz -6`. A droplet also
carries the runtime; the rows called "full" pack the same runtime with the peer's tree (its unpacking is not counted), so that
both make archives of equal content.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "bench"
STAGER = [str(Path(sys.executable).with_name("stager"))]
UV = str(Path(sys.executable).with_name("uv"))

PYTHON_APPS = {
    "flask": (
        [
            "flask",
            "gunicorn",
            "requests",
            "sqlalchemy",
            "psycopg2-binary",
            "redis",
            "pydantic",
            "flask-sqlalchemy",
            "celery",
        ],
        60,
    ),
    "data": (["django", "gunicorn", "numpy", "pandas", "scikit-learn"], 150),
}
NODE_PACKAGES = [
    "express", "webpack", "webpack-cli", "mocha", "eslint", "react", "react-dom", "@mui/material", "axios", "lodash",
    "mongoose", "socket.io", "winston", "typescript", "babel-loader", "@babel/preset-env", "@babel/core",
    "@aws-sdk/client-s3", "firebase-admin", "graphql",
]  # fmt: skip


class Measured:
    """One command's runs: wall seconds and peak memory of its biggest process in MiB."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.memory: list[float] = []

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def run(command: list[str] | str, *, cwd: Path = PLACE, env: dict[str, str] | None = None) -> tuple[float, float]:
    """Run one process to its end; (wall seconds, peak MiB). A failure ends the benchmark with its output."""
    shell = isinstance(command, str)
    with (PLACE / "last.log").open("wb") as log:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, shell=shell, cwd=cwd, env={**os.environ, **(env or {})}, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command} failed:\n{(PLACE / 'last.log').read_text()[-3000:]}")
    return seconds, usage.ru_maxrss / 1024


def measure(rows: dict[str, Callable[[], tuple[float, float]]], rounds: int) -> dict[str, Measured]:
    """Run every row once a round, in turn, so that what else the machine does falls on all alike."""
    found = {name: Measured() for name in rows}
    for _ in range(rounds):
        for name, act in rows.items():
            seconds, memory = act()
            found[name].seconds.append(seconds)
            found[name].memory.append(memory)
    return found


def fresh(name: str) -> Path:
    """A folder that did not exist a moment ago; old ones are renamed aside and deleted only at the end (ext4 is slow
    to create files right after others were deleted)."""
    folder = PLACE / name
    if folder.exists():
        folder.rename(PLACE / f"old-{time.time_ns()}")
    folder.mkdir(parents=True)
    return folder


# --- apps ------------------------------------------------------------------------------------------------------


def python_app(name: str) -> Path:
    packages, modules = PYTHON_APPS[name]
    app = fresh(f"app-{name}")
    listed = ", ".join(json.dumps(item) for item in packages)
    (app / "pyproject.toml").write_text(
        f'[project]\nname = "bench"\nversion = "1"\nrequires-python = ">=3.11,<3.12"\ndependencies = [{listed}]\n'
    )
    (app / "Procfile").write_text("web: gunicorn app:app\n")
    (app / "app.py").write_text(
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'ok']\n"
    )
    for number in range(modules):
        file = app / f"package{number % 7}" / f"module{number}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"def function_{n}(a, b):\n    return a * {n} + b - {number}\n\n" for n in range(120)))
    run([UV, "lock", "--python", sys.executable], cwd=app)
    return app


def node_app(name: str) -> Path:
    app = fresh(f"app-{name}")
    manifest = {
        "name": "bench", "version": "1.0.0", "scripts": {"start": "node server.js"}, "engines": {"node": "22.x"},
        "dependencies": dict.fromkeys(NODE_PACKAGES, "*"),
    }  # fmt: skip
    (app / "package.json").write_text(json.dumps(manifest, indent=2))
    (app / "server.js").write_text("require('express')().get('/', (q, r) => r.send('ok')).listen(process.env.PORT)\n")
    for number in range(400):
        file = app / "src" / f"part{number % 20}" / f"module{number}.js"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"exports.f{n} = (a, b) => a * {n} + b - {number};\n" for n in range(150)))
    run(["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=app)
    return app


def edit(app: Path) -> None:
    """Change one line of one source file."""
    file = next(iter(sorted([*app.glob("package3/*.py"), *app.glob("src/part3/*.js")])))
    comment = "#" if file.suffix == ".py" else "//"
    file.write_text(f"{comment} {time.time_ns()}\n" + file.read_text().split("\n", 1)[1])


# --- scenarios -------------------------------------------------------------------------------------------------


class Case:
    """One app with its stores, its installed tree for the peers, and its droplet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.python = name in PYTHON_APPS
        self.app = python_app(name) if self.python else node_app(name)
        self.store = fresh(f"store-{name}")
        self.droplet = PLACE / f"{name}.tgz"
        self.stage(self.store)
        self.stage(self.store)
        if self.python:
            export = [UV, "export", "--frozen", "--no-dev", "--no-emit-project", "-o", str(PLACE / f"{name}.txt")]
            run(export, cwd=self.app)
        self.runtime = self.unpack_runtime()
        self.installed = self.install()[0]
        self.full = self.install()[0]
        run(["cp", "-al", str(self.runtime), str(self.full / "runtime")])

    def stage(self, store: Path, *, out: Path | None = None, options: tuple[str, ...] = ()) -> tuple[float, float]:
        command = [*STAGER, "stage", str(self.app), "-q", "-o", str(out or self.droplet), *options]
        return run(command, env={"STAGER_CACHE_DIR": str(store)})

    def unpack_runtime(self) -> Path:
        """The runtime that the droplet carries, for peers that are to make an archive of equal content."""
        folder = fresh(f"runtime-{self.name}")
        run(
            [
                "tar",
                "-xzf",
                str(self.droplet),
                "-C",
                str(folder),
                "./app/.stager/" + ("python" if self.python else "node"),
            ]
        )
        return folder

    def install(self, cache: Path | None = None) -> tuple[Path, float]:
        """The peer's installation into a fresh folder together with the app's files; (folder, seconds)."""
        target = fresh(f"tree-{self.name}-{time.time_ns()}")
        shutil.copytree(self.app, target, dirs_exist_ok=True)
        env = {}
        if self.python:
            command = [
                UV,
                "pip",
                "install",
                "-q",
                "--target",
                str(target / "site"),
                "--python",
                sys.executable,
                "--no-deps",
            ]
            command += ["--link-mode", "hardlink", "-r", str(PLACE / f"{self.name}.txt")]
            env = {"UV_CACHE_DIR": str(cache)} if cache else {}
        else:
            command = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
            env = {"npm_config_cache": str(cache)} if cache else {}
        return target, run(command, cwd=target, env=env)[0]

    def packed(self, packer: str, cache: Path | None = None) -> tuple[float, float]:
        """Install, then pack: what a user's pipeline does."""
        target, seconds = self.install(cache)
        packing = run(f"tar -c -C {target} . | {packer} > {PLACE}/peer.out")
        return seconds + packing[0], packing[1]

    def packed_full(self, packer: str) -> tuple[float, float]:
        """As `packed`, with the runtime packed as well: what makes an archive of equal content."""
        target, seconds = self.install()
        run(["cp", "-al", str(self.runtime), str(target / "runtime")])  # not counted
        packing = run(f"tar -c -C {target} . | {packer} > {PLACE}/peer.out")
        return seconds + packing[0], packing[1]

    def tar(self, tree: Path) -> tuple[float, float]:
        return run(f"tar -c -C {tree} . > {PLACE}/peer.out")

    def artifacts_only(self) -> Path:
        """A store that has this app's artifacts and index pages, and nothing made from them."""
        store = fresh(f"half-{time.time_ns()}")
        code = (
            "import stager,sys,os\n"
            "store=stager.Store(sys.argv[2])\n"
            "tree=stager.SourceTree.read(sys.argv[1])\n"
            "from stager.planning import lockfile\n"
            "plan=lockfile.loads(open(sys.argv[1]+'/stager.lock','rb').read())\n"
            "stager.fetch(plan,store=store)\n"
        )
        run([sys.executable, "-c", code, str(self.app), str(store)])
        return store

    def bump(self) -> None:
        """Change one dependency to a neighbouring version, in manifest and lock, as a developer does."""
        if self.python:
            current = (self.app / "uv.lock").read_text()
            wanted = "gunicorn==22.0.0" if 'name = "gunicorn"\nversion = "23' in current else "gunicorn==23.0.0"
            text = (self.app / "pyproject.toml").read_text()
            start, end = text.index('"gunicorn'), text.index('"', text.index('"gunicorn') + 1)
            (self.app / "pyproject.toml").write_text(text[:start] + f'"{wanted}' + text[end:])
            run([UV, "lock", "--python", sys.executable], cwd=self.app)
        else:
            manifest = json.loads((self.app / "package.json").read_text())
            now = manifest["dependencies"]["axios"]
            manifest["dependencies"]["axios"] = "1.7.9" if now != "1.7.9" else "1.7.8"
            (self.app / "package.json").write_text(json.dumps(manifest, indent=2))
            run(["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=self.app)


def bench(case: Case, rounds: int, cold: bool) -> dict[str, Any]:
    copy = PLACE / "copy.tgz"
    time.sleep(2.1)  # let the stamps of what was just written grow old, as they are when a person works

    def edited() -> tuple[float, float]:
        edit(case.app)
        return case.stage(case.store)

    warm = measure(
        {
            "python -c pass": lambda: run([sys.executable, "-I", "-c", "pass"]),
            "cp": lambda: run(["cp", "--reflink=never", str(case.droplet), str(copy)]),
            "tar": lambda: case.tar(case.installed),
            "tar full": lambda: case.tar(case.full),
            "line": edited,
        },
        rounds,
    )
    time.sleep(2.1)  # a droplet written a moment ago is hashed to be sure it is untouched; later its stamp is enough
    case.stage(case.store)
    warm |= measure({"unchanged": lambda: case.stage(case.store)}, rounds)
    few = max(2, rounds // 3)
    peers = measure(
        {
            "install + gzip": lambda: case.packed("gzip -6"),
            "install + pigz": lambda: case.packed("pigz -6"),
            "full install + gzip": lambda: case.packed_full("gzip -6"),
            "full install + pigz": lambda: case.packed_full("pigz -6"),
        },
        few,
    )
    halves = [case.artifacts_only() for _ in range(few)]
    half = measure({"artifacts only": lambda: case.stage(halves.pop(), out=PLACE / "half.tgz")}, few)
    bumped = measure({"dependency": lambda: bumping(case)}, few)
    found = {**warm, **peers, **half, **bumped}
    if cold:
        found |= measure(
            {
                "cold": lambda: case.stage(fresh(f"cold-{time.time_ns()}"), out=PLACE / "cold.tgz"),
                "cold install + pigz": lambda: case.packed("pigz -6", fresh(f"cache-{time.time_ns()}")),
            },
            2,
        )
    return report(case, found)


def bumping(case: Case) -> tuple[float, float]:
    case.bump()
    case.stage(case.store)  # fetches the new version once; then go back and forth between two known ones
    case.bump()
    case.stage(case.store)
    case.bump()
    return case.stage(case.store)


def report(case: Case, found: dict[str, Measured]) -> dict[str, Any]:
    tree = fresh(f"size-{time.time_ns()}")
    run(["tar", "-xzf", str(case.droplet), "-C", str(tree)])
    run(f"tar -c -C {tree} . | gzip -6 > {PLACE}/peer.out")
    facts: dict[str, Any] = {
        "app": case.name,
        "droplet MB": case.droplet.stat().st_size / 1e6,
        "size / tar|gzip -6 of the same tree": case.droplet.stat().st_size / (PLACE / "peer.out").stat().st_size,
        "seconds": {name: round(row.median, 4) for name, row in found.items()},
        "peak MiB": {name: round(max(row.memory), 1) for name, row in found.items() if name in STAGER_ROWS},
    }
    s = facts["seconds"]
    limit = 0.060 + 2.5 * s["cp"]
    facts["goals"] = {
        "unchanged <= 60 ms": s["unchanged"] * 1000,
        "line / (60 ms + 2.5 cp) <= 1": s["line"] / limit,
        "install+gzip / line >= 30": s["install + gzip"] / s["line"],
        "full install+gzip / line >= 30": s["full install + gzip"] / s["line"],
        "line / tar < 1": s["line"] / s["tar"],
        "line / full tar < 1": s["line"] / s["tar full"],
        "dependency / (60 ms + 2.5 cp) <= 2": s["dependency"] / limit,
        "artifacts only / install+pigz <= 0.4": s["artifacts only"] / s["install + pigz"],
        "artifacts only / full install+pigz <= 0.4": s["artifacts only"] / s["full install + pigz"],
    }
    if "cold" in s:
        facts["goals"]["cold / cold install+pigz <= 0.4"] = s["cold"] / s["cold install + pigz"]
    return facts


STAGER_ROWS = {"line", "unchanged", "dependency", "artifacts only", "cold"}


def machine() -> dict[str, Any]:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--apps", default="flask,data,express")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--cold", action="store_true", help="also measure with empty stores and caches, over the network"
    )
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    results = {"machine": machine(), "apps": []}
    results["help ms"] = measure({"help": lambda: run([*STAGER, "--help"])}, 9)["help"].median * 1000
    for name in arguments.apps.split(","):
        facts = bench(Case(name), arguments.rounds, arguments.cold)
        print(json.dumps(facts, indent=2), flush=True)
        results["apps"].append(facts)
    print(f"stager --help: {results['help ms']:.0f} ms (goal 80)")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    shutil.rmtree(PLACE, ignore_errors=True)


if __name__ == "__main__":
    main()
