"""Decompressing untrusted tars: bounded, checked to the last byte, and flat in memory.

Up to `IN_MEMORY` bytes stay in memory; a larger stream goes to a temporary file without a name, beside the blob.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Protocol

from ...errors import CannotWrite
from ..errors import BadArchive
from ..tar import Span
from .content import read_at, read_up_to
from .members import HeldArchive, Limits

IN_MEMORY = 16 << 20
_READ = 1 << 18
_STEP = 1 << 20
_XZ_MEMORY = 160 << 20  # what liblzma needs for `xz -9` (a 64 MiB window) is 65 MiB


class _Decompressor(Protocol):
    """The interface that lzma, bz2 and zstd share in Python."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gunzip:
    """zlib with that interface. It checks a member's CRC-32 and length itself (RFC 1952)."""

    __slots__ = ("_state", "needs_input")

    def __init__(self) -> None:
        self._state = zlib.decompressobj(31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._state.eof

    @property
    def unused_data(self) -> bytes:
        return self._state.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._state.decompress(self._state.unconsumed_tail + data, max_length)
        self.needs_input = not self._state.unconsumed_tail and len(out) < max_length
        return out


def _xz() -> tuple[Callable[[], _Decompressor], type[Exception]]:
    import lzma

    return (lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)), lzma.LZMAError


def _bz2() -> tuple[Callable[[], _Decompressor], type[Exception]]:
    import bz2

    return bz2.BZ2Decompressor, OSError


def _zstd() -> tuple[Callable[[], _Decompressor], type[Exception]]:
    for name in ("compression.zstd", "backports.zstd"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return module.ZstdDecompressor, module.ZstdError
    raise ImportError


_FORMATS: dict[str, Callable[[], tuple[Callable[[], _Decompressor], type[Exception]]]] = {
    "gz": lambda: (_Gunzip, zlib.error),
    "xz": _xz,
    "bz2": _bz2,
    "zst": _zstd,
}


def decompressed(fd: int, start: int, length: int, compression: str, label: str, limits: Limits) -> Iterator[bytes]:
    """The uncompressed stream of `length` bytes at `start`, as `bounded` gives it. Raises BadArchive."""
    end = start + length
    pieces = (read_at(fd, offset, min(_READ, end - offset), label) for offset in range(start, end, _READ))
    return bounded(pieces, compression, label, limits)


def bounded(pieces: Iterable[bytes], compression: str, label: str, limits: Limits) -> Iterator[bytes]:
    """What pieces come to that are compressed as `compression` (empty for not at all), in pieces of at most 1 MiB.

    Several compressed members behind one another count as one stream when every one is whole (RFC 1952, 2.2); behind
    the last only zeros may follow, as gzip(1) and xz(1) allow. The ratio's limit counts what has been read so far, so a
    bomb stops early. Raises BadArchive at most one piece past a limit.
    """
    taken = total = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for piece in pieces:
            taken += len(piece)
            yield piece

    for piece in expand(counted(), compression, label, limits.entries) if compression else counted():
        total += len(piece)
        if total > (cap := limits.cap(taken)):
            raise BadArchive(label, f"unpacks to more than {cap} bytes, the limit for its size")
        yield piece


def expand(pieces: Iterable[bytes], compression: str, label: str, most: int) -> Iterator[bytes]:
    """What pieces come to that are compressed as `compression` (gz, xz, bz2 or zst), in pieces of at most 1 MiB.

    There may be `most` compressed members. Raises BadArchive.
    """
    make, failure = _format(compression, label)
    state, count, padding = make(), 1, False
    for data in pieces:
        while data or not (state.eof or state.needs_input):
            if state.eof and (padding or data[0] == 0):  # some packers fill the file up with zeros
                if data.strip(b"\0"):
                    raise BadArchive(label, "has data behind its end")
                padding = True
                break
            if state.eof:
                state, count = make(), count + 1
            if count > most:
                raise BadArchive(label, f"has more than {most} compressed members")
            try:
                out = state.decompress(data, _STEP)
            except (failure, EOFError, ValueError) as error:
                raise BadArchive(label, f"is not valid {compression} ({error})") from error
            data = state.unused_data if state.eof else b""
            yield out
    if not state.eof:
        raise BadArchive(label, "is cut short")


def _format(compression: str, label: str) -> tuple[Callable[[], _Decompressor], type[Exception]]:
    if compression not in _FORMATS:
        raise BadArchive(label, f"is compressed as {compression!r}, which stager does not read")
    try:
        return _FORMATS[compression]()
    except ImportError:
        raise BadArchive(label, f"is compressed as {compression}, which this Python cannot read") from None


class Stream:
    """A byte stream that is read forwards in blocks and whose parts can be kept as member contents."""

    __slots__ = ("_fd", "_label", "_pieces", "_shift", "_spilling", "_start", "_window", "cap", "end")

    def __init__(
        self,
        label: str,
        cap: int,
        window: bytes,
        pieces: Iterator[bytes],
        fd: int = -1,
        shift: int = 0,
        spilling: bool = False,
    ) -> None:
        self.cap = cap
        """How many bytes the members may come to."""
        self.end = len(window)
        """How much of the stream is known so far."""
        self._label = label
        self._window = window
        self._start = 0
        self._pieces = pieces
        self._fd = fd
        self._shift = shift
        self._spilling = spilling

    def block(self, offset: int, size: int) -> bytes:
        """`size` bytes at `offset`; fewer only at the stream's end."""
        at = offset - self._start
        if at >= 0 and at + size <= len(self._window):
            return self._window[at : at + size]
        while self.end < offset + size and self._advance():
            pass
        at = offset - self._start
        if at >= 0:
            return self._window[at : at + size]
        return read_up_to(self._fd, offset + self._shift, min(size, self.end - offset), self._label)

    def content(self, offset: int, size: int) -> bytes | Span:
        """`size` bytes at `offset` as a member's content. The caller checks against `end` that they exist."""
        if self._fd < 0:
            return self._window[offset : offset + size]
        return Span(self._fd, offset + self._shift, size)

    def only_zeros(self, offset: int) -> bool:
        """Read to the end; whether everything from `offset`, which lies in the last block, is zero."""
        if self._window[max(0, offset - self._start) :].strip(b"\0"):
            return False
        while self._advance():
            if self._window.strip(b"\0"):
                return False
        return True

    def _advance(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._start, self._window = self.end, piece
        self.end += len(piece)
        if self._spilling:
            _write(self._fd, piece, self._label)
        return True


def open_stream(
    source: str | HeldArchive,
    fd: int,
    start: int,
    length: int,
    compression: str,
    label: str,
    limits: Limits,
    opened: ExitStack,
) -> Stream:
    """The stream of `length` bytes at `start` of `fd` (the file `source`). `opened` closes what it opens.

    Raises BadArchive, and CannotWrite when there is no room for a large stream.
    """
    cap = limits.cap(length)
    pieces = decompressed(fd, start, length, compression, label, limits)
    if not compression:
        return Stream(label, cap, b"", pieces, fd, start)
    parts, size = [], 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size > IN_MEMORY:
            break
    window = b"".join(parts)
    if size <= IN_MEMORY:
        return Stream(label, cap, window, iter(()))
    folder = source.folder if isinstance(source, HeldArchive) else os.path.dirname(source)
    spill = _nameless(folder or ".", label, opened)
    _write(spill, window, label)
    return Stream(label, cap, window, pieces, spill, spilling=True)


def _nameless(folder: str, label: str, opened: ExitStack) -> int:
    """A temporary file that no path leads to: the kernel frees it, however this process ends."""
    cause = ""
    for place in (folder, None):  # the store's own folder may be read-only to us
        try:
            return opened.enter_context(tempfile.TemporaryFile(dir=place, buffering=0)).fileno()
        except OSError as error:
            cause = str(error.strerror)
    raise CannotWrite(label, cause)


def _write(fd: int, data: bytes, label: str) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError as error:
        raise CannotWrite(label, str(error.strerror)) from error
