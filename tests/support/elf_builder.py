"""Small ELF files made in memory: a dynamic executable or library that asks for what a test wants it to ask for."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

X86_64, AARCH64 = 62, 183
_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
NEEDED, STRTAB, STRSZ, SONAME, RPATH, RUNPATH, VERNEED, VERNEEDNUM = 1, 5, 10, 14, 15, 29, 0x6FFFFFFE, 0x6FFFFFFF


class _Strings:
    def __init__(self) -> None:
        self.data = b"\0"

    def __call__(self, text: str) -> int:
        self.data += text.encode() + b"\0"
        return len(self.data) - len(text.encode()) - 1


def make_elf(
    *,
    machine: int = X86_64,
    needed: Sequence[str] = (),
    soname: str = "",
    rpath: str = "",
    runpath: str = "",
    versions: Mapping[str, Sequence[str]] | None = None,
    weak: Sequence[str] = (),
    interpreter: str = "",
    wide: bool = True,
    order: str = "<",
    tags: Mapping[int, int] | None = None,
) -> bytes:
    """An ELF file of one segment at address 0, so that addresses are offsets.

    `versions` maps a needed library to symbol versions, of which those in `weak` are marked weak; `tags` overrides
    values of the dynamic section.
    """
    strings = _Strings()
    entries = [(NEEDED, strings(name)) for name in needed]
    entries += [(tag, strings(text)) for tag, text in ((SONAME, soname), (RPATH, rpath), (RUNPATH, runpath)) if text]
    needs = _verneed(versions or {}, weak, strings, order)
    head, step, section = (64, 56, 64) if wide else (52, 32, 40)
    at_interp = head + 3 * step
    interp = interpreter.encode() + b"\0" if interpreter else b""
    at_strings = at_interp + len(interp)
    at_needs = _even(at_strings + len(strings.data))
    at_dynamic = _even(at_needs + len(needs))
    entries += [(STRTAB, at_strings), (STRSZ, len(strings.data))]
    entries += [(VERNEED, at_needs), (VERNEEDNUM, len(versions))] if versions else []
    entries = [(tag, (tags or {}).get(tag, value)) for tag, value in entries] + [(0, 0)]
    dynamic = b"".join(struct.pack(order + ("qQ" if wide else "iI"), *entry) for entry in entries)
    names = b"\0.interp\0.dynstr\0.dynamic\0.shstrtab\0.gnu.version_r\0"
    at_names = at_dynamic + len(dynamic)
    at_sections = _even(at_names + len(names))

    def put(image: bytearray, at: int, data: bytes) -> None:
        image[at : at + len(data)] = data

    image = bytearray(at_sections + 6 * section)
    put(image, 0, _header(machine, wide, order, head, at_sections))
    phdr = [
        (_LOAD, 0, at_names),
        (_DYNAMIC, at_dynamic, len(dynamic)),
        (_INTERP if interp else 0, at_interp, len(interp)),
    ]
    for index, (kind, offset, size) in enumerate(phdr):
        put(image, head + index * step, _segment(kind, offset, size, wide, order))
    put(image, at_interp, interp)
    put(image, at_strings, strings.data)
    put(image, at_needs, needs)
    put(image, at_dynamic, dynamic)
    put(image, at_names, names)
    table = [
        (1, 1, 2, at_interp, len(interp), 0, 1, 0),
        (9, 3, 2, at_strings, len(strings.data), 0, 1, 0),
        (17, 6, 3, at_dynamic, len(dynamic), 2, 8, 16 if wide else 8),
        (26, 3, 0, at_names, len(names), 0, 1, 0),
        (36, 0x6FFFFFFE, 2, at_needs, len(needs), 2, 8, 0),
    ]
    for index, (name, kind, flags, offset, size, link, align, unit) in enumerate(table, 1):
        address = offset if flags else 0
        form = "IIQQQQIIQQ" if wide else "10I"
        row = struct.pack(order + form, name, kind, flags, address, offset, size, link, 0, align, unit)
        put(image, at_sections + index * section, row)
    return bytes(image)


def _header(machine: int, wide: bool, order: str, head: int, at_sections: int) -> bytes:
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    form = order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH")
    sizes = (64, 56, 3, 64, 6, 4) if wide else (52, 32, 3, 40, 6, 4)
    return ident + struct.pack(form, 3, machine, 1, 0, head, at_sections, 0, *sizes)


def _segment(kind: int, offset: int, size: int, wide: bool, order: str) -> bytes:
    if wide:
        return struct.pack(order + "IIQQQQQQ", kind, 6, offset, offset, offset, size, size, 8)
    return struct.pack(order + "8I", kind, offset, offset, offset, size, size, 6, 8)


def _verneed(versions: Mapping[str, Sequence[str]], weak: Sequence[str], strings: _Strings, order: str) -> bytes:
    blocks = []
    for position, (library, names) in enumerate(versions.items(), 1):
        last = position == len(versions)
        block = struct.pack(order + "HHIII", 1, len(names), strings(library), 16, 0 if last else 16 + 16 * len(names))
        for index, name in enumerate(names, 1):
            step = 0 if index == len(names) else 16
            block += struct.pack(order + "IHHII", 0, 2 if name in weak else 0, index + 1, strings(name), step)
        blocks.append(block)
    return b"".join(blocks)


def _even(value: int) -> int:
    return (value + 15) // 16 * 16
