"""Unpacking wheels, layout `wheel/1`, by the binary distribution format specification (PEP 427).

Below the given place (`.stager/pypi`) go: modules to `site-packages/`, commands to `bin/`, headers to
`include/<name>/`, other data to the place itself. No bytecode is carried and nothing is run. Contents are passed on
untouched, so that large deflate streams can be copied as they are.

RECORD must list every file of the archive with a strong hash and nothing else, and sizes must agree; what is placed is
hashed while it is copied, and must have that hash. Bytecode caches, which are left out, may be listed as they like.
Name and version must be those that are asked for wherever the wheel states them: in its file name, its `.dist-info` and
`.data` folders and its METADATA.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from stager.ecosystems.errors import Mislabelled
from stager.formats.archive import Archive, HeldArchive, Member, content_bytes, content_chunks, read_zip
from stager.formats.errors import BadArchive, UnsafeEntry
from stager.formats.tar import Deflated, PieceFile, Span, Unpacked
from stager.model import Artifact

from . import launcher
from .former import imports

SITE = "site-packages"
_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_REPLACED = (*_UNLISTED, "INSTALLER", "REQUESTED", "direct_url.json")
_STRONG = ("sha256=", "sha384=", "sha512=")
_METADATA_LIMIT = 64 << 20
Row = tuple[str, str]
"""Hash and size of a file as RECORD writes them."""


class PlacedFile(NamedTuple):
    """A file on its way: its path below `.stager/pypi`, its row, its content."""

    path: str
    row: Row
    content: bytes | Span | Deflated
    executable: bool
    stated: str = ""
    """The hash that RECORD has for it, empty for what is generated."""


def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    """The files of the wheel at `blob`, placed below `path`; their contents are valid until it is closed.

    Raises BadArchive for a wheel that breaks its specification, UnsafeEntry for a member that must not be unpacked,
    Mislabelled for another package than the artifact's.
    """
    archive = read_zip(blob, artifact.filename)
    try:
        entries = [
            PieceFile(f"{path}/{one.path}", one.content, one.executable, one.stated)
            for one in _files(archive, artifact)
        ]
        former = imports(entries, path)
    except BaseException:
        archive.close()
        raise
    return Unpacked(entries, meta={"former": former}, closers=(archive,))


def _files(archive: Archive, artifact: Artifact) -> list[PlacedFile]:
    """Everything the wheel comes to, generated files included."""
    info = _info_folder(archive)
    _check_identity(archive, info, artifact)
    _check_version(archive, info)
    record = _checked_record(archive, info)
    placed: dict[str, PlacedFile] = {}
    for member in archive.members:
        for file in _place(archive, member, info, record):
            if file.path in placed:
                raise UnsafeEntry(archive.label, member.name, f"goes to {file.path}, as another member does")
            placed[file.path] = file
    for file in _entry_points(archive, info):
        placed[file.path] = file  # pip, too, lets an entry point win over a script of the same name
    installer = _generated(f"{SITE}/{info}/INSTALLER", b"stager\n")
    record_file = _new_record([*placed.values(), installer], info)
    return [*placed.values(), installer, record_file]


def _info_folder(archive: Archive) -> str:
    """The one `.dist-info` folder."""
    found = {member.name.partition("/")[0] for member in archive.members if ".dist-info/" in member.name}
    found = {name for name in found if name.endswith(".dist-info")}
    if len(found) != 1:
        raise BadArchive(archive.label, f"has {len(found)} .dist-info folders instead of one")
    return found.pop()


def _check_identity(archive: Archive, info: str, artifact: Artifact) -> None:
    """Name (PEP 503) and version (PEP 440) as asked for, in every place where a wheel states them."""
    name, _, version = artifact.purl.partition("?")[0].removeprefix("pkg:pypi/").partition("@")
    file = [*archive.label.split("-"), "", ""]
    if not artifact.purl.startswith("pkg:pypi/"):
        raise Mislabelled(artifact.name, "its layout", "wheel", artifact.purl)
    asked = (unquote(name), unquote(version) or file[1])
    stated = {"its file name": (file[0], file[1]), f"the folder {info}": _split(info)}
    for folder in sorted({member.name.partition("/")[0] for member in archive.members if ".data/" in member.name}):
        if folder.endswith(".data"):
            stated[f"the folder {folder}"] = _split(folder)
    stated["METADATA"] = _metadata(archive, f"{info}/METADATA")
    for place, (found, release) in stated.items():
        if _normal(found) != _normal(asked[0]) or not _same_version(release, asked[1]):
            raise Mislabelled(archive.label, place, f"{found} {release}", " ".join(asked))


def _split(folder: str) -> tuple[str, str]:
    """Name and version of a `.dist-info` or `.data` folder."""
    name, _, version = folder.rpartition(".")[0].rpartition("-")
    return name, version


def _metadata(archive: Archive, name: str) -> tuple[str, str]:
    """Name and Version in the core metadata, whose other fields may be in any encoding. Raises BadArchive."""
    member = archive[name]
    if member.size > _METADATA_LIMIT:
        raise BadArchive(archive.label, f"has a {name} of {member.size} bytes")
    head = re.split(rb"\r?\n\r?\n", content_bytes(member.content, archive.label), maxsplit=1)[0]
    text = head.decode("utf-8-sig", "replace")
    found = [{row.strip() for row in re.findall(rf"(?im)^{key}[ \t]*:(.*)$", text)} for key in ("Name", "Version")]
    for key, values in zip(("Name", "Version"), found, strict=True):
        if len(values) != 1 or not min(values):
            raise BadArchive(archive.label, f"states {len(values - {''}) or 'no'} {key} in its METADATA, not one")
    return found[0].pop(), found[1].pop()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _same_version(one: str, other: str) -> bool:
    if one == other:
        return True
    from packaging.version import InvalidVersion, Version

    try:
        return Version(one.replace("_", "-")) == Version(other.replace("_", "-"))
    except InvalidVersion:
        return False


def _text(archive: Archive, name: str) -> str:
    """A metadata file of the wheel as text."""
    member = archive[name]
    if member.size > _METADATA_LIMIT:
        raise BadArchive(archive.label, f"has a {name} of {member.size} bytes")
    try:
        return content_bytes(member.content, archive.label).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadArchive(archive.label, f"has a {name} that is not UTF-8") from None


def _check_version(archive: Archive, info: str) -> None:
    found = re.search(r"^Wheel-Version:\s*(\S+)\s*$", _text(archive, f"{info}/WHEEL"), re.MULTILINE | re.IGNORECASE)
    if found is None or found[1].partition(".")[0] != "1":
        version = found[1][:20] if found else "nothing"
        raise BadArchive(archive.label, f"states {version} as its Wheel-Version; this stager reads 1.x")


def _checked_record(archive: Archive, info: str) -> dict[str, Row]:
    """RECORD by file name, after checking that it and the archive list the same files."""
    record = _record_rows(archive, f"{info}/RECORD")
    unlisted = {f"{info}/{name}" for name in _UNLISTED}
    for member in archive.members:
        if member.is_link:
            raise UnsafeEntry(archive.label, member.name, "is a symlink, which a wheel cannot have")
        if member.name in unlisted:
            continue
        if member.name not in record:
            raise UnsafeEntry(archive.label, member.name, "is not listed in RECORD")
        digest, size = record[member.name]
        if _is_dropped(archive, member.name, info):
            continue
        if not digest.startswith(_STRONG):
            raise UnsafeEntry(archive.label, member.name, "has no sha256 in RECORD")
        if size and size != str(member.size):
            raise UnsafeEntry(archive.label, member.name, f"has {member.size} bytes, not {size[:20]} as in RECORD")
    absent = record.keys() - {member.name for member in archive.members} - unlisted
    absent = {name for name in absent if not name.endswith(".pyc")}
    if absent:
        raise BadArchive(archive.label, f"lacks {min(absent)!r}, which RECORD lists")
    return record


def _record_rows(archive: Archive, name: str) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    try:
        for row in csv.reader(io.StringIO(_text(archive, name), newline=""), strict=True):
            if not row or row[0].endswith("/"):
                continue
            file, digest, size = row
            if rows.setdefault(file, (digest, size)) != (digest, size):
                raise BadArchive(archive.label, f"lists {file!r} twice in RECORD")
    except (csv.Error, ValueError):
        raise BadArchive(archive.label, "has a malformed RECORD") from None
    return rows


def _place(archive: Archive, member: Member, info: str, record: Mapping[str, Row]) -> Iterator[PlacedFile]:
    """Where a member goes: nowhere, to one place, or as a Python script to two."""
    first, _, rest = member.name.partition("/")
    if _is_dropped(archive, member.name, info):
        return
    row = record[member.name]
    if not rest or not first.endswith(".data"):
        yield PlacedFile(f"{SITE}/{member.name}", row, member.content, member.executable, row[0])
        return
    kind, _, name = rest.partition("/")
    if kind == "scripts":
        yield from _script(archive, member, name, row)
        return
    prefix = _prefix(kind, info)
    if prefix is None or not name:
        raise UnsafeEntry(archive.label, member.name, f"is data of the unknown kind {kind[:50]!r}")
    yield PlacedFile(prefix + name, row, member.content, member.executable, row[0])


def _prefix(kind: str, info: str) -> str | None:
    """Where the files of a `.data` folder go."""
    name = _normal(info.removesuffix(".dist-info").rpartition("-")[0])
    return {"purelib": f"{SITE}/", "platlib": f"{SITE}/", "headers": f"include/{name}/", "data": ""}.get(kind)


def _is_dropped(archive: Archive, name: str, info: str) -> bool:
    """Whether a member goes nowhere."""
    first, _, rest = name.partition("/")
    return (first == info and rest in _REPLACED) or _is_bytecode(archive, name)


def _is_bytecode(archive: Archive, name: str) -> bool:
    """Whether a member is a cache of bytecode; a module that exists as bytecode only is not."""
    if "__pycache__/" in name:
        return "__pycache__" in name.split("/")
    return name.endswith(".pyc") and archive.get(name[:-1]) is not None


def _script(archive: Archive, member: Member, name: str, row: Row) -> Iterator[PlacedFile]:
    """A command. One that starts with `#!python` is run by the droplet's interpreter through a launcher."""
    if not launcher.is_command(name):
        raise UnsafeEntry(archive.label, member.name, "has a name that no command can have")
    head = next(content_chunks(member.content, 4096, archive.label), b"")
    if not re.match(rb"#!pythonw?[\s]", head):
        yield PlacedFile(f"bin/{name}", row, member.content, True, row[0])
        return
    yield PlacedFile(f"libexec/{name}", row, member.content, True, row[0])
    yield _generated(f"bin/{name}", launcher.script(name).encode(), True)


def _entry_points(archive: Archive, info: str) -> Iterator[PlacedFile]:
    """The launchers of `entry_points.txt`."""
    file = f"{info}/entry_points.txt"
    if archive.get(file) is None:
        return
    for name, reference in launcher.parse_entry_points(_text(archive, file)):
        text = launcher.entry_point(reference)
        if text is None or not launcher.is_command(name):
            raise UnsafeEntry(
                archive.label, file, f"names a command that cannot be: {name[:50]!r} = {reference[:80]!r}"
            )
        yield _generated(f"bin/{name}", text.encode(), True)


def _generated(path: str, data: bytes, executable: bool = False) -> PlacedFile:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return PlacedFile(path, (f"sha256={digest}", str(len(data))), data, executable)


def _new_record(files: Iterable[PlacedFile], info: str) -> PlacedFile:
    """RECORD as it is after installation: every file at its place, relative to `site-packages`, sorted by bytes."""
    rows = [(_relative(file.path), *file.row) for file in files]
    rows.append((f"{info}/RECORD", "", ""))
    rows.sort(key=lambda row: row[0].encode())
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return PlacedFile(f"{SITE}/{info}/RECORD", ("", ""), out.getvalue().encode(), False)


def _relative(path: str) -> str:
    return path.removeprefix(f"{SITE}/") if path.startswith(f"{SITE}/") else f"../{path}"
