"""What a build left: collected from its folder, checked, and put into the store. What it may not leave is refused."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ..digest import key_of
from ..errors import StagerError
from ..files import below, temporary
from ..formats.archive import HeldArchive, content_bytes, content_chunks, read_tar, read_zip
from ..names import path_fault
from ..records import Built
from ..tree import SourceTree
from .errors import BuildFailed, BuildTooBig

if TYPE_CHECKING:
    from ..formats.archive import Member
    from ..store import Store
    from .recipes import Recipe

_CHUNK = 1 << 20
_LARGEST, _REWRITTEN = 1 << 30, 16 << 20
"""Bytes of an archive that is built, and of a file that is written again."""
WHOLE = "~"
"""Stands for an archive itself, after all that is inside."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An artifact that was built: the name of its file, and its bytes."""

    filename: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """What a build left below `folder`: path → (whether it is executable, digest, size), and links; `new` contents by path."""

    folder: str
    files: Mapping[str, tuple[bool, str, int]]
    links: Mapping[str, str]
    new: Mapping[str, bytes] = field(default_factory=dict)
    """What recipes have written again."""
    archive: Archive | None = None
    """The archive that they are in, if they are; then there is no folder."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """The bytes of a file."""
        if path in self.new:
            yield self.new[path]
        elif self.archive is not None:
            yield self.archive.data if path == WHOLE else _member(self.archive, path)
        else:
            with below.reading(self.folder, path) as file:
                while part := file.read(_CHUNK):
                    yield part

    def rows(self) -> list[list[object]]:
        """Each file and link with all that may differ, in the order of their paths."""
        found: dict[str, list[object]] = {path: [path, *row] for path, row in self.files.items()}
        found |= {path: [path, "link", target] for path, target in self.links.items()}
        return [found[path] for path in sorted(found, key=os.fsencode)]


def archive(name: str, folder: str, place: str) -> Archive:
    """The one file that the build of an artifact left in the folder `place` below `folder`.

    Raises BuildFailed when that is not what is there, BuildTooBig.
    """
    try:
        with below.folder(folder, place) as fd:
            found = sorted(os.listdir(fd))
            if len(found) != 1 or not stat.S_ISREG(os.lstat(found[0], dir_fd=fd).st_mode):
                raise BuildFailed(name, f"was to leave one file, and left {', '.join(map(repr, found[:5])) or 'none'}")
            if wrong := path_fault(found[0]):
                raise BuildFailed(name, f"left {found[0]!r}, whose name {wrong}")
            with os.fdopen(below.open_file(below.encoded(found[0]), fd), "rb") as file:
                data = file.read(_LARGEST + 1)
    except OSError as error:
        raise BuildFailed(name, f"left what cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise BuildTooBig(name, f"it left an archive of more than {_LARGEST} bytes")
    return Archive(found[0], data)


def collect(name: str, folder: str, outputs: Sequence[str], base: str, recipes: Sequence[Recipe]) -> Left:
    """What is at the `outputs` below `folder`, without what the recipes leave out; their patterns count from `base`.

    Raises BuildFailed when there is nothing, and for what no droplet can hold.
    """
    files: dict[str, tuple[bool, str, int]] = {}
    links: dict[str, str] = {}
    for output in outputs:
        for path, found, fd, last in _found(name, folder, output):
            if stat.S_ISLNK(found.st_mode):
                links[path] = os.fsdecode(os.readlink(last, dir_fd=fd))
            else:
                digest, size = _hashed(name, path, last, fd)
                files[path] = (bool(found.st_mode & 0o100), digest, size)
    drop = _matching(files, links, base, [pattern for recipe in recipes for pattern in recipe.drops])
    files = {path: row for path, row in files.items() if path not in drop}
    links = {path: target for path, target in links.items() if path not in drop}
    if not files and not links:
        raise BuildFailed(name, f"left nothing: there is no {' or '.join(outputs)}")
    for path, target in links.items():
        _check_link(name, path, target)
    new = _rewritten(folder, files, base, recipes)
    for path, data in new.items():
        files[path] = (files[path][0], "sha256:" + hashlib.sha256(data).hexdigest(), len(data))
    return Left(folder, files, links, new)


def opened(name: str, archive: Archive) -> Left:
    """An archive that was built, with what is inside it, and itself. Raises BuildFailed for one that cannot be read."""
    rows: dict[str, tuple[bool, str, int]] = {}
    links: dict[str, str] = {}
    try:
        with _members(archive) as members:
            for member in members:
                if member.is_link:
                    links[member.name] = member.target
                else:
                    state = hashlib.sha256()
                    for part in content_chunks(member.content, label=archive.filename):
                        state.update(part)
                    rows[member.name] = (member.executable, f"sha256:{state.hexdigest()}", member.size)
    except StagerError as error:
        raise BuildFailed(name, f"left {archive.filename}, which cannot be read: {error.message}") from None
    rows[WHOLE] = (False, f"sha256:{hashlib.sha256(archive.data).hexdigest()}", len(archive.data))
    return Left("", rows, links, archive=archive)


@contextmanager
def _members(archive: Archive) -> Iterator[list[Member]]:
    with temporary.file() as file:
        file.write(archive.data)
        file.flush()
        held = HeldArchive(file.fileno(), temporary.above())
        reader = read_zip if archive.filename.endswith((".whl", ".zip")) else partial(read_tar, compression="gz")
        with reader(held, archive.filename) as found:
            yield found.members


def _member(archive: Archive, path: str) -> bytes:
    with _members(archive) as members:
        return next(content_bytes(one.content, archive.filename) for one in members if one.name == path)


def _found(name: str, folder: str, output: str) -> Iterator[tuple[str, os.stat_result, int, bytes]]:
    """Every file and link at an output: its path, its status, its folder's descriptor and its name there.

    What a link leads to is none of the app's: there is nothing at an output that lies behind one.
    """
    above, _, last = output.rpartition("/")
    try:
        with below.folder(folder, above) as fd:
            yield from _walk(name, fd, below.encoded(last), output)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise BuildFailed(name, f"left {output}, which cannot be read: {error.strerror}") from None


def _walk(name: str, above: int, last: bytes, path: str) -> Iterator[tuple[str, os.stat_result, int, bytes]]:
    found = os.lstat(last, dir_fd=above)
    if not stat.S_ISDIR(found.st_mode):
        _check(name, path, found)
        yield path, found, above, last
        return
    fd = below.open_folder(last, above)
    try:
        for one in sorted(map(os.fsencode, os.listdir(fd))):
            yield from _walk(name, fd, one, f"{path}/{os.fsdecode(one)}")
    finally:
        os.close(fd)


def _check(name: str, path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
        raise BuildFailed(
            name, f"left {path}, which is neither a file nor a link", hint="Remove it at the build's end."
        )
    if wrong := path_fault(path):
        raise BuildFailed(name, f"left {path!r}, whose name {wrong}", hint="Have it write other names.")


def _check_link(name: str, path: str, target: str) -> None:
    place = os.path.normpath(os.path.join("/", os.path.dirname(path), target)) if not target.startswith("/") else ""
    depth = path.count("/")
    up = 0
    for part in target.split("/"):
        up = up + 1 if part == ".." else up - 1 if part not in ("", ".") else up
        if up > depth:
            place = ""
            break
    if not place:
        why = f"left {path}, a link to {target}, which leads outside the app"
        raise BuildFailed(name, why, hint="Have it link to a place in the app, by a relative path.")


def _hashed(name: str, path: str, last: bytes, above: int) -> tuple[str, int]:
    state, size = hashlib.sha256(), 0
    try:
        with os.fdopen(below.open_file(last, above), "rb", buffering=0) as file:
            while part := file.read(_CHUNK):
                state.update(part)
                size += len(part)
    except OSError as error:
        raise BuildFailed(name, f"left {path}, which cannot be read: {error.strerror}") from None
    return f"sha256:{state.hexdigest()}", size


def _matching(files: Mapping[str, object], links: Mapping[str, str], base: str, patterns: Sequence[str]) -> set[str]:
    """The paths that match one of the patterns, which count from the folder `base`."""
    if not patterns:
        return set()
    names = SourceTree.of(dict.fromkeys([*files, *links], ""))
    return {path for pattern in patterns for path in names.glob(f"{base}/{pattern}" if base else pattern)}


def _rewritten(
    folder: str, files: Mapping[str, tuple[bool, str, int]], base: str, recipes: Sequence[Recipe]
) -> dict[str, bytes]:
    """What recipes write again, path → content. What is larger than any such file needs to be stays as it is."""
    found: dict[str, bytes] = {}
    rewrites: list[tuple[str, Callable[[bytes], bytes]]] = [item for one in recipes for item in one.rewrites.items()]
    for pattern, rewrite in rewrites:
        for path in _matching(files, {}, base, [pattern]):
            if files[path][2] <= _REWRITTEN:
                if path not in found:
                    with below.reading(folder, path) as file:
                        found[path] = file.read(_REWRITTEN)
                found[path] = rewrite(found[path])
    return found


def stored(left: Left, name: str, key: str, checked: bool, store: Store, seconds: float = 0.0) -> Built:
    """What was left, in the store: one blob of all files, and which they are."""
    rows: list[list[object]] = []
    with store.writer() as writer:
        for path in sorted(left.files, key=os.fsencode):
            executable, digest, size = left.files[path]
            rows.append([path, executable, digest, writer.size, size])
            for part in left.chunks(path):
                writer.write(part)
        blob = writer.commit()
    digest = f"sha256:{key_of('left', left.rows())}"
    return Built(name, key, blob, tuple(rows), dict(left.links), checked, digest, seconds)
