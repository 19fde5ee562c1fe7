"""`entries`: what is in a tar, as its headers say; compared with Python's own reader, which the product does not use."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import tarfile
from collections.abc import Iterator

import pytest

from stager.formats.errors import BadArchive
from stager.formats.tar_reader import read_entries

TYPES = {"file": b"0", "folder": b"5", "link": b"2", "hardlink": b"1", "other": b"6"}


def make(members: list[tuple[str, str, bytes]], dialect: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of (name, kind, content or link target)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=dialect) as archive:
        for number, (name, kind, content) in enumerate(members):
            info = tarfile.TarInfo(name)
            info.type = TYPES[kind]
            info.mode, info.uid, info.gid, info.mtime = 0o640 + number, number, 7, 1000 + number
            info.uname = "someone"
            if kind in ("link", "hardlink"):
                info.linkname = content.decode()
            info.size = len(content) if kind == "file" else 0
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


MEMBERS = [
    ("./a/", "folder", b""),
    ("./a/file", "file", b"x" * 1000),
    ("./a/empty", "file", b""),
    ("./a/" + "long" * 60, "file", b"long name"),
    ("./ä/ö", "file", b"not ASCII"),
    ("./a/link", "link", b"file"),
    ("./a/far", "link", b"t" * 150),
    ("./a/hard", "hardlink", b"./a/file"),
    ("./a/pipe", "other", b""),
    ("./a/file", "file", b"again"),
]


def cut(data: bytes, seed: int) -> Iterator[bytes]:
    dice, done = random.Random(seed), 0
    while done < len(data):
        count = dice.choice([0, 1, 511, 512, 513, 4096])
        yield data[done : done + count]
        done += count


@pytest.mark.parametrize("dialect", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("seed", range(3))
def test_it_sees_what_python_sees(dialect: int, seed: int) -> None:
    data = make(MEMBERS, dialect)
    found = list(read_entries(cut(data, seed)))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry, member, (name, kind, content) in zip(found, archive.getmembers(), MEMBERS, strict=True):
            assert (entry.name, entry.kind) == (name, kind)
            assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (
                member.mode,
                member.uid,
                member.gid,
                member.mtime,
            )
            assert (entry.uname, entry.gname, entry.link) == (member.uname, member.gname, member.linkname)
            assert entry.size == member.size
            assert entry.sha256 == (hashlib.sha256(content).hexdigest() if kind == "file" else "")
            assert data[entry.offset : entry.offset + 512] == entry.header


def test_files_are_kept_on_request_and_skipped_otherwise() -> None:
    kept: dict[str, list[bytes]] = {"./ä/ö": []}
    found = list(read_entries([make(MEMBERS)], contents=False, keep=kept))
    assert b"".join(kept["./ä/ö"]) == b"not ASCII"
    assert [entry.name for entry in found if entry.sha256] == ["./ä/ö"]


def test_base_256_numbers_are_read() -> None:
    data = bytearray(make([("./big", "file", b"")], tarfile.GNU_FORMAT))
    data[108:116] = b"\x80" + (5_000_000).to_bytes(7, "big")
    data[136:148] = b"\xff" * 12  # minus one
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + sum(data[156:512]) + 256)
    (entry,) = read_entries([bytes(data)])
    assert (entry.uid, entry.mtime) == (5_000_000, -1)


@pytest.mark.parametrize("length", [1, 511, 513, 1000, 1535])
def test_a_cut_archive_is_refused(length: int) -> None:
    with pytest.raises(BadArchive, match=r"cut short|no tar header"):
        list(read_entries([make(MEMBERS[1:2])[:length]]))


@pytest.mark.parametrize("seed", range(200))
def test_damage_never_escapes_as_another_error(seed: int) -> None:
    dice = random.Random(seed)
    data = bytearray(make(MEMBERS))
    for _ in range(dice.randrange(1, 6)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    with contextlib.suppress(BadArchive):
        list(read_entries([bytes(data)]))
