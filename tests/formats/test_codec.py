"""Runs of deflate blocks: they join, splice exactly, and refuse what lies."""

from __future__ import annotations

import os
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from stager.formats import codec, inflate
from stager.formats.errors import BadArchive, CodecChanged
from stager.formats.tar import Deflated

NOISE = random.Random(7).randbytes(120_000)
TEXT = b"".join(b"line %d of a text that compresses well\n" % n for n in range(9000))
SAMPLES = [b"", b"a", b"abc" * 3, NOISE, TEXT, TEXT + NOISE + bytes(70_000), bytes(3 << 20)]


def joined(*parts: bytes) -> bytes:
    """A gzip member of runs made from each part."""
    crc = length = 0
    runs = []
    for part in parts:
        runs += list(codec.compress(part))
        crc, length = codec.crc32_combine(crc, zlib.crc32(part), len(part)), length + len(part)
    return codec.HEADER + b"".join(runs) + codec.trailer(crc, length)


@pytest.mark.parametrize("sample", SAMPLES, ids=len)
def test_runs_join_to_one_member_that_any_reader_inflates(sample: bytes) -> None:
    member = joined(sample, b"between", sample)
    decoder = zlib.decompressobj(31)
    assert decoder.decompress(member) == sample + b"between" + sample
    assert decoder.eof
    assert decoder.unused_data == b""


def test_the_known_answer_holds_on_this_machine() -> None:
    codec.check_known_answer()
    assert codec.known_answer() == codec.KNOWN_ANSWER


def test_another_compressor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "LEVEL", 7)
    with pytest.raises(CodecChanged) as caught:
        codec.check_known_answer()
    assert caught.value.exit_code == 50
    assert codec.KNOWN_ANSWER in caught.value.message


def test_crc_combination_equals_the_crc_of_the_whole() -> None:
    for first in SAMPLES[:5]:
        for second in SAMPLES[:5]:
            whole = zlib.crc32(first + second)
            assert codec.crc32_combine(zlib.crc32(first), zlib.crc32(second), len(second)) == whole


def raw(data: bytes, level: int = 9, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    encoder = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return encoder.compress(data) + encoder.flush()


@pytest.fixture
def member(tmp_path: Path) -> Iterator[list[int]]:
    """Descriptors to close after a test."""
    opened: list[int] = []
    yield opened
    for descriptor in opened:
        os.close(descriptor)


def stored(
    path: Path, stream: bytes, opened: list[int], size: int, crc: int, before: bytes = b"zip header"
) -> Deflated:
    path.write_bytes(before + stream + b"what follows")
    opened.append(os.open(path, os.O_RDONLY))
    return Deflated(opened[-1], len(before), len(stream), size, crc)


@pytest.mark.parametrize("data", [*SAMPLES, TEXT * 20], ids=len)
@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_a_spliced_stream_keeps_its_bits_and_joins(data: bytes, level: int, tmp_path: Path, member: list[int]) -> None:
    stream = raw(data, level)
    spliced = b"".join(codec.splice(stored(tmp_path / "w", stream, member, len(data), zlib.crc32(data)), "w.whl"))
    assert len(spliced) <= len(stream) + 5
    twice = codec.HEADER + spliced + spliced
    twice += codec.trailer(codec.crc32_combine(zlib.crc32(data), zlib.crc32(data), len(data)), 2 * len(data))
    assert zlib.decompress(twice, 31) == data * 2


def test_fixed_codes_and_every_bit_position_of_the_end(tmp_path: Path, member: list[int]) -> None:
    ends = set()
    for count in range(64):
        data = bytes(range(150, 150 + count)) + b"x"  # literals of nine bits, so the end wanders over the byte
        stream = raw(data, 6, zlib.Z_FIXED)
        facts = codec.scan(lambda done, stream=stream: stream[done:], len(stream))  # type: ignore[misc]
        ends.add(facts.end % 8)
        claimed = stored(tmp_path / f"w{count}", stream, member, len(data), zlib.crc32(data))
        spliced = b"".join(codec.splice(claimed, "w.whl"))
        assert zlib.decompress(codec.HEADER + spliced + codec.trailer(zlib.crc32(data), len(data)), 31) == data
    assert len(ends) == 8


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: (s, len(TEXT) + 1, zlib.crc32(TEXT)), "size and checksum"),
        (lambda s: (s, len(TEXT) - 1, zlib.crc32(TEXT)), "size and checksum"),
        (lambda s: (s, len(TEXT), zlib.crc32(TEXT) ^ 1), "size and checksum"),
        (lambda s: (s[:-3], len(TEXT), zlib.crc32(TEXT)), "size and checksum"),
        (lambda s: (s + b"\0\0", len(TEXT), zlib.crc32(TEXT)), "after the end"),
        (lambda s: (bytes([s[0] ^ 7]) + s[1:], len(TEXT), zlib.crc32(TEXT)), "size and checksum"),
        (lambda s: (b"", len(TEXT), zlib.crc32(TEXT)), "size and checksum"),
    ],
)
def test_a_stream_that_lies_is_refused(change, why: str, tmp_path: Path, member: list[int]) -> None:  # type: ignore[no-untyped-def]
    stream, size, crc = change(raw(TEXT))
    with pytest.raises(BadArchive) as caught:
        list(codec.splice(stored(tmp_path / "w", stream, member, size, crc), "lying.whl"))
    assert why in caught.value.message
    assert caught.value.message.startswith("lying.whl: ")


def test_a_bomb_is_stopped_at_its_claimed_size(tmp_path: Path, member: list[int]) -> None:
    stream = raw(bytes(200 << 20))
    read: list[int] = []

    def reader(done: int) -> bytes:
        read.append(done)
        return stream[done : done + 4096]

    assert inflate.scan_stream(reader, len(stream), limit=1 << 20) is None
    assert max(read) < len(stream) // 2


def test_the_plain_decoder_finds_the_same_as_the_library() -> None:
    for data in (b"", b"a", TEXT[:40_000], NOISE[:9000], TEXT[:3000] * 30, bytes(90_000)):
        for stream in (
            raw(data, 0),
            raw(data, 1),
            raw(data, 9),
            raw(data, 6, zlib.Z_FIXED),
            raw(data, 6, zlib.Z_HUFFMAN_ONLY),
        ):
            found = inflate.scan_plainly(lambda done, stream=stream: stream[done : done + 777], len(stream))  # type: ignore[misc]
            assert found == inflate.scan_stream(lambda done, stream=stream: stream[done : done + 999], len(stream))  # type: ignore[misc]
            assert found is not None
            assert found[2:] == (len(data), zlib.crc32(data))


def test_both_decoders_refuse_damage() -> None:
    stream = raw(TEXT[:5000])
    for damaged in (stream[:-1], stream[: len(stream) // 2], b"\x07" + stream[1:], b""):
        reader = lambda done, damaged=damaged: damaged[done:]  # noqa: E731
        assert inflate.scan_plainly(reader, len(damaged)) is None
        assert inflate.scan_stream(reader, len(damaged)) is None
