"""Zips that must be refused, each with its own sentence, and the ones that must not."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from builders import DESCRIPTOR, STORED, UTF8, ZipEntry, make_wheel, make_zip, raw_deflate

from stager.errors import StagerError
from stager.formats.archive import LIMITS, Limits, content_bytes, read_zip
from stager.formats.errors import BadArchive, UnsafeEntry

LABEL = "demo-1.0-py3-none-any.whl"
BODY = b"print('hello, hello, hello, hello')\n"
Check = Callable[[bytes, Limits], dict[str, bytes | str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Reads a zip to the last byte of its last member."""

    def run(data: bytes, limits: Limits = LIMITS) -> dict[str, bytes | str]:
        path = tmp_path / "blob"
        path.write_bytes(data)
        with read_zip(str(path), LABEL, limits) as archive:
            return {m.name: m.target or content_bytes(m.content, LABEL) for m in archive}

    return run


def assert_refused(check: Check, data: bytes, expected: StagerError, limits: Limits = LIMITS) -> None:
    with pytest.raises(type(expected)) as caught:
        check(data, limits)
    error = caught.value
    assert (error.message, error.hint, error.where, error.exit_code) == (expected.message, expected.hint, "", 60)


def bad(why: str) -> BadArchive:
    return BadArchive(LABEL, why)


def unsafe(member: str, why: str) -> UnsafeEntry:
    return UnsafeEntry(LABEL, member, why)


def two(**changes: object) -> list[ZipEntry]:
    """Two members; `changes` are fields of the first."""
    return [ZipEntry("a.py", BODY, **changes), ZipEntry("b.py", BODY + b"2")]  # type: ignore[arg-type]


def descriptor(data: bytes, *, signature: bytes = b"PK\7\10", wide: bool = False, crc: int | None = None) -> bytes:
    layout = "<L2Q" if wide else "<3L"
    return signature + struct.pack(layout, zlib.crc32(data) if crc is None else crc, len(raw_deflate(data)), len(data))


def streamed(data: bytes, tail: bytes, **local: int | bytes) -> ZipEntry:
    """A member as a writer to a pipe leaves it."""
    zeros: dict[str, int | bytes] = {"crc": 0, "csize": 0, "usize": 0}
    return ZipEntry("a.py", data, flags=DESCRIPTOR, local={**zeros, **local}, descriptor=tail)


def zip64_field(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def zip64_end(place: int, members: int, cd_size: int, cd_offset: int, **changes: int) -> bytes:
    """A zip64 end record and its locator, placed at offset `place`."""
    f = {"size": 44, "need": 45, "disk": 0, "cd_disk": 0, "here": members, "count": members, "at": place, "disks": 1}
    f.update({"cd_size": cd_size, "cd_offset": cd_offset, **changes})
    order = ("size", "need", "need", "disk", "cd_disk", "here", "count", "cd_size", "cd_offset")
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", *(f[key] for key in order))
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, f["at"], f["disks"])


def with_zip64_end(narrow: dict[str, int] | None = None, **changes: int) -> bytes:
    plain = make_zip(two())
    _, _, _, _, count, cd_size, cd_offset, _ = struct.unpack("<4s4H2LH", plain[-22:])
    full = {"here": 0xFFFF, "count": 0xFFFF, "cd_size": 0xFFFFFFFF, "cd_offset": 0xFFFFFFFF}
    if narrow is not None:
        full = {"here": count, "count": count, "cd_size": cd_size, "cd_offset": cd_offset, **narrow}
        full["here"] = full["count"]
    end = zip64_end(cd_offset + cd_size, count, cd_size, cd_offset, **changes)
    return make_zip(two(), before_end=end, end=full)


GOOD: dict[str, bytes | str] = {"a.py": BODY, "b.py": BODY + b"2"}
LINK = 0o120777

ACCEPTED: dict[str, tuple[bytes, dict[str, bytes | str]]] = {
    "plain": (make_zip(two()), GOOD),
    "empty": (make_zip([]), {}),
    "stored": (make_zip(two(method=STORED)), GOOD),
    "comment": (make_zip(two(), comment=b"made by hand"), GOOD),
    "member-comment": (make_zip(two(central={"comment": b"a remark"})), GOOD),
    "extra-times": (make_zip(two(local={"extra": b"UT\5\0\3abcd"}, central={"extra": b"UT\5\0\3abcd"})), GOOD),
    "extra-only-central": (make_zip(two(central={"extra": b"UT\5\0\3abcd"})), GOOD),
    "other-time": (make_zip(two(central={"time": 4, "date": 34})), GOOD),
    "dos-made": (make_zip(two(central={"made": 20, "eattr": 0x20})), GOOD),
    "no-mode": (make_zip(two(central={"eattr": 0})), GOOD),
    "folder": (make_zip([ZipEntry("d/", mode=0o40755, method=STORED), ZipEntry("d/a", b"1")]), {"d/a": b"1"}),
    "deflated-folder": (make_zip([ZipEntry("d/", mode=0o40755), ZipEntry("d/a", b"1")]), {"d/a": b"1"}),
    "root-folder": (make_zip([ZipEntry("./", mode=0o40755, method=STORED), ZipEntry("./a", b"1")]), {"a": b"1"}),
    "normalised": (make_zip([ZipEntry("x//./a", b"1")]), {"x/a": b"1"}),
    "utf8": (make_zip([ZipEntry("gr\u00fc\u00df", b"1")]), {"gr\u00fc\u00df": b"1"}),
    "unicode-path-equal": (make_zip([ZipEntry("a", b"1", central={"extra": b"up\6\0\1abcda"})]), {"a": b"1"}),
    "link": (make_zip([ZipEntry("d/l", b"../a", mode=LINK), ZipEntry("a", b"1")]), {"a": b"1", "d/l": "../a"}),
    "stored-link": (make_zip([ZipEntry("l", b"a", mode=LINK, method=STORED)]), {"l": "a"}),
    "descriptor": (make_zip([streamed(BODY, descriptor(BODY))]), {"a.py": BODY}),
    "descriptor-unsigned": (make_zip([streamed(BODY, descriptor(BODY, signature=b""))]), {"a.py": BODY}),
    "descriptor-and-sizes": (
        make_zip([ZipEntry("a.py", BODY, flags=DESCRIPTOR, descriptor=descriptor(BODY))]),
        {"a.py": BODY},
    ),
    "descriptor-wide": (
        make_zip(
            [streamed(BODY, descriptor(BODY, wide=True), csize=0xFFFFFFFF, usize=0xFFFFFFFF, extra=zip64_field(0, 0))]
        ),
        {"a.py": BODY},
    ),
    "stored-empty-descriptor": (
        make_zip([ZipEntry("e", b"", STORED, flags=DESCRIPTOR, descriptor=b"PK\7\10" + bytes(12))]),
        {"e": b""},
    ),
    "zip64-local": (
        make_zip(
            two(
                local={
                    "csize": 0xFFFFFFFF,
                    "usize": 0xFFFFFFFF,
                    "extra": zip64_field(len(BODY), len(raw_deflate(BODY))),
                }
            )
        ),
        GOOD,
    ),
    "zip64-repeats": (make_zip(two(local={"extra": zip64_field(len(BODY), len(raw_deflate(BODY)))})), GOOD),
    "zip64-central-offset": (make_zip(two(central={"offset": 0xFFFFFFFF, "extra": zip64_field(0)})), GOOD),
    "zip64-end": (with_zip64_end(), GOOD),
    "zip64-end-repeats": (with_zip64_end({}), GOOD),
    "case-siblings": (make_zip([ZipEntry("A", b"1"), ZipEntry("a", b"2")]), {"A": b"1", "a": b"2"}),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_honest_zips_are_read(check: Check, name: str) -> None:
    data, expected = ACCEPTED[name]
    assert check(data, LIMITS) == expected


def test_a_wheel_equals_what_zipfile_reads(check: Check) -> None:
    data = make_wheel("demo", "1.0", {"demo/__init__.py": BODY, "demo/data.bin": bytes(3000)}, stored=["demo/data.bin"])
    with zipfile.ZipFile(io.BytesIO(data)) as reference:
        expected = {name: reference.read(name) for name in reference.namelist()}
    assert check(data, LIMITS) == expected
    assert list(expected) != sorted(expected)
    assert list(check(data, LIMITS)) == sorted(expected)


@pytest.mark.parametrize(("mode", "executable"), [(0o100644, False), (0o100755, True), (0o100611, True), (0, False)])
def test_any_execute_bit_counts(tmp_path: Path, mode: int, executable: bool) -> None:
    (tmp_path / "blob").write_bytes(make_zip([ZipEntry("run", b"#!/bin/sh\n", mode=mode)]))
    with read_zip(str(tmp_path / "blob"), LABEL) as archive:
        assert [(m.name, m.executable, m.size) for m in archive.members] == [("run", executable, 10)]


DAMAGED = "has a damaged zip directory"
DIFFERENT = "member 'a.py' is described differently in its own header"
MISPLACED = "has a zip directory that does not end where it must"
NO_DIRECTORY = "has no zip directory at its end"
GAP = "has a gap in front of a member, or members that overlap"
GAP_AT_END = "has a gap in front of its zip directory, or a member that overlaps it"
BAD_ZIP64 = "member 'a.py' has a zip64 field that does not fit its header"
BAD_END64 = "has a damaged zip64 directory"
BAD_EXTRA = "member 'a.py' has a damaged extra field"
NAMED_OTHERWISE = "member 'a.py' has another name in its own header"
NO_KIND = "is neither a file nor a symlink"
FEATURES = "member 'a.py' uses features of zip that no package needs"
LOOP = "is a symlink in a loop or in too long a chain"
CONTROL = "has a backslash or a control character in its name"
BEHIND = "has data behind its zip directory"

REFUSED: dict[str, tuple[bytes, StagerError]] = {
    # U1, U2: names that lead elsewhere
    "dotdot": (make_zip([ZipEntry("../x", b"1")]), unsafe("../x", "has '..' in its name")),
    "dotdot-inside": (make_zip([ZipEntry("a/../b", b"1")]), unsafe("a/../b", "has '..' in its name")),
    "dotdot-folder": (make_zip([ZipEntry("../x/", mode=0o40755)]), unsafe("../x/", "has '..' in its name")),
    "prefix-sibling": (make_zip([ZipEntry("../app2/x", b"1")]), unsafe("../app2/x", "has '..' in its name")),
    "absolute": (make_zip([ZipEntry("/etc/x", b"1")]), unsafe("/etc/x", "has an absolute name")),
    "unc": (make_zip([ZipEntry("//host/x", b"1")]), unsafe("//host/x", "has an absolute name")),
    "drive": (make_zip([ZipEntry("c:/x", b"1")]), unsafe("c:/x", "has a drive letter in its name")),
    "drive-behind-dot": (make_zip([ZipEntry("./C:x", b"1")]), unsafe("./C:x", "has a drive letter in its name")),
    "backslash": (make_zip([ZipEntry("..\\x", b"1")]), unsafe("..\\x", CONTROL)),
    "backslash-inside": (make_zip([ZipEntry("a\\b", b"1")]), unsafe("a\\b", CONTROL)),
    "nul": (make_zip([ZipEntry("a\0b", b"1")]), unsafe("a\0b", CONTROL)),
    "newline": (make_zip([ZipEntry("a\nb", b"1")]), unsafe("a\nb", CONTROL)),
    "escape": (make_zip([ZipEntry("a\x1b[2J", b"1")]), unsafe("a\x1b[2J", CONTROL)),
    "bidi": (make_zip([ZipEntry("a\u202eyp.b", b"1")]), unsafe("a\u202eyp.b", CONTROL)),
    "empty-name": (make_zip([ZipEntry("", b"1")]), unsafe("", "has no name")),
    "dot-name": (make_zip([ZipEntry(".", b"1")]), unsafe(".", "has no name")),
    "long-part": (make_zip([ZipEntry("a" * 256, b"1")]), unsafe("a" * 120, "has a name that is too long")),
    "long-name": (
        make_zip([ZipEntry("/".join(["b" * 200] * 21), b"1")]),
        unsafe(("b" * 200 + "/")[:120], "has a name that is too long"),
    ),
    "deep": (make_zip([ZipEntry("d/" * 64 + "f", b"1")]), unsafe("d/" * 60, "lies more than 64 folders deep")),
    "latin1": (
        make_zip([ZipEntry(b"gr\xfc", b"1", local={"flags": 0}, central={"flags": 0})]),
        unsafe("gr\\xfc", "has a name that is neither ASCII nor marked as UTF-8"),
    ),
    "not-utf8": (make_zip([ZipEntry(b"gr\xfc", b"1")]), unsafe("gr\\xfc", "has a name that is not UTF-8")),
    # U3, U4: symlinks
    "link-out": (
        make_zip([ZipEntry("l", b"../x", mode=LINK)]),
        unsafe("l", "is a symlink that leads outside, to '../x'"),
    ),
    "link-out-deep": (
        make_zip([ZipEntry("d/l", b"../../x", mode=LINK)]),
        unsafe("d/l", "is a symlink that leads outside, to '../../x'"),
    ),
    "link-out-and-back": (
        make_zip([ZipEntry("l", b"x/../../x", mode=LINK)]),
        unsafe("l", "is a symlink that leads outside, to 'x/../../x'"),
    ),
    "link-absolute": (
        make_zip([ZipEntry("l", b"/etc/passwd", mode=LINK)]),
        unsafe("l", "is a symlink to the absolute path '/etc/passwd'"),
    ),
    "link-through-link": (
        make_zip([ZipEntry("d/up", b"..", mode=LINK), ZipEntry("z", b"d/up/../x", mode=LINK)]),
        unsafe("z", "is a symlink that leads outside, to 'd/up/../x'"),
    ),
    "link-loop": (make_zip([ZipEntry("a", b"b", mode=LINK), ZipEntry("b", b"a", mode=LINK)]), unsafe("a", LOOP)),
    "link-below": (
        make_zip([ZipEntry("l", b"d", mode=LINK), ZipEntry("l/x", b"1")]),
        unsafe("l", "is a symlink with members below it"),
    ),
    "link-below-folder": (
        make_zip([ZipEntry("l", b"d", mode=LINK), ZipEntry("l/x/", mode=0o40755)]),
        unsafe("l", "is a symlink with members below it"),
    ),
    "link-empty": (make_zip([ZipEntry("l", b"", mode=LINK)]), unsafe("l", "is a symlink with a malformed target")),
    "link-long": (
        make_zip([ZipEntry("l", b"a" * 4097, mode=LINK)]),
        unsafe("l", "is a symlink with a malformed target"),
    ),
    "link-nul": (
        make_zip([ZipEntry("l", b"a\0b", mode=LINK)]),
        unsafe("l", "is a symlink with the malformed target 'a\\x00b'"),
    ),
    "link-backslash": (
        make_zip([ZipEntry("l", b"..\\x", mode=LINK)]),
        unsafe("l", "is a symlink with the malformed target '..\\\\x'"),
    ),
    "link-not-utf8": (
        make_zip([ZipEntry("l", b"\xff", mode=LINK)]),
        unsafe("l", "is a link to a name that is not UTF-8"),
    ),
    "link-wrong-crc": (
        make_zip([ZipEntry("l", b"a", STORED, LINK, local={"crc": 1}, central={"crc": 1})]),
        bad("member 'l' does not have the CRC-32 it states"),
    ),
    # U6: special files
    "fifo": (make_zip([ZipEntry("p", mode=0o10644)]), unsafe("p", NO_KIND)),
    "device": (make_zip([ZipEntry("p", mode=0o60644)]), unsafe("p", NO_KIND)),
    "socket": (make_zip([ZipEntry("p", mode=0o140644)]), unsafe("p", NO_KIND)),
    "folder-without-slash": (make_zip([ZipEntry("p", mode=0o40755)]), unsafe("p", NO_KIND)),
    "dos-folder-without-slash": (make_zip([ZipEntry("p", central={"eattr": 0x10})]), unsafe("p", NO_KIND)),
    "file-with-slash": (make_zip([ZipEntry("p/", mode=0o100644)]), unsafe("p/", "is named like a folder but is none")),
    "folder-with-data": (
        make_zip([ZipEntry("p/", b"1", mode=0o40755)]),
        unsafe("p/", "is named like a folder but is none"),
    ),
    "folder-hides-data": (
        make_zip([ZipEntry("p/", b"", mode=0o40755, payload=raw_deflate(b"hidden"))]),
        bad("holds a member that is larger than the 0 bytes it states"),
    ),
    # U7: twice the same
    "twice": (make_zip([ZipEntry("a", b"1"), ZipEntry("a", b"2")]), unsafe("a", "is in the archive twice")),
    "twice-equal": (make_zip([ZipEntry("a", b"1"), ZipEntry("a", b"1")]), unsafe("a", "is in the archive twice")),
    "twice-normalised": (
        make_zip([ZipEntry("d/a", b"1"), ZipEntry("d//a", b"2")]),
        unsafe("d//a", "is in the archive twice"),
    ),
    "twice-folder": (
        make_zip([ZipEntry("d/", mode=0), ZipEntry("d/./", mode=0)]),
        unsafe("d/./", "is in the archive twice"),
    ),
    "file-and-folder": (
        make_zip([ZipEntry("a", b"1"), ZipEntry("a/b", b"1")]),
        unsafe("a", "is both a file and a folder"),
    ),
    "file-and-empty-folder": (
        make_zip([ZipEntry("a", b"1"), ZipEntry("a/", mode=0)]),
        unsafe("a", "is both a file and a folder"),
    ),
    # U8: one half of the zip says something else than the other
    "local-name": (make_zip(two(local={"name": b"c.py"})), bad(NAMED_OTHERWISE)),
    "local-name-longer": (make_zip(two(local={"name": b"a.pyc"})), bad(NAMED_OTHERWISE)),
    "local-name-shorter": (make_zip(two(local={"name": b"a"})), bad(NAMED_OTHERWISE)),
    "local-method": (make_zip(two(local={"method": 0})), bad(DIFFERENT)),
    "local-flags": (make_zip(two(local={"flags": UTF8})), bad(DIFFERENT)),
    "local-crc": (make_zip(two(local={"crc": 1})), bad(DIFFERENT)),
    "local-csize": (make_zip(two(local={"csize": 1})), bad(DIFFERENT)),
    "local-usize": (make_zip(two(local={"usize": 1})), bad(DIFFERENT)),
    "local-need": (make_zip(two(local={"need": 99})), bad(DIFFERENT)),
    "local-zeros-without-descriptor": (make_zip(two(local={"crc": 0, "csize": 0, "usize": 0})), bad(DIFFERENT)),
    "local-descriptor-flag": (make_zip(two(local={"flags": DESCRIPTOR})), bad(DIFFERENT)),
    "central-descriptor-flag": (make_zip(two(central={"flags": DESCRIPTOR})), bad(DIFFERENT)),
    "no-descriptor": (make_zip(two(flags=DESCRIPTOR)), bad("has a member whose sizes in front and behind differ")),
    "descriptor-crc": (
        make_zip([streamed(BODY, descriptor(BODY, crc=1))]),
        bad("has a member whose sizes in front and behind differ"),
    ),
    "descriptor-wide-unannounced": (
        make_zip([streamed(BODY, descriptor(BODY, wide=True))]),
        bad("has a member whose sizes in front and behind differ"),
    ),
    "descriptor-signature-as-crc": (
        make_zip(
            [
                ZipEntry(
                    "a.py",
                    BODY,
                    flags=DESCRIPTOR,
                    local={"crc": 0, "csize": 0, "usize": 0},
                    central={"crc": 0x08074B50},
                    descriptor=descriptor(BODY, signature=b"", crc=0x08074B50),
                )
            ]
        ),
        bad("has a member whose sizes in front and behind differ"),
    ),
    "stored-descriptor": (
        make_zip(
            [
                ZipEntry(
                    "a",
                    b"data",
                    STORED,
                    flags=DESCRIPTOR,
                    descriptor=b"PK\7\10" + struct.pack("<3L", zlib.crc32(b"data"), 4, 4),
                )
            ]
        ),
        bad("member 'a' is stored with its size behind it, so that its end can only be guessed"),
    ),
    "unicode-path": (
        make_zip(two(central={"extra": b"up\x09\0\1abcdevil"})),
        bad("member 'a.py' has a second, different name in an extra field"),
    ),
    "unicode-path-local": (
        make_zip(two(local={"extra": b"up\x09\0\1abcdevil"})),
        bad("member 'a.py' has a second, different name in an extra field"),
    ),
    "extra-cut": (make_zip(two(central={"extra": b"UT\5"})), bad(BAD_EXTRA)),
    "extra-too-long": (make_zip(two(central={"extra": b"UT\x50\0abcd"})), bad(BAD_EXTRA)),
    "extra-local-too-long": (make_zip(two(local={"extra": b"UT\x50\0abcd"})), bad(BAD_EXTRA)),
    "zip64-twice": (make_zip(two(central={"extra": zip64_field() * 2})), bad(BAD_EXTRA)),
    "zip64-unneeded": (make_zip(two(central={"extra": zip64_field(5, 6)})), bad(BAD_ZIP64)),
    "zip64-too-short": (make_zip(two(central={"offset": 0xFFFFFFFF, "extra": zip64_field()})), bad(BAD_ZIP64)),
    "zip64-local-other": (make_zip(two(local={"extra": zip64_field(5, 6)})), bad(BAD_ZIP64)),
    "zip64-local-half": (make_zip(two(local={"usize": 0xFFFFFFFF, "extra": zip64_field(5)})), bad(BAD_ZIP64)),
    "zip64-local-missing": (
        make_zip(two(central={"usize": 0xFFFFFFFF, "extra": zip64_field(len(BODY))}, local={"usize": 0xFFFFFFFF})),
        bad(DIFFERENT),
    ),
    "zip64-huge-offset": (
        make_zip(two(central={"offset": 0xFFFFFFFF, "extra": zip64_field(1 << 63)})),
        bad("member 'a.py' lies outside the file"),
    ),
    "full-without-zip64": (make_zip(two(central={"csize": 0xFFFFFFFF})), bad("member 'a.py' lies outside the file")),
    "zip64-end-contradicts": (
        with_zip64_end({"count": 1}),
        bad("has a zip64 directory that contradicts the plain one"),
    ),
    "zip64-end-size": (with_zip64_end(size=45), bad(BAD_END64)),
    "zip64-end-disks": (with_zip64_end(disks=2), bad(BAD_END64)),
    "zip64-end-here": (with_zip64_end(here=1), bad(BAD_END64)),
    "zip64-end-elsewhere": (with_zip64_end(at=0), bad(BAD_END64)),
    "zip64-end-count": (with_zip64_end(count=3, here=3), bad("has a zip directory that is cut short")),
    "full-count-without-zip64": (
        make_zip(two(), end={"here": 0xFFFF, "count": 0xFFFF}),
        bad("has a zip directory that is cut short"),
    ),
    "count-low": (make_zip(two(), end={"here": 1, "count": 1}), bad("has more in its zip directory than it counts")),
    "count-high": (make_zip(two(), end={"here": 3, "count": 3}), bad("has a zip directory that is cut short")),
    "count-disagrees": (make_zip(two(), end={"here": 1}), bad("is one part of a zip split over several files")),
    "disk": (make_zip(two(), end={"disk": 1}), bad("is one part of a zip split over several files")),
    "member-disk": (make_zip(two(central={"disk": 1})), bad(FEATURES)),
    "directory-size-zero": (
        make_zip(two(), end={"cd_size": 0, "count": 0, "here": 0}),
        bad(MISPLACED),
    ),
    "directory-offset": (
        make_zip(two(), end={"cd_offset": 0}),
        bad(MISPLACED),
    ),
    "directory-signature": (make_zip(two()).replace(b"PK\1\2", b"PK\1\3"), bad(DAMAGED)),
    "directory-name-too-long": (
        make_zip([ZipEntry("a", b"1")]).replace(
            b"\1\0\0\0\0\0\0\0\0\0\0\0\xa4\x81", b"\xff\0\0\0\0\0\0\0\0\0\0\0\xa4\x81"
        ),
        bad(DAMAGED),
    ),
    "hidden-member": (
        make_zip([ZipEntry("b.py", BODY, before=ZipEntry("a.py", BODY).local_header() + raw_deflate(BODY))]),
        bad(GAP),
    ),
    "gap-between": (make_zip([ZipEntry("a", b"1"), ZipEntry("b", b"1", before=b"\0")]), bad(GAP)),
    "gap-before-directory": (make_zip(two(), before_directory=b"\0"), bad(GAP_AT_END)),
    "gap-behind-directory": (
        make_zip(two(), before_end=b"PK\5\5\0\0"),
        bad(MISPLACED),
    ),
    "prepended": (make_zip(two(), prepend=b"#!/bin/sh\n"), bad(GAP)),
    "prepended-unadjusted": (b"MZ" + make_zip(two()), bad(MISPLACED)),
    "appended": (make_zip(two(), append=b"\n"), bad(BEHIND)),
    "appended-zip": (
        make_zip(two()) + make_zip([ZipEntry("c", b"1")]),
        bad(MISPLACED),
    ),
    "zip-in-comment": (make_zip(two(), comment=make_zip([])), bad(MISPLACED)),
    "member-in-comment": (make_zip(two(), comment=ZipEntry("x").local_header()), bad(BEHIND)),
    "comment-length": (make_zip(two(), comment=b"abc", end={"comment_length": 2}), bad(BEHIND)),
    # U10: something else than a zip
    "nothing": (b"", bad(NO_DIRECTORY)),
    "text": (b"<html>404</html>", bad(NO_DIRECTORY)),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), bad(NO_DIRECTORY)),
    "tar-in-front": (bytes(1024) + make_zip(two()), bad(MISPLACED)),
    # features
    "encrypted": (make_zip(two(flags=1)), bad("member 'a.py' is encrypted")),
    "strong-encryption": (make_zip(two(flags=0x40)), bad(FEATURES)),
    "patch-data": (make_zip(two(flags=0x20)), bad(FEATURES)),
    "masked-headers": (make_zip(two(flags=0x2000)), bad(FEATURES)),
    "bzip2": (make_zip(two(method=12)), bad("member 'a.py' is compressed by method 12; only deflate is read")),
    "deflate64": (make_zip(two(method=9)), bad("member 'a.py' is compressed by method 9; only deflate is read")),
    "from-the-future": (make_zip(two(central={"need": 64}, local={"need": 64})), bad(FEATURES)),
    # contents
    "wrong-crc": (
        make_zip(two(local={"crc": 1}, central={"crc": 1})),
        bad(f"holds a member with CRC-32 {zlib.crc32(BODY):08x} that states 00000001"),
    ),
    "wrong-crc-stored": (
        make_zip(two(method=STORED, local={"crc": 1}, central={"crc": 1})),
        bad("member 'a.py' does not have the CRC-32 it states"),
    ),
    "larger": (
        make_zip(two(local={"usize": 9}, central={"usize": 9})),
        bad("holds a member that is larger than the 9 bytes it states"),
    ),
    "smaller": (
        make_zip(two(local={"usize": 99}, central={"usize": 99})),
        bad(f"holds a member of {len(BODY)} bytes that states 99"),
    ),
    "stored-two-sizes": (
        make_zip(two(method=STORED, local={"usize": 9}, central={"usize": 9})),
        bad("member 'a.py' is stored with two sizes"),
    ),
    "deflate-cut": (
        make_zip(two(payload=raw_deflate(BODY)[:-3])),
        bad("holds a deflate stream that is cut short"),
    ),
    "deflate-tail": (
        make_zip(two(payload=raw_deflate(BODY) + b"hidden")),
        bad("holds a deflate stream with data behind its end"),
    ),
    "deflate-damaged": (
        make_zip(two(payload=b"\xff" * 20)),
        bad("holds a damaged deflate stream (Error -3 while decompressing data: invalid block type)"),
    ),
    "deflate-empty": (make_zip(two(payload=b"")), bad("holds a deflate stream that is cut short")),
    # U11: bombs
    "bomb-overlap": (
        make_zip([ZipEntry("a", BODY), ZipEntry("b", BODY, central={"offset": 0, "name": b"a/"})]),
        bad("member 'a/' has another name in its own header"),
    ),
    "bomb-same-member": (
        make_zip([ZipEntry("a.py", BODY), ZipEntry("a.py", BODY, central={"offset": 0})]),
        unsafe("a.py", "is in the archive twice"),
    ),
    "bomb-quoted-overlap": (
        make_zip(
            [
                ZipEntry("a", b"", payload=ZipEntry("b", BODY).local_header() + raw_deflate(BODY)),
                ZipEntry("b", BODY, central={"offset": 31}),
            ]
        ),
        bad(GAP),
    ),
    "bomb-ratio": (
        make_zip(two(local={"usize": 65 << 20}, central={"usize": 65 << 20})),
        bad(f"unpacks to {(65 << 20) + len(BODY) + 1} bytes; the limit for its size is {64 << 20}"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_zips_are_refused(check: Check, name: str) -> None:
    data, expected = REFUSED[name]
    assert_refused(check, data, expected)


LIMITED: dict[str, tuple[Limits, list[ZipEntry], StagerError]] = {
    "entries": (Limits(entries=1), two(), bad("has more than 1 members")),
    "directory": (
        Limits(entries=2),
        two(central={"comment": b"x" * 2000}),
        bad("has a zip directory that is too large"),
    ),
    "bytes": (Limits(bytes=50), two(), bad("unpacks to 73 bytes; the limit for its size is 50")),
    "ratio": (
        Limits(ratio=2, ratio_from=100),
        [ZipEntry("a", bytes(5000))],
        bad(f"unpacks to 5000 bytes; the limit for its size is {2 * len(make_zip([ZipEntry('a', bytes(5000))]))}"),
    ),
    "depth": (Limits(depth=2), [ZipEntry("a/b/c", b"")], unsafe("a/b/c", "lies more than 2 folders deep")),
    "component": (Limits(component=3), [ZipEntry("abcd", b"")], unsafe("abcd", "has a name that is too long")),
}


@pytest.mark.parametrize("name", LIMITED)
def test_limits_hold(check: Check, name: str) -> None:
    limits, entries, expected = LIMITED[name]
    assert_refused(check, make_zip(entries), expected, limits)


def test_just_within_the_limits(check: Check) -> None:
    limits = Limits(bytes=73, entries=2, component=4, depth=1)
    assert check(make_zip(two()), limits) == GOOD


@pytest.mark.parametrize("sixteenth", range(16))
def test_every_cut_is_refused(check: Check, sixteenth: int) -> None:
    data = make_wheel("demo", "1.0")
    with pytest.raises(BadArchive):
        check(data[: len(data) * sixteenth // 16], LIMITS)


CENTRAL_FIELDS = ["flags", "method", "crc", "csize", "usize", "offset", "disk", "need", "made", "iattr", "eattr"]
FIELDS = [("central", field) for field in CENTRAL_FIELDS] + [("local", field) for field in CENTRAL_FIELDS[:5]]


@pytest.mark.parametrize(("header", "field"), FIELDS)
@pytest.mark.parametrize("value", [0, 1, 2, 7, 0x10, 0x7FFF, 0xFFFF])
def test_one_changed_field_never_changes_what_is_read(check: Check, header: str, field: str, value: int) -> None:
    """Differential by field mutation: the zip is refused, or it is still the same zip."""
    found: dict[str, bytes | str] | None = None
    with suppress(BadArchive, UnsafeEntry):
        found = check(make_zip(two(**{header: {field: value}})), LIMITS)
    assert found in (GOOD, None)


def test_a_missing_file_and_a_folder_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(BadArchive) as caught:
        read_zip(str(tmp_path / "none"), LABEL)
    assert caught.value.message == f"{LABEL}: cannot be opened: No such file or directory"
    with pytest.raises(BadArchive) as caught:
        read_zip(str(tmp_path), LABEL)
    assert caught.value.message == f"{LABEL}: cannot be opened: Is a directory"
