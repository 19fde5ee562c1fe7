"""Unpacking an npm tarball: the files npm would write, with the modes it would give them.

npm's rules (pacote, bin-links): the first part of every name goes; links are dropped; a `.gitignore` becomes an
`.npmignore` unless there is one; files named in `bin` are executable and lose the carriage return of a `#!` line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from stager.ecosystems import repository
from stager.ecosystems.errors import Mislabelled
from stager.formats.archive import Archive, HeldArchive, content_bytes, content_chunks, read_tar
from stager.formats.errors import BadArchive, UnsafeEntry
from stager.formats.tar import Deflated, PieceFile, Span, Unpacked
from stager.model import Artifact

from ...text import parsing
from .bins import tidy
from .cures import packed as packed_first
from .names import base_name, from_purl
from .packing import check_ready, packed
from .platform import Needs
from .pnpm_layout import STORE
from .said import PackageSaid

_MANIFEST_LIMIT = 4 << 20
_SCRIPTS = ("preinstall", "install", "postinstall")
_BUNDLED = re.compile(r"(?:node_modules/(?:@[^/]+/)?[^@/][^/]*/)+package\.json")
_HASHBANG = re.compile(rb"#![^\n]+\r\n")
Content = bytes | Span | Deflated
Files = dict[str, tuple[Content, bool]]
"""Path in the package to content and whether it is executable."""


def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    """The files of a package tarball at `path` (layout `npm/1`), and what later steps need to know of it.

    `meta` is a `PackageSaid` as JSON. Raises BadArchive, UnsafeEntry, and Mislabelled when the package inside is not the one
    that the lock asks for.
    """
    archive = read_tar(blob, artifact.name, "gz")
    try:
        files, dropped = _stripped(archive, artifact.name)
        if not path.startswith(f"{STORE}/"):  # pnpm leaves them as they are
            _rename_ignores(files)
        inside = _manifest(files, "package.json", artifact.name)
        check_identity(inside, artifact)
        said = _said(inside, files, dropped, artifact.name)
        _mend_bins(files, said, artifact.name)
    except BaseException:
        archive.close()
        raise
    entries = [PieceFile(f"{path}/{name}", content, executable) for name, (content, executable) in files.items()]
    return Unpacked(entries, {}, said.to_json(), (archive,))


def unpack_commit(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    """The files of a commit that are its package, at `path` (layout `npm-commit/1`), as `unpack` has those of a tarball.

    Raises as it does, and NeedsBuild for a package that its scripts make first.
    """
    archive = read_tar(blob, artifact.name, "")
    try:
        files, dropped = _stripped(archive, artifact.name)
        inside = _manifest(files, "package.json", artifact.name)
        check_identity(inside, artifact)
        check_ready(
            inside, artifact.name, packed_first("", "git+{0.url}#{0.commit}".format(repository.of(artifact.url)))
        )
        ignores = {name for name in files if name.rpartition("/")[2] in (".npmignore", ".gitignore")}
        texts = {name: content_bytes(files[name][0], artifact.name) for name in ignores}
        kept = packed(files, inside, texts)
        files = {name: found for name, found in files.items() if name in kept}
        said = _said(inside, files, dropped, artifact.name)
        _mend_bins(files, said, artifact.name)
    except BaseException:
        archive.close()
        raise
    entries = [PieceFile(f"{path}/{name}", content, executable) for name, (content, executable) in files.items()]
    return Unpacked(entries, {}, said.to_json(), (archive,))


def _stripped(archive: Archive, label: str) -> tuple[Files, int]:
    files: Files = {}
    dropped = 0
    for member in archive.members:
        name = member.name.partition("/")[2]
        if member.target:
            dropped += 1
        elif name:
            if name in files:
                raise UnsafeEntry(label, member.name, "is there twice once the first folder is taken away")
            files[name] = (member.content, member.executable)
    return files, dropped


def _rename_ignores(files: Files) -> None:
    for name in [name for name in files if name.rpartition("/")[2] == ".gitignore"]:
        found, place = files.pop(name), name.removesuffix(".gitignore") + ".npmignore"
        files.setdefault(place, found)


def _manifest(files: Files, name: str, label: str) -> Mapping[str, object]:
    if name not in files:
        raise BadArchive(label, f"has no {name}")
    return manifest_of(files[name][0], name, label)


def manifest_of(content: Content, name: str, label: str) -> Mapping[str, object]:
    """A `package.json` as the table it must be. Raises BadArchive."""
    data = content_bytes(content, label)
    if len(data) > _MANIFEST_LIMIT:
        raise BadArchive(label, f"its {name} is {len(data)} bytes; the limit is {_MANIFEST_LIMIT}")
    try:
        value = parsing.json(data)
    except (ValueError, RecursionError) as error:
        raise BadArchive(label, f"its {name} is not valid JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise BadArchive(label, f"its {name} is not a table")
    return value


def check_identity(inside: Mapping[str, object], artifact: Artifact) -> None:
    """Raise Mislabelled unless a package.json has the name and version of the artifact's package URL.

    Versions are compared as semver reads them loosely, as pnpm does, which looks at this, too; names with their case, since
    the registry has names that differ in nothing else. For an alias the package URL has the real name.
    """
    try:
        name, version = from_purl(artifact.purl.partition("?")[0])
    except ValueError:
        raise Mislabelled(artifact.name, "its layout", "npm", artifact.purl) from None
    found, release = str(inside.get("name") or "").strip(), str(inside.get("version") or "")
    if found != name or (version and _plain(release) != _plain(version)):
        asked = f"{name}@{version}" if version else name
        raise Mislabelled(artifact.name, "its package.json", f"{found}@{release.strip()}", asked)


def _plain(version: str) -> str:
    """A version as semver (2.0.0, loosely read) compares it: no `v`, no build metadata, no leading zeros."""
    text = version.strip().lstrip("=v \t").partition("+")[0]
    found = re.fullmatch(r"(\d{1,16})\.(\d{1,16})\.(\d{1,16})(?:-?([0-9A-Za-z.-]+))?", text)
    if not found:
        return text
    release = ".".join(str(int(part)) for part in found.groups()[:3])
    return f"{release}-{found[4]}" if found[4] else release


def _said(inside: Mapping[str, object], files: Files, dropped: int, label: str) -> PackageSaid:
    scripts = _table(inside, "scripts")
    wants = _table(inside, "optionalDependencies")
    return PackageSaid(
        name=str(inside.get("name")),
        version=str(inside.get("version") or ""),
        bin=_bin(inside, files),
        install=tuple(name for name in _SCRIPTS if scripts.get(name)),
        native=_native(inside, scripts, files),
        prebuilt=tuple(sorted(name for name in files if name.endswith(".node"))),
        needs=tuple(sorted(name for name in _table(inside, "dependencies") if name not in wants)),
        wants=tuple(sorted(wants)),
        runs_on=Needs(*(_listed(inside.get(key)) for key in ("os", "cpu", "libc"))),
        bundled=_bundled(files, label),
        dropped=dropped,
    )


def _listed(value: object) -> tuple[str, ...]:
    """A list of words that may be written as one."""
    words = value if isinstance(value, list) else [value]
    return tuple(word for word in words if isinstance(word, str))


def _table(inside: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = inside.get(key)
    return value if isinstance(value, dict) else {}


def _bin(inside: Mapping[str, object], files: Files) -> dict[str, str]:
    """The `bin` table, or the files of `directories.bin`; only what is there."""
    if inside.get("bin"):
        return _present(tidy(inside["bin"], str(inside.get("name", ""))), files, "")
    folder = next(iter(tidy({"x": _table(inside, "directories").get("bin")}).values()), "")
    within = [path for path in files if folder and path.startswith(f"{folder}/") and "/." not in path]
    return _present(tidy({path.rpartition("/")[2]: path for path in sorted(within, key=str.encode)}), files, "")


def _present(table: Mapping[str, str], files: Files, prefix: str) -> dict[str, str]:
    return {command: table[command] for command in sorted(table, key=str.encode) if prefix + table[command] in files}


def _native(inside: Mapping[str, object], scripts: Mapping[str, object], files: Files) -> str:
    if "binding.gyp" not in files or inside.get("gypfile") is False:
        return ""
    if scripts.get("install") or scripts.get("preinstall"):
        return "its install script compiles an add-on"
    return "it has a binding.gyp"


def _bundled(files: Files, label: str) -> dict[str, dict[str, str]]:
    found = {}
    for name in sorted(files, key=str.encode):
        if _BUNDLED.fullmatch(name):
            folder = name.removesuffix("/package.json")
            inside = _manifest(files, name, label)
            table = _present(tidy(inside.get("bin"), base_name(folder)), files, f"{folder}/")
            if table:
                found[folder] = table
    return found


def _mend_bins(files: Files, said: PackageSaid, label: str) -> None:
    tables = (("", said.bin), *said.bundled.items())
    for target in [f"{folder}/{file}".lstrip("/") for folder, table in tables for file in table.values()]:
        content = files[target][0]
        head = next(content_chunks(content, 2048, label), b"")
        if _HASHBANG.match(head):
            content = content_bytes(content, label).replace(b"\r\n", b"\n", 1)
        files[target] = (content, True)
