"""Packs that were made to cost much: what is done for them is counted, and can be stopped."""

from __future__ import annotations

import hashlib
import os
import random
import zlib
from io import BytesIO

import pytest

from stager.errors import Cancelled
from stager.formats.errors import BadArchive
from stager.formats.packs import BLOB, Pack, PackLimits


def id_of(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def number(value: int) -> bytes:
    made = b""
    while value > 0x7F:
        made, value = made + bytes([value & 0x7F | 0x80]), value >> 7
    return made + bytes([value])


def entry(kind: int, content: bytes, base: bytes = b"") -> bytes:
    size = len(content)
    head, rest = kind << 4 | size & 15, size >> 4
    return (bytes([head | 0x80]) + number(rest) if rest else bytes([head])) + base + zlib.compress(content, 9)


def delta(base: bytes, made: bytes) -> bytes:
    """A delta that adds a few bytes in place of all of its base."""
    return number(len(base)) + number(len(made)) + bytes([len(made)]) + made


def on(base: bytes, made: bytes) -> bytes:
    """A delta that names its base by an id."""
    return entry(7, delta(base, made), bytes.fromhex(id_of(base)))


def pack_of(*entries: bytes) -> BytesIO:
    return BytesIO(b"PACK" + (2).to_bytes(4, "big") + len(entries).to_bytes(4, "big") + b"".join(entries) + bytes(20))


def text(value: int) -> bytes:
    return b"%d" % value


def get_all(pack: Pack, contents: list[bytes]) -> None:
    for one in contents:
        pack.get(id_of(one), BLOB)


class Counting(Pack):
    """Counts how often an object is inflated."""

    inflated = 0

    def _inflated(self, entry: object) -> tuple[bytes, int]:
        self.inflated += 1
        return super()._inflated(entry)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["forward", "backward", "mixed"])
def test_deltas_on_ids_are_named_once_each_in_any_order(order: str) -> None:
    entries = [entry(3, text(0)), *(on(text(one), text(one + 1)) for one in range(1500))]
    if order == "backward":
        entries.reverse()
    elif order == "mixed":
        random.Random(1).shuffle(entries)
    pack = Counting(pack_of(*entries), "demo")
    assert pack.inflated <= 2 * len(entries)
    assert pack.get(id_of(text(1500)), BLOB) == b"1500"
    assert pack.get(id_of(text(7)), BLOB) == b"7"


def test_large_bases_by_turns_are_inflated_as_often_as_there_are_bases() -> None:
    """Each pushes the other out of what is kept."""
    bases = [b"\0" * (20 << 20), b"\1" * (20 << 20)]
    entries = [entry(3, one) for one in bases] + [on(bases[one % 2], text(one)) for one in range(40)]
    pack = Counting(pack_of(*entries), "demo")
    assert pack.inflated <= 2 * len(entries)
    assert pack.get(id_of(text(39)), BLOB) == b"39"


def test_work_that_is_done_again_is_counted() -> None:
    """Objects that are asked for by turns; stated sizes alone would never come to an end."""
    bases = [b"\0" * (20 << 20), b"\1" * (20 << 20)]
    entries = [entry(3, one) for one in bases] + [on(bases[one % 2], text(one)) for one in range(10)]
    pack = Pack(pack_of(*entries), "demo", PackLimits(work=160 << 20))
    with pytest.raises(BadArchive, match="of work"):
        get_all(pack, bases * 20)


def test_empty_blocks_and_orders_of_deltas_are_work_too() -> None:
    hollow = zlib.compressobj(0)
    blocks = b"".join(hollow.compress(b"") + hollow.flush(zlib.Z_FULL_FLUSH) for _ in range(40_000)) + hollow.flush()
    limits = PackLimits(work=100_000)
    with pytest.raises(BadArchive, match="of work"):
        Pack(pack_of(bytes([3 << 4]) + blocks), "demo", limits)
    base, steps = b"x", 50_000
    many = number(1) + number(steps) + b"\x90\x01" * steps
    entries = entry(3, base), entry(7, many, bytes.fromhex(id_of(base)))
    with pytest.raises(BadArchive, match="of work"):
        Pack(pack_of(*entries), "demo", PackLimits(work=2_000_000))
    assert Pack(pack_of(*entries), "demo", PackLimits(work=10_000_000)).get(id_of(b"x" * steps), BLOB)


def test_deltas_upon_one_another_have_a_limit() -> None:
    entries = [entry(3, text(0)), *(on(text(one), text(one + 1)) for one in range(12))]
    assert Pack(pack_of(*entries), "demo", PackLimits(depth=12)).get(id_of(text(12)), BLOB) == b"12"
    with pytest.raises(BadArchive, match="upon one another"):
        Pack(pack_of(*entries), "demo", PackLimits(depth=11))


def test_deltas_on_one_another_in_a_ring_or_on_nothing_are_refused() -> None:
    for entries in ([on(b"a", b"b"), on(b"b", b"a")], [entry(3, b"x"), on(b"y", b"z")]):
        with pytest.raises(BadArchive, match="that it has not"):
            Pack(pack_of(*entries), "demo")


def test_an_object_that_is_there_twice_carries_its_deltas() -> None:
    entries = [on(b"a", b"b"), entry(3, b"a"), entry(3, b"a"), on(b"a", b"c"), on(b"b", b"d"), on(b"a", b"b")]
    pack = Pack(pack_of(*entries), "demo")
    assert [pack.get(id_of(one), BLOB) for one in (b"a", b"b", b"c", b"d")] == [b"a", b"b", b"c", b"d"]


def test_a_pack_can_be_stopped_at_each_object_and_when_objects_are_asked_for() -> None:
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > 50

    entries = [entry(3, os.urandom(8)) for _ in range(100)]
    with pytest.raises(Cancelled):
        Pack(pack_of(*entries), "demo", stopping=stopping)
    stop = False
    contents = [b"%d" % one for one in range(300)]
    pack = Pack(pack_of(*(entry(3, one) for one in contents)), "demo", stopping=lambda: stop)
    stop = True
    with pytest.raises(Cancelled):
        get_all(pack, contents)
