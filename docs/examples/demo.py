"""What `make demo` does: two real apps staged from their lock files, launched and asked; then staged as elsewhere.

    python docs/examples/demo.py FOLDER

Each app is staged into FOLDER and launched, and its answer is printed. Then a second "machine" stages a second copy:
another path, other file times and modes, another umask, time zone, locale and hash seed, and a store that starts empty.
Ends with 0 only when both apps answered and both machines have the same droplet.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

SAMPLES = Path(__file__).resolve().parents[2] / "tests" / "apps"
APPS = ("flask-poetry", "express-npm-v3")
ELSEWHERE = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"}


def main(folder: Path) -> int:
    """Run the whole demonstration; return the process exit code."""
    shutil.rmtree(folder, ignore_errors=True)
    return max(demonstrate(name, folder) for name in APPS)


def demonstrate(name: str, folder: Path) -> int:
    """One app on both machines."""
    print(f"\n=== {name}", flush=True)
    here, there = folder / "here", folder / "there" / "on" / "another" / "machine"
    app = checkout(name, here, 0o022)
    stager({"STAGER_CACHE_DIR": str(here / "store")}, 0o022, "lock", app)
    first = stage(app, here, {}, 0o022)
    print(f"    it answers: {launch_and_ask(first, here)!r}")

    other = checkout(name, there, 0o077)
    shutil.copyfile(app / "stager.lock", other / "stager.lock")  # as a clone would have it, once committed
    second = stage(other, there, ELSEWHERE, 0o077)
    digests = [sha256sum(first), sha256sum(second)]
    print("    the same bytes" if digests[0] == digests[1] else "    THE DROPLETS DIFFER", flush=True)
    return int(digests[0] != digests[1])


def checkout(name: str, place: Path, umask: int) -> Path:
    """A clone of the sample app, with the modes and times that a machine with this umask gives it."""
    app = place / name
    shutil.copytree(SAMPLES / name, app, ignore=shutil.ignore_patterns("expect.json"))
    for path in app.rglob("*"):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
        os.utime(path, (umask * 10**7, umask * 10**7))
    return app


def stage(app: Path, place: Path, variables: dict[str, str], umask: int) -> Path:
    """Stage the app with a store of this machine's own; return the droplet."""
    droplet = place / f"{app.name}.tgz"
    stager(variables | {"STAGER_CACHE_DIR": str(place / "store")}, umask, "stage", "--locked", app, "-o", droplet)
    return droplet


def stager(variables: dict[str, str], umask: int, *arguments: str | Path) -> None:
    """Run stager as a user would, showing the command."""
    shown = [*(f"{name}={value}" for name, value in sorted(variables.items())), "stager", *map(shown_path, arguments)]
    print(f"$ umask {umask:03o}; {shlex.join(shown)}", flush=True)
    command = [sys.executable, "-m", "stager", *map(str, arguments)]
    subprocess.run(command, env={**os.environ, **variables}, umask=umask, check=True)


def shown_path(argument: str | Path) -> str:
    """An argument as the reader would type it."""
    return os.path.relpath(argument) if isinstance(argument, Path) else argument


def launch_and_ask(droplet: Path, place: Path) -> str:
    """Launch the droplet's web process on a free port, fetch `/`, stop it; return the answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    print(f"$ stager run {shown_path(droplet)} --port {port}", flush=True)
    command = [sys.executable, "-m", "stager", "run", str(droplet), "--port", str(port)]
    environment = {**os.environ, "STAGER_CACHE_DIR": str(place / "store")}
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
        try:
            return fetch(f"http://127.0.0.1:{port}/", process)
        finally:
            process.terminate()
            process.wait(20)


def fetch(url: str, process: subprocess.Popen[bytes]) -> str:
    """The text at `url`, asked again for up to a minute while the process is starting."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    sys.exit(f"no answer from {url}")


def sha256sum(path: Path) -> str:
    """The SHA-256 of a file, printed as the program of that name does."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    print(f"{digest}  {shown_path(path)}", flush=True)
    return digest


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo")))
