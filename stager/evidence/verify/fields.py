"""Two archives entry by entry: what is missing, added, repeated or moved, and which fields of an entry differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...builds.differing import explain
from ...droplet.contents import name_of, place
from ...formats.errors import BadArchive
from ...formats.tar_reader import Keep, TarEntry, read_entries
from ..diff import Contents, Item
from ..diff.meeting import Meeting
from .findings import Finding
from .where import Where

_OPENED = 40
"""So many differing files are opened to see why; beyond, only that they differ is said."""
_CLOSELY = 1000
"""So many entries that are unlike are looked at to the last bit of their headers; of the rest, the fields are told."""
_BIG = 16 << 20
"""A file of more bytes is not opened."""
_RAW = (
    ("name", 0, 100),
    ("mode", 100, 108),
    ("uid", 108, 116),
    ("gid", 116, 124),
    ("size", 124, 136),
    ("mtime", 136, 148),
    ("type", 156, 157),
    ("link name", 157, 257),
    ("magic and version", 257, 265),
    ("user name", 265, 297),
    ("group name", 297, 329),
    ("device", 329, 345),
    ("prefix", 345, 500),
    ("unused bytes", 500, 512),
    ("checksum", 148, 156),
)
"""A ustar header's fields (POSIX.1-1988, `tar.h`), the checksum last, since it follows from the others."""


def compare(
    met: Meeting, droplet: Contents, rebuilt: Contents, place: Where, known: Mapping[str, str]
) -> Iterator[Finding]:
    """Every difference between the entries of two archives, in the order of the rebuilt one's, which `met` has first."""
    both = {path: pair for path in met.held if (pair := met.unlike.get(path)) and pair[1]}
    extra = {path: item for path, (expected, item) in met.unlike.items() if item and not expected}
    changed = [path for path, pair in both.items() if _content(pair[0]) != _content(pair[1])]
    small = [path for path in changed if all(item and item.size <= _BIG for item in both[path])]
    opened, closely = set(small[:_OPENED]), set([*both, *extra][:_CLOSELY])
    one, other = look(droplet, closely, opened), look(rebuilt, closely - extra.keys(), opened)
    yield from _repeated(met, place)
    yield from _missing(met, extra, bool(droplet.gzip and droplet.gzip.damage), place)
    for path, item in extra.items():
        name = one.entries[path].name if path in one.entries else name_of(item)
        yield place.finding("entry", "extra entry", item, "the source does not give it", "", item.kind, "", name=name)
    yield from _moved(met, place)
    for path, (b, a) in both.items():
        assert a is not None
        assert b is not None
        entries = one.entries.get(path), other.entries.get(path)
        yield from _entry(entries[0], entries[1], b, place) if entries[0] and entries[1] else _fields(a, b, b, place)
    for path in changed:
        b, a = both[path]
        assert a is not None
        assert b is not None
        if a.kind == b.kind:  # another one has been told already
            yield _changed(a, b, one.contents.get(path), other.contents.get(path), place, known)


def _content(item: Item | None) -> tuple[bytes, int]:
    return (item.content, item.size) if item and item.kind == "file" else (b"", 0)


# --- which entries there are -----------------------------------------------------------------------------------


def _repeated(met: Meeting, place: Where) -> Iterator[Finding]:
    for path, expected, count in met.repeated():
        if count > 1:
            item = met.held.get(path) or next(item for item in met.unlike[path] if item)
            what = f"it occurs {count} times"
            yield place.finding("entry", "duplicate entry", item, what, "count", str(count), str(expected))


def _missing(met: Meeting, extra: Mapping[str, Item], damaged: bool, place: Where) -> Iterator[Finding]:
    """Entries that the droplet has not. Of a damaged one nothing is said beyond the last entry that could be read."""
    there = set(met.after)
    known = [index for index, path in enumerate(met.before) if path in there]
    until = known[-1] if damaged and known else len(met.before)
    contents = {_content(item): item for item in extra.values() if item.size}
    for path in met.before[:until]:
        if path not in there:
            item = met.held[path]
            moved = contents.get(_content(item))
            what = "the droplet does not have it" + (f"; its content is at {name_of(moved)}" if moved else "")
            yield place.finding("entry", "missing entry", item, what, "", "", item.kind)


def _moved(met: Meeting, place: Where) -> Iterator[Finding]:
    """The first place at which the entries that both have come in another order."""
    if found := met.displaced():
        at, its, mine = found
        what = f"it comes where {name_of(met.held[its])} should"
        there = [path for path in dict.fromkeys(met.before) if path in set(met.after)].index(mine)
        yield place.finding("entry", "order", met.held[mine], what, "position", str(at), str(there))


# --- which fields differ ---------------------------------------------------------------------------------------

_CAUSES = {
    "kind": "kind",
    "mode": "mode",
    "uid": "owner",
    "gid": "owner",
    "uname": "owner",
    "gname": "owner",
    "mtime": "mtime",
    "link": "link target",
}
_PAX = {**_CAUSES, "atime": "mtime", "ctime": "mtime", "linkpath": "link target"}


def _entry(a: TarEntry, b: TarEntry, at: Item, place: Where) -> Iterator[Finding]:
    told = list(_fields(a, b, at, place))
    yield from told
    found = len(told)
    records = dict(a.pax), dict(b.pax)
    for key in sorted({*records[0], *records[1]}):
        if records[0].get(key) != records[1].get(key) and not (found and key == "linkpath") and _counts(key, records):
            found += 1
            one, other = (record.get(key, "absent") for record in records)
            yield _field(at, f"PAX {key}", _PAX.get(key, "header"), one, other, place)
    if not found and a.header != b.header and a.size == b.size:
        yield from _raw(a, b, at, place)


def _fields(a: TarEntry | Item, b: TarEntry | Item, at: Item, place: Where) -> Iterator[Finding]:
    for field, cause in _CAUSES.items():
        one, other = getattr(a, field), getattr(b, field)
        if one != other:
            yield _field(at, field, cause, _value(field, one), _value(field, other), place)


def _counts(key: str, records: tuple[Mapping[str, str], Mapping[str, str]]) -> bool:
    """Whether a differing record is a difference by itself: another size shows as another content."""
    return key != "size" or (key in records[0]) != (key in records[1])


def _value(field: str, value: object) -> str:
    return f"{value:04o}" if field == "mode" else str(value)


def _field(at: Item, field: str, cause: str, one: str, other: str, place: Where) -> Finding:
    what = f"its {field} is {one or 'empty'}, not {other or 'empty'}"
    return place.finding("field", cause, at, what, field, one, other)


def _raw(a: TarEntry, b: TarEntry, at: Item, place: Where) -> Iterator[Finding]:
    """The same values, written in another way."""
    for field, start, end in _RAW:
        one, other = a.header[start:end], b.header[start:end]
        if one != other:
            values = [data.rstrip(b"\0").decode("latin-1") for data in (one, other)]
            what = f"its header's {field} is written in another way"
            yield place.finding("field", "header", at, what, field, *values)
            return


# --- which contents differ -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a closer look at an archive gives, by path."""

    entries: dict[str, TarEntry]
    contents: dict[str, bytes]


def look(of: Contents, closely: set[str], opened: set[str]) -> _Looked:
    """Some entries with their headers, and some contents, as far as the archive can be read."""
    found = _Looked({}, {})
    keep = Keep(lambda name: place(name) in opened, _BIG)
    wanted = closely | opened
    try:
        for entry in read_entries(of.archive() if of.archive and wanted else (), "it", contents=False, keep=keep):
            if (path := place(entry.name)) in wanted:
                found.entries[path] = entry
            if len(found.entries) == len(wanted):
                break
    except (BadArchive, ValueError, OverflowError, RecursionError, MemoryError):
        pass  # what is damaged has been told
    contents = {place(name): data for name, data in keep.taken().items()}
    found.contents.update({path: data for path, data in contents.items() if found.entries[path].size == len(data)})
    return found


def _changed(
    a: Item, b: Item, droplet: bytes | None, rebuilt: bytes | None, place: Where, known: Mapping[str, str]
) -> Finding:
    if droplet is None or rebuilt is None:
        sizes = f"{a.size} bytes", f"{b.size} bytes"
        return place.finding("byte", "different input", b, "the content differs", "content", *sizes)
    why = explain(b.path, droplet, rebuilt, known, verbatim=place.verbatim(b.path))
    return place.finding("byte", why.cause, b, why.what, why.place, why.droplet, why.rebuilt)
