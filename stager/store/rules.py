"""The identity of what stager itself does, for memo keys: what other rules have made is never taken for what these make.

It is a digest over the contents of every module that has a say in a droplet's bytes or in what is told about it, and the data
that stager brings along. So no number has to be raised with a rule, several versions may share a store, and the same version
installed again, or elsewhere, still knows what it made. The files are read once: the store keeps the digest beside their sizes
and times. On the warm path; imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import os
import time

from ..digest import key_of
from ..text import resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Store

    Row = tuple[str, os.stat_result]

FOLDERS = (
    "builds", "droplet", "ecosystems", "facts", "files", "formats", "planning", "runtimes", "sandbox", "store", "text", "tree",
)  # fmt: skip
"""The packages below `stager/` whose modules make what a memo of a staging holds, beside the modules right there.

A test holds them against imports. The others keep no such result: they plan, which ends in a lock, they fetch what a digest
names, or they take droplets further. So a warm restage looks at less than half of the files.
"""
_YOUNG = 2_000_000_000
"""A file stamped less than this many nanoseconds ago may change again within its stamp's resolution."""


_loaded: list[str] = []
"""The identity as this process found it first: its rules are those that it has loaded, whatever becomes of the files."""


def key(store: Store, *parts: object) -> str:
    """A memo key for what the rules of this very stager make of `parts`."""
    return key_of(identity(store), *parts)


def identity(store: Store) -> str:
    """The hex digest of this process's rules; `store` keeps what was found out for the next one."""
    if not _loaded:
        _loaded.append(read(store))
    return _loaded[0]


def read(store: Store) -> str:
    """The hex digest of the rules as the files have them now."""
    package = resources.PACKAGE
    rows = _rows(package)
    lines = [f"{path}\n{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}" for path, found in rows]
    stamp = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
    known: str | None = store.recall("rules", stamp)
    if known is None:
        known = _digest(package, rows)
        if max(max(found.st_mtime_ns, found.st_ctime_ns) for _, found in rows) < time.time_ns() - _YOUNG:
            store.remember("rules", stamp, known)
    return known


def _rows(package: str) -> list[Row]:
    """Every file that belongs to the rules, with its status; of a stager inside an archive, the archive."""
    if not os.path.isdir(package):
        while not os.path.exists(package):
            package = os.path.dirname(package)
        return [(package, os.stat(package))]
    boxes = resources.folder("boxes")
    rows = [(path, os.stat(path)) for name in resources.names("boxes") if (path := f"{boxes}/{name}/box.yml")]
    todo = [package, *(f"{package}/{name}" for name in FOLDERS), resources.folder("buildpacks")]
    for folder in todo:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue  # an editor's
                if not entry.is_dir():
                    rows.append((entry.path, entry.stat()))
                elif folder is not package and entry.name != "__pycache__":
                    todo.append(entry.path)
    return sorted(rows)


def _digest(package: str, rows: list[Row]) -> str:
    """Of every file's name and bytes, wherever they lie: names count from the folder of the package, or of the data."""
    roots = {package: "stager", **{resources.folder(kind): kind for kind in resources.DEFINITIONS}}
    state = hashlib.sha256()
    for name, path in sorted((_name(path, roots), path) for path, _ in rows):
        with open(path, "rb") as file:
            data = file.read()
        state.update(f"{name}\0{len(data)}\0".encode("utf-8", "surrogatepass"))
        state.update(data)
    return state.hexdigest()


def _name(path: str, roots: dict[str, str]) -> str:
    root = max((root for root in roots if path.startswith(f"{root}/")), key=len, default="")
    return roots[root] + path[len(root) :] if root else os.path.basename(path)
