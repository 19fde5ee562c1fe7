"""For any bytes at all: a typed refusal, or exactly what the standard library's reader sees."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from builders import (
    DESCRIPTOR,
    STORED,
    TarEntry,
    ZipEntry,
    compress,
    make_deb,
    make_npm_tarball,
    make_tar,
    make_wheel,
    make_zip,
    pax,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from stager.formats.archive import Archive, content_bytes, crc32, read_deb, read_tar, read_zip
from stager.formats.errors import BadArchive, UnsafeEntry

Found = dict[str, bytes | str]
REFUSALS = (BadArchive, UnsafeEntry)

ZIPS = [
    make_wheel("demo", "1.0", {"demo/a.py": b"a = 1\n" * 20, "demo/b.bin": bytes(50)}, stored=["demo/b.bin"]),
    make_zip(
        [
            ZipEntry("d/", mode=0o40755, method=STORED),
            ZipEntry("d/x", b"1", STORED),
            ZipEntry("l", b"d/x", mode=0o120777),
        ]
    ),
    make_zip(
        [
            ZipEntry("s", b"", STORED, flags=DESCRIPTOR, descriptor=b"PK\7\10" + bytes(12)),
            ZipEntry("t", b"text", local={"extra": b"UT\5\0\3abcd"}, central={"extra": b"UT\5\0\3abcd"}),
        ]
    ),
]
TARS = [
    make_tar([TarEntry("package/a.js", b"let a\n" * 30), TarEntry("package/b", b"", mode=0o755)]),
    make_tar([TarEntry("./", type=b"5"), TarEntry("./x", b"1"), TarEntry("./h", type=b"1", link="./x")]),
    make_tar([pax({"path": "long/name", "mtime": "1.5"}), TarEntry("n", b"12"), TarEntry("l", type=b"2", link="n")]),
    make_tar(
        [
            TarEntry("././@LongLink", b"g/n\0", b"L"),
            TarEntry("n", b"3"),
            TarEntry("d/", type=b"5"),
            TarEntry("d/e", b"4"),
        ]
    ),
]


@contextmanager
def written(data: bytes) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "blob")
        with open(path, "wb") as file:
            file.write(data)
        yield path


def contents(archive: Archive) -> Found:
    with archive:
        found: Found = {m.name: m.target or content_bytes(m.content) for m in archive}
        for member in archive:
            crc32(member.content)
        return found


def by_zipfile(data: bytes) -> Found:
    found: Found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as reference:
        for info in reference.infolist():
            if info.is_dir():
                continue
            raw = reference.read(info)
            is_link = stat.S_ISLNK(info.external_attr >> 16)
            found[posixpath.normpath(info.filename)] = raw.decode() if is_link else raw
    return found


def by_tarfile(data: bytes) -> Found:
    found: Found = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as reference:
        for info in reference:
            file = None if info.issym() or info.isdir() else reference.extractfile(info)
            if file is not None:
                found[posixpath.normpath(info.name)] = file.read()
            elif info.issym():
                found[posixpath.normpath(info.name)] = info.linkname
    return found


@st.composite
def mutated(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """One of the originals with up to four bytes set, runs cut out, doubled, moved or inserted."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 64))
        how = draw(st.sampled_from(["set", "set", "flip", "cut", "double", "insert", "end"]))
        if how == "set":
            data[at : at + 1] = draw(st.sampled_from([b"\0", b"\1", b"\xff", b"/", b".", b"0", b"7", b"8", b" "]))
        elif how == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "cut":
            del data[at : at + length]
        elif how == "double":
            data[at:at] = data[at : at + length]
        elif how == "insert":
            data[at:at] = draw(st.binary(max_size=20))
        else:
            del data[at:]
    return bytes(data)


def with_checksums(data: bytes) -> bytes:
    """Every 512-byte block that looks like a header gets a true checksum, so that mutations reach further."""
    out = bytearray(data)
    for at in range(0, len(out) - 511, 512):
        block = out[at : at + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(block)
    return bytes(out)


@settings(max_examples=400, deadline=None)
@given(mutated(ZIPS))
def test_any_zip_is_refused_or_read_as_zipfile_reads_it(data: bytes) -> None:
    with written(data) as path:
        try:
            found = contents(read_zip(path, "x.whl"))
        except REFUSALS:
            return
    assert found == by_zipfile(data)


@settings(max_examples=400, deadline=None)
@given(mutated(TARS), st.booleans())
def test_any_tar_is_refused_or_read_as_tarfile_reads_it(data: bytes, honest: bool) -> None:
    data = with_checksums(data) if honest else data
    with written(data) as path:
        try:
            found = contents(read_tar(path, "x.tar", ""))
        except REFUSALS:
            return
    assert found == by_tarfile(data)


@settings(max_examples=200, deadline=None)
@given(mutated([make_npm_tarball("demo", {"a.js": b"1"}), compress(TARS[2], "gz")]))
def test_any_gzip_is_refused_or_still_the_same(data: bytes) -> None:
    with written(data) as path:
        try:
            found = contents(read_tar(path, "x.tgz", "gz"))
        except REFUSALS:
            return
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as reference:
        assert sorted(found) == sorted(posixpath.normpath(info.name) for info in reference)


@settings(max_examples=150, deadline=None)
@given(mutated([make_deb({"usr/a": b"1"}, {"usr/b": "a"}, compression=c) for c in ("", "gz", "xz")]))
def test_any_deb_is_refused_or_read(data: bytes) -> None:
    with written(data) as path:
        try:
            found = contents(read_deb(path, "x.deb"))
        except REFUSALS:
            return
    assert len(found) <= 2


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000), st.sampled_from(["gz", "xz", "bz2", "", "zip", "deb"]))
def test_noise_is_refused(data: bytes, kind: str) -> None:
    with written(data) as path:
        try:
            archive = {"zip": lambda: read_zip(path, "x"), "deb": lambda: read_deb(path, "x")}.get(
                kind, lambda: read_tar(path, "x", kind)
            )()
        except REFUSALS:
            return
    assert not data.strip(b"\0")
    assert contents(archive) == {}


NAMES = st.lists(
    st.text(
        st.characters(
            codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf", "Cn"], exclude_characters="/\\:"
        ),
        min_size=1,
        max_size=12,
    ).filter(lambda part: part not in (".", "..")),
    min_size=1,
    max_size=4,
).map("/".join)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=8), st.sampled_from(["", "gz", "xz"]))
def test_honest_archives_come_back_whole(files: dict[str, bytes], compression: str) -> None:
    files = {name: data for name, data in files.items() if not any(other.startswith(f"{name}/") for other in files)}
    entries = [entry for name, data in files.items() for entry in (pax({"path": name}), TarEntry("n", data))]
    with written(compress(make_tar(entries), compression)) as path:
        found = contents(read_tar(path, "x", compression))
    assert found == files
    assert list(found) == sorted(files, key=str.encode)
    with written(make_zip([ZipEntry(name, data) for name, data in files.items()])) as path:
        assert contents(read_zip(path, "x")) == files
