"""A hundred and more small damages, each by itself: diff finds every one and names the path, or says what is broken."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import pax
from made_droplets import stage
from mutations import mutations

from stager.errors import StagerError, UsageError
from stager.evidence.diff import Difference, compare, read
from stager.formats.tar import BLOCK
from stager.formats.tar_reader import TarEntry, read_entries

Mutated = tuple[str, bytes, bool]
"""The path that must be named, the tar, and whether it is a difference in content."""


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheels = {"alpha": ("1.0", {f"alpha/m{n}.py": f"N = {n}\n".encode() * 40 for n in range(12)})}
    files = {f"src/part{n}.txt": f"{n}\n" * (n + 1) for n in range(10)}
    return stage(tmp_path_factory.mktemp("mutated"), files, wheels)


def plain(name: str) -> str:
    inside = name.removeprefix("./").rstrip("/")
    return inside.removeprefix("app/") if inside.startswith("app/") else ("" if inside == "app" else f"/{inside}")


class Tar:
    """The droplet's tar and its entries, with what changes one of them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.entries = list(read_entries([data]))

    def span(self, entry: TarEntry) -> tuple[int, int]:
        return entry.offset, entry.offset + BLOCK + entry.size + -entry.size % BLOCK

    def header(self, entry: TarEntry, at: int, value: bytes) -> bytes:
        """The tar with other bytes in one header, and a checksum that fits."""
        block = bytearray(self.data[entry.offset : entry.offset + BLOCK])
        block[at : at + len(value)] = value
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return self.data[: entry.offset] + bytes(block) + self.data[entry.offset + BLOCK :]

    def byte(self, entry: TarEntry, at: int) -> bytes:
        place = entry.offset + BLOCK + at
        return self.data[:place] + bytes([self.data[place] ^ 0x20]) + self.data[place + 1 :]

    def without(self, entry: TarEntry) -> bytes:
        start, end = self.span(entry)
        return self.data[:start] + self.data[end:]

    def swapped(self, first: TarEntry, second: TarEntry) -> bytes:
        (a, b), (c, d) = self.span(first), self.span(second)
        return self.data[:a] + self.data[c:d] + self.data[b:c] + self.data[a:b] + self.data[d:]

    def inserted(self, before: TarEntry, data: bytes) -> bytes:
        return self.data[: before.offset] + data + self.data[before.offset :]


def mutated(tar: Tar, seed: int = 1) -> Iterator[Mutated]:
    """Every kind of damage on entries drawn by a seed."""
    draw = random.Random(seed)
    files = [e for e in tar.entries if e.kind == "file" and e.name.startswith("./app/")]
    told = [e for e in files if not e.name.endswith(("layers.json", "stager.lock", "launch.json", "RECORD"))]
    for entry in draw.sample(told, 14):
        if entry.size:
            yield plain(entry.name), tar.byte(entry, draw.randrange(entry.size)), True
    for entry in draw.sample(files, 12):
        yield plain(entry.name), tar.header(entry, 100, b"0000777\0" if entry.mode & 1 else b"0000666\0"), False
        yield plain(entry.name), tar.header(entry, 100, b"0000755\0" if not entry.mode & 1 else b"0000644\0"), True
        yield plain(entry.name), tar.header(entry, 108, b"%07o\0" % draw.randrange(2001, 9999)), False
        yield plain(entry.name), tar.header(entry, 116, b"%07o\0" % draw.randrange(1, 9999)), False
        yield plain(entry.name), tar.header(entry, 136, b"%011o\0" % draw.randrange(10**9)), False
        yield plain(entry.name), tar.header(entry, 265, b"root\0"), False
        yield plain(entry.name), tar.header(entry, 329, b"0000001\0"), False
    for entry in draw.sample(told, 10):
        yield plain(entry.name), tar.without(entry), True
    for entry in draw.sample(files, 6):
        copy = tar.data[slice(*tar.span(entry))].replace(entry.name.encode(), entry.name[:-1].encode() + b"~")
        yield plain(entry.name[:-1] + "~"), tar.inserted(entry, _summed(copy)), True
        yield plain(entry.name), tar.inserted(entry, tar.data[slice(*tar.span(entry))]), True
    apps = [e for e in files if plain(e.name).startswith("src/")]
    for first, second in zip(apps[:6:2], apps[1:7:2], strict=True):
        yield plain(second.name), tar.swapped(first, second), False
    for entry in draw.sample(files, 3):
        yield plain(entry.name), tar.inserted(entry, pax({"comment": "x"}).to_bytes()), False
    envelope = next(e for e in tar.entries if e.name == "./staging_info.yml")
    yield "/staging_info.yml", tar.byte(envelope, 5), False
    yield "/staging_info.yml", tar.without(envelope), False


def _summed(data: bytes) -> bytes:
    """The entry with a checksum that fits."""
    block = bytearray(data[:BLOCK])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data[BLOCK:]


def named(found: Difference) -> set[str]:
    return {one.path for one in found.files} | {one.name for one in found.changes if one.what in ("order", "repeated")}


def test_every_mutation_is_found_and_its_path_is_named(droplet: Path, tmp_path: Path) -> None:
    tar = Tar(gzip.decompress(droplet.read_bytes()))
    original = read(str(droplet))
    missed, count = [], 0
    other = tmp_path / "other.tgz"
    for path, data, content in mutated(tar):
        other.write_bytes(gzip.compress(data, 1, mtime=0))
        found = compare(original, read(str(other)))
        count += 1
        if not found.different or path not in named(found) or (found.verdict == "content") != content:
            missed.append((path, content, found.verdict, sorted(named(found))))
    assert not missed
    assert count >= 120


INSIDE = {"[gzip]": "packing", "[gzip header]": "packing", "[end of the archive]": "padding"}
"""What diff calls the places that are no entry."""


def test_the_mutations_that_verify_is_tried_with(droplet: Path, tmp_path: Path) -> None:
    """Every one is found: its path is named, or the file is refused as damaged."""
    original, other, missed, count = read(str(droplet)), tmp_path / "other.tgz", [], 0
    for one in mutations(droplet.read_bytes()):
        other.write_bytes(one.data)
        count += 1
        try:
            found = compare(original, read(str(other)))
        except StagerError:
            if not one.causes & {"damaged", "truncated", "trailing bytes", "missing entry"}:
                missed.append((one.name, "refused"))
            continue
        wanted = {plain(path) for path in one.paths} | {INSIDE[path] for path in one.paths if path in INSIDE}
        told = named(found) | {change.what for change in found.changes} | {change.name for change in found.changes}
        if (one.causes == {"compressor"} and "plan" not in one.name) or "[end of the file]" in one.paths:
            wanted = {"packing"}
        if not found.different or (wanted and not wanted & told):
            missed.append((one.name, found.verdict))
    assert not missed
    assert count >= 200


def test_the_control_has_no_finding_but_the_compressor(droplet: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tgz"
    other.write_bytes(gzip.compress(gzip.decompress(droplet.read_bytes()), 9, mtime=5))
    found = compare(read(str(droplet)), read(str(other)))
    assert (found.verdict, found.files) == ("envelope", ())
    assert {(one.what, one.name) for one in found.changes} >= {("packing", "gzip header")}
    assert {row.side for row in found.layers} == {"shared"}


def test_a_layer_compressed_otherwise_is_named(droplet: Path, tmp_path: Path) -> None:
    """The app's runs made again by zlib: the same entries, other bytes, in a file that still is cut as before."""
    original = read(str(droplet))
    app = next(part for part in original.layers or () if part.name == "app")
    assert app.extent is not None
    data = droplet.read_bytes()
    state = zlib.compressobj(1, zlib.DEFLATED, -15)
    runs = state.compress(b"".join(app.tar())) + state.flush(zlib.Z_FULL_FLUSH)
    other = tmp_path / "other.tgz"
    other.write_bytes(data[: app.extent.offset] + runs + data[app.extent.offset + app.extent.size :])
    found = compare(original, read(str(other)))
    assert (found.verdict, found.different) == ("envelope", True)
    assert [(one.what, one.name) for one in found.changes] == [("layer", "app")]
    assert not compare(original, read(str(other)), content_only=True).different


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_byte_is_found_or_refused(seed: int, droplet: Path, tmp_path: Path) -> None:
    """Of the compressed file itself: anything may come out, but neither silence nor a traceback."""
    draw = random.Random(seed)
    data = bytearray(droplet.read_bytes())
    at = draw.randrange(len(data)) if seed >= 20 else (seed if seed < 10 else len(data) - 1 - (seed - 10))
    data[at] ^= 1 << draw.randrange(8)
    other = tmp_path / "other.tgz"
    other.write_bytes(data)
    try:
        found = compare(read(str(droplet)), read(str(other)))
    except StagerError:
        return
    assert found.different
    assert found.changes or found.files


def test_a_damaged_plan_inside_costs_only_the_packages(droplet: Path, tmp_path: Path) -> None:
    tar = Tar(gzip.decompress(droplet.read_bytes()))
    other = tmp_path / "other.tgz"
    for name in ("stager.lock", "launch.json"):
        entry = next(e for e in tar.entries if e.name.endswith(name))
        other.write_bytes(gzip.compress(tar.byte(entry, 30), 1, mtime=0))
        found = compare(read(str(droplet)), read(str(other)))
        assert f".stager/{name}" in named(found)
        assert found.different
    entry = next(e for e in tar.entries if e.name.endswith("layers.json"))
    other.write_bytes(gzip.compress(tar.byte(entry, 3), 1, mtime=0))
    assert ".stager/layers.json" in named(compare(read(str(droplet)), read(str(other))))


def test_no_tar_inside(tmp_path: Path) -> None:
    other = tmp_path / "other.tgz"
    other.write_bytes(gzip.compress(b"no tar at all" * 100))
    with pytest.raises(UsageError, match="it is a compressed file, but no tar"):
        read(str(other))
