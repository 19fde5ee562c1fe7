"""Comparing two droplet files whole, and naming the first cause: plan, artifact, layer, entry, field, byte.

The first file is the droplet under test and may be anything; the second one was staged just now. Equal digests end it.
Otherwise every difference is found, however small: where no entry and no field differs, the bytes between them do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...errors import StagerError
from ...files.whole import digest_of, first_difference
from ...files.whole import parts as file_parts
from ...formats.gunzip import Gzipped, tar_position
from ...formats.tar import BLOCK, ROOT
from ...model import Plan
from ...planning.lockfile import loads
from ...text import parsing
from ...text.wording import shown
from ..diff import Contents, Item, read
from ..diff.meeting import Meeting, meet
from . import fields
from .findings import LEVELS, MOST, Comparison, Finding
from .plans import plan_findings
from .where import LAYERS, LOCK, Where

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
    left, right = (read(path, "as far as possible") for path in (droplet, rebuilt))

    def limited() -> Iterator[Item]:
        """The droplet's entries: by now it is known how many bytes there should be."""
        _gzip(left).most = 4 * _gzip(right).length + _SLACK
        yield from left.walk()

    met = meet(right.walk(), limited())
    place = Where(right, met, _plan(right.records().get(LOCK)))
    ordered = _ordered(list(_findings(left, right, met, place, known or {})))
    return Comparison(*digests, tuple(ordered[:MOST]), dict(Counter(one.cause for one in ordered)))


def _gzip(side: Contents) -> Gzipped:
    assert side.gzip is not None  # it was read as far as possible
    return side.gzip


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


def _findings(
    left: Contents, right: Contents, met: Meeting, place: Where, known: Mapping[str, str]
) -> Iterator[Finding]:
    count = 0
    for one in _all(left, right, met, place, known):
        count += 1
        yield one
    if not count:
        yield from _bytes(left, right, place)


def _all(left: Contents, right: Contents, met: Meeting, place: Where, known: Mapping[str, str]) -> Iterator[Finding]:
    if _gzip(left).damage:
        yield _damage(left, right, place)
    plans = list(_plans(left, right))
    yield from plans
    if not met.after:
        return
    yield from _layered(fields.compare(met, left, right, place, known), left, right, bool(plans))
    yield from _envelope(left, right)


# --- the plan --------------------------------------------------------------------------------------------------


def _plan(text: bytes | None) -> Plan | None:
    try:
        return loads(text).plan if text is not None else None
    except StagerError:
        return None


def _plans(left: Contents, right: Contents) -> Iterator[Finding]:
    texts = left.records().get(LOCK), right.records().get(LOCK)
    if texts[0] == texts[1] or (texts[0] is None and _gzip(left).damage):
        return
    plans = _plan(texts[0]), _plan(texts[1])
    if plans[0] and plans[1]:
        yield from plan_findings(plans[0], plans[1], ROOT + LOCK)
    elif texts[0] is None:
        yield Finding("plan", "missing entry", ROOT + LOCK, "it carries no plan: it is no droplet of stager")
    else:
        yield Finding("plan", "different input", ROOT + LOCK, "the plan it carries cannot be read")


# --- layers ----------------------------------------------------------------------------------------------------


def _layered(found: Iterator[Finding], left: Contents, right: Contents, planned: bool) -> Iterator[Finding]:
    """The entries' findings. The layer table and the plan follow from the rest, and count only when nothing else differs."""
    rest: list[Finding] = []
    derived: list[Finding] = []
    for one in found:
        (derived if one.path in (ROOT + LAYERS, ROOT + LOCK) and one.level == "byte" else rest).append(one)
    yield from rest
    if rest or planned:
        return
    for one in derived:
        yield _cut(one, left, right) if one.path == ROOT + LAYERS else one


def _cut(one: Finding, left: Contents, right: Contents) -> Finding:
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


def _table(of: Contents) -> list[tuple[str, int, int, int]]:
    """Each layer's name, compressed size, length and CRC-32 as a droplet states them."""
    try:
        document = parsing.json(of.records().get(LAYERS, b"{}"))
        rows = [*document["layers"][:200], {"name": "the envelope", **document["envelope"]}]
        found = [(str(row["name"])[:40], int(row["size"]), int(row["length"]), int(row["crc"])) for row in rows]
        return [*found, ("the end of the archive", int(document["end"]), 0, 0)]
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return []


# --- what lies outside the entries -----------------------------------------------------------------------------


def _damage(left: Contents, right: Contents, place: Where) -> Finding:
    """A file that cannot be read whole, with the first entry that is not as it should be."""
    gzip = _gzip(left)
    cause = "truncated" if gzip.cut and left.size < right.size else "damaged"
    if not gzip.members:
        return _at(None, "[gzip header]", cause, place, gzip.damage)
    raw = first_difference(file_parts(gzip.path), file_parts(_gzip(right).path)) or 0
    short = Gzipped(gzip.path, gzip.length)
    tar = first_difference(short.parts(), Gzipped(_gzip(right).path).parts())
    offset = max(gzip.length if tar is None else tar, tar_position(_gzip(right).path, raw))
    return _at(place.at(offset), "[end of the file]", cause, place, gzip.damage)


def _at(item: Item | None, otherwise: str, cause: str, place: Where, what: str, *values: str) -> Finding:
    """A finding in the bytes: at an entry, or at what is none."""
    if item is None:
        return Finding("byte", cause, otherwise, shown(what), *values)
    return place.finding("byte", cause, item, what, *values)


def _envelope(left: Contents, right: Contents) -> Iterator[Finding]:
    """What the gzip file has around the deflate stream."""
    gzip, header = _gzip(left), _gzip(right).header
    if gzip.header != header:
        yield from _gzip_header(gzip.header, header)
    if gzip.trailing:
        what = f"{gzip.trailing} bytes follow the end of the gzip file"
        yield Finding("byte", "trailing bytes", "[end of the file]", what)
    if gzip.members > 1:
        what = f"it is {gzip.members} gzip members in a row; some readers stop after the first"
        yield Finding("byte", "compressor", "[gzip]", what, "members", str(gzip.members), "1")


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


def _bytes(left: Contents, right: Contents, place: Where) -> Iterator[Finding]:
    """No entry, no field and no header differs, but the files do: between the entries, at the end, or the compressor."""
    gzips = _gzip(left), _gzip(right)
    if gzips[0].tar != gzips[1].tar:
        at = first_difference(*(Gzipped(gzip.path).parts() for gzip in gzips)) or 0
        yield _between(at, left, right, place)
        return
    at = first_difference(*(file_parts(gzip.path) for gzip in gzips)) or 0
    what = f"the same content was compressed otherwise, from byte {at} of the file on"
    item = place.at(tar_position(gzips[1].path, at))
    values = "deflate", f"{left.size} bytes", f"{right.size} bytes"
    yield _at(item, "[end of the archive]", "compressor", place, what, *values)


def _between(at: int, left: Contents, right: Contents, place: Where) -> Finding:
    item = place.at(at)
    if item is None:
        rests = [_gzip(side).length - (side.rest.end if side.rest else 0) for side in (left, right)]
        what = f"the end of the archive is {rests[0]} bytes, not {rests[1]}"
        if rests[0] == rests[1]:
            what = "the end of the archive is not only zeros"
        return Finding("byte", "trailing bytes", "[end of the archive]", what, "end")
    if at < item.end - BLOCK - item.size - -item.size % BLOCK:
        what = f"another extended header in front of it, from byte {at} of the archive on"
        return place.finding("field", "header", item, what, "extended header")
    what = f"the padding after its content is not zeros, at byte {at} of the archive"
    return place.finding("byte", "header", item, what, "padding")
