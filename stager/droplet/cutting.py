"""Cutting one tar back into the droplet's layers, by what `.stager/layers.json` in it says.

Every single-archive format holds the layers one after the other, with or without Cloud Foundry's envelope at the end, so one
reader serves them all. It trusts nothing: the diffIDs it gives are digests of the bytes it saw.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from ..formats.errors import BadArchive
from ..formats.tar import END
from ..text.typed import Node
from .launch import LAYERS
from .reader import record_of, skeleton

_LARGEST = 1 << 26
"""The most bytes of a skeleton, and of an envelope, that are held in memory."""


def layer_ids(parts: Iterable[bytes], label: str) -> tuple[str, ...]:
    """The diffIDs of the layers in an uncompressed tar, in order.

    Raises BadArchive when the tar does not describe itself, or does not hold what it describes.
    """
    stream = iter(parts)
    record, end, held = _skeleton(stream, label)
    found = ["sha256:" + hashlib.sha256(held[:end]).hexdigest()]
    del held[:end]
    found.extend(_layer(node.int("length"), held, stream, label) for node in record.list("layers"))
    envelope = record.at("envelope")
    app = _app(envelope.int("length"), envelope.int("crc"), held, stream, label)
    return tuple([*found, app] if app else found)


def _skeleton(stream: Iterator[bytes], label: str) -> tuple[Node, int, bytearray]:
    """What the tar says of its layers, where its skeleton ends, and all bytes that were read to learn it."""
    held = bytearray()

    def tapped() -> Iterator[bytes]:
        for part in stream:
            held.extend(part)
            yield part

    texts, end = skeleton(tapped(), label)
    while len(held) < end:
        held += _next(stream, label)
    return record_of(texts, label), end, held


def _next(stream: Iterator[bytes], label: str) -> bytes:
    part = next(stream, None)
    if part is None:
        raise BadArchive(label, f"is shorter than {LAYERS} says")
    return part


def _layer(length: int, held: bytearray, stream: Iterator[bytes], label: str) -> str:
    """The diffID of the next `length` bytes; what was read beyond them stays in `held`."""
    if length < 0:
        raise BadArchive(label, f"{LAYERS} gives a layer {length} bytes")
    state = hashlib.sha256(held[:length])
    left = length - min(length, len(held))
    del held[: length - left]
    while left:
        part = _next(stream, label)
        state.update(part[:left])
        held += part[left:]
        left -= min(left, len(part))
    return "sha256:" + state.hexdigest()


def _app(envelope: int, crc: int, held: bytearray, stream: Iterator[bytes], label: str) -> str:
    """The diffID of what is left but the envelope, if there is one, and the end marker; empty when that is nothing."""
    if not 0 <= envelope <= _LARGEST:
        raise BadArchive(label, f"{LAYERS} gives its envelope {envelope} bytes")
    state, count, tail = hashlib.sha256(), 0, envelope + len(END)
    for part in chain([b""], stream):
        held += part
        given = max(0, len(held) - tail)  # the last bytes are held back until it is known what they are
        state.update(held[:given])
        del held[:given]
        count += given
    if not held.endswith(END):
        raise BadArchive(label, "does not end as a tar ends")
    del held[-len(END) :]
    if len(held) != envelope or zlib.crc32(held) != crc:
        state.update(held)
        count += len(held)
    return "sha256:" + state.hexdigest() if count else ""
