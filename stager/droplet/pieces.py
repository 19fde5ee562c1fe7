"""Pieces: the unit that is compressed once, cached, and joined into layers and droplets.

A piece is a run of deflate blocks (see `codec`) that holds canonical tar entries without an end marker. Files of at
least `codec.SPLICE_MIN` compressed bytes that arrive as deflate streams are copied verbatim; headers, padding and
everything else between them are compressed together. Nothing here depends on who asks: the same entries always give
the same bytes.
"""

from __future__ import annotations

import hashlib
import os
import zlib

from ..errors import Cancelled
from ..formats import codec, tar
from ..formats.errors import BadArchive
from ..records import Piece
from ..store.errors import DigestMismatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..store import Store

    Row = tuple[str, int, int, bool]
    """A file in a piece: path, size, CRC-32, whether it is executable."""


class _Builder:
    """Gathers tar bytes and compresses them chunk by chunk into a blob writer."""

    def __init__(self, write: Callable[[bytes], object], label: str, stop: Callable[[], bool]) -> None:
        self._write = write
        self._label = label
        self._stop = stop
        self._held = bytearray()
        self.size = self.crc = self.length = 0

    def add(self, data: bytes) -> None:
        self._held += data
        while len(self._held) >= codec.CHUNK:
            self._flush(codec.CHUNK)

    def _flush(self, count: int) -> None:
        if self._stop():
            raise Cancelled
        part = bytes(self._held[:count])
        del self._held[:count]
        self.crc = zlib.crc32(part, self.crc)
        self.length += len(part)
        for run in codec.compress(part):
            self._put(run)

    def _put(self, run: bytes) -> None:
        self.size += len(run)
        self._write(run)

    def splice(self, member: tar.Deflated, tell: Callable[[bytes | memoryview], object] | None) -> None:
        if self._held:
            self._flush(len(self._held))
        for run in codec.splice(member, self._label, tell):
            self._put(run)
        self.crc = codec.crc32_combine(self.crc, member.crc, member.size)
        self.length += member.size

    def finish(self) -> None:
        if self._held:
            self._flush(len(self._held))


def build(
    entries: Iterable[tar.PieceFile],
    store: Store,
    label: str,
    extra: bytes = b"",
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Piece, list[Row]]:
    """Write entries (sorted by their path's bytes) as a piece into the store; the piece, and a row a file.

    `extra` is raw tar bytes put first (folder and link headers of a skeleton). Raises BadArchive when an
    entry's content is not what its archive claims, DigestMismatch when it has not the stated hash, Cancelled
    when `stop()` becomes true; nothing is stored then.
    """
    with store.writer(durable=False) as writer:
        builder = _Builder(writer.write, label, stop)
        builder.add(extra)
        listing = [(entry.path, entry.size, _add(builder, entry, label), entry.executable) for entry in entries]
        builder.finish()
        return Piece(writer.commit(), builder.size, builder.crc, builder.length), listing


def _add(builder: _Builder, entry: tar.PieceFile, label: str) -> int:
    """Write one file; its content's CRC-32."""
    content, size, crc = entry.content, entry.size, 0
    state = hashlib.new(entry.stated.partition("=")[0]) if entry.stated else None
    builder.add(tar.file_header(entry.path, size, entry.executable))
    if isinstance(content, tar.Deflated) and content.length >= codec.SPLICE_MIN:
        builder.splice(content, state.update if state else None)
        crc = content.crc
    else:
        for part in (content,) if isinstance(content, bytes) else chunks(content, label):
            builder.add(part)
            crc = zlib.crc32(part, crc)
            if state:
                state.update(part)
    if state:
        _compare(entry, state.digest(), label)
    builder.add(tar.padding(size))
    return crc


def _compare(entry: tar.PieceFile, digest: bytes, label: str) -> None:
    import base64

    algorithm, _, stated = entry.stated.partition("=")
    found = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if found != stated.rstrip("="):
        hint = (
            "The archive contradicts its own list of files: it was changed after it was made. Do not use it; "
            "report it to its publisher, and pin another version."
        )
        raise DigestMismatch(
            f"{label}: {entry.path}", f"{algorithm}={stated} as its list of files states", f"{algorithm}={found}", hint
        )


def chunks(content: tar.Span | tar.Deflated | tar.Parts, label: str) -> Iterator[bytes]:
    """The uncompressed bytes of parts, a span or a small deflate stream, checked against what is claimed of it."""
    if isinstance(content, tar.Parts):
        yield from content.read()
        return
    if isinstance(content, tar.Deflated):
        yield _inflated(content, label)
        return
    done = 0
    while done < content.size:
        part = os.pread(content.fd, min(codec.CHUNK, content.size - done), content.offset + done)
        if not part:
            raise BadArchive(label, "it ends inside a member")
        done += len(part)
        yield part


def _inflated(member: tar.Deflated, label: str) -> bytes:
    decoder = zlib.decompressobj(-15)
    try:
        data = decoder.decompress(os.pread(member.fd, member.length, member.offset), member.size + 1)
    except zlib.error:
        data = b""
    good = len(data) == member.size and zlib.crc32(data) == member.crc and decoder.eof and not decoder.unused_data
    if not good:
        raise BadArchive(label, "a member does not inflate to the size and checksum that its directory states")
    return data
