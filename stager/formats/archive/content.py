"""What an archive member holds: reading it whole or in chunks, checking what a deflate stream claims.

Everything is read with `pread` on a descriptor that the member's `Archive` owns, so contents can be read in any order
and from several threads until the archive is closed.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

from ..errors import BadArchive
from ..tar import Deflated, Parts, Span

CHUNK = 1 << 20
_LARGEST_READ = 1 << 30  # Linux returns at most 2 GiB - 4 KiB per call


def read_at(fd: int, offset: int, size: int, label: str) -> bytes:
    """Exactly `size` bytes at `offset`. Raises BadArchive when the file ends before or cannot be read."""
    parts = []
    while size > 0:
        part = read_up_to(fd, offset, min(size, _LARGEST_READ), label)
        if not part:
            raise BadArchive(label, "is cut short")
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_up_to(fd: int, offset: int, size: int, label: str) -> bytes:
    """At most `size` bytes at `offset`, fewer only at the file's end. Raises BadArchive when it cannot be read."""
    try:
        return os.pread(fd, size, offset)
    except OSError as error:
        raise BadArchive(label, f"cannot be read: {error.strerror}") from error


def content_bytes(content: bytes | Span | Deflated | Parts, label: str = "archive") -> bytes:
    """The uncompressed content as one object; a deflate stream's size, CRC-32 and exact end are checked.

    `label` is what an error calls the archive. Raises BadArchive.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, Span):
        return read_at(content.fd, content.offset, content.size, label)
    if isinstance(content, Parts):
        return b"".join(content.read())
    state = zlib.decompressobj(-15)
    packed = read_at(content.fd, content.offset, content.length, label)
    data = _inflate(state, packed, content.size + 1, label)  # one byte more than claimed shows a lie
    _check_end(content, state, len(data), zlib.crc32(data), label)
    return data


def content_chunks(
    content: bytes | Span | Deflated | Parts, size: int = CHUNK, label: str = "archive"
) -> Iterator[bytes]:
    """The uncompressed content in pieces of at most `size` bytes.

    What a deflate stream claims is only known to be true when the last piece has been taken without an error; never
    more than `size` bytes beyond the claimed size are inflated. Raises BadArchive.
    """
    if isinstance(content, bytes):
        yield from (content[at : at + size] for at in range(0, len(content), size))
    elif isinstance(content, Span):
        for at in range(0, content.size, size):
            yield read_at(content.fd, content.offset + at, min(size, content.size - at), label)
    elif isinstance(content, Parts):
        yield from content.read()
    else:
        yield from _inflated(content, size, label)


def crc32(content: bytes | Span | Deflated | Parts, label: str = "archive") -> int:
    """The CRC-32 of the uncompressed content, computed from the bytes, never taken from a claim. Raises BadArchive."""
    if isinstance(content, bytes):
        return zlib.crc32(content)
    crc = 0
    for chunk in content_chunks(content, label=label):
        crc = zlib.crc32(chunk, crc)
    return crc


def _inflate(state: zlib._Decompress, data: bytes, room: int, label: str) -> bytes:
    try:
        return state.decompress(data, room)
    except zlib.error as error:
        raise BadArchive(label, f"holds a damaged deflate stream ({error})") from error


def _check_end(content: Deflated, state: zlib._Decompress, size: int, crc: int, label: str) -> None:
    if size > content.size:
        raise BadArchive(label, f"holds a member that is larger than the {content.size} bytes it states")
    if not state.eof:
        raise BadArchive(label, "holds a deflate stream that is cut short")
    if state.unused_data:
        raise BadArchive(label, "holds a deflate stream with data behind its end")
    if size < content.size:
        raise BadArchive(label, f"holds a member of {size} bytes that states {content.size}")
    if crc != content.crc:
        raise BadArchive(label, f"holds a member with CRC-32 {crc:08x} that states {content.crc:08x}")


def _inflated(content: Deflated, step: int, label: str) -> Iterator[bytes]:
    state = zlib.decompressobj(-15)
    position, end = content.offset, content.offset + content.length
    size = crc = 0
    pending = b""
    while not state.eof:
        if not pending:
            pending = read_at(content.fd, position, min(step, end - position), label) if position < end else b""
            position += len(pending)
        fed, out = bool(pending), _inflate(state, pending, step, label)
        pending = state.unconsumed_tail
        size, crc = size + len(out), zlib.crc32(out, crc)
        if size > content.size or not (fed or out):
            break
        yield out
    _check_end(content, state, size, crc, label)
    if position < end:
        raise BadArchive(label, "holds a deflate stream with data behind its end")
