"""What an uncompressed tar stream holds, entry by entry, exactly as its headers say.

`archive` refuses whatever readers could disagree about, since its members become droplet bytes. This module is for looking:
it reports names, owners, times, order and repetitions as they are, so that two archives can be compared.
Formats: POSIX.1-1988 ustar, POSIX.1-2001 PAX, and GNU's long names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from .errors import BadArchive
from .tar import BLOCK

Sink = Callable[[bytes], object]
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"1": "hardlink", b"2": "link", b"5": "folder"}
_MOST_KEPT = 1 << 26
"""The largest file whose bytes are kept, in bytes; a larger one is passed over as if nobody had asked for it."""
MOST = 32 << 20
"""The bytes of a kept file beyond which it is none of ours: a list of 300,000 files is shorter."""
_ROOM = 128 << 20
"""The bytes of all files that are kept at once; the lists of 1,000,000 files are smaller."""
_LONGEST = 1 << 20
"""The largest extended header that is read, in bytes."""


@dataclass(frozen=True, slots=True)
class TarEntry:
    """One entry of a tar.

    `name` and `link` are as in the archive (`./app/x`), undecodable bytes as surrogates; `kind` is `file`, `folder`,
    `link`, `hardlink` or `other`. `sha256` is the hex digest of a file's content (empty for the rest, and when content was
    not asked for), `offset` where its own header block begins in the tar, `header` that block's 512 bytes, and `pax` the
    records of the extended header before it.
    """

    name: str
    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    link: str
    uname: str
    gname: str
    sha256: str
    offset: int
    header: bytes = field(repr=False)
    pax: tuple[tuple[str, str], ...] = ()


class _Bounded(list[bytes]):
    """The parts of a kept file; one that is too large, or one too many, is let go of instead of filling the memory."""

    def __init__(self, most: int, room: list[int]) -> None:
        super().__init__()
        self._left = most
        self._room = room

    def append(self, part: bytes) -> None:
        """Keep a part, unless there are too many already."""
        self._left -= len(part)
        self._room[0] -= len(part)
        if self._left >= 0 and self._room[0] >= 0:
            super().append(part)
        else:
            self._room[0] += sum(map(len, self)) + len(part)
            self._left = -1
            self.clear()


class Keep(dict[str, list[bytes]]):
    """Which files' bytes `read_entries` is to keep: it asks by name, and the names are not known before.

    One of more than `most` bytes comes empty, and so does one that would be too much with those that are kept already.
    """

    def __init__(self, wanted: Callable[[str], bool], most: int = MOST) -> None:
        super().__init__()
        self._wanted = wanted
        self._most = most
        self._room = [_ROOM]

    def __bool__(self) -> bool:
        return True

    def get(self, key: str, default: object = None) -> list[bytes] | None:  # type: ignore[override]  # noqa: ARG002
        """A list for the file's bytes, or None. A path that comes twice counts as it came last."""
        if not self._wanted(key):
            return None
        self._room[0] += sum(map(len, super().get(key) or ()))
        self[key] = _Bounded(self._most, self._room)
        return self[key]

    def taken(self) -> dict[str, bytes]:
        """The files that have been kept since this was last asked, by name; they are let go of."""
        found = {name: b"".join(parts) for name, parts in self.items()}
        self.clear()
        self._room[0] = _ROOM
        return found


class _Source:
    """Bytes in parts, read by number; counts what was given out."""

    __slots__ = ("_held", "_parts", "label", "position")

    def __init__(self, parts: Iterable[bytes], label: str) -> None:
        self._parts = iter(parts)
        self._held = memoryview(b"")
        self.label = label
        self.position = 0

    def some(self, limit: int) -> memoryview:
        """At least one byte and at most `limit`, or nothing at the end."""
        while not self._held:
            part = next(self._parts, None)
            if part is None:
                return self._held
            self._held = memoryview(part)
        given, self._held = self._held[:limit], self._held[limit:]
        self.position += len(given)
        return given

    def exactly(self, count: int) -> bytes:
        """`count` bytes; fewer only at the end."""
        given = self.some(count)
        if len(given) == count:
            return bytes(given)
        parts = bytearray(given)
        while len(parts) < count and (given := self.some(count - len(parts))):
            parts += given
        return bytes(parts)

    def whole(self, count: int) -> bytes:
        data = self.exactly(count)
        if len(data) < count:
            raise BadArchive(self.label, f"is cut short at byte {self.position}")
        return data


def read_entries(
    parts: Iterable[bytes],
    label: str = "the archive",
    *,
    contents: bool = True,
    keep: Mapping[str, list[bytes]] | None = None,
    also: Callable[[str], Sink] | None = None,
) -> Iterator[TarEntry]:
    """The entries of an uncompressed tar, in their order, up to its end marker or the end of `parts`.

    Without `contents` files are skipped and not hashed. `keep` maps names to a list that receives that file's bytes
    (none of a file beyond 64 MiB); `also` is called with the name of each file that is not empty, and gives what its bytes
    are told, however many there are.
    Raises BadArchive for what is no tar, is cut short, or has a header with a wrong checksum.
    """
    source = _Source(parts, label)
    pending: dict[str, str] = {}
    while True:
        offset = source.position
        block = source.exactly(BLOCK)
        if not block or block.count(0) == BLOCK:
            return
        if len(block) < BLOCK:
            raise BadArchive(label, f"is cut short at byte {source.position}")
        _check_sum(block, offset, label)
        size = _number(block[124:136], label)
        kind = block[156:157]
        if kind in b"xgLK" and kind:
            if size > _LONGEST:
                raise BadArchive(label, f"has an extended header of {size} bytes")
            data = source.whole(size + -size % BLOCK)[:size]
            if kind != b"g":
                pending.update(_extended(kind, data, label))
            continue
        yield _entry(source, block, offset, pending, contents, partial(_sink, keep, also))
        pending = {}


def _entry(
    source: _Source,
    block: bytes,
    offset: int,
    pax: dict[str, str],
    contents: bool,
    sink: Callable[[str, int], Sink | None],
) -> TarEntry:
    label = source.label
    kind = _KINDS.get(block[156:157], "other")
    stated = pax.get("size", "")
    size = int(stated) if stated.isdecimal() and stated.isascii() else _number(block[124:136], label)
    name = pax.get("path") or _name(block)
    digest = ""
    if kind in ("file", "other") and size:
        digest = _content(source, size, contents, sink(name, size))
    elif kind == "file" and contents:
        digest = hashlib.sha256().hexdigest()
    return TarEntry(
        name,
        "folder" if kind == "file" and name.endswith("/") else kind,
        _number(block[100:108], label),
        _number(block[108:116], label),
        _number(block[116:124], label),
        _number(block[136:148], label),
        size if kind in ("file", "other") else 0,
        pax.get("linkpath") or _text(block[157:257]),
        _text(block[265:297]),
        _text(block[297:329]),
        digest if kind == "file" else "",
        offset,
        block,
        tuple(sorted(pax.items())),
    )


def _sink(
    keep: Mapping[str, list[bytes]] | None, also: Callable[[str], Sink] | None, name: str, size: int
) -> Sink | None:
    """What is told the bytes of a file."""
    if also is not None:
        return also(name)
    kept = keep.get(name) if keep and size <= _MOST_KEPT else None
    return None if kept is None else kept.append


def _content(source: _Source, size: int, contents: bool, sink: Sink | None) -> str:
    state = hashlib.sha256()
    left = size
    while left:
        part = source.some(left)
        if not part:
            raise BadArchive(source.label, f"is cut short at byte {source.position}")
        left -= len(part)
        if contents or sink is not None:
            state.update(part)
        if sink is not None:
            sink(bytes(part))
    source.whole(-size % BLOCK)
    return state.hexdigest() if contents or sink is not None else ""


def _check_sum(block: bytes, offset: int, label: str) -> None:
    total = sum(block) - sum(block[148:156]) + 8 * 32
    if _number(block[148:156], label) != total:
        raise BadArchive(label, f"has no tar header at byte {offset}, or a damaged one")


def _number(data: bytes, label: str) -> int:
    """A numeric field: octal, or GNU's base 256."""
    if data[0] & 0x80:
        value = int.from_bytes(data, "big") & ((1 << (8 * len(data) - 1)) - 1)
        return value - (1 << (8 * len(data) - 1)) if data[0] & 0x40 else value
    digits = data.strip(b" \0")
    if digits.strip(b"01234567"):
        raise BadArchive(label, f"has a header with the malformed number {data!r}")
    return int(digits, 8) if digits else 0


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _name(block: bytes) -> str:
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(block[:100])}" if prefix else _text(block[:100])


def _extended(kind: bytes, data: bytes, label: str) -> dict[str, str]:
    """The records of a PAX header (POSIX.1-2001, "pax Extended Header"), or of a GNU long name."""
    if kind in b"LK":
        return {"path" if kind == b"L" else "linkpath": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    records: dict[str, str] = {}
    while data:
        length, space, _ = data.partition(b" ")
        end = int(length) if space and len(length) < 10 and length.isdigit() else 0
        key, equals, value = data[len(length) + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or data[end - 1 : end] != b"\n":
            raise BadArchive(label, "has a malformed PAX header")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        data = data[end:]
    return records
