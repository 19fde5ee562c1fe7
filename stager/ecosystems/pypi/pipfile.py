"""Reading `Pipfile.lock` (pipfile-spec 6): a flat list whose hashes have no file names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stager.ecosystems.repository import locked
from stager.errors import BadLock
from stager.text.source_lines import line_of
from stager.text.typed import Node

from .document import parse_json, read
from .folders import folder_path
from .pins import DistributionFile, Pin, Reading, filename_of, is_sdist, normalise, of_repository
from .target import Markers, Target

if TYPE_CHECKING:
    from stager.tree import SourceTree

_SECTIONS = {"dev": "develop", "dev-packages": "develop", "packages": "default", "main": "default"}


def read_pipfile(tree: SourceTree, lock: str, target: Target, groups: Sequence[str], extras: Sequence[str]) -> Reading:
    """What `Pipfile.lock` installs: its default section, and the categories asked for as groups (`dev` is develop).

    Raises BadLock for another pipfile-spec or an unknown category; a Pipfile has no extras.
    """
    document, text = parse_json(tree, lock), read(tree, lock)
    meta = document.at("_meta")
    if meta.int("pipfile-spec", 6) != 6:
        raise BadLock(lock, f"is of pipfile-spec {meta.int('pipfile-spec')}; this stager reads 6")
    if extras:
        raise BadLock(lock, f"has no extra {extras[0]!r}", "Correct python.extras in stager.yml.")
    reader = _Reader(tree, lock, text, Markers(target, lock), _sources(meta))
    for section in dict.fromkeys(["default", *(_SECTIONS.get(group, group) for group in groups)]):
        if section not in document.value or section == "_meta":
            raise BadLock(
                lock, f"has no group {section!r}", "Correct python.groups in stager.yml, or run 'pipenv lock'."
            )
        for name, entry in document.table(section).items():
            reader.add(name, entry)
    pins, folders = tuple(reader.pins.values()), tuple(reader.folders)
    return Reading(pins, folders, (), tuple(reader.unpinned), left=tuple(reader.left))


def _sources(meta: Node) -> dict[str, str]:
    return {source.str("name", ""): source.str("url") for source in meta.list("sources")}


class _Reader:
    """Sorts the entries of the sections into pins, folders and the rest."""

    def __init__(self, tree: SourceTree, lock: str, text: str, markers: Markers, sources: dict[str, str]) -> None:
        self.tree, self.lock, self.text, self.markers, self.sources = tree, lock, text, markers, sources
        self.pins: dict[str, Pin] = {}
        self.folders: list[tuple[str, str]] = []
        self.unpinned: list[str] = []
        self.left: list[tuple[str, str]] = []

    def add(self, written: str, entry: Node) -> None:
        name = normalise(written, self.lock)
        if not self.markers(entry.str("markers", ""), what=name):
            self.left.append((name, entry.str("markers")))
            return
        path = entry.str("path", "") or _local(entry.str("file", ""))
        if entry.get("git") is not None:
            again, line = "Run 'pipenv lock' and commit the result.", self._line(written)
            ref, folder = entry.str("ref", ""), entry.str("subdirectory", "")
            source = locked(entry.str("git"), ref, folder, self.lock, name, again, line)
            self.pins[name] = of_repository(name, "", source, line)
        elif path and not (path.endswith(".whl") or is_sdist(path)):
            self.folders.append((name, folder_path(self.tree, path, self.lock, self._line(written))))
        else:
            self._pin(name, entry, path or entry.str("file", ""), self._line(written))

    def _pin(self, name: str, entry: Node, url: str, line: int | None) -> None:
        hashes: tuple[str, ...] = tuple(entry.strings("hashes"))
        if url:
            filename = filename_of(url)
            version = filename.split("-")[1] if filename.count("-") > 1 else ""
            files = tuple(DistributionFile(filename, text, None, url) for text in hashes[:1])
            pin = Pin(name, version, files, direct=True, line=line)
        else:
            version = entry.str("version", "")
            if not version.startswith("==") or "*" in version or not hashes:
                self.unpinned.append(f"{name}{version}")
                return
            pin = Pin(name, version.lstrip("="), (), hashes, self._index(entry), line=line)
        known = self.pins.setdefault(name, pin)
        if known.version != pin.version:
            raise BadLock(self.lock, f"{known} and {pin} would both be installed", line=line)

    def _index(self, entry: Node) -> tuple[str, ...]:
        """The index of an entry: the named one, else all of the Pipfile, first to last."""
        named = entry.str("index", "")
        if not named:
            return tuple(self.sources.values())
        if named not in self.sources:
            entry.fail(f"names the index {named!r}, which _meta.sources does not have")
        return (self.sources[named],)

    def _line(self, written: str) -> int | None:
        return line_of(self.text, rf'^\s*"{re.escape(written)}": \{{')


def _local(file: str) -> str:
    """A `file` entry when it is a path rather than a URL to fetch."""
    if file.startswith("file:"):
        return file.removeprefix("file:").removeprefix("//")
    return "" if "://" in file else file
