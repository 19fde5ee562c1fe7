"""The axes of promise 1: ways in which two machines differ, and staging one app under any of them.

An axis is data: how the app's files come to be on the disk, in what surroundings the command runs, and which `leak` of the
naive archiver (`naive.py`) it feeds. Beside each droplet that archive is made in the same surroundings: where it does not
come out different, the variation did not happen and the axis proves nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from naive import OUTPUT
from written import written

LIMIT = 600.0
"""Seconds for one staging, cold ones included."""
STRANGER = 23456
"""A user that owns nothing on any machine."""
NAIVE = Path(__file__).with_name("naive.py")
ZLIB_NG = Path(__file__).with_name("zlib_ng_site")


@dataclass(frozen=True)
class Axis:
    """One way to differ; `leak` names what the naive archiver must let through for its output to change.

    `wrapper` goes in front of the command (`before` in front of the unvaried one), `needs` names the program it takes.
    `prepare` dresses the copied app, `mount` puts it behind another file system. `store` is `warm`, `cold`, `half` (every
    second file gone) or `damaged` (then checked). `reprotest` is that tool's name for the axis.
    """

    name: str
    leak: str
    reprotest: str = ""
    umask: int = 0o022
    variables: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    needs: str = ""
    root: bool = False
    folder: str = "app"
    inside: bool = False
    """Whether the command runs inside the app's folder, without naming it."""
    backwards: bool = False
    """Whether the app's files are created in reverse order, which turns the directory order on many file systems."""
    mtime: int = 1_700_000_000
    owner: int = -1
    store: str = "warm"
    options: tuple[str, ...] = ()
    jobs: int = 1
    prepare: Callable[[Path], None] | None = None
    mount: bool = False
    place: str = ""
    """Another file system to work on."""
    python: str = sys.executable

    @property
    def base(self) -> Axis:
        """The unvaried surroundings that this axis is compared with."""
        return Axis("base", self.leak, wrapper=self.before, place=self.place if self.backwards else "")


# --- what an axis does to the app's files ----------------------------------------------------------------------


def _hard_links(folder: Path) -> None:
    """Files with equal content become one file of two names, as some checkouts and caches do it."""
    first, second = folder / "twin one", folder / "twin two"
    second.unlink()
    second.hardlink_to(first)


def _attributes(folder: Path) -> None:
    os.setxattr(folder / "zeros", "user.origin", b"elsewhere")


def _sparse(folder: Path) -> None:
    path = folder / "zeros"
    size = path.stat().st_size
    with path.open("wb") as file:
        file.truncate(size)


def _cloned(folder: Path) -> None:
    """The folder becomes a git clone of itself."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "core.autocrlf=false"]
    origin = folder.parent / "origin"
    folder.rename(origin)
    for command in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-qm", "all"]):
        subprocess.run([*git, "-C", str(origin), *command], check=True, capture_output=True)
    subprocess.run([*git, "clone", "-q", str(origin), str(folder)], check=True, capture_output=True)


def _worked_in(folder: Path) -> None:
    """Every command of stager has left its output in the folder, of this app or of another."""
    for path in written().iterdir():
        place = folder / OUTPUT / path.name
        if path.is_dir():
            shutil.copytree(path, place)
        else:
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, place)
            shutil.copyfile(path, folder / f"{OUTPUT}{path.name}")
    shutil.copyfile(written() / "droplet", folder / f".{OUTPUT}.0123456789ab.part")


def _in_uts(*command: str) -> tuple[str, ...]:
    return ("unshare", "--uts", "sh", "-c", 'hostname elsewhere.example && exec "$@"', "sh", *command)


def _stranger() -> tuple[str, ...]:
    """Run as another user, who keeps the right to reach the checkout and the store wherever they are."""
    rights = "+dac_override,+dac_read_search"
    user = (f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    return ("setpriv", *user, f"--inh-caps={rights}", f"--ambient-caps={rights}")


def _clock(time: str) -> tuple[str, ...]:
    """A clock that stands still. The library is loaded without its program, whose semaphores outlive killed processes."""
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), Path("libfaketime.so.1"))
    still = ("FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_FORCE_MONOTONIC_FIX=0", "FAKETIME_DISABLE_SHM=1")
    return ("env", f"LD_PRELOAD={library}", f"FAKETIME={time}", *still)


_NOWHERE = "/nonexistent"
_PTY = ("script", "-qefc", 'eval "exec $STAGER_COMMAND"', os.devnull)
"""util-linux's `script` gives a terminal; it takes one shell line, which `_run` leaves in this variable."""

AXES = [
    Axis("umask", "mode", "umask", umask=0o077),
    Axis("open umask", "mode", umask=0),
    Axis("file times", "mtime", mtime=1_000_000_001),
    Axis("files before 1970", "mtime", mtime=-86_400),
    Axis("time zone", "zone", "timezone", variables={"TZ": "Asia/Kathmandu"}),
    Axis(
        "locale",
        "locale",
        "locales",
        variables={"LC_ALL": "C", "LANGUAGE": "tr", "PYTHONUTF8": "0"},
        before=("env", "LC_ALL=C.UTF-8"),
    ),
    Axis("home", "home", "home", variables={"HOME": _NOWHERE, "XDG_CACHE_HOME": _NOWHERE, "USER": "nobody"}),
    Axis(
        "environment",
        "environment",
        "environment",
        variables={"CI": "true", "LD_TRACE": "", "EDITOR": "ed", "A_B": "c"},
    ),
    Axis("search path", "search path", "exec_path", variables={"PATH": f"/opt/first:{os.environ.get('PATH', '')}"}),
    Axis("no host tools", "tools", variables={"PATH": _NOWHERE}),
    Axis("working folder", "working folder", inside=True),
    Axis("path", "path", "build_path", folder="/".join(["deep"] * 20) + "/Ünïcode app"),
    Axis("hash seed", "hash seed", variables={"PYTHONHASHSEED": "4242"}),
    Axis("creation order", "order", backwards=True, place="/dev/shm"),
    Axis("one processor", "processors", "num_cpus", wrapper=("taskset", "-c", "0")),
    Axis("many threads", "jobs", options=("--jobs", "7"), jobs=7),
    Axis("another epoch", "epoch", variables={"SOURCE_DATE_EPOCH": "12345"}),
    Axis("optimised interpreter", "optimisation", variables={"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"}),
    Axis("cold store", "store", store="cold"),
    Axis("half a store", "store", store="half"),
    Axis("damaged store", "store", store="damaged"),
    Axis("kernel", "kernel", "kernel", wrapper=("setarch", "--uname-2.6"), needs="setarch"),
    Axis("addresses", "addresses", "aslr", before=("setarch", "-R"), needs="setarch"),
    Axis("few descriptors", "descriptors", wrapper=("prlimit", "--nofile=64"), needs="prlimit"),
    Axis("low priority", "niceness", wrapper=("nice", "-n", "7")),
    Axis("closed input", "standard input", wrapper=("sh", "-c", 'exec "$@" <&-', "sh")),
    Axis("a terminal", "terminal", wrapper=_PTY, needs="script"),
    Axis("hard links", "links", prepare=_hard_links),
    Axis("extended attributes", "attributes", prepare=_attributes),
    Axis("sparse files", "blocks", prepare=_sparse),
    Axis("git clone", "checkout", prepare=_cloned, needs="git"),
    Axis("outputs of every command", "outputs", folder="elsewhere/app", store="cold", prepare=_worked_in),
    Axis("file system", "file system", place="/dev/shm"),
]
"""What any Linux machine can vary."""

ROOT_AXES = [
    # A store belongs to one user, so this one begins with its own.
    Axis("user", "owner", "user_group", wrapper=_stranger(), owner=STRANGER, store="cold", root=True, needs="setpriv"),
    Axis("host name", "host name", "domain_host", wrapper=_in_uts(), root=True, needs="unshare"),
]
"""What only root can vary."""

TOOL_AXES = [
    Axis("a shuffling file system", "order", "fileordering", mount=True, root=True, needs="disorderfs"),
    Axis(
        "a clock in the past",
        "time",
        wrapper=_clock("2001-02-03 04:05:06"),
        before=_clock("2020-01-01 00:00:00"),
        needs="faketime",
    ),
    Axis(
        "a clock in the future",
        "time",
        "time",
        wrapper=_clock("2037-12-31 23:59:59"),
        before=_clock("2020-01-01 00:00:00"),
        needs="faketime",
    ),
    Axis("another zlib", "compressor", variables={"PYTHONPATH": str(ZLIB_NG)}),
]
"""What takes a program or package that a machine may lack; `.ci/run` installs them."""

NOT_RUN = {
    "a clock before 1980 or after 2038": "libfaketime cannot set it for every call that Python makes",
    "a 32-bit machine": "no 32-bit interpreter is installed",
    "another processor model": "one machine has one; Arm is emulated in test_arm",
}
"""What differs between machines and is not varied here."""


def host_axes() -> list[Axis]:
    """One axis for each other machine that `STAGER_TEST_HOSTS` names by a program that acts as its Python.

    `.ci/run` makes the roots of three suites of Debian, each with its own Python, zlib, OpenSSL and C library.
    """
    paths = os.environ.get("STAGER_TEST_HOSTS", "").split(os.pathsep)
    return [Axis(f"host {Path(path).parent.parent.name}", "python", python=path) for path in paths if path]


def missing(axis: Axis) -> str:
    """Why this machine cannot vary the axis; empty when it can."""
    if axis.root and os.geteuid() != 0:
        return "only root can vary this"
    if axis.needs and not shutil.which(axis.needs):
        return f"{axis.needs} is not installed"
    if axis.leak == "processors" and len(os.sched_getaffinity(0)) < 2:
        return "this machine has one processor"
    return ""


# --- staging under an axis -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """The digests of one staging: of the droplet's whole file, and of the naive archive with and without its leak."""

    droplet: str
    leaking: str
    sound: str


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
    if axis.prepare:
        axis.prepare(folder)
    for path in [folder, *(path for path in folder.rglob("*") if ".git" not in path.parts)]:
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
    """Stage a copy of the app as the axis says, with the naive archives beside it; return all three digests."""
    with _place(axis, scratch) as here:
        folder = copy(app, here / "apps", axis)
        own = _store(axis, store, here)
        if axis.owner >= 0:
            os.chown(here, axis.owner, axis.owner)
        with mounted(axis, folder, here) as seen:
            where = seen if axis.inside else here
            made = _naive(axis, seen, here, own, where)
            command = [axis.python, "-m", "stager", "stage", *([] if axis.inside else [str(seen)])]
            command += ["-o", str(here / "droplet.tgz"), "--cache-dir", str(own), *axis.options, *options]
            run(axis, command, where)
        return Outcome(_digest(here / "droplet.tgz"), *made)


def control(app: Path, axis: Axis, scratch: Path, store: Path) -> Outcome:
    """The naive archives of the unvaried machine that an axis is compared with; no droplet."""
    base = axis.base
    with _place(base, scratch) as here:
        folder = copy(app, here / "apps", base)
        return Outcome("", *_naive(base, folder, here, store, here))


def _naive(axis: Axis, folder: Path, here: Path, store: Path, where: Path) -> tuple[str, str]:
    """The digests of the archives with and without the axis' leak; one process makes both."""
    outputs = [(axis.leak, here / "leaking.tar.gz"), ("none", here / "sound.tar.gz")]
    for _, out in outputs:
        out.touch()
        out.chmod(0o666)
    named = [f"{leak}={out}" for leak, out in outputs]
    run(axis, [axis.python, str(NAIVE), str(folder), str(store), str(axis.jobs), *named], where)
    return _digest(outputs[0][1]), _digest(outputs[1][1])


@contextmanager
def _place(axis: Axis, scratch: Path) -> Iterator[Path]:
    """Where the work is done: in the test's own folder, or on another file system."""
    if not axis.place:
        yield scratch
        return
    folder = Path(axis.place) / f"stager-{os.getpid()}-{scratch.name}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def mounted(axis: Axis, folder: Path, here: Path) -> Iterator[Path]:
    """The folder behind a file system that gives its names in another order at every reading."""
    if not axis.mount:
        yield folder
        return
    seen = here / "shuffled"
    seen.mkdir()
    subprocess.run(
        ["disorderfs", "--shuffle-dirents=yes", "-q", str(folder), str(seen)], check=True, capture_output=True
    )
    try:
        yield seen
    finally:
        subprocess.run(["umount", str(seen)], check=True)


def _store(axis: Axis, store: Path, here: Path) -> Path:
    """The store that the axis begins with; the shared one is never touched."""
    if axis.store == "warm":
        return store
    own = here / "store"
    if axis.store != "cold" and store.exists():
        shutil.copytree(store, own)
        blobs = sorted(path for path in own.glob("v1/*/**/*") if path.is_file())
        for number, path in enumerate(blobs):
            if axis.store == "half" and number % 2:
                path.unlink()
            elif axis.store == "damaged" and "blobs" in path.parts and number % 3 == 0:
                path.chmod(0o600)
                data = path.read_bytes()
                path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if data else b"x")
    if axis.store == "damaged":
        subprocess.run(
            [sys.executable, "-m", "stager", "cache", "verify", "--cache-dir", str(own)],
            capture_output=True,
            check=False,
        )
    return own


def run(axis: Axis, command: list[str], cwd: Path) -> str:
    """Run a command in the axis' surroundings; it must end well. All that it said."""
    environment = {**os.environ, **axis.variables}
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in command)
    full = [*axis.wrapper, *([] if axis.wrapper == _PTY else command)]
    done = subprocess.run(
        [shutil.which(full[0]) or full[0], *full[1:]],
        cwd=cwd,
        env={**environment, **({"STAGER_COMMAND": quoted} if axis.wrapper == _PTY else {})},
        umask=axis.umask,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, f"{axis.name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
