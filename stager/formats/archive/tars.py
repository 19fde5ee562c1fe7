"""Reading tars (POSIX.1-1988 ustar, its GNU and PAX extensions, Unix v7) so strictly that readers cannot disagree.

What tar readers are known to see differently is refused: sizes given twice, malformed extended headers, sparse
members, data behind the end. Hard links become copies of the member they name.
"""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from typing import NoReturn

from ..errors import BadArchive, UnsafeEntry
from ..tar import BLOCK
from .content import content_chunks
from .members import LIMITS, Archive, HeldArchive, Limits, Member, open_blob
from .names import clean, clean_file, settle, text
from .pax import read_pax
from .stream import Stream, open_stream

_ZEROS = bytes(BLOCK)
_SHAPES = 4096
"""How many different headers are remembered; a hostile archive could have very many."""
_POSIX, _GNU, _V7 = b"ustar\x0000", b"ustar  \0", bytes(8)
_NO_PREFIX = bytes(155)
_OCTAL = b"01234567"
_EXTENDED = frozenset({b"x", b"g", b"L", b"K"})
_REGULAR = frozenset({b"0", b"\0", b"7"})
_SPECIAL = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe"}


def read_tar(
    path: str | HeldArchive, label: str, compression: str, limits: Limits = LIMITS, absolute_links: bool = False
) -> Archive:
    """Check the tar file `path` and list its members.

    `compression` is `gz`, `xz`, `bz2`, `zst` (where this Python can) or empty. With `absolute_links` symlinks to
    absolute paths stay as they are. `label` is what errors call the archive.

    Raises BadArchive, UnsafeEntry and CannotWrite.
    """
    with ExitStack() as opened, ExitStack() as while_reading:
        fd, size = open_blob(path, label, while_reading if compression else opened)
        stream = open_stream(path, fd, 0, size, compression, label, limits, opened)
        members = read_members(stream, label, limits, absolute_links)
        return Archive(label, members, opened.pop_all())


def read_members(stream: Stream, label: str, limits: Limits, absolute_links: bool) -> list[Member]:
    """The members of an uncompressed tar stream, sorted and checked. Raises BadArchive and UnsafeEntry."""
    reader = _Tar(stream, label, limits)
    reader.read()
    return settle(label, reader.members, reader.folders, limits, absolute_links)


class _Tar:
    """The reader's state: what has been found, and what extended headers say about the member to come."""

    __slots__ = (
        "copied",
        "folders",
        "label",
        "limits",
        "link",
        "members",
        "name",
        "pending",
        "shapes",
        "size",
        "stream",
        "twins",
    )

    def __init__(self, stream: Stream, label: str, limits: Limits) -> None:
        self.stream = stream
        self.label = label
        self.limits = limits
        self.members: dict[str, Member] = {}
        self.folders: set[str] = set()
        self.twins: list[tuple[Member, Member]] = []
        self.shapes: dict[bytes, tuple[int, bytes]] = {}
        self.copied = 0
        self.pending = b""
        """Types of the extended headers in front of the next member, and what they say: name, link target, size."""
        self.name: bytes | None = None
        self.link: bytes | None = None
        self.size: int | None = None

    def fail(self, why: str) -> NoReturn:
        raise BadArchive(self.label, why)

    def read(self) -> None:
        position = entries = 0
        while True:
            block = self.stream.block(position, BLOCK)
            if len(block) < BLOCK or block == _ZEROS:
                break
            entries += 1
            if entries > self.limits.entries:
                self.fail(f"has more than {self.limits.entries} members")
            position = self._entry(block, position + BLOCK)
        self._finish(block, position)

    def _finish(self, block: bytes, position: int) -> None:
        """The end: zeros to the last byte, or nothing behind the last whole member (POSIX asks for two blocks)."""
        if position == 0 and not block:
            self.fail("is empty")
        if self.stream.end < position or 0 < len(block) < BLOCK:
            self.fail("is cut short")
        if not self.stream.only_zeros(position):
            self.fail("has data behind its end")
        if self.pending:
            self.fail("ends with an extended header that belongs to no member")
        for first, second in self.twins:
            self._check_twin(first, second)

    # --- one header ---

    def _entry(self, block: bytes, data: int) -> int:
        """Take in the member whose header is `block`; where the next header is."""
        self._check_sum(block)
        # What most members of a tar have in common: mode, owner, time; magic, names, device, prefix.
        shape = block[100:124] + block[136:148] + block[257:500]
        mode, prefix = self.shapes.get(shape) or self._shape(block, shape)
        size = self._number(block[124:136])
        if size < 0:
            self.fail("has a member of negative size")
        kind = block[156:157]
        if kind in _EXTENDED:
            self._extend(kind, data, size)
        else:
            raw = prefix + block[:100].rstrip(b"\0") if self.name is None else self.name
            name = raw.decode("ascii") if raw.isascii() else text(self.label, raw)
            if self.size is not None and self.size != size:
                self.fail(f"member {name!r} has two sizes, {self.size} and {size}")
            if kind in _REGULAR and name[-1:] != "/":
                name = clean_file(self.label, name, self.limits)
                content = self.stream.content(data, size)
                self._add(Member(name, content, mode & 0o111 != 0, privileged=mode & 0o6000 != 0))
            else:
                self._add_other(block, kind, name, size)
            if self.pending:
                self.pending, self.name, self.link, self.size = b"", None, None, None
        return data + (size + BLOCK - 1) // BLOCK * BLOCK

    def _check_sum(self, block: bytes) -> None:
        blanked = block[:148] + b"        " + block[156:]
        # Adler-32's low half is 1 + the sum of the bytes modulo 65521, and 512 ASCII bytes sum to less.
        total = (zlib.adler32(blanked) & 0xFFFF) - 1 if block.isascii() else sum(blanked)
        stated = block[148:156]
        if stated != b"%06o\0 " % total and self._number(stated) != total:
            self.fail("has a header with a wrong checksum")

    def _number(self, field: bytes) -> int:
        """A numeric field: octal, or the GNU base-256 form for large and negative values."""
        digits = field[:-1]
        if field[-1] == 0 and not digits.strip(_OCTAL):
            return int(digits, 8)
        digits = field.rstrip(b" \0").lstrip(b" ")
        if not digits:
            return 0
        if field[0] in (0x80, 0xFF):
            return int.from_bytes(field[1:], "big") - (256 ** len(field[1:]) if field[0] == 0xFF else 0)
        if digits.strip(_OCTAL):
            self.fail(f"has a header with the malformed number {field!r}")
        return int(digits, 8)

    def _shape(self, block: bytes, shape: bytes) -> tuple[int, bytes]:
        """The mode, and what stands in front of the name field.

        The other numbers play no part, but some reader may stumble over a malformed one, so each is read.
        """
        for start, end in ((108, 116), (116, 124), (136, 148), (329, 337), (337, 345)):
            self._number(block[start:end])
        if len(self.shapes) >= _SHAPES:
            self.shapes.clear()
        known = self._number(block[100:108]), self._prefix(block[257:265], block[345:500])
        self.shapes[shape] = known
        return known

    def _prefix(self, magic: bytes, field: bytes) -> bytes:
        """The folder part of a name with its slash; only ustar has one."""
        if magic not in (_POSIX, _GNU, _V7) or (magic != _POSIX and field != _NO_PREFIX):
            self.fail("has a header in an unknown dialect of tar")
        if field[130] == 0:  # a field shorter by 24 bytes and two times, as star and node-tar write
            self._number(field[131:143])
            self._number(field[143:155])
            field = field[:130]
        prefix = field.rstrip(b"\0")
        return prefix + b"/" if prefix else b""

    def _extend(self, kind: bytes, data: int, size: int) -> None:
        """Remember what a PAX or GNU header says about the next member."""
        if self.pending and (kind in b"gx" or kind in self.pending or b"x" in self.pending):
            self.fail("has two extended headers for one member")
        if size > self.limits.pax:
            self.fail(f"has an extended header of {size} bytes; the limit is {self.limits.pax}")
        payload = self.stream.block(data, size)
        if len(payload) < size:
            self.fail("is cut short")
        if kind == b"L":
            self.name = payload.removesuffix(b"\0")
        elif kind == b"K":
            self.link = payload.removesuffix(b"\0")
        else:
            records = read_pax(self.label, payload, everywhere=kind == b"g")
            if kind == b"g":
                return
            self.name, self.link = records.get(b"path"), records.get(b"linkpath")
            self.size = int(records[b"size"]) if b"size" in records else None
        self.pending += kind

    # --- one member ---

    def _add_other(self, block: bytes, kind: bytes, name: str, size: int) -> None:
        if kind in _SPECIAL:
            raise UnsafeEntry(self.label, name, f"is {_SPECIAL[kind]}")
        if size:
            self.fail(f"member {name!r} of type {kind!r} has {size} bytes of data")
        if kind in (b"0", b"7"):
            raise UnsafeEntry(self.label, name, "is named like a folder but is none")
        if kind in (b"5", b"\0"):  # Unix v7 tells a folder by its slash alone
            self.folders.add(clean(self.label, name, self.limits))
        elif kind == b"2":
            self._add_link(clean_file(self.label, name, self.limits), self._target(block, name))
        elif kind == b"1":
            self._add_copy(clean_file(self.label, name, self.limits), self._target(block, name))
        else:
            self.fail(f"member {name!r} has the unknown type {kind!r}")

    def _target(self, block: bytes, name: str) -> str:
        return text(self.label, block[157:257].rstrip(b"\0") if self.link is None else self.link, name)

    def _add_link(self, name: str, target: str) -> None:
        if not target:
            raise UnsafeEntry(self.label, name, "is a symlink without a target")
        self._add(Member(name, b"", target=target))

    def _add_copy(self, name: str, target: str) -> None:
        """A hard link: the same content as an earlier member's."""
        first = self.members.get(clean(self.label, target, self.limits))
        if first is None or first.target:
            raise UnsafeEntry(
                self.label, name, f"is a hard link to {target!r}, which is no earlier file of the archive"
            )
        self.copied += first.size
        if self.copied > self.stream.cap:
            self.fail(f"unpacks to more than {self.stream.cap} bytes, the limit for its size")
        self._add(Member(name, first.content, first.executable))

    def _add(self, member: Member) -> None:
        first = self.members.get(member.name)
        if first is not None:
            self.twins.append((first, member))
        self.members[member.name] = member

    def _check_twin(self, first: Member, second: Member) -> None:
        """The same name again: harmless only when it is the same file again (some npm packages do it)."""
        if first.target != second.target or first.size != second.size or not self._same(first, second):
            raise UnsafeEntry(self.label, second.name, "is in the archive twice with different content")

    def _same(self, first: Member, second: Member) -> bool:
        if first.content is second.content:
            return True
        chunks = (content_chunks(member.content, label=self.label) for member in (first, second))
        return all(one == other for one, other in zip(*chunks, strict=True))
