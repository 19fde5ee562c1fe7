"""A layer's uncompressed tar, whatever it is packed with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...formats.archive.stream import expand
from ...formats.errors import BadArchive
from ...stacks.errors import BadImage
from .image import Blob

_PACKED = {"gzip": "gz", "zstd": "zst"}
_MEMBERS = 1 << 30
"""Compressed members of one layer: some tools write one for each file."""


def plain(layer: Blob) -> Iterator[bytes]:
    """The tar of a layer, in parts. Raises BadImage for damaged data."""
    packed = _PACKED.get(layer.media_type.rpartition("+")[2])
    return _expanded(layer.read(), packed, layer.digest) if packed else layer.read()


def gunzip(parts: Iterable[bytes], label: str) -> Iterator[bytes]:
    """The content of a gzip file of any number of members, in parts. Raises BadImage."""
    return _expanded(parts, "gz", label)


def _expanded(parts: Iterable[bytes], packed: str, label: str) -> Iterator[bytes]:
    try:
        yield from expand(parts, packed, label, _MEMBERS)
    except BadArchive as problem:
        raise BadImage(label, problem.message.removeprefix(f"{label}: ")) from None
