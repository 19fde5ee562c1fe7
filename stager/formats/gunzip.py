"""Deflate streams and gzip files as streams of parts (RFC 1951, 1952): whole ones, runs without an end, and damaged ones.

What inflates the pieces that droplets are made of, and members of foreign archives, is in `inflate` and `archive`.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator

from ..errors import Unreadable
from ..files import regular
from ..files.whole import parts as file_parts
from .errors import BadArchive

MOST_BYTES = 1 << 36
"""A tar of more bytes than this is not read to its end (64 GiB)."""
_BUFFER = 1 << 20
_READ = 1 << 18


def inflated(parts: Iterable[bytes], label: str, *, open_end: bool = False) -> Iterator[bytes]:
    """The bytes that a raw deflate stream holds, in parts of at most 1 MiB.

    With `open_end` the stream is runs without a final block. Raises BadArchive for anything else.
    """
    decoder = zlib.decompressobj(-15)
    try:
        for part in parts:
            if decoder.eof:
                break
            yield from drained(decoder, part)
        yield decoder.flush()
    except zlib.error:
        raise BadArchive(label, "its compressed data is damaged") from None
    if decoder.eof is open_end:
        raise BadArchive(label, "its compressed data is cut short" if not open_end else "ends where it should not")


def drained(decoder: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """All that `data` makes the decoder give, in parts of at most 1 MiB. Raises zlib.error."""
    out = b""
    while (data or len(out) == _BUFFER) and not decoder.eof:
        out = decoder.decompress(data, _BUFFER)
        data = decoder.unconsumed_tail
        yield out


def gunzipped(
    parts: Iterable[bytes], label: str, fail: Callable[[str, str], Exception] = BadArchive, *, more: bool = False
) -> Iterator[bytes]:
    """What the one member of a gzip file holds; its checksum and its exact end are checked, and `fail` makes the error.

    With `more`, what follows the member is passed over.
    """
    decoder = zlib.decompressobj(31)
    try:
        for part in parts:
            behind = part if decoder.eof else b""
            yield from drained(decoder, part)
            if (behind or decoder.unused_data) and not more:
                raise fail(label, "has bytes after its end")
            if decoder.eof and more:
                break
    except zlib.error:
        raise fail(label, "its compressed data is damaged") from None
    if not decoder.eof:
        raise fail(label, "its compressed data is cut short")


# --- as far as possible ----------------------------------------------------------------------------------------


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
            part = source.take(_READ)
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
        while len(self._held) < count and (more := os.read(self._fd, _READ)):
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
        while more := os.read(self._fd, _READ):
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


def tar_position(path: str, offset: int) -> int:
    """How many bytes of the tar are there once the first `offset` bytes of a whole droplet file have been inflated."""
    decoder, done = zlib.decompressobj(31), 0
    for part in file_parts(path):
        part, offset = part[:offset], offset - len(part)
        done += sum(map(len, drained(decoder, part)))
        if offset <= 0:
            break
    return done
