"""Packs of git (gitformat-pack(5)): objects by their ids, each of which is what its own content hashes to.

An id is computed from content that was inflated here, never read from the pack, so who serves another content for an id serves
none for it. Sizes that a pack states are promises: they bound what is inflated, and are checked.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, NamedTuple

from ..errors import Cancelled
from .errors import BadArchive

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4
_NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}
_OFFSET_DELTA, _NAMED_DELTA = 6, 7
_STEP = 1 << 14
_LARGE = 1 << 16
_KEPT = 32 << 20
"""Bytes of objects that are kept, since deltas stand on them."""


@dataclass(frozen=True, slots=True)
class PackLimits:
    """How much a pack may ask for before it is refused."""

    objects: int = 300_000
    object: int = 64 << 20
    """Bytes of one object; two and what is made of them are in memory at once."""
    total: int = 8 << 30
    """Bytes of all objects, of those that are made of deltas as often as they are made."""
    work: int = 32 << 30
    """What is read, inflated and made in all, in bytes; an object is inflated again whenever a delta on it is asked for and it
    is no longer kept. Some minutes of one processor."""
    depth: int = 4096
    """Deltas upon deltas; git makes no more than 4095 (git-pack-objects(1), `--depth`)."""


LIMITS = PackLimits()
_ORDERS, _ORDER = 1 << 14, 128
"""How many orders of a delta are looked at together, and the work that one is."""


class Missing(Exception):
    """An object that is not in the pack, by its id."""


class _Entry(NamedTuple):
    kind: int
    size: int
    data: int
    """Where its deflated content begins."""
    base: int | str
    """What a delta stands on: a place in the pack, or an id; 0 for a whole object."""


class Pack:
    """The objects of a pack in an open file, which stays open as long as they are read. Raises BadArchive and Cancelled."""

    def __init__(
        self,
        file: IO[bytes],
        label: str,
        limits: PackLimits = LIMITS,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._file, self._label, self._limits, self._stopping = file, label, limits, stopping
        self._entries: dict[int, _Entry] = {}
        self._places: dict[str, int] = {}
        self._kept: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._size = self._work = 0
        self._name(self._read())

    def get(self, name: str, kind: int) -> bytes:
        """The content of an object. Raises Missing, also when that id is of another kind."""
        place = self._places.get(name)
        if place is None:
            raise Missing(name)
        found, content = self._content(place)
        if found != kind:
            raise Missing(name)
        return content

    def kind(self, name: str) -> int:
        """What an object is; 0 for one that is not there."""
        place = self._places.get(name)
        return 0 if place is None else self._content(place)[0]

    def _fail(self, why: str) -> BadArchive:
        return BadArchive(self._label, f"its pack {why}")

    # --- what there is -------------------------------------------------------------------------------------------

    def _read(self) -> dict[int | str, list[int]]:
        """Go through the pack once: whole objects get their names; the places of the deltas, by what they stand on."""
        head = self._at(0, 12)
        if head[:4] != b"PACK" or int.from_bytes(head[4:8], "big") not in (2, 3):
            raise self._fail("is none")
        count, place = int.from_bytes(head[8:], "big"), 12
        deltas = defaultdict[int | str, list[int]](list)
        if count > self._limits.objects:
            raise self._fail(f"has {count} objects; the limit is {self._limits.objects}")
        for _ in range(count):
            entry = self._entry(place)
            self._count(entry.size)
            self._entries[place] = entry
            if entry.base:
                deltas[entry.base].append(place)
                _, end = self._inflated(entry)
            else:
                content, end = self._inflated(entry)
                self._places.setdefault(_id(entry.kind, content), place)
            place = end
        return deltas

    def _count(self, size: int) -> None:
        if size > self._limits.object:
            raise self._fail(f"has an object of {size} bytes; the limit is {self._limits.object}")
        self._size += size
        if self._size > self._limits.total:
            raise self._fail(f"has objects of more than {self._limits.total} bytes together")

    def _spend(self, work: int) -> None:
        """Count what is done, however often it is the same. Raises BadArchive, and Cancelled when the caller stops."""
        if self._stopping():
            raise Cancelled
        self._work += work
        if self._work > self._limits.work:
            raise self._fail(f"takes more than {self._limits.work} bytes of work")

    def _entry(self, place: int) -> _Entry:
        head = self._at(place, 64, short=True)
        try:
            kind, size, at = head[0] >> 4 & 7, head[0] & 15, 1
            shift = 4
            while head[at - 1] & 0x80:
                size |= (head[at] & 0x7F) << shift
                shift, at = shift + 7, at + 1
            base: int | str = 0
            if kind == _OFFSET_DELTA:
                back = head[at] & 0x7F
                while head[at] & 0x80:
                    at += 1
                    back = (back + 1) << 7 | head[at] & 0x7F
                at += 1
                base = place - back
                if base not in self._entries:
                    raise self._fail("has a delta on what is no object")
            elif kind == _NAMED_DELTA:
                base, at = head[at : at + 20].hex(), at + 20
            elif kind not in _NAMES:
                raise self._fail(f"has an object of the unknown kind {kind}")
        except IndexError:
            raise self._fail("ends early") from None
        return _Entry(kind, size, place + at, base)

    def _at(self, place: int, size: int, *, short: bool = False) -> bytes:
        self._file.seek(place)
        data = self._file.read(size)
        if len(data) < size and not short:
            raise self._fail("ends early")
        return data

    def _inflated(self, entry: _Entry) -> tuple[bytes, int]:
        """An entry's own content, and where the next one begins; never more is inflated than it states."""
        state, parts, left, place = zlib.decompressobj(), list[bytes](), entry.size, entry.data
        self._file.seek(place)
        self._spend(entry.size)
        pending = b""
        try:
            while not state.eof:
                if not pending:
                    pending = self._file.read(_STEP)
                    place += len(pending)
                    self._spend(len(pending))
                    if not pending:
                        raise self._fail("ends early")
                part = state.decompress(pending, left + 1)  # one more, so that a longer one shows, and the end is seen
                left -= len(part)
                if left < 0:
                    raise self._fail("has an object that is longer than it states")
                parts.append(part)
                pending = state.unconsumed_tail
        except zlib.error as error:
            raise self._fail(f"has an object that cannot be inflated: {error}") from None
        if left:
            raise self._fail("has an object that is shorter than it states")
        return b"".join(parts), place - len(state.unused_data)

    # --- deltas --------------------------------------------------------------------------------------------------

    def _name(self, deltas: dict[int | str, list[int]]) -> None:
        """Name the objects that are deltas: each one right after what it stands on, while that is kept."""
        ready = list[tuple[int, int]]()
        names = {place: name for name, place in self._places.items()}
        for place in [place for place, entry in self._entries.items() if not entry.base]:
            ready += ((one, 1) for base in (place, names.get(place, "")) for one in deltas.pop(base, ()))
            while ready:
                above, depth = ready.pop()
                if depth > self._limits.depth:
                    raise self._fail(f"has more than {self._limits.depth} deltas upon one another")
                name = _id(*self._content(above))
                self._places.setdefault(name, above)
                ready += ((one, depth + 1) for base in (above, name) for one in deltas.pop(base, ()))
        if deltas:
            raise self._fail("has deltas on objects that it has not")

    def _content(self, place: int) -> tuple[int, bytes]:
        """(kind, content) of the object at a place, whose bases have names."""
        chain = list[int]()
        while place not in self._kept and (base := self._entries[place].base):
            chain.append(place)
            place = self._places[base] if isinstance(base, str) else base
        if place in self._kept:
            kind, content = self._kept[place]
            self._kept.move_to_end(place)
        else:
            kind, content = self._entries[place].kind, self._inflated(self._entries[place])[0]
            self._keep(place, kind, content)
        for above in reversed(chain):
            content = self._applied(content, self._inflated(self._entries[above])[0])
            self._keep(above, kind, content)
        return kind, content

    def _keep(self, place: int, kind: int, content: bytes) -> None:
        self._kept[place] = kind, content
        size = sum(len(data) for _, data in self._kept.values()) if len(content) > _LARGE else 0
        while len(self._kept) > 256 or (size > _KEPT and len(self._kept) > 1):
            size -= len(self._kept.popitem(last=False)[1][1])

    def _applied(self, base: bytes, delta: bytes) -> bytes:
        """What a delta makes of its base: copies of parts of that, and bytes of its own."""
        before, at = _number(delta, 0)
        after, at = _number(delta, at)
        if before != len(base):
            raise self._fail("has a delta on another object than it states")
        self._count(after)
        self._spend(after)
        made, orders = bytearray(), 0
        try:
            while at < len(delta):
                orders += 1
                if orders % _ORDERS == 0:
                    self._spend(_ORDERS * _ORDER)
                order, at = delta[at], at + 1
                if order & 0x80:
                    start = size = 0
                    for bit in range(4):
                        if order & 1 << bit:
                            start, at = start | delta[at] << 8 * bit, at + 1
                    for bit in range(3):
                        if order & 0x10 << bit:
                            size, at = size | delta[at] << 8 * bit, at + 1
                    size = size or 0x10000
                    if start + size > len(base) or len(made) + size > after:
                        raise self._fail("has a delta that leads out of its base or result")
                    made += base[start : start + size]
                elif order:
                    if at + order > len(delta) or len(made) + order > after:
                        raise self._fail("has a delta that leads out of its result")
                    made += delta[at : at + order]
                    at += order
                else:
                    raise self._fail("has a delta with an unknown order")
        except IndexError:
            raise self._fail("has a delta that ends early") from None
        if len(made) != after:
            raise self._fail("has a delta that makes less than it states")
        return bytes(made)


def _id(kind: int, content: bytes) -> str:
    """The id of an object (gitformat-pack(5), SHA-1): the hash of its kind, its size and its content."""
    state = hashlib.sha1(b"%s %d\0" % (_NAMES[kind], len(content)), usedforsecurity=False)
    state.update(content)
    return state.hexdigest()


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number in 7 bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 0x80 or shift > 63:
            break
    return value, at
