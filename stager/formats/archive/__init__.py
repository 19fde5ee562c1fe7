"""The only reader of untrusted archives: `read_zip` (wheels), `read_tar` (npm, runtimes), `read_deb` (Debian).

Nothing is ever extracted by a library, and nothing is written to a path that an archive names: reading gives a list of
checked members, and callers copy their contents. An archive is refused with `BadArchive` (its structure contradicts
itself, is cut short, or asks for too much) or `UnsafeEntry` (one member is not safe to have).
"""

from __future__ import annotations

from contextlib import ExitStack

from ..errors import BadArchive
from .content import content_bytes, content_chunks, crc32, read_at
from .members import LIMITS, Archive, HeldArchive, Limits, Member, open_blob
from .stream import open_stream
from .tars import read_members, read_tar
from .zips import read_zip

__all__ = [
    "LIMITS",
    "Archive",
    "HeldArchive",
    "Limits",
    "Member",
    "content_bytes",
    "content_chunks",
    "crc32",
    "read_control",
    "read_control_files",
    "read_deb",
    "read_tar",
    "read_zip",
]

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_CONTROL = Limits(bytes=64 << 20, entries=1000)
_Part = tuple[str, int, int]
"""Name, offset and size of one member of an ar archive."""


def read_deb(path: str | HeldArchive, label: str, limits: Limits = LIMITS) -> Archive:
    """Check the Debian package `path` (deb(5)) and list the members of its data.tar, named without a leading `./`.

    Absolute symlink targets are kept. The control part is left alone: see `read_control`. `label` is what errors call the
    archive. Raises BadArchive, UnsafeEntry, CannotWrite.
    """
    with ExitStack() as opened, ExitStack() as while_reading:
        fd, size = open_blob(path, label, while_reading)
        name, start, length = _checked_parts(fd, _ar_parts(fd, size, label), label)[1]
        compression = name.removeprefix("data.tar").removeprefix(".")
        if not compression:
            opened.push(while_reading.pop_all())  # the members' contents stay in the file itself
        stream = open_stream(path, fd, start, length, compression, label, limits, opened)
        members = read_members(stream, label, limits, absolute_links=True)
        return Archive(label, members, opened.pop_all())


def read_control(path: str | HeldArchive, label: str) -> dict[str, str]:
    """The fields of a Debian package's control file, which are one line each. Raises BadArchive, UnsafeEntry, CannotWrite."""
    return _fields(read_control_files(path, label)["control"], label)


def read_control_files(path: str | HeldArchive, label: str) -> dict[str, bytes]:
    """The files of a Debian package's control part, `control` among them; its scripts are there to be read, never to be run.

    Raises BadArchive, UnsafeEntry, CannotWrite.
    """
    with ExitStack() as opened:
        fd, size = open_blob(path, label, opened)
        name, start, length = _checked_parts(fd, _ar_parts(fd, size, label), label)[0]
        compression = name.removeprefix("control.tar").removeprefix(".")
        stream = open_stream(path, fd, start, length, compression, label, _CONTROL, opened)
        members = read_members(stream, label, _CONTROL, absolute_links=True)
        found = {one.name: content_bytes(one.content, label) for one in members if not one.is_link}
    if "control" not in found:
        raise BadArchive(label, "has no control file")
    return found


def _fields(data: bytes, label: str) -> dict[str, str]:
    """deb-control(5): `Name: value`; a line that begins with a space goes on with the field above."""
    fields: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        key, colon, value = line.partition(":")
        if colon and line[:1] not in (" ", "\t", "#"):
            key = key.strip().lower()
            if fields.setdefault(key, value.strip()) != value.strip():
                raise BadArchive(label, f"states {key[:50]!r} twice in its control file")
    return fields


def _ar_parts(fd: int, size: int, label: str) -> list[_Part]:
    if size < len(_AR_MAGIC) or read_at(fd, 0, len(_AR_MAGIC), label) != _AR_MAGIC:
        raise BadArchive(label, "is not a Debian package")
    parts, at = [], len(_AR_MAGIC)
    while at < size:
        name, length = _ar_header(read_at(fd, at, min(_AR_HEADER, size - at), label), label)
        at += _AR_HEADER
        parts.append((name, at, length))
        at += length + length % 2
        if at - length % 2 > size or len(parts) > 3:  # the last padding byte may be missing
            raise BadArchive(label, "has more or less than the three parts of a Debian package")
    return parts


def _ar_header(header: bytes, label: str) -> tuple[str, int]:
    length = header[48:58].rstrip(b" ")
    name = header[:16].rstrip(b" ").removesuffix(b"/")
    if header[58:] != b"`\n" or not length.isdigit() or not name.isascii():
        raise BadArchive(label, "has a damaged part header")
    return name.decode(), int(length)


def _checked_parts(fd: int, parts: list[_Part], label: str) -> tuple[_Part, _Part]:
    """The control and data parts. deb(5): exactly `debian-binary` saying 2.x, `control.tar*`, `data.tar*`, in this order."""
    names = [name for name, _, _ in parts]
    starts = ("debian-binary", "control.tar", "data.tar")
    if len(names) < 3 or not all(name.startswith(start) for name, start in zip(names, starts, strict=True)):
        raise BadArchive(label, "has more or less than the three parts of a Debian package")
    version = read_at(fd, parts[0][1], min(parts[0][2], 16), label)
    if not version.startswith(b"2.") or not version.endswith(b"\n"):
        raise BadArchive(label, "is of an unknown version of the Debian package format")
    return parts[1], parts[2]
