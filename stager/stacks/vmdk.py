"""A raw image as a VMDK file: `streamOptimized` (for OVF) and `monolithicSparse` (for VMware's own programs).

Written here, since other writers put a random CID and the output's name into it. After VMware's "Virtual Disk Format 5.0":
sparse extents, a grain being 64 KiB and a grain table 512 entries, numbers little-endian, places in sectors of 512 bytes.
Grains of zeros are left out. Compressed grains are zlib streams (RFC 1950) of stager's pinned libdeflate, the same everywhere.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

from ..formats.codec import LEVEL

SECTOR = 512
GRAIN = 128
"""Sectors."""
PER_TABLE = 512
_MAGIC = 0x564D444B
_HEADER = struct.Struct("<IIIQQQQIQQQBccccH")
_DESCRIPTOR = 20
"""Sectors kept for the descriptor."""
_AT_END = 0xFFFFFFFFFFFFFFFF
_END, _TABLE, _DIRECTORY, _FOOTER = range(4)
"""Kinds of markers."""
_LINES, _SPARE_TABLE, _COMPRESSED, _MARKERS = 1, 2, 1 << 16, 1 << 17
"""Flags: line ends can be checked; there is a second grain directory; grains are compressed; markers stand between."""


def descriptor(kind: str, name: str, size: int, cid: str, adapter: str) -> bytes:
    """The text that describes the disk. `cid` is eight hex digits, `adapter` is `ide` or `lsilogic` (for any SCSI)."""
    sectors = size // SECTOR
    heads, per_track = (16, 63) if adapter == "ide" else (255, 63)
    cylinders = min(sectors // (heads * per_track), 16383 if adapter == "ide" else 65535)
    return f"""\
# Disk DescriptorFile
version=1
CID={cid}
parentCID=ffffffff
createType="{kind}"

# Extent description
RW {sectors} SPARSE "{name}"

# The Disk Data Base
#DDB

ddb.adapterType = "{adapter}"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "{heads}"
ddb.geometry.sectors = "{per_track}"
ddb.virtualHWVersion = "14"
""".encode()


def _header(version: int, flags: int, size: int, spare: int, directory: int, overhead: int, compressed: int) -> bytes:
    fields = _HEADER.pack(
        _MAGIC, version, flags, size // SECTOR, GRAIN, 1, _DESCRIPTOR, PER_TABLE, spare, directory, overhead,
        0, b"\n", b" ", b"\r", b"\n", compressed,
    )  # fmt: skip
    return fields.ljust(SECTOR, b"\0")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % SECTOR)


def _marker(kind: int, sectors: int) -> bytes:
    return struct.pack("<QII", sectors, 0, kind).ljust(SECTOR, b"\0")


def grains(fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of every grain that holds anything but zeros; holes of the file are not read."""
    length, at = GRAIN * SECTOR, 0
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole from here on
            return
        end = os.lseek(fd, at, os.SEEK_HOLE)
        at -= at % length
        while at < min(end, size):
            data = os.pread(fd, length, at)
            if data.count(0) != len(data):
                yield at // length, data.ljust(length, b"\0")
            at += length


def stream_optimized(fd: int, size: int, text: bytes, write: Callable[[bytes], object]) -> int:
    """Give the image of the raw disk `fd` to `write`, compressed, in one pass; how many bytes it has.

    Places of grains are known once they are written: directory and header come again at the end, as a footer.
    """
    import deflate

    flags = _LINES | _COMPRESSED | _MARKERS
    head = _header(3, flags, size, 0, _AT_END, GRAIN, 1) + text.ljust(_DESCRIPTOR * SECTOR, b"\0")
    head = head.ljust(GRAIN * SECTOR, b"\0")
    write(head)
    at, directory = GRAIN, [0] * _tables(size)
    table, number = [0] * PER_TABLE, -1

    def close() -> None:
        nonlocal at
        if number >= 0:
            write(_marker(_TABLE, PER_TABLE * 4 // SECTOR) + struct.pack(f"<{PER_TABLE}I", *table))
            directory[number] = at + 1
            at += 1 + PER_TABLE * 4 // SECTOR

    for grain, data in grains(fd, size):
        if grain // PER_TABLE != number:
            close()
            table, number = [0] * PER_TABLE, grain // PER_TABLE
        packed = bytes(deflate.zlib_compress(data, LEVEL))
        block = _padded(struct.pack("<QI", grain * GRAIN, len(packed)) + packed)
        table[grain % PER_TABLE] = at
        write(block)
        at += len(block) // SECTOR
    close()
    listed = _padded(struct.pack(f"<{len(directory)}I", *directory))
    write(_marker(_DIRECTORY, len(listed) // SECTOR) + listed)
    footer = _header(3, flags, size, 0, at + 1, GRAIN, 1)
    write(_marker(_FOOTER, 1) + footer + _marker(_END, 0))
    return (at + 1) * SECTOR + len(listed) + 3 * SECTOR


def sparse(fd: int, size: int, text: bytes, write: Callable[[bytes], object]) -> int:
    """Give the image of the raw disk `fd` to `write`, uncompressed and to be written to; how many bytes it has."""
    count = _tables(size)
    listed = -(-count * 4 // SECTOR)
    tables = PER_TABLE * 4 // SECTOR * count
    spare = 1 + _DESCRIPTOR
    main = spare + listed + tables
    start = -(-(main + listed + tables) // GRAIN) * GRAIN
    places, held = [0] * (count * PER_TABLE), 0
    for grain, _ in grains(fd, size):
        places[grain], held = start + held * GRAIN, held + 1
    write(_header(1, _LINES | _SPARE_TABLE, size, spare, main, start, 0) + text.ljust(_DESCRIPTOR * SECTOR, b"\0"))
    for begin in (spare, main):
        directory = [begin + listed + number * (PER_TABLE * 4 // SECTOR) for number in range(count)]
        write(_padded(struct.pack(f"<{count}I", *directory)) + struct.pack(f"<{len(places)}I", *places))
    write(bytes((start - main - listed - tables) * SECTOR))
    for _, data in grains(fd, size):
        write(data)
    return (start + held * GRAIN) * SECTOR


def _tables(size: int) -> int:
    return -(-size // (PER_TABLE * GRAIN * SECTOR))
