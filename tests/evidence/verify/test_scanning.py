"""Files that are no droplets, damaged ones and hostile ones: a finding, never a crash, never without measure."""

from __future__ import annotations

import gzip
import resource
import zlib
from pathlib import Path

import pytest
from builders import TarEntry, make_tar, pax
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from made_droplets import stage

from stager.errors import Unreadable
from stager.evidence.diff import read
from stager.evidence.verify.causes import compare
from stager.evidence.verify.where import LOCK
from stager.files.whole import first_difference
from stager.formats.gunzip import header_size
from stager.formats.tar import ROOT


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage(tmp_path_factory.mktemp("droplet"), {"main.py": "1\n" * 500})


def packed(tar: bytes) -> bytes:
    return gzip.compress(tar, 6, mtime=0)


HOSTILE = {
    "empty": b"",
    "two bytes": b"\x1f\x8b",
    "text": b"hello\n" * 100,
    "a header without end": b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"x" * 100_000,
    "flags that need more": b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\xff\xff",
    "no deflate": bytes.fromhex("1f8b08000000000000ff") + b"\xff" * 100,
    "an empty member": packed(b""),
    "no tar": packed(b"not a tar " * 1000),
    "a tar cut short": packed(make_tar([TarEntry("./app/x", b"1" * 5000)])[:1000]),
    "a huge name": packed(make_tar([pax({"path": "a/" * 500_000}), TarEntry("x", b"1")])),
    "a huge number": packed(make_tar([pax({"size": "9" * 6000}), TarEntry("x", b"1")])),
    "a negative size": packed(make_tar([TarEntry("x", b"", fields={"size": b"\xff" * 12})])),
    "a size without end": packed(make_tar([TarEntry("x", b"", fields={"size": b"\x80" + b"\xff" * 11})])),
    "a terminal's escapes": packed(
        make_tar([TarEntry("./app/\x1b]0;pwned\x07\x1b[2J", b"1"), TarEntry("./app/\x80\xff", b"1")])
    ),
    "names that are no UTF-8": packed(make_tar([TarEntry(b"./app/\xff\xfe\x80", b"1")])),
    "malformed PAX": packed(make_tar([TarEntry("p", b"9999 path=x\n", b"x"), TarEntry("x", b"1")])),
    "two plans": packed(make_tar([TarEntry(ROOT + LOCK, b"x"), TarEntry(ROOT + LOCK, b"version = 1\n")])),
    "a plan that is deep": packed(make_tar([TarEntry(ROOT + LOCK, b"a = " + b"[" * 50_000)])),
    "layers that are deep": packed(make_tar([TarEntry("./app/.stager/layers.json", b"[" * 100_000)])),
    "layers that are wrong": packed(
        make_tar([TarEntry("./app/.stager/layers.json", b'{"layers":[{"name":1}],"entries":1e999}')])
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gives_findings(name: str, droplet: Path, tmp_path: Path) -> None:
    path = tmp_path / "hostile.tgz"
    path.write_bytes(HOSTILE[name])
    found = compare(str(path), str(droplet))
    assert found.findings
    assert all(text.isprintable() for one in found.findings for text in one.as_json().values())
    assert all(len(one.path) < 500 and len(one.what) < 500 for one in found.findings)


def test_a_bomb_stops_early(droplet: Path, tmp_path: Path) -> None:
    path, state = tmp_path / "bomb.tgz", zlib.compressobj(9, zlib.DEFLATED, 31)
    entry = make_tar([TarEntry("./app/zeros", b"", fields={"size": b"77777777777\0"})], end=b"")
    with path.open("wb") as file:
        file.write(state.compress(entry) + state.flush(zlib.Z_FULL_FLUSH))
        # Behind a full flush nothing refers to what came before, so one compressed mebibyte can be written many times.
        file.write((state.compress(bytes(1 << 20)) + state.flush(zlib.Z_FULL_FLUSH)) * 1300)
    found = compare(str(path), str(droplet))
    assert found.findings[0].cause == "damaged"
    assert found.findings[0].what.startswith("it inflates to more than ")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20


def test_a_huge_plan_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "plan.tgz"
    path.write_bytes(packed(make_tar([TarEntry(ROOT + LOCK, bytes(40 << 20))])))
    found = read(str(path), "as far as possible")
    assert [item.path for item in found.items()] == [LOCK]
    assert found.records() == {LOCK: b""}


def test_many_lists_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "lists.tgz"
    names = [f"{ROOT}.stager/pypi/site-packages/p{n}.dist-info/RECORD" for n in range(9)]
    path.write_bytes(gzip.compress(make_tar([TarEntry(name, bytes(20 << 20)) for name in names]), 1, mtime=0))
    found = read(str(path), "as far as possible")
    assert len(list(found.items())) == 9
    assert sorted(map(len, found.records().values())) == [0] * 3 + [20 << 20] * 6


def test_a_missing_file() -> None:
    with pytest.raises(Unreadable):
        read("/nonexistent/droplet.tgz", "as far as possible")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.data())
def test_random_damage_is_always_found(droplet: Path, tmp_path: Path, data: some.DataObject) -> None:
    good = droplet.read_bytes()
    start = data.draw(some.integers(0, len(good) - 1))
    end = data.draw(some.integers(start, min(len(good), start + 60)))
    bad = good[:start] + data.draw(some.binary(max_size=40)) + good[end:]
    path = tmp_path / "bad.tgz"
    path.write_bytes(bad)
    assert compare(str(path), str(droplet)).equal is (bad == good)
    assert bool(compare(str(path), str(droplet)).findings) is (bad != good)


@given(some.binary(max_size=200), some.binary(max_size=200), some.integers(1, 7), some.integers(1, 7))
def test_first_difference_does_not_depend_on_the_parts(one: bytes, other: bytes, a: int, b: int) -> None:
    def parts(data: bytes, size: int) -> list[bytes]:
        return [data[at : at + size] for at in range(0, len(data), size)]

    until = min(len(one), len(other))
    same = next((i for i in range(until) if one[i] != other[i]), None if one == other else until)
    assert first_difference(iter(parts(one, a)), iter(parts(other, b))) == same


def test_gzip_headers() -> None:
    plain = bytes.fromhex("1f8b08000000000000ff")
    assert header_size(plain + b"rest") == 10
    assert header_size(b"\x1f\x8b\x08\x18" + plain[4:] + b"name\0comment\0") == 23
    assert header_size(b"\x1f\x8b\x08\x06" + plain[4:] + b"\x02\0ABhc") == 16
    assert header_size(b"\x1f\x8b\x08\x08" + plain[4:] + b"no end") == 0
    assert header_size(plain[:9]) == 0
