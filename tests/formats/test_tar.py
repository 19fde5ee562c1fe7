"""Canonical tar headers, read back by an independent reader."""

from __future__ import annotations

import io
import tarfile

import pytest

from stager.formats import tar


def read(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data + tar.END)) as archive:
        return archive.getmembers()


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "x" * 94,
        "y" * 95,
        "d/" * 60 + "file",
        "p" * 90 + "/" + "q" * 100,
        "p" * 140 + "/" + "q" * 99,
        "p" * 156 + "/" + "q" * 99,
        "z" * 250,
        "ä/ö/ü.txt",
        "日本/" * 40 + "file",
    ],
)
def test_every_name_comes_back(path: str) -> None:
    [member] = read(tar.file_header(path, 3, False) + b"abc" + tar.padding(3))
    assert member.name == tar.ROOT + path
    assert (member.size, member.mode, member.uid, member.gid) == (3, 0o664, 2000, 0)
    assert (member.mtime, member.uname, member.gname, member.type) == (315532801, "", "", tarfile.REGTYPE)


def test_modes_kinds_and_targets() -> None:
    data = tar.folder_header("") + tar.folder_header("bin") + tar.file_header("bin/run", 0, True)
    data += (
        tar.link_header("bin/link", "run")
        + tar.link_header("bin/far", "../" * 50 + "x")
        + tar.link_header("bin/ü", "é")
    )
    folder, bin_, run, link, far, accent = read(data)
    assert [m.name for m in (folder, bin_, run)] == ["./app", "./app/bin", "./app/bin/run"]
    assert folder.isdir() and bin_.isdir() and run.isfile()  # noqa: PT018
    assert {m.mode for m in (folder, bin_, run, link)} == {0o775}
    assert (link.linkname, far.linkname, accent.linkname) == ("run", "../" * 50 + "x", "é")
    assert (accent.name, link.issym()) == ("./app/bin/ü", True)


def test_a_plain_header_is_exactly_this() -> None:
    """Byte for byte, as docs/droplet-format.md describes it."""
    header = tar.file_header("run.sh", 5, True)
    fields = [
        (0, b"./app/run.sh" + bytes(88)),
        (100, b"0000775\0"),
        (108, b"0003720\0"),
        (116, b"0000000\0"),
        (124, b"00000000005\0"),
        (136, b"02263523001\0"),
        (156, b"0"),
        (157, bytes(100)),
        (257, b"ustar\x0000"),
        (265, bytes(64)),
        (329, b"0000000\0" * 2),
        (345, bytes(167)),
    ]
    for offset, value in fields:
        assert header[offset : offset + len(value)] == value, offset
    unsummed = header[:148] + b" " * 8 + header[156:]
    assert header[148:156] == b"%06o\0 " % sum(unsummed)
    assert len(header) == 512


def test_pax_is_used_only_where_ustar_cannot_hold_the_value() -> None:
    assert len(tar.file_header("p" * 140 + "/" + "q" * 99, 0, False)) == 512
    assert len(tar.file_header("z" * 250, 0, False)) == 3 * 512
    assert len(tar.file_header("ä", 0, False)) == 3 * 512
    assert b"./@PaxHeader" in tar.file_header("ä", 0, False)


def test_a_size_beyond_octal_is_a_pax_record() -> None:
    header = tar.file_header("big", 9 << 30, False)
    assert b"19 size=9663676416\n" in header


def test_the_envelope_lies_beside_the_app() -> None:
    members = read(
        tar.outside_folder_header("deps") + tar.outside_file_header("staging_info.yml", 2) + b"{}" + tar.padding(2)
    )
    assert [(m.name, m.mode) for m in members] == [("./deps", 0o775), ("./staging_info.yml", 0o664)]
