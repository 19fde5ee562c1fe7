"""The axes of promise 1: ways in which two machines differ, and staging one app under any of them.

An axis is data: how the app's files come to be on the disk, and in what surroundings the command runs. Beside each
droplet the plain `tar czf` of the same folder is made under the same variation: the control that shows whether the
variation reaches an archive at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LIMIT = 600.0
"""Seconds for one staging, cold ones included."""
STRANGER = 23456
"""A user that owns nothing on any machine."""


@dataclass(frozen=True)
class Axis:
    """One way to differ. `bites` says that a plain tar is known to come out different under it."""

    name: str
    bites: bool = False
    umask: int = 0o022
    variables: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    folder: str = "app"
    inside: bool = False
    """Whether the command runs inside the app's folder, without naming it."""
    backwards: bool = False
    """Whether the app's files are created in reverse order, which turns the directory order on many file systems."""
    mtime: int = 1_700_000_000
    owner: int = -1
    cold: bool = False
    """Whether the store starts empty."""
    python: str = sys.executable


def _stranger() -> tuple[str, ...]:
    """Run as another user, who keeps the right to reach the checkout and the store wherever they are."""
    rights = "+dac_override,+dac_read_search"
    user = (f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    return ("setpriv", *user, f"--inh-caps={rights}", f"--ambient-caps={rights}")


AXES = [
    Axis("umask", bites=True, umask=0o077),
    Axis("open umask", bites=True, umask=0),
    Axis("file times", bites=True, mtime=1_000_000_001),
    Axis("files before 1970", bites=True, mtime=-86_400),
    Axis("time zone", variables={"TZ": "Asia/Kathmandu"}),
    Axis("locale", variables={"LC_ALL": "C", "LANG": "C", "LANGUAGE": "tr", "PYTHONUTF8": "0"}),
    Axis("home", variables={"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent", "USER": "nobody"}),
    Axis("working folder", inside=True),
    Axis("path depth", bites=True, folder="/".join(["deep"] * 20) + "/Ünïcode app"),
    Axis("hash seed", variables={"PYTHONHASHSEED": "4242"}),
    Axis("creation order", backwards=True),
    Axis("one thread", variables={"PYTHON_CPU_COUNT": "1"}, wrapper=("taskset", "-c", "0")),
    Axis("another epoch", variables={"SOURCE_DATE_EPOCH": "12345"}),
    Axis("optimised interpreter", variables={"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"}),
    Axis("cold store", cold=True),
]
"""What every machine can vary."""

ROOT_AXES = [Axis("user", bites=True, wrapper=_stranger(), owner=STRANGER, cold=True)]
"""What only root can vary. A store belongs to one user, so this one begins with its own."""

CLOCK_AXES = [
    Axis("a clock in the past", wrapper=("faketime", "-f", "2001-02-03 04:05:06")),
    Axis("a clock in the future", wrapper=("faketime", "-f", "2037-12-31 23:59:59")),
]
"""What needs Debian's `faketime`."""

BASE = Axis("base")


def host_axes() -> list[Axis]:
    """One axis for each other Python that `STAGER_TEST_HOSTS` names; `.ci/run` makes an environment for each."""
    paths = os.environ.get("STAGER_TEST_HOSTS", "").split(os.pathsep)
    return [Axis(f"host {Path(path).parent.parent.name}", python=path) for path in paths if path]


@dataclass(frozen=True)
class Outcome:
    """The digests of one staging: of the droplet's whole file, and of the plain tar made beside it."""

    droplet: str
    tar: str


def copy(app: Path, into: Path, axis: Axis) -> Path:
    """The app as a clone on the axis' machine: its modes cut by the umask, its owner, times and order of creation."""
    folder = into / axis.folder
    folder.mkdir(parents=True)
    for source in sorted(app.rglob("*"), reverse=axis.backwards):
        target = folder / source.relative_to(app)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        elif source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            shutil.copyfile(source, target)
    for path in [folder, *folder.rglob("*")]:
        _dress(path, axis)
    return folder


def _dress(path: Path, axis: Axis) -> None:
    if axis.owner >= 0:
        os.chown(path, axis.owner, axis.owner, follow_symlinks=False)
    if not path.is_symlink():
        executable = path.is_dir() or bool(path.stat().st_mode & 0o100) or path.read_bytes()[:2] == b"#!"
        path.chmod((0o777 if executable else 0o666) & ~axis.umask)
    os.utime(path, (axis.mtime, axis.mtime), follow_symlinks=False)


def stage(app: Path, axis: Axis, scratch: Path, store: Path, *options: str) -> Outcome:
    """Stage a copy of the app as the axis says, with a plain tar beside it; return both digests."""
    folder = copy(app, scratch / "apps", axis)
    out, plain = scratch / "droplet.tgz", scratch / "plain.tgz"
    if axis.owner >= 0:
        os.chown(scratch, axis.owner, axis.owner)
    command = [axis.python, "-m", "stager", "stage", *([] if axis.inside else [str(folder)])]
    command += ["-o", str(out), "--cache-dir", str(scratch / "store" if axis.cold else store), *options]
    _run(axis, ["tar", "-czf", str(plain), "-C", str(scratch / "apps"), axis.folder], scratch)
    _run(axis, command, folder if axis.inside else scratch)
    return Outcome(_digest(out), _digest(plain))


def _run(axis: Axis, command: list[str], cwd: Path) -> None:
    environment = {**os.environ, **axis.variables}
    full = [*axis.wrapper, *command]
    done = subprocess.run(
        full, cwd=cwd, env=environment, umask=axis.umask, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode == 0, f"{axis.name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
