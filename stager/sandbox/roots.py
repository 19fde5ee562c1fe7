"""Root filesystems on the disk: unpacked once from their tar, sealed, and shared read-only by everything that runs in them.

    <store>/v1/roots/<hex>/       the root whose uncompressed tar has this SHA-256
    <store>/v1/roots/<hex>.seal   what it was when it had been unpacked

Both may be removed at any time: a root is unpacked again when it is wanted. The seal (`_seal`) is of what changes with every
write below the folder, so that a root that somebody has touched is not used again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..digest import Digest
from ..errors import CannotWrite
from ..files import regular, writing
from ..formats.errors import BadArchive
from ..formats.gunzip import gunzipped
from ..stacks import tree
from ..stacks.build_context import temporary
from ..stacks.errors import BadImage
from ..store import disk
from ..store.errors import StoreCorrupt
from ..tree.fingerprint import encoded

if TYPE_CHECKING:
    from ..stacks.tree import Tree
    from ..store import Store

MOUNT_POINTS = ("etc/hosts", "etc/resolv.conf")
"""Files that are made empty where a root has none: a run puts its own in their place, which a read-only root cannot grow."""
_BUFFER = 1 << 20
_GZIP = b"\x1f\x8b"
_MAGIC = {b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}


@dataclass(frozen=True, slots=True)
class RootFolder:
    """A root filesystem on the disk. `digest` is its tar's, empty for a folder given by hand; `env` are its variables."""

    path: str
    digest: str = ""
    name: str = ""
    env: tuple[tuple[str, str], ...] = ()


def given(folder: str) -> RootFolder:
    """A folder that the user says is a root. Raises BadImage when nothing could run in it."""
    path = os.path.abspath(folder)
    if not any(os.path.lexists(os.path.join(path, name)) for name in ("bin/sh", "usr/bin/sh")):
        raise BadImage(folder, "is no root filesystem: it has no /bin/sh")
    return RootFolder(path, name=os.path.basename(path))


@contextmanager
def opened(path: str, store: Store) -> Iterator[tuple[int, Digest]]:
    """The uncompressed tar that the file `path` is or, compressed by gzip, holds: (its descriptor, its digest).

    Raises BadImage and CannotWrite.
    """
    try:
        fd = regular.descriptor(path)
    except OSError as error:
        raise BadImage(
            path, f"cannot be read: {disk.why(error)}", "Name a root filesystem's tar, or its folder."
        ) from None
    try:
        head = os.pread(fd, 6, 0)
        packed = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "")
        if packed:
            raise BadImage(path, f"is compressed by {packed}", "Decompress it first, or compress it by gzip.")
        if not head.startswith(_GZIP):
            yield fd, _digest(fd)
            return
        with temporary(store) as plain:
            _inflate(fd, plain, path)
            yield plain, _digest(plain)
    finally:
        os.close(fd)


def _digest(fd: int) -> Digest:
    return Digest("sha256:" + disk.hash_of(fd))


def _inflate(source: int, target: int, path: str) -> None:
    try:
        for part in gunzipped(iter(lambda: os.read(source, _BUFFER), b""), path, BadImage, more=True):
            disk.write(target, part)
    except OSError as error:
        raise CannotWrite(f"the root filesystem {path}", disk.why(error)) from None


# --- unpacking -------------------------------------------------------------------------------------------------


def unpacked(tar: int, digest: Digest, label: str, store: Store) -> RootFolder:
    """The folder that holds the root of this tar, unpacked now unless it is there and untouched.

    `digest` is what the tar must have. Raises StoreCorrupt when it has another, BadArchive for what is no tar of a root,
    BadImage when nothing could run in it, CannotWrite when the disk is full; nothing half-made is left.
    """
    place = f"{store.root}/v1/roots/{digest.hex}"
    with store.exclusive(f"root {digest.hex}"):
        seal = _seal(place)
        if not seal or _sealed(place) != seal:
            if _digest(tar) != digest:
                raise StoreCorrupt(digest)
            _unpack(tar, label, store, place)
            writing.write(f"{place}.seal", _seal(place).encode())
    return RootFolder(place, digest, label)


def _unpack(tar: int, label: str, store: Store, place: str) -> None:
    unfinished = store.temp()
    try:
        os.mkdir(unfinished, 0o755)
        lay(tree.read(tar, label), unfinished, label, MOUNT_POINTS)
        given(unfinished)
        disk.mkdir(os.path.dirname(place))
        disk.inspect(os.path.dirname(place))
        if os.path.lexists(place):
            os.rename(place, store.temp())  # who still runs in it keeps it, until a cleaning after this process
        os.rename(unfinished, place)
    except BadImage:
        raise BadImage(label, "is no root filesystem: it has no /bin/sh") from None
    except OSError as error:
        raise CannotWrite(f"the root filesystem of {label}", disk.why(error)) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def lay(found: Tree, folder: str, label: str, mount_points: Sequence[str] = ()) -> None:
    """Lay a tar's files out in an empty folder. Raises BadArchive for what cannot be, OSError when the disk is full.

    Folders, then files, then links: while files are written there is no link that could lead them elsewhere. Places for
    `mount_points` are made where there are none.
    """
    paths = sorted(found.items, key=encoded)
    kinds = {kind: [path for path in paths if found.items[path].kind == kind] for kind in ("folder", "file", "link")}
    base = os.fsencode(folder) + b"/"  # paths are of UTF-8, whatever the locale
    try:
        for path in kinds["folder"]:
            os.makedirs(base + encoded(path), 0o755, exist_ok=True)
        _files(found, kinds["file"], base)
        for path in mount_points:
            _mount_point(f"{folder}/{path}")
        for path in kinds["link"]:
            if path in mount_points:
                continue  # where it leads is another machine's
            os.makedirs(os.path.dirname(base + encoded(path)), 0o755, exist_ok=True)
            os.symlink(encoded(found.items[path].target), base + encoded(path))
        for path in reversed(kinds["folder"]):
            # no set-id bits; the owner may always look into it, so that it can be sealed and removed
            os.chmod(base + encoded(path), found.items[path].mode & 0o777 | 0o700)
        os.chmod(folder, 0o755)  # noqa: S103  below the store, which is for its owner alone
    except (FileExistsError, NotADirectoryError, IsADirectoryError, ValueError) as error:
        raise BadArchive(label, f"has paths that exclude one another or cannot be: {error}") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP):
            raise BadArchive(label, f"has a path that cannot be: {disk.why(error)}") from None
        raise


def emptied(folder: str) -> None:
    """Remove all that is in a folder. Raises OSError."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def _files(found: Tree, paths: list[str], base: bytes) -> None:
    first: dict[str, bytes] = {}
    for path in paths:
        item, target = found.items[path], base + encoded(path)
        known = first.setdefault(item.inode, target) if item.inode else target
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        if known != target:
            os.link(known, target)
            continue
        fd = os.open(target, disk.CREATE, 0o600)
        try:
            for part in found.chunks(item):
                disk.write(fd, part)
            os.fchmod(fd, item.mode & 0o777)
        finally:
            os.close(fd)


def _mount_point(path: str) -> None:
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    if not os.path.lexists(path):
        os.close(os.open(path, disk.CREATE, 0o644))


# --- sealing ---------------------------------------------------------------------------------------------------


def _seal(folder: str) -> str:
    """A digest over every path's kind, size, inode and time of change, which nobody can set back; empty without a folder."""
    state = hashlib.sha256()
    try:
        for path, facts in _walk(folder, len(folder)):
            row = (facts.st_mode, facts.st_size, facts.st_ino, facts.st_ctime_ns)
            state.update(os.fsencode(path) + b"\0%d %d %d %d\0" % row)
    except OSError:
        return ""
    return state.hexdigest()


def _sealed(place: str) -> str:
    try:
        with open(f"{place}.seal", encoding="ascii") as file:
            return file.read(100)
    except (OSError, ValueError):
        return ""


def _walk(folder: str, cut: int) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder, in the order of its bytes."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        facts = entry.stat(follow_symlinks=False)
        yield entry.path[cut:], facts
        if stat.S_ISDIR(facts.st_mode):
            yield from _walk(entry.path, cut)
