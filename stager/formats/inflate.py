"""Finding block boundaries in a raw deflate stream (RFC 1951).

zlib can stop at block boundaries (`Z_BLOCK`), but Python's module does not offer it, so its library is called through
ctypes. Only speed depends on it: where no zlib can be loaded, the same facts come from a plain decoder below, which
the tests also use to check the first.
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Callable, Iterator
from functools import cache

Found = tuple[int, int, int, int]
"""(bit where the last block begins, bit where it ends, uncompressed size, CRC-32)."""
Reader = Callable[[int], bytes]
Tell = Callable[[bytes | memoryview], object] | None
"""Is given what the stream inflates to, in parts that are valid during the call."""

_Z_BLOCK, _Z_OK, _Z_STREAM_END, _Z_BUF_ERROR = 5, 0, 1, -5
_BUFFER = 1 << 18


class _Stream(ctypes.Structure):
    _fields_ = (
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("msg", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    )


@cache
def _zlib() -> ctypes.CDLL | None:
    """The system's zlib, or the one Python itself is linked with, or None."""
    candidates = ["libz.so.1", "libz.dylib", getattr(zlib, "__file__", None), None]
    for name in candidates:
        try:
            library = ctypes.CDLL(name)
            library.inflateInit2_, library.inflate, library.inflateEnd  # noqa: B018 - is it there?
        except (OSError, AttributeError):
            continue
        library.inflate.argtypes = [ctypes.POINTER(_Stream), ctypes.c_int]
        return library
    return None


def scan_stream(read: Reader, length: int, limit: int | None = None, tell: Tell = None) -> Found | None:
    """Inflate `length` bytes and find the last block; None when damaged, unfinished or larger than `limit`."""
    library = _zlib()
    if library is None:
        return scan_plainly(read, length, limit, tell)
    return _scan_with(library, read, length, limit, tell)


def _scan_with(library: ctypes.CDLL, read: Reader, length: int, limit: int | None, tell: Tell = None) -> Found | None:
    stream = _Stream()
    if library.inflateInit2_(ctypes.byref(stream), -15, b"1.2.11", ctypes.sizeof(stream)) != _Z_OK:
        return None
    try:
        return _blocks(library, stream, read, length, limit, tell)
    finally:
        library.inflateEnd(ctypes.byref(stream))


def _blocks(
    library: ctypes.CDLL, stream: _Stream, read: Reader, length: int, limit: int | None, tell: Tell
) -> Found | None:
    inflate, reference = library.inflate, ctypes.byref(stream)
    room = bytearray(_BUFFER)
    out = (ctypes.c_char * _BUFFER).from_buffer(room)
    view, address = memoryview(room), ctypes.addressof(out)
    size = crc = start = consumed = 0
    source = b""
    while True:
        if not stream.avail_in and consumed < length:
            source = bytes(read(consumed))  # held until inflate is done with it
            if not source:
                return None
            consumed += len(source)
            stream.next_in = ctypes.cast(ctypes.c_char_p(source), ctypes.c_void_p)
            stream.avail_in = len(source)
        stream.next_out, stream.avail_out = address, _BUFFER
        before = stream.avail_in
        status = inflate(reference, _Z_BLOCK)
        made = _BUFFER - stream.avail_out
        if status not in (_Z_OK, _Z_STREAM_END, _Z_BUF_ERROR):
            return None
        if made:
            crc = zlib.crc32(view[:made], crc)
            size += made
            if tell:
                tell(view[:made])
        if limit is not None and size > limit:
            return None
        if stream.data_type & 128:
            position = stream.total_in * 8 - (stream.data_type & 7)
            if stream.data_type & 64:
                return start, position, size, crc
            start = position
        elif status == _Z_STREAM_END:
            return None
        elif not made and before == stream.avail_in and consumed >= length:
            return None  # nothing moves any more: the stream is cut short


# --- without a library -----------------------------------------------------------------------------------------

_LENGTH_BASE = (
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    13,
    15,
    17,
    19,
    23,
    27,
    31,
    35,
    43,
    51,
    59,
    67,
    83,
    99,
    115,
    131,
    163,
    195,
    227,
    258,
)
_LENGTH_EXTRA = (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0)
_DISTANCE_BASE = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073,
                  4097, 6145, 8193, 12289, 16385, 24577)  # fmt: skip
_DISTANCE_EXTRA = (0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13)
_CODE_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
_WINDOW = 1 << 15

Code = dict[tuple[int, int], int]
"""(length in bits, code) → symbol."""


class _Damaged(Exception):
    pass


class _Bits:
    """The stream as bits, least significant first."""

    def __init__(self, read: Reader, length: int) -> None:
        self._bytes = self._chunks(read, length)
        self.position = 0
        self._held = self._count = 0

    @staticmethod
    def _chunks(read: Reader, length: int) -> Iterator[int]:
        done = 0
        while done < length:
            chunk = read(done)
            if not chunk:
                return
            done += len(chunk)
            yield from chunk

    def take(self, count: int) -> int:
        while self._count < count:
            byte = next(self._bytes, None)
            if byte is None:
                raise _Damaged
            self._held |= byte << self._count
            self._count += 8
        value = self._held & ((1 << count) - 1)
        self._held >>= count
        self._count -= count
        self.position += count
        return value

    def symbol(self, code: Code) -> int:
        value = 0
        for length in range(1, 16):
            value = value << 1 | self.take(1)
            found = code.get((length, value))
            if found is not None:
                return found
        raise _Damaged


def _code(lengths: list[int]) -> Code:
    """The canonical Huffman code of the given lengths (RFC 1951 §3.2.2)."""
    counts = [0] * 16
    for length in lengths:
        counts[length] += 1
    counts[0] = 0
    start, starts = 0, [0] * 16
    for length in range(1, 16):
        start = (start + counts[length - 1]) << 1
        starts[length] = start
        if start + counts[length] > 1 << length:
            raise _Damaged
    table: Code = {}
    for symbol, length in enumerate(lengths):
        if length:
            table[length, starts[length]] = symbol
            starts[length] += 1
    return table


def _dynamic(bits: _Bits) -> tuple[Code, Code]:
    literals, distances, order = bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4
    widths = [0] * 19
    for index in range(order):
        widths[_CODE_ORDER[index]] = bits.take(3)
    code, lengths = _code(widths), list[int]()
    while len(lengths) < literals + distances:
        symbol = bits.symbol(code)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            if not lengths:
                raise _Damaged
            lengths += [lengths[-1]] * (3 + bits.take(2))
        else:
            lengths += [0] * (3 + bits.take(3) if symbol == 17 else 11 + bits.take(7))
    if len(lengths) != literals + distances or not lengths[256] or literals > 286:
        raise _Damaged
    return _code(lengths[:literals]), _code(lengths[literals:])


@cache
def _fixed() -> tuple[Code, Code]:
    return _code([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8), _code([5] * 30)


def scan_plainly(read: Reader, length: int, limit: int | None = None, tell: Tell = None) -> Found | None:
    """`scan_stream` without any library: slow, exact."""
    bits, out, done = _Bits(read, length), bytearray(), [0, 0]
    try:
        while True:
            start, final, kind = bits.position, bits.take(1), bits.take(2)
            if kind == 0:
                _stored(bits, out)
            elif kind == 3:
                return None
            else:
                _coded(bits, out, *(_fixed() if kind == 1 else _dynamic(bits)), done, limit, tell)
            _drain(out, done, 0 if final else _WINDOW, tell)
            if limit is not None and done[0] + len(out) > limit:
                return None
            if final:
                return start, bits.position, done[0], done[1]
    except _Damaged:
        return None


def _drain(out: bytearray, done: list[int], keep: int, tell: Tell) -> None:
    """Count what no back-reference can reach any more, and forget it."""
    ready = len(out) - keep
    if ready > 0:
        part = bytes(out[:ready])
        done[1] = zlib.crc32(part, done[1])
        done[0] += ready
        if tell:
            tell(part)
        del out[:ready]


def _stored(bits: _Bits, out: bytearray) -> None:
    bits.take(-bits.position % 8)
    count, check = bits.take(16), bits.take(16)
    if count ^ check != 0xFFFF:
        raise _Damaged
    out += bytes(bits.take(8) for _ in range(count))


def _coded(
    bits: _Bits, out: bytearray, literals: Code, distances: Code, done: list[int], limit: int | None, tell: Tell
) -> None:
    while (symbol := bits.symbol(literals)) != 256:
        if symbol < 256:
            out.append(symbol)
            continue
        if symbol > 285:
            raise _Damaged
        count = _LENGTH_BASE[symbol - 257] + bits.take(_LENGTH_EXTRA[symbol - 257])
        far = bits.symbol(distances)
        if far > 29:
            raise _Damaged
        distance = _DISTANCE_BASE[far] + bits.take(_DISTANCE_EXTRA[far])
        if distance > len(out):
            raise _Damaged
        for _ in range(count):
            out.append(out[-distance])
        if len(out) > 8 * _WINDOW:
            _drain(out, done, _WINDOW, tell)
        if limit is not None and done[0] + len(out) > limit:
            raise _Damaged
