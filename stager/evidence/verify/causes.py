"""Comparing two droplet files whole, and naming the first cause: plan, artifact, layer, entry, field, byte.

The first file is the droplet under test and may be anything; the second one was staged just now. Equal digests end it.
Otherwise every difference is found, however small: where no entry and no field differs, the bytes between them do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...errors import StagerError
from ...model import Plan
from ...planning.lockfile import loads
from ...text import parsing
from . import fields
from .findings import LEVELS, MOST, Comparison, Finding, shown
from .plans import plan_findings
from .scanning import (
    LAYERS,
    LOCK,
    Inflating,
    Scan,
    digest_of,
    end_of,
    file_parts,
    first_difference,
    scan,
    tar_position,
)
from .where import Where

_SLACK = 1 << 30
_PACKING = ("mtime", "mode", "owner", "header", "compressor", "trailing bytes")


def compare(droplet: str, rebuilt: str, *, known: Mapping[str, str] | None = None) -> Comparison:
    """Compare a droplet file with one that was staged again.

    `known` maps texts of the machine that staged again to a condition's name (see `contents`). Raises Unreadable, and
    nothing else, whatever the first file holds.
    """
    digests = str(digest_of(droplet)), str(digest_of(rebuilt))
    if digests[0] == digests[1]:
        return Comparison(*digests)
    right = scan(rebuilt)
    left = scan(droplet, 4 * right.length + _SLACK)
    plan = _plan(right.texts.get(LOCK))
    place = Where(right, plan)
    ordered = _ordered(list(_findings(left, right, place, known or {})))
    return Comparison(*digests, tuple(ordered[:MOST]), dict(Counter(one.cause for one in ordered)))


def _ordered(found: list[Finding]) -> list[Finding]:
    """What decides most comes first: a file that cannot be read, then by level.

    Where content differs, how the archive was written follows from that: whoever changes a file packs all of them again.
    """
    changed = any(one.level == "byte" and not _of_packing(one) for one in found)

    def rank(one: Finding) -> int:
        if one.cause in ("damaged", "truncated"):
            return -1
        return len(LEVELS) if changed and _of_packing(one) else LEVELS.index(one.level)

    return sorted(found, key=rank)


def _of_packing(one: Finding) -> bool:
    """Whether a difference lies in how the archive was written, not in what is in it; lines of a file have an order, too."""
    return one.cause in _PACKING or (one.cause == "order" and one.level == "entry")


def _findings(left: Scan, right: Scan, place: Where, known: Mapping[str, str]) -> Iterator[Finding]:
    count = 0
    for one in _all(left, right, place, known):
        count += 1
        yield one
    if not count:
        yield from _bytes(left, right, place)


def _all(left: Scan, right: Scan, place: Where, known: Mapping[str, str]) -> Iterator[Finding]:
    if left.damage:
        yield _damage(left, right, place)
    plans = list(_plans(left, right))
    yield from plans
    if not left.entries:
        return
    yield from _layered(fields.compare(left, right, place, known), left, right, bool(plans))
    yield from _envelope(left, right)


# --- the plan --------------------------------------------------------------------------------------------------


def _plan(text: bytes | None) -> Plan | None:
    try:
        return loads(text) if text is not None else None
    except StagerError:
        return None


def _plans(left: Scan, right: Scan) -> Iterator[Finding]:
    texts = left.texts.get(LOCK), right.texts.get(LOCK)
    if texts[0] == texts[1] or (texts[0] is None and left.damage):
        return
    plans = _plan(texts[0]), _plan(texts[1])
    if plans[0] and plans[1]:
        yield from plan_findings(plans[0], plans[1], LOCK)
    elif texts[0] is None:
        yield Finding("plan", "missing entry", LOCK, "it carries no plan: it is no droplet of stager")
    else:
        yield Finding("plan", "different input", LOCK, "the plan it carries cannot be read")


# --- layers ----------------------------------------------------------------------------------------------------


def _layered(found: Iterator[Finding], left: Scan, right: Scan, planned: bool) -> Iterator[Finding]:
    """The entries' findings. The layer table and the plan follow from the rest, and count only when nothing else differs."""
    rest: list[Finding] = []
    derived: list[Finding] = []
    for one in found:
        (derived if one.path in (LAYERS, LOCK) and one.level == "byte" else rest).append(one)
    yield from rest
    if rest or planned:
        return
    for one in derived:
        yield _cut(one, left, right) if one.path == LAYERS else one


def _cut(one: Finding, left: Scan, right: Scan) -> Finding:
    """Only the layer table differs: the same entries were compressed otherwise, cut otherwise, or wrongly described."""
    tables = _table(left), _table(right)
    names = [[row[0] for row in table] for table in tables]
    if names[0] != names[1]:
        what = f"it is cut into other layers: {', '.join(names[0]) or 'none'} instead of {', '.join(names[1])}"
        return replace(one, level="layer", cause="different input", what=shown(what))
    first = next((a for a, b in zip(*tables, strict=True) if a[2:] != b[2:]), None)
    if first or tables[0] == tables[1]:
        what = "it describes layers that are not those of its entries"
        return replace(one, level="layer", cause="different input", what=what)
    name = next(a[0] for a, b in zip(*tables, strict=True) if a != b)
    what = f"the same content was compressed otherwise, first in {shown(name)}"
    return replace(one, cause="compressor", what=what, layer=shown(name), package="")


def _table(of: Scan) -> list[tuple[str, int, int, int]]:
    """Each layer's name, compressed size, length and CRC-32 as a droplet states them."""
    try:
        document = parsing.json(of.texts.get(LAYERS, b"{}"))
        rows = [*document["layers"][:200], {"name": "the envelope", **document["envelope"]}]
        found = [(str(row["name"])[:40], int(row["size"]), int(row["length"]), int(row["crc"])) for row in rows]
        return [*found, ("the end of the archive", int(document["end"]), 0, 0)]
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return []


# --- what lies outside the entries -----------------------------------------------------------------------------


def _damage(left: Scan, right: Scan, place: Where) -> Finding:
    """A file that cannot be read whole, with the first entry that is not as it should be."""
    cause = "truncated" if left.cut and left.size < right.size else "damaged"
    path = "[gzip header]"
    if left.members:
        raw = first_difference(file_parts(left.path), file_parts(right.path))
        tar = first_difference(Inflating(left.path, left.length).parts(), Inflating(right.path).parts())
        path = _at(right, max(tar, tar_position(right.path, raw)), "[end of the file]")
    return place.finding("byte", cause, path, left.damage)


def _at(of: Scan, offset: int, otherwise: str) -> str:
    entry = of.at(offset)
    return entry.name if entry else otherwise


def _envelope(left: Scan, right: Scan) -> Iterator[Finding]:
    """What the gzip file has around the deflate stream."""
    if left.header != right.header:
        yield from _gzip_header(left.header, right.header)
    if left.trailing:
        what = f"{left.trailing} bytes follow the end of the gzip file"
        yield Finding("byte", "trailing bytes", "[end of the file]", what)
    if left.members > 1:
        what = f"it is {left.members} gzip members in a row; some readers stop after the first"
        yield Finding("byte", "compressor", "[gzip]", what, "members", str(left.members), "1")


_GZIP = (
    ("compression method", 2, 3),
    ("flags", 3, 4),
    ("time", 4, 8),
    ("extra flags", 8, 9),
    ("operating system", 9, 10),
)


def _gzip_header(a: bytes, b: bytes) -> Iterator[Finding]:
    """RFC 1952 §2.3.1."""
    for name, start, end in _GZIP:
        if a[start:end] != b[start:end]:
            values = [str(int.from_bytes(data[start:end], "little")) for data in (a, b)]
            cause = "mtime" if name == "time" else "header"
            what = f"the gzip header's {name} is {values[0]}, not {values[1]}"
            yield Finding("field", cause, "[gzip header]", what, f"gzip {name}", *values)
    if a[10:] != b[10:] and a[3] == b[3]:
        what = "the gzip header's name, comment or extra field differs"
        yield Finding("field", "header", "[gzip header]", what, "gzip name", a[10:60].hex(), b[10:60].hex())


def _bytes(left: Scan, right: Scan, place: Where) -> Iterator[Finding]:
    """No entry, no field and no header differs, but the files do: between the entries, at the end, or the compressor."""
    if left.tar != right.tar:
        at = first_difference(Inflating(left.path).parts(), Inflating(right.path).parts())
        yield _between(at, left, right, place)
        return
    at = first_difference(file_parts(left.path), file_parts(right.path))
    path = _at(right, tar_position(right.path, at), "[end of the archive]")
    what = f"the same content was compressed otherwise, from byte {at} of the file on"
    yield place.finding("byte", "compressor", path, what, "deflate", f"{left.size} bytes", f"{right.size} bytes")


def _between(at: int, left: Scan, right: Scan, place: Where) -> Finding:
    entry = right.at(at) or left.at(at)
    if entry is None:
        what = f"the end of the archive is {left.length - _end(left)} bytes, not {right.length - _end(right)}"
        if left.length == right.length:
            what = "the end of the archive is not only zeros"
        return Finding("byte", "trailing bytes", "[end of the archive]", what, "end")
    if at < entry.offset:
        what = f"another extended header in front of it, from byte {at} of the archive on"
        return place.finding("field", "header", entry.name, what, "extended header")
    what = f"the padding after its content is not zeros, at byte {at} of the archive"
    return place.finding("byte", "header", entry.name, what, "padding")


def _end(of: Scan) -> int:
    return end_of(of.entries[-1]) if of.entries else 0
