"""A root filesystem as a value, and the canonical tar it is kept as.

Read from any tar of a root, written as one: entries sorted by the bytes of their paths, each path once, numeric owners, one
time for all, no devices, sockets, pipes or extended attributes. ustar, with PAX records (POSIX.1-2001) only where ustar cannot
hold a name, target or size.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..formats.errors import BadArchive
from ..formats.tar import BLOCK, END
from ..formats.tar_reader import read_entries

_BUFFER = 1 << 20
_KINDS = {"file": b"0", "hardlink": b"1", "link": b"2", "folder": b"5"}
_LARGEST = 0o77777777777


@dataclass(frozen=True, slots=True)
class RootItem:
    """A file, link or folder. A file's bytes are `data`, or `size` bytes at `offset` of the tar it was read from.

    Files with the same `inode` (not empty) are one file with several names.
    """

    kind: str
    """`file`, `link` or `folder`."""
    mode: int
    uid: int = 0
    gid: int = 0
    target: str = ""
    data: bytes | None = None
    offset: int = 0
    size: int = 0
    inode: str = ""


@dataclass(slots=True)
class Tree:
    """The items of a root by their path, which has no leading and no final slash; `fd` is the tar they were read from."""

    items: dict[str, RootItem] = field(default_factory=dict)
    fd: int = -1

    def bytes_of(self, path: str) -> bytes:
        """A file's whole content; empty for what is not there. Links are not followed."""
        item = self.items.get(path)
        return b"".join(self.chunks(item)) if item and item.kind == "file" else b""

    def chunks(self, item: RootItem) -> Iterator[bytes]:
        """A file's content in parts. Raises BadArchive when the tar has become shorter."""
        if item.data is not None:
            yield item.data
            return
        done = 0
        while done < item.size:
            part = os.pread(self.fd, min(_BUFFER, item.size - done), item.offset + done)
            if not part:
                raise BadArchive("the root's tar", "became shorter while it was read")
            done += len(part)
            yield part

    def put(self, path: str, item: RootItem) -> None:
        """Add or replace an item, with the folders above it."""
        above = os.path.dirname(path)
        while above and above not in self.items:
            self.items[above] = RootItem("folder", 0o755)
            above = os.path.dirname(above)
        self.items[path] = item

    def resolve(self, path: str) -> str:
        """The path that `path` leads to when links are followed inside the root; empty for a circle."""
        done, waiting, steps = "", path.split("/"), 0
        while waiting:
            name = waiting.pop(0)
            if name in ("", "."):
                continue
            done = os.path.dirname(done) if name == ".." else f"{done}/{name}".lstrip("/")
            item = self.items.get(done)
            if item and item.kind == "link":
                steps += 1
                if steps > 40:
                    return ""
                waiting = item.target.split("/") + waiting
                done = "" if item.target.startswith("/") else os.path.dirname(done)
        return done


# --- reading ---------------------------------------------------------------------------------------------------


def read(fd: int, label: str) -> Tree:
    """The root in the uncompressed tar `fd`. What is no file, link or folder is left out. Raises BadArchive."""
    tree = Tree({}, fd)
    for entry in read_entries(_parts(fd), label, contents=False):
        path = _plain(entry.name, label)
        if entry.kind == "hardlink":
            _second_name(tree, path, _plain(entry.link, label), label)
        elif entry.kind in ("file", "link", "folder"):
            tree.items[path] = RootItem(
                entry.kind, entry.mode & 0o7777, entry.uid, entry.gid,
                entry.link if entry.kind == "link" else "", None, entry.offset + BLOCK, entry.size,
            )  # fmt: skip
    if "" not in tree.items:
        tree.items[""] = RootItem("folder", 0o755)
    return tree


def _second_name(tree: Tree, path: str, first: str, label: str) -> None:
    item = tree.items.get(first)
    if item is None or item.kind != "file":
        raise BadArchive(label, f"has a hard link {path!r} to something that is not there")
    shared = RootItem("file", item.mode, item.uid, item.gid, "", None, item.offset, item.size, item.inode or first)
    tree.items[first] = tree.items[path] = shared


def _plain(name: str, label: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadArchive(label, f"has the entry {name!r}, which leads out of it")
    return "/".join(parts)


def _parts(fd: int) -> Iterator[bytes]:
    at = 0
    while part := os.pread(fd, _BUFFER, at):
        at += len(part)
        yield part


# --- writing ---------------------------------------------------------------------------------------------------


def write(tree: Tree, mtime: int, sink: Callable[[bytes], object]) -> int:
    """Give the canonical tar of a tree to `sink`, part by part; how many entries it has."""
    first: dict[str, str] = {}
    order = sorted(tree.items, key=lambda path: path.encode("utf-8", "surrogateescape"))
    for path in order:
        item = tree.items[path]
        name = f"./{path}/" if item.kind == "folder" and path else f"./{path}"
        known = first.setdefault(item.inode, path) if item.inode else path
        if known != path:
            sink(header(name, "hardlink", item, 0, f"./{known}", mtime))
            continue
        size = len(item.data) if item.data is not None else item.size
        sink(header(name, item.kind, item, size if item.kind == "file" else 0, item.target, mtime))
        if item.kind == "file":
            for part in tree.chunks(item):
                sink(part)
            sink(bytes(-size % BLOCK))
    sink(END)
    return len(order)


def header(name: str, kind: str, item: RootItem, size: int, target: str, mtime: int) -> bytes:
    """An entry's header block, after a PAX header where ustar cannot hold it."""
    raw, link = name.encode("utf-8", "surrogateescape"), target.encode("utf-8", "surrogateescape")
    prefix, front = _split(raw)
    records = b""
    if len(link) > 100 or not link.isascii():
        records += _record(b"linkpath", link)
    if len(front) > 100 or not raw.isascii():
        records += _record(b"path", raw)
        prefix, front = b"", raw[:100]
    if size > _LARGEST:
        records += _record(b"size", b"%d" % size)
    block = _block(front, prefix, item, min(size, _LARGEST), _KINDS[kind], link[:100], mtime)
    if not records:
        return block
    extended = _block(b"./@PaxHeader", b"", RootItem("file", 0o644), len(records), b"x", b"", mtime)
    return extended + records + bytes(-len(records) % BLOCK) + block


def _block(name: bytes, prefix: bytes, item: RootItem, size: int, kind: bytes, link: bytes, mtime: int) -> bytes:
    mode = 0o777 if item.kind == "link" else item.mode
    front = name.ljust(100, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, item.uid, item.gid, size, mtime)
    back = kind + link.ljust(100, b"\0") + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + prefix.ljust(155, b"\0")
    back += bytes(12)
    return front + b"%06o\0 " % (sum(front) + sum(back) + 256) + back


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Prefix and name as ustar holds them; a name that it cannot hold comes back whole."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, min(156, len(name) - 1))
    return (name[:cut], name[cut + 1 :]) if cut > 0 and len(name) - cut - 1 <= 100 else (b"", name)


def _record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
