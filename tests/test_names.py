"""One rule for every name, wherever it comes from, and how anybody's text is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import TarEntry, make_deb, make_npm_tarball, make_tar, make_wheel
from test_assembly import Bench
from trees import lay_out

from stager.formats.archive import Archive, read_deb, read_tar, read_zip
from stager.formats.errors import UnsafeEntry
from stager.names import characters_fault, fault, path_fault, printable, printable_lines, visible_json
from stager.tree import Executable, Link, SourceTree
from stager.tree.errors import UnsafePath

WHY = "begins with '.wh.', by which image layers remove files"


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        (".wh..wh..opq", WHY),
        (".wh.bin", WHY),
        (".wh.", WHY),
        ("a\nb", "has a control character"),
        ("a\x7f", "has a control character"),
        ("a\x9b", "has a control character"),
        ("a\u202eb", "has a character that turns the direction of text, or is none"),
        ("\ufeffa", "has a character that turns the direction of text, or is none"),
        ("a\udcff", "is not valid UTF-8"),
        ("a" * 256, "is longer than 255 bytes"),
        ("é" * 128, "is longer than 255 bytes"),
    ],
)
def test_names_that_no_droplet_can_hold(part: str, wrong: str) -> None:
    assert fault(part) == wrong
    assert path_fault(f"a/{part}/b") == path_fault(part) == wrong
    if wrong != WHY and "longer" not in wrong:
        assert characters_fault(part) == wrong


@pytest.mark.parametrize(
    "part", [".wheel", "wh.", "a.wh.b", ".WH.x", "über uns", "日本", "a" * 255, "👨\u200d👩", "..wh.x"]
)
def test_names_that_are_fine(part: str) -> None:
    assert fault(part) == path_fault(f"a/{part}/b") == ""


def test_a_long_path_is_refused_although_its_parts_are_short() -> None:
    assert path_fault("a/" * 2048 + "b") == "is longer than 4096 bytes"


# --- whiteouts: every way in -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "where"),
    [
        ({".wh..stager": "z"}, ".wh..stager"),
        ({"a/.wh.b": Executable(b"x")}, "a/.wh.b"),
        ({"a/.wh.b": Link("c"), "a/c": "x"}, "a/.wh.b"),
        ({"a/.wh..wh..opq/c": "x"}, "a/.wh..wh..opq"),
    ],
)
def test_not_in_the_app(files: dict[str, str | bytes | Link | Executable], where: str, tmp_path: Path) -> None:
    lay_out(tmp_path, files)
    readings: list[Callable[[], SourceTree]] = [lambda: SourceTree.read(str(tmp_path)), lambda: SourceTree.of(files)]
    for reading in readings:
        with pytest.raises(UnsafePath) as caught:
            reading()
        assert (caught.value.where, caught.value.message) == (where, f"its name {WHY}")
    (tmp_path / ".stagerignore").write_text(".wh.*\n")
    assert not [path for path in SourceTree.read(str(tmp_path)).files if ".wh." in path]


def _plain(path: str, label: str) -> Archive:
    return read_tar(path, label, "")


def _gz(path: str, label: str) -> Archive:
    return read_tar(path, label, "gz")


def _tar(*entries: TarEntry) -> bytes:
    return make_tar([TarEntry("package/a", b"x"), *entries])


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (make_wheel("w", "1.0", {"w/.wh.x": b""}), read_zip),
        (make_wheel("w", "1.0", {"w-1.0.data/data/.wh..stager/x": b""}), read_zip),
        (_tar(TarEntry("package/.wh.x", b"")), _plain),
        (_tar(TarEntry("package/.wh.x/", type=b"5")), _plain),
        (_tar(TarEntry("package/.wh.x", type=b"2", link="a")), _plain),
        (_tar(TarEntry("package/.wh.x", type=b"1", link="package/a")), _plain),
        (_tar(TarEntry("./package/./.wh.x", b"")), _plain),
        (make_npm_tarball("n", {"lib/.wh.x": b""}), _gz),
        (make_deb({"usr/.wh.bin": b"x"}), read_deb),
        (make_deb({"usr/a": b"x"}, {"usr/.wh.bin": "a"}), read_deb),
    ],
)
def test_not_in_an_archive(data: bytes, read: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(data)
    with pytest.raises(UnsafeEntry, match=r"has a name that begins with '\.wh\.', by which image layers remove files"):
        read(str(tmp_path / "blob"), "it")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"links": (("node_modules/.wh.x", "y"),)},
        {"files": ((".stager/.wh..wh..opq", "text"),)},
        {"files": ((".wh.a/b", "text"),)},
    ],
)
def test_not_by_a_plan(changes: dict[str, Any], bench: Bench) -> None:
    with pytest.raises(UnsafeEntry, match=r"begins with '\.wh\.'"):
        bench.base(bench.plan(**changes))


def test_not_by_a_place_or_a_command_of_a_package(bench: Bench) -> None:
    bench.npm("evil", {"index.js": b""}, "node_modules/.wh.evil")
    with pytest.raises(UnsafeEntry, match=r"begins with '\.wh\.'"):
        bench.base()


def test_not_by_the_name_of_a_packages_command(bench: Bench) -> None:
    bench.npm("evil", {"cli.js": b"#!/usr/bin/env node\n"}, bin={".wh..bin": "cli.js"})
    try:
        base = bench.base()
    except UnsafeEntry:
        return
    bench.stage(base)
    assert not [name for name in bench.members() if ".wh." in name]


# --- showing ---------------------------------------------------------------------------------------------------

HOSTILE = "a\x1b[31m\x07\n\r\t\x7f\x9b1m\u202e\u2066\u200b\u00ad\ufeff\udce9\U000e0041é日本… ok"


def test_text_of_others_is_one_visible_line() -> None:
    assert printable(HOSTILE) == (r"a\x1b[31m\x07\n\r\t\x7f\x9b1m\u202e\u2066\u200b\xad\ufeff\xe9\U000e0041é日本… ok")
    assert printable_lines("a\nb\r\x1b") == "a\nb\\r\\x1b"


def test_json_says_the_same_and_shows_itself() -> None:
    value = {"name": HOSTILE.replace("\udce9", ""), "emoji": "👨\u200d👩"}
    text = visible_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert not [
        sign for sign in text if sign < " " or "\x7f" <= sign <= "\x9f" or sign in "\u202e\u2066\u200b\U000e0041"
    ]
