"""Tars that must be refused, each with its own sentence, and the ones that must not."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import TarEntry, compress, make_npm_tarball, make_tar, octal, pax, pax_record

from stager.errors import CannotWrite, StagerError
from stager.formats.archive import LIMITS, Limits, content_bytes, read_tar
from stager.formats.archive import stream as archive_stream
from stager.formats.errors import BadArchive, UnsafeEntry

LABEL = "demo-1.0.tgz"
Found = dict[str, bytes | str]
Check = Callable[..., Found]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Reads an uncompressed tar (or a compressed one) to the last byte of its last member."""

    def run(data: bytes, limits: Limits = LIMITS, compression: str = "", absolute_links: bool = False) -> Found:
        path = tmp_path / "blob"
        path.write_bytes(data)
        with read_tar(str(path), LABEL, compression, limits, absolute_links) as archive:
            return {m.name: m.target or content_bytes(m.content, LABEL) for m in archive}

    return run


def assert_refused(expected: StagerError, check: Check, *arguments: object) -> None:
    with pytest.raises(type(expected)) as caught:
        check(*arguments)
    error = caught.value
    assert (error.message, error.hint, error.where, error.exit_code) == (expected.message, expected.hint, "", 60)


def bad(why: str) -> BadArchive:
    return BadArchive(LABEL, why)


def unsafe(member: str, why: str) -> UnsafeEntry:
    return UnsafeEntry(LABEL, member, why)


A = TarEntry("a", b"one")


def gnu(kind: bytes, value: bytes) -> TarEntry:
    """A GNU long name (`L`) or long link (`K`)."""
    return TarEntry("././@LongLink", value + b"\0", kind, fields={"magic": b"ustar  \0"})


def field(**fields: bytes) -> TarEntry:
    return TarEntry("a", b"one", fields=fields)


def link(name: str, target: str | bytes, kind: bytes = b"2") -> TarEntry:
    return TarEntry(name, type=kind, link=target, mode=0o777)


ONE: Found = {"a": b"one"}
LONG = "package/" + "/".join(["folder-with-a-long-name"] * 9) + "/file.js"

ACCEPTED: dict[str, tuple[bytes, Found]] = {
    "plain": (make_tar([A]), ONE),
    "nothing": (make_tar([]), {}),
    "one-zero-block": (make_tar([A], end=bytes(512)), ONE),
    "no-end": (make_tar([A], end=b""), ONE),
    "much-end": (make_tar([A], end=bytes(20480)), ONE),
    "odd-end": (make_tar([A], end=bytes(1025)), ONE),
    "empty-file": (make_tar([TarEntry("e")]), {"e": b""}),
    "contiguous": (make_tar([TarEntry("a", b"one", b"7")]), ONE),
    "v7": (make_tar([TarEntry("a", b"one", b"\0", fields={"magic": bytes(8), "devmajor": bytes(8)})]), ONE),
    "v7-folder": (make_tar([TarEntry("d/", type=b"\0", fields={"magic": bytes(8)})]), {}),
    "gnu-magic": (make_tar([field(magic=b"ustar  \0")]), ONE),
    "prefix": (make_tar([field(prefix=b"dir/sub".ljust(155, b"\0"))]), {"dir/sub/a": b"one"}),
    "star-prefix": (
        make_tar([field(prefix=b"dir".ljust(131, b"\0") + octal(7, 12) + octal(8, 12))]),
        {"dir/a": b"one"},
    ),
    "space-numbers": (make_tar([field(size=b"         3 \0", mode=b"  644 \0\0", uid=b" " * 8, gid=bytes(8))]), ONE),
    "base256": (make_tar([field(size=b"\x80" + (3).to_bytes(11, "big"), mtime=b"\xff" * 12)]), ONE),
    "gnu-long-name": (make_tar([gnu(b"L", LONG.encode()), A]), {LONG: b"one"}),
    "gnu-long-link": (make_tar([gnu(b"K", b"a"), link("l", "x"), A]), {**ONE, "l": "a"}),
    "gnu-long-both": (make_tar([gnu(b"K", b"b"), gnu(b"L", b"n"), link("l", "x")]), {"n": "b"}),
    "pax-path": (make_tar([pax({"path": LONG, "size": "3", "mtime": "1.5"}), A]), {LONG: b"one"}),
    "pax-linkpath": (make_tar([pax({"linkpath": "t/t"}), link("l", "x")]), {"l": "t/t"}),
    "pax-utf8": (make_tar([pax({"path": "gr\u00fc\u00df"}), A]), {"gr\u00fc\u00df": b"one"}),
    "pax-path-over-bad-name": (make_tar([pax({"path": "b"}), TarEntry(b"\xff", b"1")]), {"b": b"1"}),
    "pax-harmless": (
        make_tar(
            [
                pax(
                    {
                        "atime": "-1",
                        "ctime": "2.25",
                        "uid": "4294967296",
                        "gid": "1",
                        "uname": "\u00fc",
                        "gname": "x",
                        "comment": "c",
                        "hdrcharset": "ISO-IR 10646 2000 UTF-8",
                        "SCHILY.dev": "1",
                        "SCHILY.xattr.user.x": b"\xff\n\0",
                        "LIBARCHIVE.creationtime": "1",
                        "NODETAR.depth": "2",
                        "com.apple.quarantine": "x",
                    }
                ),
                A,
            ]
        ),
        ONE,
    ),
    "pax-global-comment": (make_tar([pax({"comment": "0123abcd"}, b"g"), A]), ONE),
    "pax-empty": (make_tar([TarEntry("PaxHeader", b"", b"x"), A]), ONE),
    "dot": (
        make_tar([TarEntry("./", type=b"5"), TarEntry("./a", b"one"), TarEntry("./d//./b", b"2")]),
        {**ONE, "d/b": b"2"},
    ),
    "folder-twice": (make_tar([TarEntry("d/", type=b"5"), TarEntry("d", type=b"5")]), {}),
    "folder-after-file": (make_tar([TarEntry("d/a", b"1"), TarEntry("d/", type=b"5")]), {"d/a": b"1"}),
    "twice-equal": (make_tar([TarEntry("p/lib/x", b"1"), TarEntry("p/./lib/x", b"1")]), {"p/lib/x": b"1"}),
    "link-twice-equal": (make_tar([link("l", "a"), link("l", "a")]), {"l": "a"}),
    "link-up": (make_tar([link("d/e/l", "../../a"), A]), {**ONE, "d/e/l": "../../a"}),
    "link-to-root": (make_tar([link("d/l", "..")]), {"d/l": ".."}),
    "link-dangling": (make_tar([link("l", "none/at/all")]), {"l": "none/at/all"}),
    "link-chain": (make_tar([link("l", "m"), link("m", "n"), link("n", "a")]), {"l": "m", "m": "n", "n": "a"}),
    "link-through-link": (make_tar([link("d/l", "e/x"), link("d/e", "../f")]), {"d/e": "../f", "d/l": "e/x"}),
    "hard-link": (make_tar([A, link("b", "a", b"1")]), {**ONE, "b": b"one"}),
    "hard-link-normalised": (make_tar([A, link("b", "./a", b"1")]), {**ONE, "b": b"one"}),
    "hard-link-to-itself": (make_tar([A, link("a", "a", b"1")]), ONE),
    "case-siblings": (make_tar([A, TarEntry("A", b"2")]), {"A": b"2", "a": b"one"}),
    "non-ascii-checksum": (
        make_tar([TarEntry("\u00ff" * 50, b"1", fields={"prefix": b"\xc3\xbf" * 77 + b"\0"})]),
        {"\u00ff" * 77 + "/" + "\u00ff" * 50: b"1"},
    ),
}


MEMORY = (0, 16 << 20)
"""Bytes of a decompressed stream that are kept in memory: it is spilled from its first byte on, or never."""


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
def test_honest_tars_are_read(check: Check, compression: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also when the decompressed stream is too large for memory; then nothing stays behind. Found is every offender."""
    monkeypatch.setattr(archive_stream, "_STEP", 700)
    wrong: dict[tuple[str, int], object] = {}
    for name, (data, expected) in ACCEPTED.items():
        packed = compress(data, compression)
        for memory in MEMORY:
            monkeypatch.setattr(archive_stream, "IN_MEMORY", memory)
            try:
                found = check(packed, LIMITS, compression)
            except StagerError as error:
                wrong[name, memory] = error
                continue
            if (found, list(found)) != (expected, sorted(found, key=str.encode)):
                wrong[name, memory] = found
            if (left := [path.name for path in tmp_path.iterdir()]) != ["blob"]:
                wrong[name, memory] = left
    assert not wrong


def test_zst_is_read_where_python_can(check: Check) -> None:
    pytest.importorskip("backports.zstd")
    assert check(compress(make_tar([A]), "zst"), LIMITS, "zst") == ONE
    assert_refused(bad("is cut short"), check, compress(make_tar([A]), "zst")[:-6], LIMITS, "zst")
    with pytest.raises(BadArchive, match="is not valid zst"):
        check(b"nonsense" * 9, LIMITS, "zst")


def test_an_npm_tarball_equals_what_tarfile_reads(check: Check) -> None:
    data = make_npm_tarball("demo", {"index.js": b"x", "bin/run.js": b"#!"}, executables=["bin/run.js"])
    with tarfile.open(fileobj=io.BytesIO(data)) as reference:
        expected = {m.name: reference.extractfile(m).read() for m in reference}  # type: ignore[union-attr]
    assert check(data, LIMITS, "gz") == expected
    assert list(expected) == ["package/package.json", "package/index.js", "package/bin/run.js"]


def test_modes_and_the_last_of_two_equal_members(tmp_path: Path) -> None:
    entries = [TarEntry("x", b"1", mode=0o644), TarEntry("x", b"1", mode=0o4755), link("l", "x"), link("h", "x", b"1")]
    (tmp_path / "blob").write_bytes(make_tar(entries))
    with read_tar(str(tmp_path / "blob"), LABEL, "") as archive:
        assert [(m.name, m.executable, m.is_link, m.size) for m in archive] == [
            ("h", True, False, 1),
            ("l", False, True, 0),
            ("x", True, False, 1),
        ]


CONTROL = "has a backslash or a control character in its name"
CHECKSUM = "has a header with a wrong checksum"
CUT = "is cut short"
BEHIND = "has data behind its end"
MALFORMED_PAX = "has a malformed extended header"
DIALECT = "has a header in an unknown dialect of tar"
TWO_HEADERS = "has two extended headers for one member"
LOOP = "is a symlink in a loop or in too long a chain"
TWICE = "is in the archive twice with different content"
TOO_LONG = "has a name that is too long"


def number(raw: bytes) -> BadArchive:
    return bad(f"has a header with the malformed number {raw!r}")


def no_file(name: str, target: str) -> UnsafeEntry:
    return unsafe(name, f"is a hard link to {target!r}, which is no earlier file of the archive")


def leads_out(name: str, target: str) -> UnsafeEntry:
    return unsafe(name, f"is a symlink that leads outside, to {target!r}")


def restated(entry: TarEntry, by: int) -> TarEntry:
    """The entry with a checksum that is wrong by this much."""
    total = int(entry.header()[148:154], 8)
    return TarEntry(
        entry.name,
        entry.data,
        entry.type,
        entry.link,
        entry.mode,
        {**entry.fields, "checksum": b"%06o\0 " % (total + by)},
    )


BRIGHT = TarEntry(
    "\u00ff" * 50, fields={"linkname": b"\xff" * 100, "uname": b"\xff" * 32, "prefix": b"\xc3\xbf" * 77 + b"\0"}
)
"""A header whose bytes sum to more than Adler-32's modulus."""

REFUSED: dict[str, tuple[bytes, StagerError]] = {
    # U1, U2: names that lead elsewhere
    "dotdot": (make_tar([TarEntry("../x", b"1")]), unsafe("../x", "has '..' in its name")),
    "dotdot-inside": (make_tar([TarEntry("package/../../x", b"1")]), unsafe("package/../../x", "has '..' in its name")),
    "dotdot-folder": (make_tar([TarEntry("..", type=b"5")]), unsafe("..", "has '..' in its name")),
    "prefix-sibling": (make_tar([TarEntry("../app2/x", b"1")]), unsafe("../app2/x", "has '..' in its name")),
    "dotdot-by-prefix": (
        make_tar([field(prefix=b"..".ljust(155, b"\0"))]),
        unsafe("../a", "has '..' in its name"),
    ),
    "dotdot-by-pax": (make_tar([pax({"path": "../x"}), A]), unsafe("../x", "has '..' in its name")),
    "dotdot-by-gnu": (make_tar([gnu(b"L", b"../x"), A]), unsafe("../x", "has '..' in its name")),
    "absolute": (make_tar([TarEntry("/etc/x", b"1")]), unsafe("/etc/x", "has an absolute name")),
    "absolute-twice": (make_tar([TarEntry("//etc/x", b"1")]), unsafe("//etc/x", "has an absolute name")),
    "drive": (make_tar([TarEntry("c:x", b"1")]), unsafe("c:x", "has a drive letter in its name")),
    "backslash": (make_tar([TarEntry("..\\x", b"1")]), unsafe("..\\x", CONTROL)),
    "backslash-inside": (make_tar([TarEntry("a\\b", b"1")]), unsafe("a\\b", CONTROL)),
    "nul-in-name": (make_tar([TarEntry(b"a\0b", b"1")]), unsafe("a\0b", CONTROL)),
    "nul-in-pax": (make_tar([pax({"path": b"a\0b"}), A]), unsafe("a\0b", CONTROL)),
    "nul-in-gnu": (make_tar([gnu(b"L", b"a\0b"), A]), unsafe("a\0b", CONTROL)),
    "newline": (make_tar([TarEntry("a\nb", b"1")]), unsafe("a\nb", CONTROL)),
    "delete": (make_tar([TarEntry("a\x7fb", b"1")]), unsafe("a\x7fb", CONTROL)),
    "c1-control": (make_tar([TarEntry("a\u0085b", b"1")]), unsafe("a\u0085b", CONTROL)),
    "bidi": (make_tar([TarEntry("a\u202eb", b"1")]), unsafe("a\u202eb", CONTROL)),
    "byte-order-mark": (make_tar([TarEntry("\ufeffa", b"1")]), unsafe("\ufeffa", CONTROL)),
    "not-utf8": (make_tar([TarEntry(b"a\xff", b"1")]), unsafe("a\\xff", "has a name that is not UTF-8")),
    "surrogate": (
        make_tar([TarEntry(b"a\xed\xa0\x80", b"1")]),
        unsafe("a\\xed\\xa0\\x80", "has a name that is not UTF-8"),
    ),
    "no-name": (make_tar([TarEntry("", b"1")]), unsafe("", "has no name")),
    "dot-file": (make_tar([TarEntry("./.", b"1")]), unsafe("./.", "has no name")),
    "long-part": (make_tar([gnu(b"L", b"p" * 256), A]), unsafe("p" * 120, TOO_LONG)),
    "long-part-utf8": (make_tar([gnu(b"L", "\u00fc".encode() * 128), A]), unsafe("\u00fc" * 120, TOO_LONG)),
    "long-name": (make_tar([gnu(b"L", b"/".join([b"q" * 240] * 18)), A]), unsafe("q" * 120, TOO_LONG)),
    "deep": (make_tar([gnu(b"L", b"d/" * 64 + b"f"), A]), unsafe("d/" * 60, "lies more than 64 folders deep")),
    # U3, U4: symlinks
    "link-out": (make_tar([link("l", "../x")]), leads_out("l", "../x")),
    "link-out-deep": (make_tar([link("d/l", "../../x")]), leads_out("d/l", "../../x")),
    "link-out-and-back": (make_tar([link("d/l", "../../d/x")]), leads_out("d/l", "../../d/x")),
    "link-out-long": (
        make_tar([gnu(b"K", b"./" * 60 + b".." + b"/x"), link("l", "")]),
        leads_out("l", "./" * 60 + "../x"),
    ),
    "link-out-as-text": (make_tar([link("d", "a/b/c"), link("z", "d/../../x")]), leads_out("z", "d/../../x")),
    "link-out-by-chain": (make_tar([link("d/e/up", "../.."), link("z", "d/e/up/../x")]), leads_out("z", "d/e/up/../x")),
    "link-parent-of-link": (make_tar([link("a", "."), link("b", "a/a/../x")]), leads_out("b", "a/a/../x")),
    "link-absolute": (
        make_tar([link("l", "/etc/passwd")]),
        unsafe("l", "is a symlink to the absolute path '/etc/passwd'"),
    ),
    "link-absolute-root": (make_tar([link("l", "/")]), unsafe("l", "is a symlink to the absolute path '/'")),
    "link-below": (
        make_tar([link("l", "d"), TarEntry("l/x", b"1")]),
        unsafe("l", "is a symlink with members below it"),
    ),
    "link-below-deep": (
        make_tar([TarEntry("p/l/q/x", b"1"), link("p/l", "/tmp")]),
        unsafe("p/l", "is a symlink with members below it"),
    ),
    "link-and-folder": (
        make_tar([link("l", "d"), TarEntry("l/", type=b"5")]),
        unsafe("l", "is a symlink with members below it"),
    ),
    "link-then-file": (make_tar([link("a", "b"), A]), unsafe("a", TWICE)),
    "file-then-link": (make_tar([A, link("a", "b")]), unsafe("a", TWICE)),
    "link-twice": (make_tar([link("l", "a"), link("l", "b")]), unsafe("l", TWICE)),
    "link-loop": (make_tar([link("l", "m"), link("m", "l")]), unsafe("l", LOOP)),
    "link-to-itself": (make_tar([link("l", "l/x")]), unsafe("l", LOOP)),
    "link-long-chain": (make_tar([link(f"l{n:02}", f"l{n + 1:02}") for n in range(50)]), unsafe("l40", LOOP)),
    "link-empty": (make_tar([link("l", "")]), unsafe("l", "is a symlink without a target")),
    "link-not-utf8": (make_tar([link("l", b"\xff")]), unsafe("l", "is a link to a name that is not UTF-8")),
    "link-control": (make_tar([link("l", "a\nb")]), unsafe("l", "is a symlink with the malformed target 'a\\nb'")),
    "link-many-parts": (
        make_tar([gnu(b"K", b"x/" * 129), link("l", "")]),
        unsafe("l", f"is a symlink with the malformed target {'x/' * 60!r}"),
    ),
    "link-with-data": (
        make_tar([TarEntry("l", b"1", b"2", "a")]),
        bad("member 'l' of type b'2' has 1 bytes of data"),
    ),
    # U5: hard links
    "hard-link-out": (make_tar([link("h", "../x", b"1")]), unsafe("../x", "has '..' in its name")),
    "hard-link-absolute": (make_tar([link("h", "/etc/passwd", b"1")]), unsafe("/etc/passwd", "has an absolute name")),
    "hard-link-nowhere": (make_tar([link("h", "x", b"1")]), no_file("h", "x")),
    "hard-link-forward": (make_tar([link("h", "a", b"1"), A]), no_file("h", "a")),
    "hard-link-to-link": (make_tar([link("l", "a"), link("h", "l", b"1")]), no_file("h", "l")),
    "hard-link-to-folder": (make_tar([TarEntry("d/", type=b"5"), link("h", "d", b"1")]), no_file("h", "d")),
    "hard-link-empty": (make_tar([A, link("h", "", b"1")]), no_file("h", "")),
    "hard-link-with-data": (
        make_tar([A, TarEntry("h", b"1", b"1", "a")]),
        bad("member 'h' of type b'1' has 1 bytes of data"),
    ),
    "hard-link-over-other": (make_tar([A, TarEntry("b", b"2"), link("b", "a", b"1")]), unsafe("b", TWICE)),
    # U6: special files
    "character-device": (make_tar([TarEntry("d", type=b"3")]), unsafe("d", "is a character device")),
    "block-device": (make_tar([TarEntry("d", type=b"4")]), unsafe("d", "is a block device")),
    "fifo": (make_tar([TarEntry("d", type=b"6")]), unsafe("d", "is a named pipe")),
    "gnu-sparse": (make_tar([TarEntry("s", type=b"S")]), bad("member 's' has the unknown type b'S'")),
    "gnu-dumpdir": (make_tar([TarEntry("s", type=b"D")]), bad("member 's' has the unknown type b'D'")),
    "gnu-volume": (make_tar([TarEntry("s", type=b"V")]), bad("member 's' has the unknown type b'V'")),
    "solaris-pax": (make_tar([TarEntry("s", type=b"X")]), bad("member 's' has the unknown type b'X'")),
    "unknown-type-with-data": (
        make_tar([TarEntry("s", b"1", b"8")]),
        bad("member 's' of type b'8' has 1 bytes of data"),
    ),
    "folder-with-data": (
        make_tar([TarEntry("d/", b"1", b"5")]),
        bad("member 'd/' of type b'5' has 1 bytes of data"),
    ),
    "file-with-slash": (make_tar([TarEntry("a/", b"")]), unsafe("a/", "is named like a folder but is none")),
    # U7: twice the same
    "twice": (make_tar([A, TarEntry("a", b"two")]), unsafe("a", TWICE)),
    "twice-longer": (make_tar([A, TarEntry("a", b"onetwo")]), unsafe("a", TWICE)),
    "twice-normalised": (make_tar([TarEntry("p/x", b"1"), TarEntry("p/./x", b"2")]), unsafe("p/x", TWICE)),
    "file-and-folder": (make_tar([A, TarEntry("a/", type=b"5")]), unsafe("a", "is both a file and a folder")),
    "file-above-file": (make_tar([TarEntry("a/b", b"1"), A]), unsafe("a", "is both a file and a folder")),
    # U9: readers that see different tars
    "pax-size": (make_tar([pax({"size": "1024"}), A]), bad("member 'a' has two sizes, 1024 and 3")),
    "pax-size-smaller": (make_tar([pax({"size": "0"}), A]), bad("member 'a' has two sizes, 0 and 3")),
    "pax-size-of-folder": (
        make_tar([pax({"size": "512"}), TarEntry("d/", type=b"5")]),
        bad("member 'd/' has two sizes, 512 and 0"),
    ),
    "pax-size-negative": (
        make_tar([pax({"size": "-3"}), A]),
        bad("has an extended header with the malformed size=-3"),
    ),
    "pax-size-hex": (make_tar([pax({"size": "0x3"}), A]), bad("has an extended header with the malformed size=0x3")),
    "pax-path-empty": (make_tar([pax({"path": ""}), A]), bad("has an extended header with the malformed path=")),
    "pax-mtime": (make_tar([pax({"mtime": "soon"}), A]), bad("has an extended header with the malformed mtime=soon")),
    "pax-uid": (make_tar([pax({"uid": "1.5"}), A]), bad("has an extended header with the malformed uid=1.5")),
    "pax-sparse": (
        make_tar([pax({"GNU.sparse.major": "1"}), A]),
        bad("has an extended header with GNU.sparse.major, which stager does not obey"),
    ),
    "pax-sparse-name": (
        make_tar([pax({"GNU.sparse.name": "b"}), A]),
        bad("has an extended header with GNU.sparse.name, which stager does not obey"),
    ),
    "pax-star-sparse": (
        make_tar([pax({"SCHILY.realsize": "9"}), A]),
        bad("has an extended header with SCHILY.realsize, which stager does not obey"),
    ),
    "pax-solaris-sparse": (
        make_tar([pax({"SUN.holesdata": "0 9"}), A]),
        bad("has an extended header with SUN.holesdata, which stager does not obey"),
    ),
    "pax-charset": (
        make_tar([pax({"hdrcharset": "BINARY"}), A]),
        bad("has an extended header with hdrcharset, which stager does not obey"),
    ),
    "pax-unknown": (
        make_tar([pax({"realpath": "b"}), A]),
        bad("has an extended header with realpath, which stager does not obey"),
    ),
    "pax-case": (
        make_tar([pax({"PATH": "b"}), A]),
        bad("has an extended header with PATH, which stager does not obey"),
    ),
    "pax-key-control": (
        make_tar([pax({"a.b\x01": "b"}), A]),
        bad("has an extended header with a.b\x01, which stager does not obey"),
    ),
    "pax-twice-in-one": (
        make_tar([TarEntry("x", pax_record("path", "b") + pax_record("path", "c"), b"x"), A]),
        bad("has an extended header that gives path twice"),
    ),
    "pax-global-path": (
        make_tar([pax({"path": "b"}, b"g"), A]),
        bad("has a global header that gives path to every member"),
    ),
    "pax-global-size": (
        make_tar([pax({"size": "3"}, b"g"), A]),
        bad("has a global header that gives size to every member"),
    ),
    "pax-pax": (make_tar([pax({"path": "b"}), pax({"linkpath": "c"}), A]), bad(TWO_HEADERS)),
    "pax-global-between": (make_tar([pax({"path": "b"}), pax({"comment": "c"}, b"g"), A]), bad(TWO_HEADERS)),
    "pax-gnu": (make_tar([pax({"mtime": "1"}), gnu(b"L", b"b"), A]), bad(TWO_HEADERS)),
    "gnu-pax": (make_tar([gnu(b"L", b"b"), pax({"mtime": "1"}), A]), bad(TWO_HEADERS)),
    "gnu-gnu": (make_tar([gnu(b"L", b"b"), gnu(b"L", b"c"), A]), bad(TWO_HEADERS)),
    "pax-at-end": (make_tar([A, pax({"path": "b"})]), bad("ends with an extended header that belongs to no member")),
    "gnu-at-end": (make_tar([A, gnu(b"L", b"b")]), bad("ends with an extended header that belongs to no member")),
    "pax-no-length": (make_tar([TarEntry("x", b"path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-zero-length": (make_tar([TarEntry("x", b"0 path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-leading-zero": (make_tar([TarEntry("x", b"011 path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-length-short": (make_tar([TarEntry("x", b"8 path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-length-long": (make_tar([TarEntry("x", b"99 path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-length-tiny": (make_tar([TarEntry("x", b"1 path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-length-two": (make_tar([TarEntry("x", b"2 ", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-length-signed": (make_tar([TarEntry("x", b"+9 path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-length-underscore": (make_tar([TarEntry("x", b"1_0 path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-length-huge": (make_tar([TarEntry("x", b"9" * 30 + b" path=b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-no-equals": (make_tar([TarEntry("x", b"7 path\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-no-key": (make_tar([TarEntry("x", b"5 =b\n", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-no-newline": (make_tar([TarEntry("x", b"9 path=bb", b"x"), A]), bad(MALFORMED_PAX)),
    "pax-padding": (make_tar([TarEntry("x", pax_record("path", "b") + b"\0\0", b"x"), A]), bad(MALFORMED_PAX)),
    "checksum": (make_tar([field(checksum=b"000000\0 ")]), bad(CHECKSUM)),
    "checksum-signed": (make_tar([restated(TarEntry("\u00fc", b"1"), -512)]), bad(CHECKSUM)),
    "checksum-modulo-65521": (make_tar([restated(BRIGHT, -65521)]), bad(CHECKSUM)),
    "size-junk": (make_tar([field(size=b"0000000003x\0")]), number(b"0000000003x\0")),
    "size-decimal": (make_tar([field(size=b"00000000008\0")]), number(b"00000000008\0")),
    "size-underscore": (make_tar([field(size=b"0000000_003\0")]), number(b"0000000_003\0")),
    "size-signed": (make_tar([field(size=b"-0000000003\0")]), number(b"-0000000003\0")),
    "size-nul-first": (make_tar([field(size=b"\x000000000003\0")]), number(b"\x000000000003\0")),
    "size-two-numbers": (make_tar([field(size=b"0003\x000000003")]), number(b"0003\x000000003")),
    "size-odd-base": (make_tar([field(size=b"\x81" + bytes(10) + b"\3")]), number(b"\x81" + bytes(10) + b"\3")),
    "size-negative": (make_tar([field(size=b"\xff" * 12)]), bad("has a member of negative size")),
    "size-huge": (make_tar([field(size=b"\x80" + b"\xff" * 11)]), bad(CUT)),
    "size-past-end": (make_tar([field(size=octal(999999, 12))]), bad(CUT)),
    "mode-junk": (make_tar([field(mode=b"rw-r--r-")]), number(b"rw-r--r-")),
    "uid-junk": (make_tar([field(uid=b"nobody\0\0")]), number(b"nobody\0\0")),
    "mtime-junk": (make_tar([field(mtime=b"today\0\0\0\0\0\0\0")]), number(b"today\0\0\0\0\0\0\0")),
    "device-junk": (make_tar([field(devmajor=b"x\0\0\0\0\0\0\0")]), number(b"x\0\0\0\0\0\0\0")),
    "magic": (make_tar([field(magic=b"ustax\x0000")]), bad(DIALECT)),
    "magic-version": (make_tar([field(magic=b"ustar\x0099")]), bad(DIALECT)),
    "gnu-with-prefix": (make_tar([field(magic=b"ustar  \0", prefix=b"d".ljust(155, b"\0"))]), bad(DIALECT)),
    "v7-with-prefix": (make_tar([field(magic=bytes(8), prefix=b"d".ljust(155, b"\0"))]), bad(DIALECT)),
    "prefix-tail": (make_tar([field(prefix=b"d\0e".ljust(155, b"\0"))]), unsafe("d\0e/a", CONTROL)),
    "star-prefix-junk": (make_tar([field(prefix=bytes(131) + b"evil" + bytes(20))]), number(b"evil" + bytes(8))),
    "data-behind-end": (make_tar([A]) + make_tar([TarEntry("b", b"2")]), bad(BEHIND)),
    "byte-behind-end": (make_tar([A]) + b"\1", bad(BEHIND)),
    "member-behind-one-zero-block": (make_tar([A], end=bytes(512)) + TarEntry("b").to_bytes(), bad(BEHIND)),
    # U10: something else than a tar
    "empty": (b"", bad("is empty")),
    "text": (b"<html>404</html>", bad(CUT)),
    "long-text": (b"<html>" * 200, number(b"l><html>")),
    "zip-behind": (make_tar([A]) + b"PK\5\6" + bytes(18), bad(BEHIND)),
    "no-padding": (make_tar([A], end=b"")[:-1], bad(CUT)),
    "half-header": (make_tar([A], end=TarEntry("b").header()[:300]), bad(CUT)),
    "pax-payload-cut": (pax({"path": "b" * 600}).to_bytes()[:700], bad(CUT)),
    # U11: bombs
    "huge-pax": (
        make_tar([TarEntry("x", pax_record("comment", b"x" * (1 << 20)), b"x"), A]),
        bad(f"has an extended header of {(1 << 20) + 17} bytes; the limit is {1 << 20}"),
    ),
    "huge-gnu-name": (
        make_tar([gnu(b"L", b"a" * (1 << 20)), A]),
        bad(f"has an extended header of {(1 << 20) + 1} bytes; the limit is {1 << 20}"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_tars_are_refused(check: Check, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sentence whether the stream is kept in memory, is spilled, or is the file itself."""
    data, expected = REFUSED[name]
    packed = compress(data, "gz")
    for memory in MEMORY:
        monkeypatch.setattr(archive_stream, "IN_MEMORY", memory)
        assert_refused(expected, check, data, LIMITS, "")
        assert_refused(expected, check, packed, LIMITS, "gz")


# --- compression -----------------------------------------------------------------------------------------------

TAR = make_tar([A, TarEntry("b", bytes(range(256)) * 40)])
GZ = compress(TAR, "gz")
XZ = compress(TAR, "xz")
TWO: Found = {"a": b"one", "b": bytes(range(256)) * 40}


def test_joined_and_padded_members_are_one_stream(check: Check) -> None:
    joined = gzip.compress(TAR[:700], mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(TAR[700:], mtime=0)
    assert check(joined, LIMITS, "gz") == TWO
    assert check(GZ + bytes(5000), LIMITS, "gz") == TWO
    assert check(lzma.compress(TAR[:700]) + lzma.compress(TAR[700:]), LIMITS, "xz") == TWO
    named = b"\x1f\x8b\x08\x08" + GZ[4:10] + b"demo.tar\0" + GZ[10:]
    assert check(named, LIMITS, "gz") == TWO


DAMAGED: dict[str, tuple[bytes, str, str]] = {
    "gz-crc": (
        GZ[:-8] + bytes([GZ[-8] ^ 1]) + GZ[-7:],
        "gz",
        "is not valid gz (Error -3 while decompressing data: incorrect data check)",
    ),
    "gz-length": (
        GZ[:-4] + bytes([GZ[-4] ^ 1]) + GZ[-3:],
        "gz",
        "is not valid gz (Error -3 while decompressing data: incorrect length check)",
    ),
    "gz-body": (
        GZ[:10] + b"\xff" + GZ[11:],
        "gz",
        "is not valid gz (Error -3 while decompressing data: invalid block type)",
    ),
    "gz-method": (
        GZ[:2] + b"\7" + GZ[3:],
        "gz",
        "is not valid gz (Error -3 while decompressing data: unknown compression method)",
    ),
    "gz-reserved-flag": (
        GZ[:3] + b"\x80" + GZ[4:],
        "gz",
        "is not valid gz (Error -3 while decompressing data: unknown header flags set)",
    ),
    "gz-garbage": (
        GZ + b"garbage",
        "gz",
        "is not valid gz (Error -3 while decompressing data: incorrect header check)",
    ),
    "gz-zip-behind": (
        GZ + b"PK\5\6" + bytes(18),
        "gz",
        "is not valid gz (Error -3 while decompressing data: incorrect header check)",
    ),
    "gz-garbage-behind-zeros": (GZ + bytes(100) + b"x", "gz", "has data behind its end"),
    "gz-member-behind-zeros": (GZ + bytes(100) + GZ, "gz", "has data behind its end"),
    "gz-half-a-member": (GZ + GZ[:20], "gz", "is cut short"),
    "gz-tar-behind": (GZ + GZ, "gz", BEHIND),
    "gz-empty": (b"", "gz", CUT),
    "gz-is-tar": (TAR, "gz", "is not valid gz (Error -3 while decompressing data: incorrect header check)"),
    "gz-is-zlib": (
        zlib.compress(TAR),
        "gz",
        "is not valid gz (Error -3 while decompressing data: incorrect header check)",
    ),
    "gz-of-nothing": (gzip.compress(b"", mtime=0), "gz", "is empty"),
    "xz-check": (XZ[:-40] + bytes([XZ[-40] ^ 1]) + XZ[-39:], "xz", "is not valid xz (Corrupt input data)"),
    "xz-is-gz": (GZ, "xz", "is not valid xz (Input format not supported by decoder)"),
    "xz-is-lzma": (
        lzma.compress(TAR, lzma.FORMAT_ALONE),
        "xz",
        "is not valid xz (Input format not supported by decoder)",
    ),
    "xz-memory": (
        lzma.compress(TAR, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]),
        "xz",
        "is not valid xz (Memory usage limit exceeded)",
    ),
    "bz2-is-gz": (GZ, "bz2", "is not valid bz2 (Invalid data stream)"),
    "unknown": (TAR, "rar", "is compressed as 'rar', which stager does not read"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_compression_is_refused(check: Check, name: str) -> None:
    data, compression, why = DAMAGED[name]
    assert_refused(bad(why), check, data, LIMITS, compression)


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
def test_every_cut_is_refused(check: Check, compression: str) -> None:
    """An uncompressed tar may be cut between members or in its end blocks only, as POSIX has no other end sign."""
    whole = compress(make_tar([A, TarEntry("b", b"2" * 5000)], end=b""), compression)
    for sixteenth in range(16):
        with pytest.raises(BadArchive) as caught:
            check(whole[: len(whole) * sixteenth // 16], LIMITS, compression)
        assert caught.value.message in (f"{LABEL}: is cut short", f"{LABEL}: is empty"), sixteenth


@pytest.mark.parametrize("compression", ["gz", "xz", "bz2"])
def test_a_bomb_stops_early(compression: str, tmp_path: Path) -> None:
    """However much of it there is: the ratio counts what has been read until then."""
    bomb = compress(bytes(20 << 20), compression) + os.urandom(1 << 20)
    (tmp_path / "bomb").write_bytes(bomb)
    taken: list[int] = []
    limits = Limits(ratio=8, ratio_from=3 << 20)
    with (tmp_path / "bomb").open("rb") as file:
        pieces = archive_stream.decompressed(file.fileno(), 0, len(bomb), compression, LABEL, limits)
        with pytest.raises(BadArchive) as caught:
            taken += map(len, pieces)
    assert caught.value.message == f"{LABEL}: unpacks to more than {3 << 20} bytes, the limit for its size"
    assert sum(taken) == 3 << 20


HARD_LINKS = make_tar([TarEntry("a", bytes(5000)), *(link(f"b{n}", "a", b"1") for n in range(9))])
MANY = make_tar([TarEntry(f"f{n}") for n in range(5)])

LIMITED: dict[str, tuple[bytes, str, Limits, StagerError]] = {
    "entries": (MANY, "", Limits(entries=4), bad("has more than 4 members")),
    "entries-of-headers": (
        make_tar([pax({"comment": "x"}, b"g")] * 5),
        "",
        Limits(entries=4),
        bad("has more than 4 members"),
    ),
    "members-of-gzip": (
        gzip.compress(b"", mtime=0) * 5 + GZ,
        "gz",
        Limits(entries=4),
        bad("has more than 4 compressed members"),
    ),
    "bytes": (
        compress(MANY, "gz"),
        "gz",
        Limits(bytes=2000),
        bad("unpacks to more than 2000 bytes, the limit for its size"),
    ),
    "bytes-plain": (MANY, "", Limits(bytes=2000), bad("unpacks to more than 2000 bytes, the limit for its size")),
    "ratio": (
        compress(HARD_LINKS, "gz"),
        "gz",
        Limits(ratio=2, ratio_from=512),
        bad(f"unpacks to more than {max(512, 2 * len(compress(HARD_LINKS, 'gz')))} bytes, the limit for its size"),
    ),
    "hard-links": (
        HARD_LINKS,
        "",
        Limits(bytes=len(HARD_LINKS)),
        bad(f"unpacks to more than {len(HARD_LINKS)} bytes, the limit for its size"),
    ),
    "pax": (
        make_tar([pax({"path": "b"}), A]),
        "",
        Limits(pax=8),
        bad("has an extended header of 9 bytes; the limit is 8"),
    ),
    "depth": (make_tar([TarEntry("a/b/c")]), "", Limits(depth=2), unsafe("a/b/c", "lies more than 2 folders deep")),
    "component": (make_tar([TarEntry("abcd")]), "", Limits(component=3), unsafe("abcd", TOO_LONG)),
    "path": (make_tar([TarEntry("ab/./cd")]), "", Limits(path=5), unsafe("ab/./cd", TOO_LONG)),
}


@pytest.mark.parametrize("name", LIMITED)
def test_limits_hold(check: Check, name: str) -> None:
    data, compression, limits, expected = LIMITED[name]
    assert_refused(expected, check, data, limits, compression)


def test_just_within_the_limits(check: Check) -> None:
    limits = Limits(bytes=len(MANY), entries=5, component=2, depth=1)
    assert len(check(compress(MANY, "gz"), limits, "gz")) == 5
    assert len(check(HARD_LINKS, Limits(bytes=9 * 5000))) == 10


def test_absolute_links_are_kept_when_asked_for(check: Check) -> None:
    data = make_tar([link("usr/lib/x", "/etc/../etc/x"), link("etc/x", "../usr")])
    assert check(data, LIMITS, "", True) == {"usr/lib/x": "/etc/../etc/x", "etc/x": "../usr"}
    assert_refused(leads_out("l", "/../x"), check, make_tar([link("l", "/../x")]), LIMITS, "", True)
    assert_refused(leads_out("l", "../x"), check, make_tar([link("l", "../x")]), LIMITS, "", True)
    chain = make_tar([link("a/r", "/"), link("z", "a/r/../x")])
    assert_refused(leads_out("z", "a/r/../x"), check, chain, LIMITS, "", True)


def test_a_large_tar_is_spilled_beside_the_blob_and_leaves_nothing(check: Check, tmp_path: Path) -> None:
    entries = [TarEntry(f"package/{n}", bytes([n]) * 700_000) for n in range(30)]
    found = check(compress(make_tar(entries), "gz"), LIMITS, "gz")
    assert found == {entry.name: entry.data for entry in entries}
    assert [path.name for path in tmp_path.iterdir()] == ["blob"]


def test_no_room_for_a_large_tar(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive_stream, "IN_MEMORY", 100)
    monkeypatch.setattr("os.write", full)
    with pytest.raises(CannotWrite) as caught:
        check(GZ, LIMITS, "gz")
    assert (caught.value.where, caught.value.message) == (LABEL, "cannot be written: No space left on device")


def test_nowhere_to_spill(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir: str | None = None, buffering: int = -1) -> None:  # noqa: A002 - the real name
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(archive_stream, "IN_MEMORY", 100)
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(CannotWrite) as caught:
        check(GZ, LIMITS, "gz")
    assert (caught.value.where, caught.value.message) == (LABEL, "cannot be written: Read-only file system")
