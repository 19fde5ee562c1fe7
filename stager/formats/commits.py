"""From a commit of git to one archive of its files, whose bytes are a function of the commit alone.

The files are those of the commit itself. What git makes of them for one machine or by attributes of theirs (line ends,
filters, `export-ignore`, `export-subst`) has no part in it, and nothing that a repository holds is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..names import LONGEST_PATH
from .errors import BadArchive, UnsafeEntry
from .packs import BLOB, COMMIT, TREE, Pack
from .tar import END, header, padding

TOP = "source"
"""The one folder at the top of the archive."""
_FOLDER, _LINK, _MODULE = 0o040000, 0o120000, 0o160000
_FILES = (0o100644, 0o100664, 0o100755)
"""Modes of files; the second is of very old repositories."""
_ENTRY = re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0")
_LFS = b"version https://git-lfs.github.com/spec/"
_MOST, _DEPTH, _BYTES, _PATHS = 150_000, 60, 2 << 30, 64 << 20
"""Files, folders upon one another, and bytes of the whole archive and of all paths together."""
_LONGEST = 255
"""Bytes of one name; file systems have no longer ones (limits.h(0p), NAME_MAX)."""


class Incomplete(Exception):
    """A commit that needs more than its own files: `why` says what."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _File(NamedTuple):
    path: bytes
    mode: int
    name: str


def archive(pack: Pack, commit: str, label: str, write: Callable[[bytes], object]) -> None:
    """Write the files of a commit as a tar archive.

    Raises Missing for what is not in the pack, Incomplete for submodules and files that are elsewhere (Git LFS), BadArchive
    and UnsafeEntry for trees that git would not make or that no file system holds, Cancelled as the pack does.
    """
    found = re.match(rb"tree ([0-9a-f]{40})\n", pack.get(commit, COMMIT))
    if found is None:
        raise BadArchive(label, "its commit names no tree")
    files = sorted(_walk(pack, found[1].decode(), b"", 0, label, _Count()))
    size = 0

    def add(data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size > _BYTES:
            raise BadArchive(label, f"its files have more than {_BYTES} bytes")
        write(data)

    for one in files:
        content = pack.get(one.name, BLOB)
        if content.startswith(_LFS) and len(content) < 1024:
            raise Incomplete(f"{_text(one.path)} is kept by Git LFS, outside the repository")
        path = TOP.encode() + b"/" + one.path
        if one.mode == _LINK:
            if not content or len(content) > LONGEST_PATH or b"\0" in content or b"\n" in content:
                raise UnsafeEntry(label, _text(one.path), "is a link to what is no path")
            add(header(path, 0, True, b"2", content))
        else:
            add(header(path, len(content), one.mode == 0o100755) + content + padding(len(content)))
    add(END)


@dataclass(slots=True)
class _Count:
    """What has come out of trees so far."""

    files: int = 0
    paths: int = 0


def _walk(pack: Pack, tree: str, above: bytes, depth: int, label: str, count: _Count) -> Iterator[_File]:
    """The files below a tree, with all their paths. Trees may share trees, so what is counted is what comes out."""
    if depth > _DEPTH:
        raise BadArchive(label, f"its folders are more than {_DEPTH} deep")
    data, at, seen = pack.get(tree, TREE), 0, set[bytes]()
    while at < len(data):
        found = _ENTRY.match(data, at)
        if found is None or found.end() + 20 > len(data):
            raise BadArchive(label, f"its tree {tree} is malformed")
        at = found.end() + 20
        mode, name, one = int(found[1], 8), found[2], data[found.end() : at].hex()
        path = above + name
        _check(name, path, label)
        if name in seen:
            raise UnsafeEntry(label, _text(path), "is there twice")
        seen.add(name)
        count.files, count.paths = count.files + 1, count.paths + len(path)
        if count.files > _MOST:
            raise BadArchive(label, f"it has more than {_MOST} files")
        if count.paths > _PATHS:
            raise BadArchive(label, f"the paths of its files have more than {_PATHS} bytes")
        if mode == _FOLDER:
            yield from _walk(pack, one, path + b"/", depth + 1, label, count)
        elif mode == _MODULE:
            raise Incomplete(f"{_text(path)} is a submodule, another repository's")
        elif mode == _LINK or mode in _FILES:
            yield _File(path, mode, one)
        else:
            raise UnsafeEntry(label, _text(path), f"has the mode {mode:o}, which git does not make")


def _check(name: bytes, path: bytes, label: str) -> None:
    """No name that is a way elsewhere, or git's own folder (CVE-2014-9390). Raises UnsafeEntry."""
    plain = name.rstrip(b" .").lower()
    if name in (b".", b"..") or plain in (b".git", b"git~1") or b"\\" in name or name != name.strip(b"\r\n"):
        raise UnsafeEntry(label, _text(path), "has a name that a file may not have")
    if len(name) > _LONGEST or len(path) + len(TOP) + 1 > LONGEST_PATH:
        where = f"{_text(path[:80])}…"
        raise UnsafeEntry(label, where, f"is longer than {_LONGEST} bytes a name and {LONGEST_PATH} bytes in all")
    try:
        name.decode()
    except UnicodeDecodeError:
        raise UnsafeEntry(label, _text(path), "has a name that is not UTF-8") from None


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
