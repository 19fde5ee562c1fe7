from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from elf_builder import AARCH64, RPATH, STRTAB, VERNEED, VERNEEDNUM, make_elf
from hypothesis import given
from hypothesis import strategies as st

from stager.formats import elf
from stager.formats.errors import BadArchive

FULL = {
    "needed": ("libz.so.1", "libc.so.6"),
    "soname": "libdemo.so.2",
    "versions": {"libc.so.6": ["GLIBC_2.2.5", "GLIBC_2.34"], "libz.so.1": ["ZLIB_1.2.0"]},
}


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_reads_every_class_and_byte_order(wide: bool, order: str) -> None:
    data = make_elf(**FULL, interpreter="/lib/ld.so", runpath="$ORIGIN", wide=wide, order=order)  # type: ignore[arg-type]
    assert elf.read(data, "demo") == elf.Elf(
        "x86_64",
        "/lib/ld.so",
        ("libz.so.1", "libc.so.6"),
        "libdemo.so.2",
        "",
        "$ORIGIN",
        frozenset({"GLIBC_2.2.5", "GLIBC_2.34", "ZLIB_1.2.0"}),
    )


def test_machines_are_named_as_the_kernel_does() -> None:
    assert [elf.read(make_elf(machine=number), "x").machine for number in (AARCH64, 40, 9999)] == [  # type: ignore[union-attr]
        "aarch64",
        "armv7l",
        "elf-9999",
    ]


@pytest.mark.parametrize(
    ("versions", "floor"),
    [
        ([], (0, 0)),
        (["GLIBC_2.2.5"], (2, 2)),
        (["GLIBC_2.9", "GLIBC_2.17"], (2, 17)),
        (["GLIBC_2.4", "GLIBC_ABI_DT_RELR"], (2, 36)),
        (["GLIBC_2.38", "GLIBC_ABI_DT_RELR"], (2, 38)),
        (["GLIBC_PRIVATE", "GLIBCXX_3.4.30"], (0, 0)),
    ],
)
def test_the_glibc_floor_is_the_highest_version_asked_for(versions: list[str], floor: tuple[int, int]) -> None:
    found = elf.read(make_elf(versions={"libc.so.6": versions} if versions else None), "demo")
    assert found is not None
    assert found.glibc == floor


def test_weak_versions_do_not_count() -> None:
    found = elf.read(make_elf(versions={"libc.so.6": ["GLIBC_2.17", "GLIBC_2.40"]}, weak=["GLIBC_2.40"]), "demo")
    assert found is not None
    assert found.glibc == (2, 17)


def test_other_files_are_none() -> None:
    assert elf.read(b"", "x") is None
    assert elf.read(b"#!/bin/sh\n", "x") is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x7fELF", "its ELF header is cut short or of an unknown class"),
        (b"\x7fELF\x07\x01" + bytes(60), "its ELF header is cut short or of an unknown class"),
        (make_elf()[:80], "its ELF tables lead beyond its end (offset 64)"),
        (make_elf(tags={STRTAB: 1 << 40}), "its ELF tables name the address 0x10000000000, which no segment holds"),
        (make_elf(rpath="x", tags={RPATH: 999}), "its ELF string 999 lies outside its string table"),
        (
            make_elf(versions={"a": ["b"]}, tags={VERNEED: 1 << 33}),
            "its ELF tables name the address 0x200000000, which no segment holds",
        ),
        (
            make_elf(versions={"a": ["b"], "b": []}, tags={VERNEEDNUM: 1 << 40}),
            "its ELF tables name more than 65536 symbol versions",
        ),
    ],
)
def test_lies_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadArchive) as caught:
        elf.read(data, "demo.so")
    assert caught.value.message == f"demo.so: {why}"


@given(position=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.integers(0, 10**6))
def test_damage_gives_facts_or_a_typed_error(position: int, value: int, cut: int) -> None:
    data = bytearray(make_elf(**FULL, interpreter="/lib/ld.so"))  # type: ignore[arg-type]
    data[position % len(data)] = value
    with contextlib.suppress(BadArchive):
        elf.read(bytes(data[: max(cut % (2 * len(data)), 1)]), "demo")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads this interpreter's own file")
def test_reads_a_real_program() -> None:
    found = elf.read(Path(sys.executable).resolve().read_bytes(), "python")
    assert found is not None
    assert "libc.so.6" in found.needed
    assert found.glibc >= (2, 2)
    assert found.interpreter.startswith("/lib")
