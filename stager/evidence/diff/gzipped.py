"""A gzip file as it is: whole, cut short, damaged, of several members, with something behind its end (RFC 1952).

Nothing of it is refused: what was found is told, and what could be inflated is given.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator

from ...digest import Digest
from ...droplet.reader import drained
from ...errors import Unreadable
from ...files import regular

MOST_BYTES = 1 << 36
"""A tar of more bytes than this is not read to its end (64 GiB)."""
_BUFFER = 1 << 18


class Gzipped:
    """One gzip file being inflated, member by member; what was found stays in the attributes.

    `header` is the first member's header, `members` their number, `trailing` the bytes after the last, `length` those of what
    was inflated, `cut` whether the file ends too early, `damage` a sentence when something is wrong.
    """

    def __init__(self, path: str, most: int = MOST_BYTES) -> None:
        self.path = path
        self.most = most
        self.header = b""
        self.members = self.trailing = self.length = 0
        self.cut = False
        self.damage = ""
        self._crc = 0
        self._size = 0
        self._state = hashlib.sha256()

    @property
    def tar(self) -> str:
        """The SHA-256 of what was inflated."""
        return self._state.hexdigest()

    def parts(self) -> Iterator[bytes]:
        """The uncompressed bytes as far as they can be had. Raises Unreadable when the file cannot be opened."""
        try:
            with regular.opened(self.path) as file:
                yield from self._members(_Input(file.fileno()))
        except OSError as error:
            raise Unreadable(self.path, error.strerror or str(error)) from None

    def _members(self, source: _Input) -> Iterator[bytes]:
        while not self.damage:
            head = source.peek(1 << 16)
            if self.members and head[:2] != b"\x1f\x8b":
                self.trailing = source.rest()
                return
            size = header_size(head)
            if not size:
                self.damage = "it is no gzip file" if not self.members else "what follows is no gzip member"
                self.cut = head[:2] == b"\x1f\x8b"
                return
            self.header = self.header or head[:size]
            source.skip(size)
            self.members += 1
            yield from self._member(source)

    def _member(self, source: _Input) -> Iterator[bytes]:
        decoder, self._crc, self._size = zlib.decompressobj(-15), 0, 0
        while not decoder.eof:
            part = source.take(_BUFFER)
            if not part:
                self.cut, self.damage = True, "its compressed data is cut short"
                return
            try:
                yield from self._decoded(decoder, part)
            except zlib.error:
                self.damage = f"its compressed data is damaged before byte {source.position}"
                return
            if self.length > self.most:
                self.damage = f"it inflates to more than {self.most} bytes"
                return
        source.unread(decoder.unused_data)
        self._check(source.take(8))

    def _decoded(self, decoder: zlib._Decompress, part: bytes) -> Iterator[bytes]:
        for data in drained(decoder, part):
            self._crc, self._size = zlib.crc32(data, self._crc), self._size + len(data)
            self._state.update(data)
            self.length += len(data)
            yield data
            if self.length > self.most:
                return

    def _check(self, trailer: bytes) -> None:
        if len(trailer) < 8:
            self.cut, self.damage = True, "it ends inside its last eight bytes"
        elif trailer[:4] != self._crc.to_bytes(4, "little"):
            self.damage = "the CRC-32 at its end does not fit its content"
        elif trailer[4:] != (self._size & 0xFFFFFFFF).to_bytes(4, "little"):
            self.damage = "the length at its end does not fit its content"


class _Input:
    """A file's bytes, of which some can be looked at or put back."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held = b""
        self.position = 0

    def _fill(self, count: int) -> None:
        while len(self._held) < count and (more := os.read(self._fd, _BUFFER)):
            self._held += more

    def peek(self, count: int) -> bytes:
        self._fill(count)
        return self._held[:count]

    def take(self, count: int) -> bytes:
        self._fill(count)
        given, self._held = self._held[:count], self._held[count:]
        self.position += len(given)
        return given

    def skip(self, count: int) -> None:
        self.take(count)

    def unread(self, data: bytes) -> None:
        self._held = data + self._held
        self.position -= len(data)

    def rest(self) -> int:
        """How many bytes are left; they are read and forgotten."""
        count = len(self._held)
        while more := os.read(self._fd, _BUFFER):
            count += len(more)
        return count


def header_size(data: bytes) -> int:
    """The bytes of a gzip header (RFC 1952 §2.3) at the start of `data`; 0 when there is none, or no whole one."""
    if len(data) < 10 or data[:3] != b"\x1f\x8b\x08":
        return 0
    flags, at = data[3], 10
    if flags & 4:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for flag in (8, 16):
        if flags & flag:
            end = data.find(b"\0", at)
            if end < 0:
                return 0
            at = end + 1
    at += 2 if flags & 2 else 0
    return at if at <= len(data) else 0


# --- whole files -------------------------------------------------------------------------------------------------


def digest_of(path: str) -> Digest:
    """The SHA-256 of a whole file. Raises Unreadable."""
    try:
        with regular.opened(path) as file:
            return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from None


def first_difference(one: Iterator[bytes], other: Iterator[bytes]) -> int | None:
    """The first byte at which two streams differ, which may be the length of the shorter one; None when they are equal."""
    at, a, b = 0, b"", b""
    while True:
        a, b = a or _next(one), b or _next(other)
        count = min(len(a), len(b))
        if not count:
            return at if a or b else None
        if a[:count] != b[:count]:
            return at + next(i for i in range(count) if a[i] != b[i])
        at, a, b = at + count, a[count:], b[count:]


def _next(parts: Iterator[bytes]) -> bytes:
    return next((part for part in parts if part), b"")


def file_parts(path: str) -> Iterator[bytes]:
    """A file's raw bytes. Raises Unreadable."""
    try:
        with regular.opened(path) as file:
            while part := file.read(_BUFFER):
                yield part
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from None


def tar_position(path: str, offset: int) -> int:
    """How many bytes of the tar are there once the first `offset` bytes of a whole droplet file have been inflated."""
    decoder, done = zlib.decompressobj(31), 0
    for part in file_parts(path):
        part, offset = part[:offset], offset - len(part)
        done += sum(map(len, drained(decoder, part)))
        if offset <= 0:
            break
    return done
