"""Droplets and slugs: cut into layers where the file is made as docs/droplet-format.md says, else read from the start.

Cutting trusts `layers.json` for where to look, never for what is there: layers whose bytes are not equal on both sides are
inflated and must come to the stated length and CRC-32, or the file is read as any other gzip file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from ..digest import Digest
from ..errors import StagerError, Unreadable
from ..files import regular
from ..files.whole import digest_of
from ..formats import codec
from ..formats.archive.stream import decompressed
from ..formats.errors import BadArchive
from ..formats.gunzip import Gzipped, inflated
from ..planning import lockfile
from ..text import parsing
from ..text.typed import Node
from . import reader
from .contents import FACTS, LOOKING, Contents, Extent, Item, Kept, LayerPart, files, of_plan, total
from .contents import read as read_items
from .cutting import layer_ids

_BUFFER = 1 << 20
_HEAD = len(codec.HEADER)
_LAST = len(codec.trailer(0, 0))
_ENVELOPE = "envelope"
MOST_ENTRIES = 1_000_000
"""Entries that are read of a file that may be damaged."""


def droplet(path: str, digest: Digest) -> Contents:
    """What a droplet file or a slug holds. Raises BadArchive, BadLock, Unreadable."""
    label = os.path.basename(path)
    try:
        layers, rest = _cut(path, label)
        kept = _records(layers[0])
        _ = rest.items  # a file that goes on behind its end is cut in the wrong place
    except BadArchive:
        return _read_through(path, label, digest)
    return Contents(
        "droplet",
        label,
        digest,
        os.path.getsize(path),
        layers=layers,
        rest=rest,
        packing=packing(path),
        fetch=lambda paths, most: _fetch((*layers, rest), label, paths, most),
        archive=lambda: gunzipped(path, label),
        **facets(kept, label),
    )


def _fetch(parts: Iterable[LayerPart], label: str, paths: Collection[str], most: int) -> Iterator[tuple[str, bytes]]:
    """Files out of those layers that have been looked into: no other has what was found to differ."""
    for part in parts:
        if part.looked_into:
            yield from files(part.tar(), label, paths, most)


def as_far_as_possible(path: str) -> Contents:
    """What a file holds that should be a droplet and may be anything, in one part. Nothing but Unreadable is raised."""
    gzip = Gzipped(path)
    part = LayerPart("", lambda kept: _entries(gzip, kept))
    digest = digest_of(path)
    label, size = os.path.basename(path), os.path.getsize(path)
    return Contents("droplet", label, digest, size, rest=part, gzip=gzip, archive=lambda: Gzipped(path).parts())


def _entries(gzip: Gzipped, kept: Kept) -> Iterator[Item]:
    """The entries that can be read; then the rest of the file, for what is to be said of it."""
    stream, count, damage = gzip.parts(), 0, ""
    try:
        for count, one in enumerate(read_items(stream, "it", kept)):
            if count >= MOST_ENTRIES:
                damage = f"it has more than {MOST_ENTRIES} entries"
                break
            yield one
    except BadArchive as error:
        damage = error.message.removeprefix("it: ")
    except (ValueError, OverflowError, RecursionError, MemoryError):
        damage = "it has a header beyond measure"
    for _ in stream:
        pass
    gzip.damage = gzip.damage or damage


def packing(path: str) -> dict[str, str]:
    """The bytes around the compressed data of a gzip file: its header's fields and its trailer (RFC 1952)."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        header = file.read(_HEAD)
        file.seek(max(0, size - 8))
        return {"gzip header": header.hex(), "gzip trailer": file.read(8).hex(), "bytes": str(size)}


def _records(skeleton: LayerPart) -> Kept:
    _ = skeleton.items
    if not all(skeleton.records.get(name) for name in FACTS):
        raise BadArchive(skeleton.name, "its skeleton does not describe it")
    return skeleton.records


# --- cut -------------------------------------------------------------------------------------------------------


def _cut(path: str, label: str) -> tuple[tuple[LayerPart, ...], LayerPart]:
    """The layers of a file that is joined as stager joins, and the envelope behind them."""
    fd = _open(path)
    try:
        size = os.fstat(fd).st_size
        if os.pread(fd, _HEAD, 0) != codec.HEADER:
            raise BadArchive(label, "has another gzip header")
        _, places = reader.cut(reader.Packed(path, fd, size))
        parts = list(places)
    finally:
        os.close(fd)
    end = parts[-1][1].offset + parts[-1][1].size
    layers = tuple(_layer(path, label, name, part) for name, part in parts)
    return layers, _behind(path, label, end, size - end - _LAST)


def _open(path: str) -> int:
    try:
        return regular.descriptor(path)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from None


def _layer(path: str, label: str, name: str, part: reader.LayerRange) -> LayerPart:
    extent = Extent(path, part.offset, part.size, part.length, part.crc)

    return LayerPart(
        name,
        lambda kept: read_items(checked(extent, label), label, kept, name),
        digest=lambda: blob_digest(extent),
        size=part.size + _HEAD + _LAST,
        extent=extent,
        tar=lambda: checked(extent, label),
    )


def _behind(path: str, label: str, offset: int, size: int) -> LayerPart:
    """The envelope and the end of the archive, as a part of its own."""
    if size < 0:
        raise BadArchive(label, "is shorter than its layers.json says")
    extent = Extent(path, offset, size)

    def tar() -> Iterator[bytes]:
        return inflated(raw(extent), label, open_end=True)

    return LayerPart(
        _ENVELOPE, lambda kept: read_items(tar(), label, kept, _ENVELOPE), size=size, extent=extent, tar=tar
    )


def blob_digest(extent: Extent) -> str:
    """The SHA-256 of the OCI blob that a droplet's bytes make: they need not be inflated for it."""
    state = hashlib.sha256(codec.HEADER)
    for part in raw(extent):
        state.update(part)
    state.update(codec.trailer(extent.crc, extent.length))
    return f"sha256:{state.hexdigest()}"


def raw(extent: Extent) -> Iterator[bytes]:
    """The bytes of an extent in parts. Raises Unreadable, BadArchive when the file got shorter."""
    fd = _open(extent.path)
    try:
        offset, left = extent.offset, extent.size
        while left:
            part = os.pread(fd, min(_BUFFER, left), offset)
            if not part:
                raise BadArchive(os.path.basename(extent.path), "changed while it was read")
            yield part
            offset, left = offset + len(part), left - len(part)
    finally:
        os.close(fd)


def same_bytes(first: Extent, second: Extent) -> bool:
    """Whether two extents hold the same compressed bytes and are said to come to the same: nothing is inflated.

    They then hold equal entries, as every run of the format stands by itself.
    """
    if (first.size, first.length, first.crc) != (second.size, second.length, second.crc):
        return False
    return all(left == right for left, right in zip(raw(first), raw(second), strict=True))


def checked(extent: Extent, label: str) -> Iterator[bytes]:
    """The tar of a layer. Raises BadArchive when it does not come to its stated length and CRC-32."""
    return reader.checked(raw(extent), reader.LayerRange(extent.offset, extent.size, extent.crc, extent.length), label)


# --- read from the start ---------------------------------------------------------------------------------------


def gunzipped(path: str, label: str) -> Iterator[bytes]:
    """The inside of a whole gzip file, every byte checked. Raises BadArchive."""
    fd = _open(path)
    try:
        yield from decompressed(fd, 0, os.fstat(fd).st_size, "gz", label, LOOKING)
    finally:
        os.close(fd)


def _read_through(path: str, label: str, digest: Digest) -> Contents:
    """Everything, inflated once; cut by the tar's own offsets where the archive says how long its layers are."""
    kept: Kept = {}
    items = tuple(read_items(gunzipped(path, label), label, kept))
    kind = "droplet" if any(item.outside for item in items) else "slug"
    if not any(item.path == "" or not item.outside for item in items):
        raise BadArchive(label, "holds no app folder")
    rest = _ready("", items, kept, size=os.path.getsize(path))
    found = Contents(
        kind,
        label,
        digest,
        os.path.getsize(path),
        rest=rest,
        packing=packing(path),
        fetch=lambda paths, most: files(gunzipped(path, label), label, paths, most),
        archive=lambda: gunzipped(path, label),
        **facets(kept, label),
    )
    lengths = _lengths(kept.get(FACTS[2], b""), label)
    if lengths:
        _assign(found, items, kept, lengths, path, label)
    return found


def _lengths(data: bytes, label: str) -> tuple[int, list[tuple[str, int]]] | None:
    """How many entries the skeleton has, and how many bytes of tar each layer of the plan; None when it is not said."""
    try:
        record = Node(parsing.json(data), FACTS[2], fail_with=lambda _, why: BadArchive(label, why))
        return record.int("entries"), [(node.str("name"), node.int("length")) for node in record.list("layers")]
    except (StagerError, ValueError, RecursionError):
        return None


def _assign(
    found: Contents,
    items: tuple[Item, ...],
    kept: Kept,
    lengths: tuple[int, list[tuple[str, int]]],
    path: str,
    label: str,
) -> None:
    """Give every entry its layer, in order; the app's are what lies in the app folder behind those of the plan."""
    count, sizes = lengths
    *spans, (_, outer) = _spans(items, count, sizes)
    inner = [(name, part) for name, part in spans if part]
    try:
        marks = layer_ids(gunzipped(path, label), label)
    except BadArchive:
        marks = ()
    if len(marks) != len(inner):  # it is not what it says
        marks = ("",) * len(inner)
    found.layers = tuple(
        _ready(name, part, kept if not index else {}, diff_id)
        for index, ((name, part), diff_id) in enumerate(zip(inner, marks, strict=True))
    )
    for part in found.layers[1:]:
        part.records.update({path: data for path, data in kept.items() if path not in FACTS})
    found.rest = _ready(_ENVELOPE, outer, {}) if outer else None


def _ready(name: str, items: tuple[Item, ...], kept: Kept, diff_id: str = "", size: int = -1) -> LayerPart:
    """A part of what has been read already."""

    def entries(records: Kept) -> Iterable[Item]:
        records |= kept
        return items

    part = LayerPart(name, entries, diff_id=diff_id, size=total(items) if size < 0 else size)
    part.items  # noqa: B018 - this keeps the records
    return part


def _spans(items: tuple[Item, ...], count: int, sizes: list[tuple[str, int]]) -> Iterator[tuple[str, tuple[Item, ...]]]:
    """The entries of each layer, cut where the running length says; then the app's, then the envelope's."""

    def named(name: str, part: tuple[Item, ...]) -> tuple[str, tuple[Item, ...]]:
        return name, tuple(item.within(name) for item in part)

    yield named("skeleton", items[:count])
    at, until = count, items[count - 1].end if 0 < count <= len(items) else 0
    for name, size in sizes:
        start, until = at, until + size
        while at < len(items) and items[at].end <= until:
            at += 1
        yield named(name, items[start:at])
    first = next((index for index in range(at, len(items)) if items[index].outside), len(items))
    yield named("app", items[at:first])
    yield named(_ENVELOPE, items[first:])


# --- what it says of itself ------------------------------------------------------------------------------------


def facets(kept: Kept, label: str) -> dict[str, Any]:
    """Plan, processes and environment, as arguments of `Contents`; with notes on what is missing or cannot be read.

    A damaged record must not hide where the damage is, so it costs its facet and is noted, and the files still are compared.
    """
    found: dict[str, Any] = {}
    notes = []
    try:
        if FACTS[1] in kept:
            found |= of_plan(lockfile.loads(kept[FACTS[1]], f"{label}: {FACTS[1]}").plan)
        else:
            notes.append("it carries no plan of stager: packages and runtimes are not known")
    except StagerError as error:
        notes.append(f"the plan it carries cannot be read: {error.message}")
    try:
        if FACTS[0] in kept:
            launch = reader.launch_info(kept[FACTS[0]], label)
            found |= {"processes": launch.processes, "env": launch.env}
    except StagerError as error:
        notes.append(f"what it launches cannot be read: {error.message}")
    return {**found, "notes": tuple(notes)}
