"""How two things differ: what they say of themselves, their files, their layers, and only the envelope around them.

*Content* is what an app can see: which files there are, their bytes, links and executable bits, packages, runtimes, processes
and environment. The *envelope* is the rest: other mode bits, owners, times, the order and form of headers, compression,
and what a platform puts beside the app folder. Between two kinds of things the envelope always differs, and is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from ...droplet.contents import Contents, Item, LayerPart
from ...droplet.contents_reader import same_bytes
from ...droplet.ownership import ENVELOPE
from ...files.whole import first_difference
from .meeting import Meeting, meet, path_key
from .meeting import fields as unlike
from .planned import Change, facets, tables

EQUAL, IN_ENVELOPE, IN_CONTENT = "equal", "envelope", "content"
"""Verdicts."""
Owner = Callable[[Item], str]


@dataclass(frozen=True, slots=True)
class FileChange:
    """One path that differs: `fields` are (field, before, after), empty when it is on one side only."""

    path: str
    how: str
    """`added`, `removed` or `changed`."""
    owner: str
    envelope: bool
    fields: tuple[tuple[str, str, str], ...] = ()
    before: Item | None = None
    after: Item | None = None

    @property
    def growth(self) -> int:
        """By how many bytes the file grew."""
        return (self.after.size if self.after else 0) - (self.before.size if self.before else 0)


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer: on both sides (`shared`), or on the first (`a`) or second (`b`) alone."""

    name: str
    side: str
    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs between `a` and `b`, in a fixed order."""

    a: Contents
    b: Contents
    changes: tuple[Change, ...]
    files: tuple[FileChange, ...]
    layers: tuple[LayerRow, ...]
    not_compared: tuple[str, ...]
    counts_envelope: bool
    """Whether a difference in the envelope alone makes the two different."""

    @property
    def verdict(self) -> str:
        """`equal`, `envelope` (only that differs) or `content`."""
        everything = [*(one.envelope for one in self.changes), *(one.envelope for one in self.files)]
        if not everything:
            return EQUAL
        return IN_ENVELOPE if all(everything) else IN_CONTENT

    @property
    def different(self) -> bool:
        """What the exit status says."""
        return self.verdict == IN_CONTENT or (self.verdict == IN_ENVELOPE and self.counts_envelope)


def compare(a: Contents, b: Contents, *, content_only: bool = False) -> Difference:
    """How `a` and `b` differ in what both hold. With `content_only` the envelope is looked at, but makes no difference.

    Layers that both have are skipped unread. Raises BadArchive when a layer that must be read is damaged.
    """
    alike = a.kind == b.kind
    changes = [*facets(a, b)]
    rows, only_a, only_b = _share(a, b)
    files: list[FileChange] = []
    if a.has_files and b.has_files and (a.digest != b.digest or not alike):
        met = meet(_chosen(a, only_a, b.whole), _chosen(b, only_b, a.whole))
        files = [*_files(met, a.owners(), b.owners(), alike)]
        changes += [*_repeated(met)]
        if a.kind != "folder" and b.kind != "folder":
            changes += [*_order(met)]
    if alike and a.packing and b.packing:
        changes += [*_packing(a, b, bool(changes or files), only_a, only_b)]
    return Difference(
        a, b, tuple(changes), tuple(files), tuple(rows), tuple(_not_compared(a, b)), alike and not content_only
    )


def _not_compared(a: Contents, b: Contents) -> Iterator[str]:
    """What one side does not hold, as sentences that call the sides a and b: no file name may reach a report."""
    for letter, side in (("a", a), ("b", b)):
        yield from (f"{letter}: {note}" for note in side.notes)
    for what, one, other in (
        ("files", a.has_files, b.has_files),
        ("packages and runtimes", a.plan is not None, b.plan is not None),
        ("processes", a.processes is not None, b.processes is not None),
    ):
        if one != other:
            holder, lacking = (("a", a), ("b", b)) if one else (("b", b), ("a", a))
            yield f"{what} are in {holder[0]} alone: {lacking[0]}, a {lacking[1].kind}, has none"
    if a.whole != b.whole:
        yield "only the app's own files are compared, since a folder has no others"


# --- layers ----------------------------------------------------------------------------------------------------


def _share(a: Contents, b: Contents) -> tuple[list[LayerRow], list[LayerPart], list[LayerPart]]:
    """Which layers are on both sides, by digest or diffID, and the parts on either side that must be looked into."""
    if a.layers is None or b.layers is None:
        return [], list(a.parts()), list(b.parts())
    same = a.digest == b.digest and a.kind == b.kind
    pairs = list(zip(a.layers, b.layers, strict=True) if same else _pairs(a.layers, b.layers))
    with ThreadPoolExecutor(2, "digest") as pool:  # hashing releases the interpreter's lock
        list(pool.map(lambda pair: pair[0].digest, pairs))
    shared_a, shared_b = {id(one) for one, _ in pairs}, {id(other) for _, other in pairs}
    rows = [_row(one, "shared", other) for one, other in pairs]
    rows += [_row(one, "a") for one in a.layers if id(one) not in shared_a]
    rows += [_row(one, "b") for one in b.layers if id(one) not in shared_b]
    if not (a.whole and b.whole):
        return rows, list(a.parts()), list(b.parts())
    left = [[part for part in side.parts() if id(part) not in ids] for side, ids in ((a, shared_a), (b, shared_b))]
    return rows, left[0], left[1]


def _row(part: LayerPart, side: str, other: LayerPart | None = None) -> LayerRow:
    digest = part.digest or (other.digest if other else "")
    diff_id = part.stated_diff_id or (other.stated_diff_id if other else "")
    return LayerRow(part.name, side, digest, diff_id, part.size)


def _pairs(a: Iterable[LayerPart], b: Iterable[LayerPart]) -> Iterator[tuple[LayerPart, LayerPart]]:
    """Equal layers: by their bytes where both lie in droplets, else by digest, else by diffID, which may be worked out."""
    rest = list(b)
    for one in a:
        for other in rest:
            if _equal(one, other):
                rest.remove(other)
                yield one, other
                break


def _equal(one: LayerPart, other: LayerPart) -> bool:
    if one.extent and other.extent:
        return same_bytes(one.extent, other.extent)
    if one.digest and other.digest:
        return one.digest == other.digest
    return bool(one.diff_id) and one.diff_id == other.diff_id


# --- files -----------------------------------------------------------------------------------------------------


def _chosen(side: Contents, parts: Iterable[LayerPart], whole: bool) -> Iterable[Item]:
    """The entries to compare: all of these parts, or the app's own when the other side has no more."""
    if whole or not side.whole:
        return chain.from_iterable(part.walk() for part in parts)
    return side.of_app([item for part in parts for item in part.items])


def _files(met: Meeting, owner_a: Owner, owner_b: Owner, alike: bool) -> Iterator[FileChange]:
    for path in sorted(met.unlike, key=path_key):
        one, other = met.unlike[path]
        fields = unlike(one, other) if one and other else ()
        owner = owner_b(other) if other else owner_a(one) if one else ""
        quiet = path.startswith("/") and (owner == ENVELOPE or not alike)
        quiet = quiet or (bool(fields) and all(name in _QUIET for name, _, _ in fields))
        how = "removed" if other is None else "added" if one is None else "changed"
        yield FileChange(path, how, owner, quiet, fields, one, other)


_QUIET = ("permissions", "owner", "owner's name", "time", "header")
"""Fields of the envelope."""


def _repeated(met: Meeting) -> Iterator[Change]:
    """Paths that an archive holds more than once: readers disagree about them."""
    for path, old, new in met.repeated():
        yield Change("repeated", path, "changed", f"{old} times", f"{new} times")


def _order(met: Meeting) -> Iterator[Change]:
    """The first entry that stands elsewhere among those that both sides have."""
    if found := met.displaced():
        _, one, other = found
        yield Change("order", other, "changed", f"after {one}", f"before {one}", envelope=True)


# --- the envelope ----------------------------------------------------------------------------------------------


def _packing(
    a: Contents, b: Contents, found: bool, only_a: Iterable[LayerPart], only_b: Iterable[LayerPart]
) -> Iterator[Change]:
    """What differs in the bytes around equal contents."""
    if a.digest == b.digest:
        return
    named = {part.name: part for part in only_a}
    recompressed = False
    for part in only_b:
        other = named.get(part.name)
        if other is not None and part.name and part.forms == other.forms and part.digest != other.digest:
            recompressed = True
            yield Change("layer", part.name, "changed", other.digest, part.digest, envelope=True)
    hidden = [] if found else [*_hidden(a, b)]
    yield from hidden
    ignored = () if not (found or recompressed or hidden) else ("gzip trailer", "bytes", "manifest")
    rows = [*tables("packing", _less(a.packing, ignored), _less(b.packing, ignored))]
    yield from (Change("packing", row.name, row.how, row.before, row.after, envelope=True) for row in rows)
    if not (found or recompressed or rows or hidden):
        yield Change("packing", "compression", "changed", str(a.digest), str(b.digest), envelope=True)


def _hidden(a: Contents, b: Contents) -> Iterator[Change]:
    """Where two archives of equal entries differ nevertheless: in the filling behind an entry, or at the end."""
    if a.archive is None or b.archive is None:
        return
    at = first_difference(a.archive(), b.archive())
    if at is None:
        return
    end = 0
    for part in a.parts():
        base = end
        for item in part.walk():
            end = base + item.end if part.extent else item.end
            if at < end:
                yield Change("padding", item.path, "changed", "", f"byte {at} of the archive", envelope=True)
                return
    yield Change("padding", "the end of the archive", "changed", "", f"byte {at} of the archive", envelope=True)


def _less(table: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: value for name, value in table.items() if name not in names}
