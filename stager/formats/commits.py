"""From a commit of git to one archive of its files, whose bytes are a function of the commit alone.

The files are those of the commit itself. What git makes of them for one machine or by attributes of theirs (line ends,
filters, `export-ignore`, `export-subst`) has no part in it, and nothing that a repository holds is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

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
_MOST, _DEPTH, _BYTES = 150_000, 60, 2 << 30
"""Files, folders upon one another, and bytes of all files."""


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
    and UnsafeEntry for trees that git would not make.
    """
    found = re.match(rb"tree ([0-9a-f]{40})\n", pack.get(commit, COMMIT))
    if found is None:
        raise BadArchive(label, "its commit names no tree")
    files = sorted(_walk(pack, found[1].decode(), b"", 0, label, [0]))
    size = 0
    for one in files:
        content = pack.get(one.name, BLOB)
        size += len(content)
        if size > _BYTES:
            raise BadArchive(label, f"its files have more than {_BYTES} bytes")
        if content.startswith(_LFS) and len(content) < 1024:
            raise Incomplete(f"{_text(one.path)} is kept by Git LFS, outside the repository")
        path = TOP.encode() + b"/" + one.path
        if one.mode == _LINK:
            if not content or b"\0" in content or b"\n" in content:
                raise UnsafeEntry(label, _text(one.path), "is a link to what is no path")
            write(header(path, 0, True, b"2", content))
        else:
            write(header(path, len(content), one.mode == 0o100755) + content + padding(len(content)))
    write(END)


def _walk(pack: Pack, tree: str, above: bytes, depth: int, label: str, count: list[int]) -> Iterator[_File]:
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
        count[0] += 1
        if count[0] > _MOST:
            raise BadArchive(label, f"it has more than {_MOST} files")
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
    try:
        name.decode()
    except UnicodeDecodeError:
        raise UnsafeEntry(label, _text(path), "has a name that is not UTF-8") from None


def _text(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
