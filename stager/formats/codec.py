"""Deflate blocks that can be joined: the compression half of the droplet format.

Everything stager compresses becomes a *run*: deflate blocks (RFC 1951) without a final bit, ended on a byte boundary by
an empty stored block. Runs concatenate into one deflate stream, so a droplet is one gzip member (RFC 1952) joined from
runs made at different times. There are two ways to make a run, neither dependent on the machine:

- `compress`: libdeflate, exactly pinned, level 6, whole chunks cut at fixed offsets.
- `splice`: a raw deflate stream that somebody else made (a wheel's member) is copied bit for bit, its final bit
  cleared, after inflating it once to check size, CRC and exact end.

Only `header`, `trailer`, `crc32_combine` and the constants are used on the warm path; the rest imports on first use.
"""

from __future__ import annotations

import os
import zlib

from .errors import BadArchive, CodecChanged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .tar import Deflated

CODEC = "deflate-0.9.0-level-6/1"
"""Names compressor, level and chunk rule; part of every plan and of every piece's key."""
LEVEL = 6
CHUNK = 1 << 21
"""Input is compressed in chunks of this many bytes, cut by offset, so memory and output never depend on call sizes."""
SPLICE_MIN = 8 * 1024
"""A foreign deflate stream of at least this many compressed bytes is spliced; smaller ones compress better together."""

HEADER = bytes.fromhex("1f8b08000000000000ff")
"""gzip header: deflate, no flags, mtime 0, XFL 0, OS 255 (unknown)."""
FINAL = b"\x03\x00"
"""An empty final block with fixed Huffman codes: ends a stream of joined runs."""
EMPTY_STORED = b"\x00\x00\xff\xff"


def trailer(crc: int, length: int) -> bytes:
    """The end of a gzip member: final block, CRC-32 and length modulo 2^32 of the uncompressed bytes."""
    return FINAL + crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little")


# --- CRC-32 of a concatenation ---------------------------------------------------------------------------------

_POLY = 0xEDB88320


def _multiply(a: int, b: int) -> int:
    """a times b modulo the CRC-32 polynomial, both bit-reflected."""
    mask, product = 1 << 31, 0
    while a:
        if a & mask:
            product ^= b
            a ^= mask
        mask >>= 1
        b = (b >> 1) ^ _POLY if b & 1 else b >> 1
    return product


def _powers() -> list[int]:
    powers = [1 << 30]  # x^1; each next is the square: x^(2^k)
    for _ in range(31):
        powers.append(_multiply(powers[-1], powers[-1]))
    return powers


_POWERS = _powers()


def crc32_combine(first: int, second: int, length: int) -> int:
    """The CRC-32 of A+B from the CRC-32 of A, that of B, and B's length in bytes."""
    shift, k = 1 << 31, 3  # x^0; lengths count bytes, hence the power starts at 2^3 bits
    while length:
        if length & 1:
            shift = _multiply(_POWERS[k & 31], shift)
        length >>= 1
        k += 1
    return _multiply(shift, first) ^ second


# --- making runs -----------------------------------------------------------------------------------------------


def compress(data: bytes | bytearray | memoryview) -> Iterator[bytes]:
    """Compress bytes as runs of deflate blocks, one per chunk; the joined output is a run itself."""
    import deflate  # pinned exactly; see the known answer below

    view = memoryview(data)
    for start in range(0, len(view), CHUNK):
        chunk = view[start : start + CHUNK]
        raw: bytearray = deflate.deflate_compress(bytes(chunk), LEVEL)
        facts = scan(_memory(bytes(raw)), len(raw))
        _unfinish(raw, 0, facts)
        raw += _joint(facts.end)
        yield bytes(raw)


def splice(member: Deflated, label: str, tell: Callable[[bytes | memoryview], object] | None = None) -> Iterator[bytes]:
    """Copy a foreign raw deflate stream as a run, after checking that it is what its archive says it is.

    `tell` is given what it inflates to, in parts that are valid during the call.

    Raises BadArchive when it does not inflate to exactly the claimed size and CRC-32, or does not end where claimed.
    """
    facts = scan(_reader(member.fd, member.offset, member.length), member.length, member.size, tell)
    if facts is _BROKEN or (facts.size, facts.crc) != (member.size, member.crc):
        raise BadArchive(label, "a member does not inflate to the size and checksum that its directory states")
    if (facts.end + 7) // 8 != member.length:
        raise BadArchive(label, "a member has bytes after the end of its deflate stream")
    done = 0
    while done < member.length:
        piece = bytearray(_pread(member.fd, member.offset + done, min(CHUNK, member.length - done)))
        if not piece:
            raise BadArchive(label, "it ends inside a member")
        _unfinish(piece, done, facts)
        done += len(piece)
        yield bytes(piece)
    yield _joint(facts.end)


def _memory(data: bytes) -> Callable[[int], bytes]:
    return lambda done: data[done:] if done else data


def _pread(fd: int, offset: int, size: int) -> bytes:
    return os.pread(fd, size, offset)


def _reader(fd: int, offset: int, length: int) -> Callable[[int], bytes]:
    return lambda done: _pread(fd, offset + done, min(1 << 18, length - done))


class StreamFacts:
    """What scanning a deflate stream found; positions are in bits from its start."""

    __slots__ = ("crc", "end", "last", "size")

    def __init__(self, last: int, end: int, size: int, crc: int) -> None:
        self.last = last
        self.end = end
        self.size = size
        self.crc = crc


_BROKEN = StreamFacts(-1, -1, -1, -1)


def _unfinish(part: bytearray, start: int, facts: StreamFacts) -> None:
    """Clear, in the part that begins at byte `start`, the final bit and the padding after the last block."""
    byte, bit = divmod(facts.last, 8)
    if 0 <= byte - start < len(part):
        part[byte - start] &= ~(1 << bit)
    byte, bit = divmod(facts.end, 8)
    if bit and 0 <= byte - start < len(part):
        part[byte - start] &= (1 << bit) - 1


def _joint(end: int) -> bytes:
    """An empty stored block after a block that ends at bit `end`: its three header bits may fit in the last byte."""
    used = end % 8
    return EMPTY_STORED if 0 < used <= 5 else b"\x00" + EMPTY_STORED


def scan(
    read: Callable[[int], bytes],
    length: int,
    limit: int | None = None,
    tell: Callable[[bytes | memoryview], object] | None = None,
) -> StreamFacts:
    """Inflate a raw deflate stream and find where its last block begins and ends.

    `read(done)` gives the next bytes after `done` ones. A stream that is damaged, or inflates to more than
    `limit` bytes, gives facts that match nothing.
    """
    from .inflate import scan_stream

    found = scan_stream(read, length, limit, tell)
    return _BROKEN if found is None else StreamFacts(*found)


# --- the known answer ------------------------------------------------------------------------------------------

KNOWN_ANSWER = "ee8d30b270d89713871c1c335241e682d80d36838032b09d1ba4accba73be6f3"


def known_answer() -> str:
    """Compress the fixed vector: text, a ramp, zeros, and bytes of a linear congruential generator; hex SHA-256."""
    import hashlib

    state, noise = 1, bytearray()
    for _ in range(16384):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        noise.append(state >> 16 & 0xFF)
    text = b"".join(b"%d: the same bytes everywhere\n" % n for n in range(1500))
    vector = text + bytes(range(256)) * 64 + bytes(16384) + bytes(noise) + text[:5000]
    digest = hashlib.sha256()
    for part in compress(vector):
        digest.update(part)
    return digest.hexdigest()


def check_known_answer() -> None:
    """Raise CodecChanged unless the compressor on this machine gives the promised bytes."""
    got = known_answer()
    if got != KNOWN_ANSWER:
        raise CodecChanged(CODEC, KNOWN_ANSWER, got)


def crc32(data: bytes, start: int = 0) -> int:
    """CRC-32 as gzip uses it."""
    return zlib.crc32(data, start)
