"""A naive archiver that lets exactly one thing about the machine into its output: the control of every axis.

    python naive.py LEAK FOLDER OUT STORE JOBS

Without a leak (`none`) its output is a function of the folder's files. With one it does what build tools really do: it takes
modes, owners or times from the disk, the order from the directory, or writes a stamp file with what it saw.
"""

from __future__ import annotations

import concurrent.futures
import gzip
import hashlib
import io
import locale
import os
import resource
import shutil
import socket
import stat
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

DISK = {"mode", "owner", "mtime", "order", "links", "outputs"}
"""Leaks that are not a stamp: they come with the files themselves."""
OUTPUT = "left by stager "
"""What the names of files and folders begin with that an axis puts there as outputs of earlier runs."""


def descriptor(number: int) -> str:
    """What a standard stream is, or that it is closed."""
    try:
        return f"{stat.S_IFMT(os.fstat(number).st_mode):o} {os.isatty(number)}"
    except OSError:
        return "closed"


def completion(jobs: int) -> list[int]:
    """The order in which equal pieces of work are done by that many threads when the first take longest."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        work = {pool.submit(time.sleep, 0.15 - number / 20): number for number in range(3)}
        return [work[done] for done in concurrent.futures.as_completed(work)]


def attributes(folder: Path) -> list[tuple[str, list[str]]]:
    return [(path.name, os.listxattr(path)) for path in files(folder) if not path.is_symlink()]


def listing(store: Path) -> list[tuple[str, str]]:
    """A store's files with what is in them."""
    found = (path for path in sorted(store.rglob("*")) if path.is_file())
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in found]


def library_address() -> str:
    """Where the C library was loaded."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return next(line for line in maps if "/libc." in line or "/libc-" in line).partition("-")[0]


STAMPS: dict[str, Callable[[Path, Path, int], object]] = {
    "time": lambda folder, store, jobs: time.time(),
    "zone": lambda folder, store, jobs: time.strftime("%Z %z"),
    "locale": lambda folder, store, jobs: locale.setlocale(locale.LC_ALL, ""),
    "home": lambda folder, store, jobs: os.path.expanduser("~"),
    "working folder": lambda folder, store, jobs: os.getcwd(),
    "path": lambda folder, store, jobs: folder,
    "hash seed": lambda folder, store, jobs: list({"a", "b", "c", "d", "e", "f", "g"}),
    "processors": lambda folder, store, jobs: len(os.sched_getaffinity(0)),
    "jobs": lambda folder, store, jobs: completion(jobs),
    "epoch": lambda folder, store, jobs: os.environ.get("SOURCE_DATE_EPOCH"),
    "environment": lambda folder, store, jobs: sorted(os.environ),
    "search path": lambda folder, store, jobs: os.environ["PATH"],
    "tools": lambda folder, store, jobs: [shutil.which(name) for name in ("tar", "gzip", "git", "node")],
    "optimisation": lambda folder, store, jobs: sys.flags.optimize,
    "python": lambda folder, store, jobs: sys.version,
    "compressor": lambda folder, store, jobs: zlib.compress(bytes(range(256)) * 300 + b"stager" * 900, 6),
    "store": lambda folder, store, jobs: listing(store),
    "kernel": lambda folder, store, jobs: os.uname().release,
    "addresses": lambda folder, store, jobs: library_address(),
    "host name": lambda folder, store, jobs: socket.gethostname(),
    "file system": lambda folder, store, jobs: folder.stat().st_dev,
    "blocks": lambda folder, store, jobs: [path.stat().st_blocks for path in files(folder) if path.is_file()],
    "attributes": lambda folder, store, jobs: attributes(folder),
    "terminal": lambda folder, store, jobs: descriptor(2),
    "standard input": lambda folder, store, jobs: descriptor(0),
    "descriptors": lambda folder, store, jobs: resource.getrlimit(resource.RLIMIT_NOFILE),
    "checkout": lambda folder, store, jobs: (folder / ".git").exists(),
    "niceness": lambda folder, store, jobs: os.nice(0),
}
LEAKS = {"none", *DISK, *STAMPS}


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*"), key=os.fsencode) if ".git" not in path.relative_to(folder).parts)


def unsorted(folder: Path) -> Iterator[Path]:
    """In the order in which the file system gives them."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name != ".git":
                yield Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    yield from unsorted(Path(entry.path))


def member(path: Path, folder: Path, leak: str, archive: tarfile.TarFile) -> tarfile.TarInfo:
    if leak != "links":
        archive.inodes = {}  # type: ignore[attr-defined]
    info = archive.gettarinfo(path, os.fsencode(path.relative_to(folder)).decode())
    info.uname = info.gname = ""
    if leak != "owner":
        info.uid = info.gid = 0
    if leak != "mtime":
        info.mtime = 0
    if leak != "mode":
        info.mode = 0o755
    return info


def archive(leak: str, folder: Path, store: Path, jobs: int) -> bytes:
    """The folder as a gzipped tar, with the one leak in it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", encoding="utf-8") as made:
        if leak in STAMPS:
            text = repr(STAMPS[leak](folder, store, jobs)).encode()
            info = tarfile.TarInfo("stamp")
            info.size = len(text)
            made.addfile(info, io.BytesIO(text))
        for path in unsorted(folder) if leak == "order" else files(folder):
            if leak != "outputs" and any(OUTPUT in part for part in path.relative_to(folder).parts):
                continue
            info = member(path, folder, leak, made)
            made.addfile(info, io.BytesIO(path.read_bytes()) if info.isreg() else None)
    return gzip.compress(out.getvalue(), 1, mtime=0)


def main(folder: str, store: str, jobs: str, *outputs: str) -> None:
    """Write the archives that let something through: each output is `leak=file`."""
    for leak, out in (output.split("=", 1) for output in outputs):
        Path(out).write_bytes(archive(leak, Path(folder), Path(store), int(jobs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
