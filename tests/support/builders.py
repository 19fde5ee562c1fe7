"""Archives made in memory for tests: small honest packages, and zips and tars that lie in one chosen field.

Honest: `make_wheel`, `make_npm_tarball`, `make_deb`. Any shape at all: `make_zip` of `ZipEntry`s and `make_tar` of
`TarEntry`s, whose every header field can be overridden. All results are equal for equal arguments.
"""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import hashlib
import importlib
import io
import json
import lzma
import struct
import sys
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# --- zip -------------------------------------------------------------------------------------------------------

STORED, DEFLATED = 0, 8
UTF8, DESCRIPTOR, ENCRYPTED = 0x800, 0x8, 0x1


def raw_deflate(data: bytes, level: int = 6) -> bytes:
    """`data` as a raw deflate stream, as zip members hold it."""
    state = zlib.compressobj(level, zlib.DEFLATED, -15)
    return state.compress(data) + state.flush()


@dataclass
class ZipEntry:
    """One zip member. `local` and `central` override header fields by name, each in its own header only.

    Field names: need, made, flags, method, time, date, crc, csize, usize, name, extra, comment, disk, iattr, eattr,
    offset. `payload` overrides the stored bytes, `descriptor` (bytes) what follows them.
    """

    name: str | bytes
    data: bytes = b""
    method: int = DEFLATED
    mode: int = 0o100644
    flags: int = 0
    local: dict[str, int | bytes] = field(default_factory=dict)
    central: dict[str, int | bytes] = field(default_factory=dict)
    payload: bytes | None = None
    descriptor: bytes = b""
    before: bytes = b""
    """Bytes put in front of the local header: a gap."""

    def fields(self) -> dict[str, int | bytes]:
        """What both headers say unless overridden."""
        raw = self.name if isinstance(self.name, bytes) else self.name.encode()
        utf8 = 0 if raw.isascii() else UTF8
        return {
            "need": 20,
            "made": (3 << 8) | 20,
            "flags": self.flags | utf8,
            "method": self.method,
            "time": 0,
            "date": 33,
            "crc": zlib.crc32(self.data),
            "csize": len(self.body()),
            "usize": len(self.data),
            "name": raw,
            "extra": b"",
            "comment": b"",
            "disk": 0,
            "iattr": 0,
            "eattr": self.mode << 16,
        }

    def body(self) -> bytes:
        """The member's bytes as they lie in the file."""
        if self.payload is not None:
            return self.payload
        return raw_deflate(self.data) if self.method == DEFLATED else self.data

    def local_header(self) -> bytes:
        """The header in front of the member's bytes."""
        f = {**self.fields(), **self.local}
        sizes = [f[key] for key in ("need", "flags", "method", "time", "date", "crc", "csize", "usize")]
        lengths = [len(f["name"]), len(f["extra"])]  # type: ignore[arg-type]
        return struct.pack("<4s5H3L2H", b"PK\3\4", *sizes, *lengths) + f["name"] + f["extra"]  # type: ignore[operator]

    def central_header(self, offset: int) -> bytes:
        """The member's record in the central directory."""
        f = {**self.fields(), "offset": offset, **self.central}
        first = [f[key] for key in ("made", "need", "flags", "method", "time", "date", "crc", "csize", "usize")]
        texts = [f["name"], f["extra"], f["comment"]]
        last = [f[key] for key in ("disk", "iattr", "eattr", "offset")]
        lengths = [len(text) for text in texts]  # type: ignore[arg-type]
        return struct.pack("<4s6H3L5H2L", b"PK\1\2", *first, *lengths, *last) + b"".join(texts)  # type: ignore[arg-type]


def make_zip(
    entries: Iterable[ZipEntry],
    *,
    prepend: bytes = b"",
    before_directory: bytes = b"",
    before_end: bytes = b"",
    append: bytes = b"",
    comment: bytes = b"",
    end: Mapping[str, int] | None = None,
) -> bytes:
    """A zip file; `end` overrides disk, cd_disk, here, count, cd_size, cd_offset, comment_length of the last record."""
    out, central = bytearray(prepend), bytearray()
    count = 0
    for entry in entries:
        out += entry.before
        offset = len(out)
        out += entry.local_header() + entry.body() + entry.descriptor
        central += entry.central_header(offset)
        count += 1
    out += before_directory
    f = {"disk": 0, "cd_disk": 0, "here": count, "count": count, "cd_size": len(central), "cd_offset": len(out)}
    f.update({"comment_length": len(comment), **(end or {})})
    return bytes(out + central + before_end + struct.pack("<4s4H2LH", b"PK\5\6", *f.values()) + comment + append)


def _record_line(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow([path, f"sha256={digest}", len(data)])
    return row.getvalue()


def make_wheel(
    name: str,
    version: str,
    files: Mapping[str, bytes] | None = None,
    *,
    tag: str = "py3-none-any",
    console_scripts: Mapping[str, str] | None = None,
    executables: Iterable[str] = (),
    metadata: str = "",
    purelib: bool = True,
    stored: Iterable[str] = (),
    record: bytes | None = None,
) -> bytes:
    """A wheel (PEP 427) with METADATA, WHEEL and RECORD; `files` default to one package of one module.

    `files` maps archive paths (`<name>-<version>.data/scripts/x` too) to bytes; `console_scripts` maps a command to
    `module:function`; `metadata` is appended to METADATA's header lines; `record` replaces the computed RECORD.
    """
    base = name.replace("-", "_")
    info = f"{base}-{version}.dist-info"
    contents = dict(files if files is not None else {f"{base}/__init__.py": f"__version__ = {version!r}\n".encode()})
    contents[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}".encode()
    root = str(purelib).lower()
    wheel = f"Wheel-Version: 1.0\nGenerator: builders (1)\nRoot-Is-Purelib: {root}\nTag: {tag}\n"
    contents[f"{info}/WHEEL"] = wheel.encode()
    if console_scripts:
        lines = "".join(f"{key} = {value}\n" for key, value in console_scripts.items())
        contents[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}".encode()
    lines = "".join(_record_line(path, data) for path, data in contents.items()) + f"{info}/RECORD,,\n"
    contents[f"{info}/RECORD"] = lines.encode() if record is None else record
    return make_zip(
        ZipEntry(
            path, data, STORED if path in set(stored) else DEFLATED, 0o100755 if path in set(executables) else 0o100644
        )
        for path, data in contents.items()
    )


# --- tar -------------------------------------------------------------------------------------------------------

BLOCK = 512


def octal(value: int, width: int) -> bytes:
    """A numeric header field: zero-filled octal and a NUL."""
    return b"%0*o\0" % (width - 1, value)


def padded(data: bytes) -> bytes:
    """`data` filled with NULs to whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def pax_record(key: str | bytes, value: str | bytes) -> bytes:
    """One record of a PAX extended header: length, key, value."""
    raw = (key.encode() if isinstance(key, str) else key) + b"="
    raw += value.encode() if isinstance(value, str) else value
    length = len(raw) + 3
    while len(b"%d %s\n" % (length, raw)) != length:
        length += 1
    return b"%d %s\n" % (length, raw)


@dataclass
class TarEntry:
    """One tar member. `type` is the type flag; `fields` overrides raw header fields by name.

    Field names: name, mode, uid, gid, size, mtime, checksum, type, linkname, magic, uname, gname, devmajor, devminor,
    prefix. The checksum is computed last unless given.
    """

    name: str | bytes
    data: bytes = b""
    type: bytes = b"0"
    link: str | bytes = b""
    mode: int = 0o644
    fields: dict[str, bytes] = field(default_factory=dict)

    def header(self) -> bytes:
        """The 512 bytes in front of the data."""
        name = self.name.encode() if isinstance(self.name, str) else self.name
        link = self.link.encode() if isinstance(self.link, str) else self.link
        f = {
            "name": name.ljust(100, b"\0"),
            "mode": octal(self.mode, 8),
            "uid": octal(0, 8),
            "gid": octal(0, 8),
            "size": octal(len(self.data), 12),
            "mtime": octal(499162500, 12),
            "checksum": b" " * 8,
            "type": self.type,
            "linkname": link.ljust(100, b"\0"),
            "magic": b"ustar\x0000",
            "uname": bytes(32),
            "gname": bytes(32),
            "devmajor": octal(0, 8),
            "devminor": octal(0, 8),
            "prefix": bytes(155),
        }
        f.update(self.fields)
        block = b"".join(f.values()).ljust(BLOCK, b"\0")
        assert len(block) == BLOCK, f"header fields too long: {len(block)}"
        if "checksum" not in self.fields:
            block = block[:148] + b"%06o\0 " % sum(block) + block[156:]
        return block

    def to_bytes(self) -> bytes:
        """Header and padded data."""
        return self.header() + padded(self.data)


def pax(records: Mapping[str, str | bytes], type: bytes = b"x") -> TarEntry:  # noqa: A002 - tar's own word
    """An extended header (`g`: global) with these records."""
    return TarEntry("PaxHeader/x", b"".join(pax_record(key, value) for key, value in records.items()), type)


def make_tar(entries: Iterable[TarEntry], *, end: bytes = bytes(2 * BLOCK)) -> bytes:
    """An uncompressed tar; `end` is what follows the last member."""
    return b"".join(entry.to_bytes() for entry in entries) + end


def compress(data: bytes, compression: str) -> bytes:
    """`data` as gz, xz, bz2, zst (needs a zstd library) or unchanged for the empty word."""
    if compression == "gz":
        return gzip.compress(data, 6, mtime=0)
    if compression == "xz":
        return lzma.compress(data, preset=1)
    if compression == "bz2":
        return bz2.compress(data)
    if compression == "zst":
        zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
        return bytes(zstd.compress(data))
    assert not compression, f"unknown compression {compression!r}"
    return data


def make_npm_tarball(
    manifest: Mapping[str, object] | str,
    files: Mapping[str, bytes] | None = None,
    *,
    version: str = "1.0.0",
    executables: Iterable[str] = (),
    top: str = "package",
) -> bytes:
    """An npm package as a registry serves it. `manifest` is package.json, or just the package's name.

    Paths in `files` and `executables` are relative to the package's folder `top`.
    """
    table = {"name": manifest, "version": version} if isinstance(manifest, str) else dict(manifest)
    contents = {"package.json": json.dumps(table, indent=2).encode() + b"\n", **(files or {})}
    modes = dict.fromkeys(executables, 0o755)
    return compress(make_tar(TarEntry(f"{top}/{p}", d, mode=modes.get(p, 0o644)) for p, d in contents.items()), "gz")


# --- deb -------------------------------------------------------------------------------------------------------


def ar_member(name: str, data: bytes, *, size: bytes | None = None, end: bytes = b"`\n") -> bytes:
    """One member of an ar archive, padded to an even length."""
    length = str(len(data)).encode() if size is None else size
    header = name.encode().ljust(16) + b"0".ljust(12) + b"0".ljust(6) + b"0".ljust(6) + b"100644".ljust(8)
    return header + length.ljust(10) + end + data + b"\n" * (len(data) % 2)


def deb_entries(
    files: Mapping[str, bytes], links: Mapping[str, str] | None = None, executables: Iterable[str] = ()
) -> list[TarEntry]:
    """The members of a deb's data.tar: every folder first, then files and symlinks, all named `./…`."""
    paths = [*files, *(links or {})]
    folders = {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, path.count("/") + 1)}
    entries = [TarEntry("./", type=b"5", mode=0o755)]
    entries += [TarEntry(f"./{folder}/", type=b"5", mode=0o755) for folder in sorted(folders)]
    modes = dict.fromkeys(executables, 0o755)
    entries += [TarEntry(f"./{path}", data, mode=modes.get(path, 0o644)) for path, data in files.items()]
    entries += [TarEntry(f"./{path}", type=b"2", link=link, mode=0o777) for path, link in (links or {}).items()]
    return entries


def make_deb(
    files: Mapping[str, bytes],
    links: Mapping[str, str] | None = None,
    *,
    package: str = "demo",
    version: str = "1.0-1",
    architecture: str = "amd64",
    executables: Iterable[str] = (),
    compression: str = "xz",
    control_files: Mapping[str, bytes] | None = None,
    modes: Mapping[str, int] | None = None,
) -> bytes:
    """A Debian package (deb(5)). Paths in `files` and `links` have no leading `./`; link targets are kept as given.

    `control_files` stand beside `control`; `modes` are those of files that have unusual ones.
    """
    fields = f"Package: {package}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: x\nDescription: x\n"
    beside = [TarEntry(f"./{name}", data) for name, data in (control_files or {}).items()]
    control = compress(make_tar([TarEntry("./control", fields.encode()), *beside]), compression)
    entries = deb_entries(files, links, executables)
    for entry in entries:
        entry.mode = (modes or {}).get(str(entry.name).removeprefix("./"), entry.mode)
    data = compress(make_tar(entries), compression)
    suffix = f".{compression}" if compression else ""
    members = [("debian-binary", b"2.0\n"), (f"control.tar{suffix}", control), (f"data.tar{suffix}", data)]
    return b"!<arch>\n" + b"".join(ar_member(name, content) for name, content in members)
