"""Reading a droplet file that may be anything: how far it can be read, what is there, and what is wrong with it.

`droplet.reader` refuses what is no whole droplet; here every file gives a `Scan`, because a damaged or foreign one has to be
compared as well. Sizes are bounded, so that a hostile file costs no more than a few droplets.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...digest import Digest
from ...errors import BadArchive, Unreadable
from ...files import regular
from ...formats.tar import BLOCK, ROOT
from ...formats.tar_reader import Entry, read_entries

LOCK, LAYERS = f"{ROOT}.stager/stager.lock", f"{ROOT}.stager/layers.json"
MOST_ENTRIES = 1_000_000
MOST_BYTES = 1 << 36
"""A tar of more bytes than this is not read to its end (64 GiB)."""
_BUFFER = 1 << 18
_OUT = 1 << 20
_KEPT = 32 << 20


class Inflating:
    """One gzip file being inflated, member by member (RFC 1952); what was found stays in the attributes.

    `header` is the first member's header, `members` their number, `trailing` the bytes after the last, `cut` whether the
    file ends too early, `damage` a sentence when something is wrong.
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
        while part and not decoder.eof and self.length <= self.most:
            data = decoder.decompress(part, _OUT)
            part = decoder.unconsumed_tail
            self._crc, self._size = zlib.crc32(data, self._crc), self._size + len(data)
            self.length += len(data)
            yield data

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


@dataclass(frozen=True, slots=True)
class Scan:
    """A droplet file as it is. `entries` go as far as the tar could be read; `length` and `tar` (SHA-256) are its bytes'.

    `damage` is empty when gzip and tar are whole; `damaged_at` is the tar's byte from which on nothing is known.
    `texts` holds the plan and the layer table by entry name, where they are there.
    """

    path: str
    digest: Digest
    size: int
    header: bytes
    members: int
    trailing: int
    length: int
    tar: str
    entries: tuple[Entry, ...] = field(repr=False)
    damage: str = ""
    cut: bool = False
    damaged_at: int = -1
    texts: dict[str, bytes] = field(default_factory=dict, repr=False)

    def starts(self) -> list[int]:
        """Where each entry begins in the tar, extended headers included."""
        return [0, *(end_of(entry) for entry in self.entries[:-1])] if self.entries else []

    def at(self, offset: int) -> Entry | None:
        """The entry that a byte of the tar belongs to; None after the last one."""
        index = bisect_right(self.starts(), offset) - 1
        return self.entries[index] if index >= 0 and offset < end_of(self.entries[index]) else None


def end_of(entry: Entry) -> int:
    """The tar's byte after an entry's content and padding."""
    return entry.offset + BLOCK + entry.size + -entry.size % BLOCK


def scan(path: str, most: int = MOST_BYTES) -> Scan:
    """Read a droplet file as far as it goes. Raises Unreadable when it cannot be opened, and nothing else."""
    gzip = Inflating(path, most)
    state = hashlib.sha256()
    kept: dict[str, list[bytes]] = {LOCK: _Bounded(), LAYERS: _Bounded()}
    texts: dict[str, bytes] = {}
    entries: list[Entry] = []
    damage, damaged_at = "", -1
    stream = _hashed(gzip.parts(), state)
    try:
        for entry in read_entries(stream, "it", keep=kept):
            entries.append(entry)
            if entry.name in kept:  # of a repeated one, the first counts
                texts[entry.name] = b"".join(kept.pop(entry.name))
            if len(entries) > MOST_ENTRIES:
                damage = f"it has more than {MOST_ENTRIES} entries"
                break
    except BadArchive as error:
        damage = error.message.removeprefix("it: ")
    except (ValueError, OverflowError, RecursionError, MemoryError):
        damage = "it has a header beyond measure"
    if damage:
        damaged_at = end_of(entries[-1]) if entries else 0
    for _ in stream:
        pass
    return Scan(
        path,
        digest_of(path),
        os.path.getsize(path),
        gzip.header,
        gzip.members,
        gzip.trailing,
        gzip.length,
        state.hexdigest(),
        tuple(entries),
        gzip.damage or damage,
        gzip.cut,
        damaged_at,
        texts,
    )


def _hashed(parts: Iterator[bytes], state: hashlib._Hash) -> Iterator[bytes]:
    for part in parts:
        state.update(part)
        yield part


def digest_of(path: str) -> Digest:
    """The SHA-256 of a whole file. Raises Unreadable."""
    try:
        with regular.opened(path) as file:
            return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from None


# --- where two files differ ------------------------------------------------------------------------------------


def first_difference(one: Iterator[bytes], other: Iterator[bytes]) -> int:
    """The first byte at which two streams differ, or the length of the shorter one."""
    at, a, b = 0, b"", b""
    while True:
        a, b = a or _next(one), b or _next(other)
        count = min(len(a), len(b))
        if not count:
            return at
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
        while part:
            done += len(decoder.decompress(part, _OUT))
            part = decoder.unconsumed_tail
        if offset <= 0:
            break
    return done


class _Bounded(list[bytes]):
    """Parts of a content, of which no more than 32 MiB are kept."""

    def __init__(self) -> None:
        super().__init__()
        self._left = _KEPT

    def append(self, part: bytes) -> None:
        if self._left > 0:
            super().append(part[: self._left])
            self._left -= len(part)


def contents_of(path: str, names: set[str]) -> dict[str, bytes]:
    """The contents of some of a file's entries, as far as it can be read; of a repeated name, the first."""
    kept: dict[str, list[bytes]] = {name: _Bounded() for name in names}
    found: dict[str, bytes] = {}
    try:
        for entry in read_entries(Inflating(path).parts(), "it", contents=False, keep=kept):
            if entry.name in kept:
                found[entry.name] = b"".join(kept.pop(entry.name))
            if not kept:
                break
    except (BadArchive, ValueError, OverflowError, RecursionError, MemoryError):
        return found
    return found
