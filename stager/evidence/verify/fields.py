"""Two archives entry by entry: what is missing, added, repeated or moved, and which fields of an entry differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from ...formats.tar_reader import Entry
from .contents import explain
from .findings import Finding
from .scanning import Scan, contents_of
from .where import Where

_OPENED = 40
"""So many differing files are opened to see why; beyond, only that they differ is said."""
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


def compare(left: Scan, right: Scan, place: Where, known: Mapping[str, str]) -> Iterator[Finding]:
    """Every difference between the entries of two archives, in the order of the second one's."""
    a, b = _first(left), _first(right)
    damaged = bool(left.damage)
    yield from _repeated(left, right, place)
    yield from _missing(a, b, place, damaged)
    yield from _moved(a, b, place)
    changed: list[str] = []
    for name, entry in b.items():
        if name in a:
            yield from _entry(a[name], entry, place)
            if _content(a[name]) != _content(entry):
                changed.append(name)
    yield from _contents(changed, left, right, a, b, place, known)


def _first(of: Scan) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in of.entries:
        found.setdefault(entry.name, entry)
    return found


def _content(entry: Entry) -> tuple[str, int]:
    return (entry.sha256, entry.size) if entry.kind == "file" else ("", 0)


# --- which entries there are -----------------------------------------------------------------------------------


def _repeated(left: Scan, right: Scan, place: Where) -> Iterator[Finding]:
    counts, expected = (Counter(entry.name for entry in of.entries) for of in (left, right))
    for name, count in counts.items():
        if count > 1 and count != expected[name]:
            what = f"it occurs {count} times"
            yield place.finding("entry", "duplicate entry", name, what, "count", str(count), str(expected[name]))


def _missing(a: Mapping[str, Entry], b: Mapping[str, Entry], place: Where, damaged: bool) -> Iterator[Finding]:
    """Entries that only one archive has. Of a damaged one nothing is said beyond the last entry that could be read."""
    names = list(b)
    known = [index for index, name in enumerate(names) if name in a]
    until = known[-1] if damaged and known else len(names)
    extra = {_content(entry): name for name, entry in a.items() if name not in b and entry.size}
    for name in names[:until]:
        if name not in a:
            moved = extra.get(_content(b[name]))
            what = (
                f"the droplet does not have it; its content is at {moved}" if moved else "the droplet does not have it"
            )
            yield place.finding("entry", "missing entry", name, what, "", "", b[name].kind)
    for name in a:
        if name not in b:
            yield place.finding("entry", "extra entry", name, "the source does not give it", "", a[name].kind, "")


def _moved(a: Mapping[str, Entry], b: Mapping[str, Entry], place: Where) -> Iterator[Finding]:
    """The first place at which the entries that both have come in another order."""
    one, other = [name for name in a if name in b], [name for name in b if name in a]
    for mine, its in zip(one, other, strict=True):
        if mine != its:
            what = f"it comes where {its} should"
            yield place.finding("entry", "order", mine, what, "position", str(one.index(its)), str(other.index(its)))
            return


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


def _entry(a: Entry, b: Entry, place: Where) -> Iterator[Finding]:
    found = 0
    for field, cause in _CAUSES.items():
        one, other = getattr(a, field), getattr(b, field)
        if one != other:
            found += 1
            yield _field(b.name, field, cause, _value(field, one), _value(field, other), place)
    records = dict(a.pax), dict(b.pax)
    for key in sorted({*records[0], *records[1]}):
        if records[0].get(key) != records[1].get(key) and not (found and key == "linkpath") and _counts(key, records):
            found += 1
            one, other = (record.get(key, "absent") for record in records)
            yield _field(b.name, f"PAX {key}", _PAX.get(key, "header"), one, other, place)
    if not found and a.header != b.header and a.size == b.size:
        yield from _raw(a, b, place)


def _counts(key: str, records: tuple[Mapping[str, str], Mapping[str, str]]) -> bool:
    """Whether a differing record is a difference by itself: another size shows as another content."""
    return key != "size" or (key in records[0]) != (key in records[1])


def _value(field: str, value: object) -> str:
    return f"{value:04o}" if field == "mode" else str(value)


def _field(name: str, field: str, cause: str, one: str, other: str, place: Where) -> Finding:
    what = f"its {field} is {one or 'empty'}, not {other or 'empty'}"
    return place.finding("field", cause, name, what, field, one, other)


def _raw(a: Entry, b: Entry, place: Where) -> Iterator[Finding]:
    """The same values, written in another way."""
    for field, start, end in _RAW:
        one, other = a.header[start:end], b.header[start:end]
        if one != other:
            values = [data.rstrip(b"\0").decode("latin-1") for data in (one, other)]
            what = f"its header's {field} is written in another way"
            yield place.finding("field", "header", b.name, what, field, *values)
            return


# --- which contents differ -------------------------------------------------------------------------------------


def _contents(
    names: list[str],
    left: Scan,
    right: Scan,
    a: Mapping[str, Entry],
    b: Mapping[str, Entry],
    place: Where,
    known: Mapping[str, str],
) -> Iterator[Finding]:
    small = {name for name in names if a[name].kind == b[name].kind and max(a[name].size, b[name].size) <= _BIG}
    opened = set([name for name in names if name in small][:_OPENED])
    data = (contents_of(left.path, opened), contents_of(right.path, opened)) if opened else ({}, {})
    for name in names:
        if a[name].kind != b[name].kind:
            continue  # said already
        if name in data[0] and name in data[1]:
            why = explain(name, data[0][name], data[1][name], known, verbatim=place.verbatim(name))
            yield place.finding("byte", why.cause, name, why.what, why.place, why.droplet, why.rebuilt)
        else:
            sizes = f"{a[name].size} bytes", f"{b[name].size} bytes"
            yield place.finding("byte", "different input", name, "the content differs", "content", *sizes)
