"""A layer's uncompressed tar, whatever it is packed with."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import BadImage
from .image import Blob

_BUFFER = 1 << 22


def plain(layer: Blob) -> Iterator[bytes]:
    """The tar of a layer, in parts. Raises BadImage for damaged data."""
    kind = layer.media_type.rpartition("+")[2]
    if kind == "gzip":
        return gunzip(layer.read(), layer.digest)
    if kind == "zstd":
        return _unzstd(layer.read(), layer.digest)
    return layer.read()


def gunzip(parts: Iterable[bytes], label: str) -> Iterator[bytes]:
    """The content of a gzip file of any number of members, in parts of at most 4 MiB. Raises BadImage."""
    decoder: Any = None
    try:
        for part in parts:
            while part:
                decoder = decoder or zlib.decompressobj(31)
                yield decoder.decompress(part, _BUFFER)
                part = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
                if decoder.eof:
                    decoder = None
                    part = part.lstrip(b"\0")  # padding behind the last member is customary
    except zlib.error:
        raise BadImage(label, "its compressed data is damaged") from None
    if decoder is not None:
        raise BadImage(label, "its compressed data is cut short")


def _unzstd(parts: Iterable[bytes], label: str) -> Iterator[bytes]:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        from backports import zstd
    decoder: Any = None
    try:
        for part in parts:
            while part:
                decoder = decoder or zstd.ZstdDecompressor()
                data = part
                yield decoder.decompress(data, _BUFFER)
                while not decoder.eof and not decoder.needs_input:
                    yield decoder.decompress(b"", _BUFFER)
                part = decoder.unused_data if decoder.eof else b""
                decoder = None if decoder.eof else decoder
    except zstd.ZstdError:
        raise BadImage(label, "its compressed data is damaged") from None
    if decoder is not None:
        raise BadImage(label, "its compressed data is cut short")
