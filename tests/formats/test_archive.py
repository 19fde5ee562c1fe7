"""Debian packages, member contents, and what an `Archive` holds open."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import (
    STORED,
    TarEntry,
    ZipEntry,
    ar_member,
    compress,
    make_deb,
    make_tar,
    make_wheel,
    make_zip,
    raw_deflate,
)

from stager.errors import StagerError
from stager.formats.archive import Archive, content_bytes, content_chunks, crc32, read_deb, read_tar, read_zip
from stager.formats.archive import stream as archive_stream
from stager.formats.errors import BadArchive, UnsafeEntry
from stager.formats.tar import Deflated, Span

LABEL = "demo_1.0-1_amd64.deb"
Write = Callable[[bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def run(data: bytes) -> str:
        (tmp_path / "blob").write_bytes(data)
        return str(tmp_path / "blob")

    return run


def listing(archive: Archive) -> dict[str, bytes | str]:
    with archive:
        return {m.name: m.target or content_bytes(m.content) for m in archive}


# --- debs ------------------------------------------------------------------------------------------------------

FILES = {"usr/bin/tool": b"\x7fELF", "usr/lib/tool/data": b"1" * 9000}
LINKS = {"usr/bin/alias": "tool", "etc/tool": "/var/lib/tool"}


@pytest.mark.parametrize("memory", [0, 16 << 20])
@pytest.mark.parametrize("compression", ["xz", "gz", "bz2", ""])
def test_debs_are_read(write: Write, compression: str, memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_stream, "IN_MEMORY", memory)
    data = make_deb(FILES, LINKS, compression=compression, executables=["usr/bin/tool"])
    with read_deb(write(data), LABEL) as archive:
        assert [(m.name, m.executable, m.target, m.size) for m in archive] == [
            ("etc/tool", False, "/var/lib/tool", 0),
            ("usr/bin/alias", False, "tool", 0),
            ("usr/bin/tool", True, "", 4),
            ("usr/lib/tool/data", False, "", 9000),
        ]
        assert content_bytes(archive["usr/lib/tool/data"].content) == FILES["usr/lib/tool/data"]


def test_zst_debs_are_read_where_python_can(write: Write) -> None:
    pytest.importorskip("backports.zstd")
    assert listing(read_deb(write(make_deb(FILES, compression="zst")), LABEL)) == FILES


def test_zst_without_a_library_is_a_typed_error(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    with pytest.raises(BadArchive) as caught:
        read_deb(write(deb(data_name="data.tar.zst")), LABEL)
    assert caught.value.message == f"{LABEL}: is compressed as zst, which this Python cannot read"


def deb(version: bytes = b"2.0\n", data: bytes | None = None, data_name: str = "data.tar", more: bytes = b"") -> bytes:
    payload = make_tar([TarEntry("./a", b"1")]) if data is None else data
    parts = [("debian-binary", version), ("control.tar", make_tar([])), (data_name, payload)]
    return b"!<arch>\n" + b"".join(ar_member(name, part) for name, part in parts) + more


def bad(why: str) -> BadArchive:
    return BadArchive(LABEL, why)


PARTS = "has more or less than the three parts of a Debian package"
HEADER = "has a damaged part header"
VERSION = "is of an unknown version of the Debian package format"

REFUSED: dict[str, tuple[bytes, StagerError]] = {
    "empty": (b"", bad("is not a Debian package")),
    "text": (b"<html>404</html>", bad("is not a Debian package")),
    "only-magic": (b"!<arch>\n", bad(PARTS)),
    "no-data": (b"!<arch>\n" + ar_member("debian-binary", b"2.0\n") + ar_member("control.tar", b""), bad(PARTS)),
    "two-data": (deb(more=ar_member("data.tar", make_tar([]))), bad(PARTS)),
    "hidden-part": (deb(more=ar_member("_hidden", b"x")), bad(PARTS)),
    "order": (
        b"!<arch>\n"
        + ar_member("debian-binary", b"2.0\n")
        + ar_member("data.tar", b"")
        + ar_member("control.tar", b""),
        bad(PARTS),
    ),
    "not-binary": (b"!<arch>\n" + ar_member("_x", b"2.0\n") * 3, bad(PARTS)),
    "version-3": (deb(version=b"3.0\n"), bad(VERSION)),
    "version-open": (deb(version=b"2.0"), bad(VERSION)),
    "trailing": (deb(more=b"x"), bad(HEADER)),
    "magic-of-part": (deb().replace(b"`\n", b"``", 1), bad(HEADER)),
    "size-junk": (b"!<arch>\n" + ar_member("debian-binary", b"2.0\n", size=b"four"), bad(HEADER)),
    "size-negative": (b"!<arch>\n" + ar_member("debian-binary", b"2.0\n", size=b"-4"), bad(HEADER)),
    "size-huge": (b"!<arch>\n" + ar_member("debian-binary", b"2.0\n", size=b"9999999999"), bad(PARTS)),
    "name-not-ascii": (deb(data_name="data.tar\u00fc"), bad(HEADER)),
    "unknown-compression": (deb(data_name="data.tar.lz"), bad("is compressed as 'lz', which stager does not read")),
    "odd-suffix": (deb(data_name="data.tarball"), bad("is compressed as 'ball', which stager does not read")),
    "not-compressed": (
        deb(data_name="data.tar.gz"),
        bad("is not valid gz (Error -3 while decompressing data: incorrect header check)"),
    ),
    "data-cut": (deb(data=make_tar([TarEntry("./a", b"1")], end=b"")[:600]), bad("is cut short")),
    "dotdot": (
        deb(data=make_tar([TarEntry("./../a", b"1")])),
        UnsafeEntry(LABEL, "./../a", "has '..' in its name"),
    ),
    "device": (
        deb(data=make_tar([TarEntry("./dev/null", type=b"3")])),
        UnsafeEntry(LABEL, "./dev/null", "is a character device"),
    ),
    "link-out": (
        deb(data=make_tar([TarEntry("./l", type=b"2", link="../x")])),
        UnsafeEntry(LABEL, "l", "is a symlink that leads outside, to '../x'"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_debs_are_refused(write: Write, name: str) -> None:
    data, expected = REFUSED[name]
    with pytest.raises(type(expected)) as caught:
        read_deb(write(data), LABEL)
    assert (caught.value.message, caught.value.hint) == (expected.message, expected.hint)


@pytest.mark.parametrize("sixteenth", range(16))
def test_every_cut_of_a_deb_is_refused(write: Write, sixteenth: int) -> None:
    data = make_deb(FILES, LINKS)
    with pytest.raises(BadArchive):
        read_deb(write(data[: len(data) * sixteenth // 16]), LABEL)


# --- contents --------------------------------------------------------------------------------------------------

BODY = b"".join(b"%d squared is %d\n" % (n, n * n) for n in range(9000))


def contents(write: Write) -> list[bytes | Span | Deflated]:
    """One content in each form, read from one file."""
    packed = raw_deflate(BODY)
    fd = os.open(write(b"front" + BODY + packed + b"back"), os.O_RDONLY)
    return [BODY, Span(fd, 5, len(BODY)), Deflated(fd, 5 + len(BODY), len(packed), len(BODY), zlib.crc32(BODY))]


@pytest.mark.parametrize("size", [1000, 1 << 20])
@pytest.mark.parametrize("form", [0, 1, 2])
def test_three_forms_of_one_content(write: Write, form: int, size: int) -> None:
    content = contents(write)[form]
    pieces = list(content_chunks(content, size))
    assert content_bytes(content) == b"".join(pieces) == BODY
    assert max(map(len, pieces)) <= size
    assert crc32(content) == zlib.crc32(BODY)


def test_empty_contents(write: Write) -> None:
    fd = os.open(write(raw_deflate(b"")), os.O_RDONLY)
    for content in (b"", Span(fd, 0, 0), Deflated(fd, 0, 2, 0, 0)):
        assert (content_bytes(content), b"".join(content_chunks(content)), crc32(content)) == (b"", b"", 0)


LIES: dict[str, tuple[dict[str, int], str]] = {
    "crc": ({"crc": 1}, f"holds a member with CRC-32 {zlib.crc32(BODY):08x} that states 00000001"),
    "smaller": ({"size": -1}, f"holds a member that is larger than the {len(BODY) - 1} bytes it states"),
    "nothing": ({"size": -len(BODY)}, "holds a member that is larger than the 0 bytes it states"),
    "larger": ({"size": 1}, f"holds a member of {len(BODY)} bytes that states {len(BODY) + 1}"),
    "shorter": ({"length": -1}, "holds a deflate stream that is cut short"),
    "none": ({"length": -100000}, "holds a deflate stream that is cut short"),
    "longer": ({"length": 1}, "holds a deflate stream with data behind its end"),
    "elsewhere": ({"offset": 1 << 30}, "is cut short"),
}


@pytest.mark.parametrize("name", LIES)
@pytest.mark.parametrize("way", ["bytes", "chunks", "small chunks", "crc32"])
def test_a_lying_deflate_stream_is_refused_however_it_is_read(write: Write, name: str, way: str) -> None:
    changes, why = LIES[name]
    content = contents(write)[2]
    assert isinstance(content, Deflated)
    content.size += changes.get("size", 0)
    content.length = max(0, content.length + changes.get("length", 0))
    content.offset += changes.get("offset", 0)
    content.crc = changes.get("crc", content.crc)
    ways: dict[str, Callable[[], object]] = {
        "bytes": lambda: content_bytes(content, "x.whl"),
        "chunks": lambda: list(content_chunks(content, label="x.whl")),
        "small chunks": lambda: list(content_chunks(content, 777, label="x.whl")),
        "crc32": lambda: crc32(content, "x.whl"),
    }
    with pytest.raises(BadArchive) as caught:
        ways[way]()
    assert caught.value.message == f"x.whl: {why}"


def test_no_more_than_one_chunk_beyond_the_claim_is_inflated(write: Write) -> None:
    packed = raw_deflate(bytes(50 << 20))
    fd = os.open(write(packed), os.O_RDONLY)
    taken: list[bytes] = []
    with pytest.raises(BadArchive):
        taken += content_chunks(Deflated(fd, 0, len(packed), 100_000, 0), 1 << 16)
    assert sum(map(len, taken)) <= 100_000


def test_data_behind_a_stream_that_ends_with_a_chunk(write: Write) -> None:
    packed = raw_deflate(BODY)
    fd = os.open(write(packed + b"hidden"), os.O_RDONLY)
    with pytest.raises(BadArchive) as caught:
        list(content_chunks(Deflated(fd, 0, len(packed) + 6, len(BODY), zlib.crc32(BODY)), len(packed)))
    assert caught.value.message == "archive: holds a deflate stream with data behind its end"


def test_a_span_of_a_file_that_shrank(write: Write) -> None:
    path = write(b"12345")
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(BadArchive) as caught:
        content_bytes(Span(fd, 2, 4), "x.deb")
    assert caught.value.message == "x.deb: is cut short"


# --- the archive object ----------------------------------------------------------------------------------------


def test_members_by_name(write: Write) -> None:
    with read_zip(write(make_zip([ZipEntry("b", b"2"), ZipEntry("a", b"1", STORED)])), "x.whl") as archive:
        assert [m.name for m in archive] == [m.name for m in archive.members] == ["a", "b"]
        assert archive["a"] is archive.members[0]
        assert archive.get("c") is None
        with pytest.raises(BadArchive) as caught:
            archive["c"]
        assert caught.value.message == "x.whl: has no member 'c'"
        assert repr(archive["a"]) == "Member('a', 1 bytes)"


def test_order_is_that_of_utf8_bytes(write: Write) -> None:
    names = ["z", "\u00e9", "\uff5e", "\U0001f600", "a/b", "a-b", "A"]
    with read_zip(write(make_zip([ZipEntry(name, b"1") for name in names])), "x.whl") as archive:
        assert [m.name for m in archive] == sorted(names, key=str.encode)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")
def test_every_descriptor_is_released(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_stream, "IN_MEMORY", 10)
    tar = make_tar([TarEntry("a", b"1")])
    before = descriptors()
    opened = [
        read_zip(write(make_wheel("demo", "1")), "x"),
        read_tar(write(compress(tar, "gz")), "x", "gz"),
        read_tar(write(tar), "x", ""),
        read_deb(write(make_deb(FILES)), "x"),
        read_deb(write(make_deb(FILES, compression="")), "x"),
    ]
    assert len(descriptors() - before) == 5
    for archive in opened:
        archive.close()
        archive.close()
    assert descriptors() == before
    for data in (b"", tar[:600], tar + b"x", make_wheel("demo", "1")[:-1], make_deb(FILES)[:-9]):
        with pytest.raises(BadArchive):
            read_zip(write(data), "x")
        with pytest.raises(BadArchive):
            read_deb(write(data), "x")
        with pytest.raises(BadArchive):
            read_tar(write(data), "x", "")
        with pytest.raises(BadArchive):
            read_tar(write(compress(data, "gz")), "x", "gz")
    assert descriptors() == before


def test_in_memory_contents_outlive_the_blob(write: Write) -> None:
    path = write(compress(make_tar([TarEntry("a", b"1")]), "gz"))
    with read_tar(path, "x", "gz") as archive:
        os.unlink(path)
        assert archive["a"].content == b"1"


def test_a_nul_in_the_path_is_a_typed_error() -> None:
    with pytest.raises(BadArchive) as caught:
        read_tar("a\0b", "x", "gz")
    assert caught.value.message == "x: cannot be opened: embedded null byte"
