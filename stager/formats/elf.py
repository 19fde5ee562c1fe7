"""What an ELF file asks of the system: its NEEDED libraries, search paths and symbol versions.

Read-only and small: enough to check that everything a droplet loads is in the droplet, in glibc, or in what the stack
promises. Formats: System V ABI chapters 4 and 5, and the LSB's symbol versioning.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import BadArchive

_MACHINES = {3: "i686", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_NAMES = (_SONAME, _RPATH, _RUNPATH)
_VERNEED, _VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_WEAK = 2
"""VER_FLG_WEAK: the loader only warns when such a version is missing."""
_MOST, _LONGEST = 1 << 16, 1024
"""Entries of a table, and bytes of a name, beyond which a file is not believed."""
_RELR = "GLIBC_ABI_DT_RELR"
"""Asked for by files with relative relocations in the compact form; glibc has it since 2.36."""

GLIBC = frozenset(
    {
        *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2"),
        *("libanl.so.1", "libmvec.so.1", "libBrokenLocale.so.1", "libthread_db.so.1", "libnss_files.so.2"),
        *("libnss_dns.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),
    }
)
"""SONAMEs that every glibc brings, whatever the stack."""


@dataclass(frozen=True, slots=True)
class Elf:
    """The loader-relevant facts of one file; all empty for a static or relocatable one.

    `machine` is the kernel's word (`x86_64`, `aarch64`) or `elf-<number>`; `versions` are the symbol versions it
    cannot start without, such as `GLIBC_2.34` or `GLIBCXX_3.4.21`.
    """

    machine: str
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: str = ""
    runpath: str = ""
    versions: frozenset[str] = frozenset()

    @property
    def glibc(self) -> tuple[int, int]:
        """The lowest glibc the file loads with; (0, 0) when it asks for none."""
        floors = {(2, 36)} if _RELR in self.versions else set()
        for version in self.versions:
            if found := re.match(r"GLIBC_([0-9]{1,4})\.([0-9]{1,4})", version):
                floors.add((int(found[1]), int(found[2])))
        return max(floors, default=(0, 0))


def is_elf(start: bytes) -> bool:
    """Whether a file that begins with these bytes (four suffice) is an ELF file."""
    return start[:4] == b"\x7fELF"


def read(data: bytes, label: str) -> Elf | None:
    """The facts of the file `data`, or None when it is no ELF file.

    `label` names it in errors. Raises BadArchive when its own offsets contradict its length.
    """
    return _Reader(data, label).elf() if is_elf(data) else None


class _Reader:
    """Bounds-checked access to one file in its own word size and byte order."""

    def __init__(self, data: bytes, label: str) -> None:
        self.data = data
        self.label = label
        if len(data) < 20 or data[4] not in (1, 2) or data[5] not in (1, 2):
            raise BadArchive(label, "its ELF header is cut short or of an unknown class")
        self.wide = data[4] == 2
        self.order = "<" if data[5] == 1 else ">"
        self.segments: list[tuple[int, int, int, int]] = []
        self.strings = 0
        self.strings_size = 0

    def unpack(self, form: str, offset: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self.order + form, self.data, offset)
        except (struct.error, OverflowError):
            raise BadArchive(self.label, f"its ELF tables lead beyond its end (offset {offset})") from None

    def elf(self) -> Elf:
        (machine,) = self.unpack("H", 18)
        name = _MACHINES.get(machine, f"elf-{machine}")
        self.segments = list(self._segments())
        dynamic = list(self._dynamic())
        first = dict(reversed(dynamic))
        if _STRTAB not in first:
            return Elf(name)
        self.strings = self._offset(first[_STRTAB])
        self.strings_size = first.get(_STRSZ, 0)
        needed = tuple(self._string(value) for tag, value in dynamic if tag == _NEEDED)
        soname, rpath, runpath = (self._string(first[tag]) if tag in first else "" for tag in _NAMES)
        return Elf(name, self._interpreter(), needed, soname, rpath, runpath, frozenset(self._versions(first)))

    def _segments(self) -> Iterator[tuple[int, int, int, int]]:
        """(type, file offset, address, size in the file) of each program header."""
        (start,) = self.unpack("Q" if self.wide else "I", 32 if self.wide else 28)
        size, count = self.unpack("HH", 54 if self.wide else 42)
        for index in range(count):
            place = start + index * size
            kind, *words = self.unpack("IIQQQQ" if self.wide else "IIIII", place)
            yield (kind, words[1], words[2], words[4]) if self.wide else (kind, words[0], words[1], words[3])

    def _dynamic(self) -> Iterator[tuple[int, int]]:
        """(tag, value) pairs of the dynamic section up to its end mark."""
        form, step = ("qQ", 16) if self.wide else ("iI", 8)
        for kind, offset, _, size in self.segments:
            if kind == _DYNAMIC:
                yield from self._tags(form, range(offset, offset + min(size, step * _MOST) - step + 1, step))
                return

    def _tags(self, form: str, places: range) -> Iterator[tuple[int, int]]:
        for place in places:
            tag, value = self.unpack(form, place)
            if tag == 0:
                return
            yield tag, value

    def _offset(self, address: int) -> int:
        """Where in the file the byte lies that is loaded at `address`."""
        for kind, offset, start, size in self.segments:
            if kind == _LOAD and start <= address < start + size:
                return offset + address - start
        raise BadArchive(self.label, f"its ELF tables name the address {address:#x}, which no segment holds")

    def _interpreter(self) -> str:
        for kind, offset, _, size in self.segments:
            if kind == _INTERP:
                return self.data[offset : offset + size].rstrip(b"\0").decode("utf-8", "replace")
        return ""

    def _string(self, index: int) -> str:
        start = self.strings + index
        end = self.data.find(b"\0", start, min(start + _LONGEST, self.strings + self.strings_size))
        if index >= self.strings_size or end < 0:
            raise BadArchive(self.label, f"its ELF string {index} lies outside its string table")
        return self.data[start:end].decode("utf-8", "replace")

    def _versions(self, first: dict[int, int]) -> Iterator[str]:
        """The versions of every file in the need table (LSB core, 10.7.4), weak ones left out."""
        place = self._offset(first[_VERNEED]) if _VERNEED in first else 0
        left = _MOST
        for _ in range(first.get(_VERNEEDNUM, 0) if place else 0):
            _, count, _, to_first, to_next = self.unpack("HHIII", place)
            entry, left = place + to_first, left - count - 1
            if left < 0:
                raise BadArchive(self.label, f"its ELF tables name more than {_MOST} symbol versions")
            for _ in range(count):
                _, flags, _, name, step = self.unpack("IHHII", entry)
                if not flags & _WEAK:
                    yield self._string(name)
                entry += step
            place += to_next
