"""The contract between a droplet's files and the base below them: sonames, symbol versions, program interpreters.

What a droplet needs is read from its ELF files, what a base offers from the libraries in the folders that the loader
searches (ld.so(8)); nothing is run. A library that the droplet brings itself counts as there. Left out of the account are
files that no process of the droplet can load: those of other machines, and those for musl.
Formats: System V ABI; LSB core 10.7 (symbol versions); OCI image-spec, layer.md ("Whiteouts").
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ...digest import key_of
from ...errors import CannotWrite
from ...formats import elf
from ...formats.errors import BadArchive
from ...formats.tar_reader import TarEntry, read_entries
from ...stacks.errors import BadImage
from ...store import Store
from ...text import resources
from .compose import ImageBase
from .errors import WrongArchitecture, WrongBase
from .image import Blob
from .inflating import plain

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_ARCHITECTURES = {machine: architecture for architecture, machine in _MACHINES.items()}
_FOLDERS = re.compile(r"(usr/)?(local/)?lib(32|64|x32)?/([a-z0-9_]+-linux-gnu[a-z0-9_]*/)?[^/]+")
"""Where the loader looks by itself, on Debian's and on Red Hat's layout."""
_VERDEF, _VERDEFNUM, _BASE = 0x6FFFFFFC, 0x6FFFFFFD, 1
_LARGEST = 1 << 29
"""Bytes of a file beyond which it is not looked at."""
_MEMO = "abi/1"


@dataclass(slots=True)
class LayerAbi:
    """What one layer holds, as far as the loader cares; JSON-able by `record`.

    `files`: path → [machine, soname, needed, versions asked for, versions defined, interpreter]; `links`: path → target;
    `gone`: paths that a whiteout removes from the layers below.
    """

    files: dict[str, list[Any]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The facts as a memo holds them."""
        return {"files": self.files, "links": self.links, "gone": self.gone}


def of_layer(layer: Blob, store: Store | None) -> LayerAbi:
    """The facts of a layer, remembered by its diffID. Raises BadImage for a layer that is no tar."""
    key = key_of(_MEMO, layer.diff_id)
    memo = store.recall("abi", key) if store else None
    if isinstance(memo, dict):
        return LayerAbi(**memo)
    try:
        facts = scan(plain(layer), layer.digest)
    except BadArchive as problem:
        raise BadImage(layer.digest, problem.message) from None
    if store:
        with suppress(CannotWrite):  # a memo may always be missing
            store.remember("abi", key, facts.record())
    return facts


class _Contents(dict[str, list[bytes]]):
    """Has `read_entries` keep the content of every file, one at a time."""

    def __init__(self) -> None:
        super().__init__({"": []})
        self.parts: list[bytes] = []

    def get(self, *_: Any) -> list[bytes]:
        self.parts = _Start()
        return self.parts


class _Start(list[bytes]):
    """Collects an ELF file's parts, and of any other file only the first."""

    def append(self, part: bytes) -> None:
        if not self or (elf.is_elf(self[0]) and len(self) < _LARGEST >> 20):
            super().append(part)


def scan(tar: Iterable[bytes], label: str) -> LayerAbi:
    """The facts of a layer's uncompressed tar. Raises BadArchive for what is no tar."""
    facts, contents = LayerAbi(), _Contents()
    for entry in read_entries(tar, label, contents=False, keep=contents):
        path = _clean(entry.name)
        folder, _, name = path.rpartition("/")
        if name.startswith(".wh."):
            facts.gone.append(f"{folder}/" if name == ".wh..wh..opq" else f"{folder}/{name[4:]}".lstrip("/"))
        elif entry.kind == "link":
            facts.links[path] = entry.link
        elif entry.kind == "hardlink" and _clean(entry.link) in facts.files:
            facts.files[path] = facts.files[_clean(entry.link)]
        elif found := _facts(entry, contents):
            facts.files[path] = found
        contents.parts = []
    return facts


def _clean(name: str) -> str:
    return os.path.normpath(name).lstrip("/")


def _facts(entry: TarEntry, contents: _Contents) -> list[Any] | None:
    data = b"".join(contents.parts) if entry.kind == "file" and entry.size else b""
    if not elf.is_elf(data):
        return None
    try:
        found = elf.read(data, entry.name)
        defined = sorted(defined_versions(data, entry.name))
    except BadArchive:  # cut short or damaged: nothing can load it, so it needs nothing and offers nothing
        return None
    if found is None:
        return None
    return [found.machine, found.soname, list(found.needed), sorted(found.versions), defined, found.interpreter]


def defined_versions(data: bytes, label: str) -> Iterator[str]:
    """The symbol versions that a library defines (LSB core, 10.7.3), its own name left out."""
    reader = elf._Reader(data, label)
    reader.elf()
    first = dict(reversed(list(reader._dynamic())))
    place = reader._offset(first[_VERDEF]) if _VERDEF in first else 0
    for _ in range(min(first.get(_VERDEFNUM, 0), elf._MOST) if place else 0):
        _, flags, _, count, _, to_first, to_next = reader.unpack("HHHHIII", place)
        if count and not flags & _BASE:
            (name,) = reader.unpack("I", place + to_first)
            yield reader._string(name)
        place += to_next


# --- what is there, what is needed -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AbiOffer:
    """What a base offers a process: names of libraries, the versions they define, and its machine's architecture."""

    libraries: frozenset[str]
    versions: frozenset[str]
    architecture: str = ""

    @property
    def glibc(self) -> str:
        """The newest glibc version that is defined, such as `2.36`; empty without glibc."""
        found = [re.fullmatch(r"GLIBC_([0-9]{1,4})\.([0-9]{1,4})(?:\.[0-9]+)?", name) for name in self.versions]
        best = max(((int(one[1]), int(one[2])) for one in found if one), default=None)
        return f"{best[0]}.{best[1]}" if best else ""


def offer(layers: Sequence[Blob], store: Store | None) -> AbiOffer:
    """What a base's layers offer together, later ones lying over earlier ones."""
    files: dict[str, list[Any]] = {}
    links: dict[str, str] = {}
    for layer in layers:
        facts = of_layer(layer, store)
        for path in facts.gone:
            _remove(files, path)
            _remove(links, path)
        for path, row in facts.files.items():
            files[path] = row
            links.pop(path, None)
        for path, target in facts.links.items():
            links[path] = target
            files.pop(path, None)
    return _offered(files, links)


def _remove(table: dict[str, Any], path: str) -> None:
    for name in [one for one in table if one == path or one.startswith(path.rstrip("/") + "/")]:
        del table[name]


def _offered(files: dict[str, list[Any]], links: dict[str, str]) -> AbiOffer:
    libraries = {path: row for path, row in files.items() if _FOLDERS.fullmatch(path)}
    names = {path.rpartition("/")[2] for path in libraries} | {row[1] for row in libraries.values() if row[1]}
    for path, target in links.items():
        if _FOLDERS.fullmatch(path) and target.rpartition("/")[2] in names:
            names.add(path.rpartition("/")[2])
    versions = {version for row in libraries.values() for version in row[4]}
    machines = {row[0] for row in libraries.values() if row[1] == "libc.so.6" or row[1].startswith("ld-linux")}
    known = sorted(_ARCHITECTURES[machine] for machine in machines & _ARCHITECTURES.keys())
    return AbiOffer(frozenset(names), frozenset(versions), known[0] if len(known) == 1 else "")


Missing = list[tuple[str, list[str]]]
"""(what is missing, the droplet's files that need it), sorted."""


def missing(layers: Sequence[Blob], architecture: str, given: AbiOffer, store: Store | None) -> Missing:
    """What the droplet's layers need and neither bring themselves nor find in the base."""
    files: dict[str, list[Any]] = {}
    names: set[str] = set()
    for layer in layers:
        facts = of_layer(layer, store)
        files.update({path: row for path, row in facts.files.items() if row[0] == _MACHINES.get(architecture)})
        names.update(path.rpartition("/")[2] for path in facts.links)
    names.update(path.rpartition("/")[2] for path in files)
    names.update(row[1] for row in files.values() if row[1])
    versions = {version for row in files.values() for version in row[4]} | given.versions
    wanting: dict[str, list[str]] = {}
    for path, row in sorted(files.items()):
        for want in _wants(row, names | given.libraries, versions):
            wanting.setdefault(want, []).append(path)
    return sorted(wanting.items())


def _wants(row: list[Any], names: Iterable[str], versions: set[str]) -> Iterator[str]:
    _, _, needed, asked, _, interpreter = row
    wanted = [*needed, *([interpreter.rpartition("/")[2]] if interpreter else [])]
    if any(name.startswith(("libc.musl", "ld-musl")) or name == "libc.so" for name in wanted):
        return
    yield from (name for name in wanted if name.rpartition("/")[2] not in names)
    yield from (version for version in asked if version not in versions)


def check(
    base: ImageBase, layers: Sequence[Blob], architecture: str, store: Store | None, allowed: Sequence[str] = ()
) -> tuple[str, ...]:
    """Raise WrongBase when the droplet's `layers` need what the base does not have; remarks otherwise.

    `allowed` names sonames and versions that the app is known to do without. A base without layers is not checked.
    """
    if base.architecture not in ("", architecture):
        raise WrongArchitecture(base.name, architecture, base.architecture)
    if not base.layers:
        return ()
    given = offer(base.layers, store)
    found = [row for row in missing(layers, architecture, given, store) if row[0] not in allowed]
    if found:
        stack = base.name in resources.names("boxes")
        raise WrongBase(base.name, found, f"stager stage --stack {base.name}" if stack else "")
    return (f"the base has glibc {given.glibc}",) if given.glibc else ("the base has no glibc",)
