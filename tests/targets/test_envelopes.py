"""What targets share: canonical gzip members, files that appear whole, and cutting a tar back into layers."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_droplets import small_droplet

from stager.droplet.cutting import layer_ids
from stager.droplet.reader import open_droplet
from stager.errors import CannotWrite
from stager.formats.errors import BadArchive
from stager.formats.gunzip import gunzipped
from stager.targets.envelopes import Gzip, packed, publishing

NOISE = random.Random(7).randbytes(300_000)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def member(chunk: int) -> bytes:
    made = bytearray()
    archive = Gzip(made.extend)
    archive.add(b"first")
    archive.stored(cut(NOISE, chunk))
    archive.add(b"second")
    archive.add(b"third")
    archive.stored([])
    archive.finish()
    return bytes(made)


@pytest.mark.parametrize("chunk", [999, 65535, 65536, 131070, 300_000, 1 << 20])
def test_a_member_does_not_depend_on_how_it_was_fed(chunk: int) -> None:
    assert member(chunk) == member(1 << 16)


def test_other_readers_read_a_member_of_every_kind_of_block() -> None:
    data = member(70_000)
    assert gzip.decompress(data) == b"first" + NOISE + b"secondthird"
    reader = zlib.decompressobj(31)
    assert reader.decompress(data) == b"first" + NOISE + b"secondthird"
    assert (reader.eof, reader.unused_data) == (True, b"")
    assert NOISE[:65535] in data, "what is stored lies there as it is"


def test_packed_is_the_same_for_every_order() -> None:
    files = {"./b/x": ("1", True), "./a": ("2", False), "./b/c/y": ("3", False)}
    assert packed(files) == packed(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(packed(files))) as archive:
        rows = [(info.name, info.mode) for info in archive]
    assert rows == [("./b", 0o775), ("./b/c", 0o775), ("./a", 0o664), ("./b/c/y", 0o664), ("./b/x", 0o775)]


def _write_half(path: str) -> None:
    with publishing(path) as sink:
        sink.write(b"half")
        raise ZeroDivisionError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError):
        _write_half(str(path))
    assert path.read_text() == "before"
    with publishing(str(path)) as sink:
        sink.write(b"whole")
        assert path.read_text() == "before"
    assert path.read_text() == "whole"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


def test_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite), publishing(str(tmp_path / "file" / "x")):
        pytest.fail("there is nothing to write to")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


# --- cutting ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_droplet(tmp_path_factory.mktemp("cutting"), {"noise.txt": NOISE[:50_000].hex()})


def test_layers_do_not_depend_on_how_the_tar_is_read(droplet: Path) -> None:
    """Nor on whether Cloud Foundry's envelope is there."""
    with open_droplet(str(droplet)) as opened:
        wanted = tuple(layer.diff_id for layer in opened.layers)
        bare = b"".join(part for layer in opened.layers for part in opened.tar(layer)) + bytes(1024)
    whole = gzip.decompress(droplet.read_bytes())
    assert len(whole) > len(bare)
    for data in (bare, whole):
        for size in (511, 512, 513, 10_240, len(data)):
            assert layer_ids(cut(data, size), "x") == wanted
        assert layer_ids(gunzipped(cut(gzip.compress(data), 77), "x"), "x") == wanted


def rewritten(droplet: Path, **changes: Any) -> bytes:
    """The droplet's tar with members of its `layers.json` replaced; the file keeps its length."""
    whole = gzip.decompress(droplet.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        info = archive.getmember("./app/.stager/layers.json")
        start, size = info.offset_data, info.size
    record = {**json.loads(whole[start : start + size]), **changes}
    text = json.dumps(record, separators=(",", ":")).encode()
    header = whole[start - 512 : start]
    header = header[:124] + b"%011o\0" % len(text) + header[136:148] + b" " * 8 + header[156:]
    header = header[:148] + b"%06o\0 " % sum(header) + header[156:]
    room = -(-size // 512) * 512
    assert len(text) <= room
    return whole[: start - 512] + header + text.ljust(room, b"\0") + whole[start + room :]


def test_the_record_can_be_rewritten_to_begin_with(droplet: Path) -> None:
    assert len(layer_ids([rewritten(droplet)], "x")) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"entries": 0},
        {"entries": -1},
        {"entries": 10**9},
        {"entries": "3"},
        {"layers": [{"name": "a", "length": -512}]},
        {"layers": [{"name": "a", "length": 10**15}]},
        {"layers": [{"name": "a"}]},
        {"layers": 7},
        {"envelope": {"length": -1, "crc": 0}},
        {"envelope": {"length": 10**12, "crc": 0}},
        {"envelope": None},
    ],
)
def test_records_that_lie(changes: dict[str, Any], droplet: Path) -> None:
    with pytest.raises(BadArchive):
        layer_ids([rewritten(droplet, **changes)], "x")
