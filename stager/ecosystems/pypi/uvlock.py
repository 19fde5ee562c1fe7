"""Reading `uv.lock` (version 1, any revision): a graph of packages, walked from the project for one target.

The lock is universal: edges carry markers, and one name may occur in several versions, which edges tell apart by
`version` and `source`. Where extras or groups were declared to conflict, markers speak of them in an encoded form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import NoneType
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from stager.ecosystems.repository import Repository, locked
from stager.errors import BadLock, BadManifest
from stager.text.source_lines import line_of
from stager.text.typed import Node

from .document import lines_of, read, toml
from .folders import folder_path
from .graph import reachable
from .pins import DistributionFile, Pin, Reading, filename_of, normalise, of_repository
from .target import Markers, Target

if TYPE_CHECKING:
    from stager.tree import SourceTree

_LOCAL = ("virtual", "editable", "directory")
Place = tuple[int, str]
"""A package's position in the lock, and the extra of it that is wanted ("" for the package itself)."""


def read_uv(tree: SourceTree, lock: str, target: Target, groups: Sequence[str], extras: Sequence[str]) -> Reading:
    """What `uv.lock` installs for the target: the project's dependencies, and the groups and extras asked for.

    Raises BadLock for a lock of another version, or one that contradicts itself, and BadManifest when extras or groups are
    asked for that are declared to exclude one another.
    """
    graph = _Graph(toml(tree, lock), read(tree, lock), target)
    asked = [normalise(extra, lock) for extra in extras]
    places = graph.walk([normalise(group, lock) for group in groups], asked)
    graph.check_conflicts()
    graph.check_recorded(places, asked)
    pins, folders, needs = [], [], []
    for index in sorted({index for index, _ in places}):
        package, (kind, where) = graph.packages[index], graph.source(index)
        if kind in ("editable", "directory"):
            folders.append((graph.name(package), folder_path(tree, where, lock, graph.line(index))))
        elif kind == "git":
            version, line = package.str("version", ""), graph.line(index)
            source = _repository(where, lock, graph.label(package), line)
            pins.append(of_repository(graph.name(package), version, source, line))
        elif kind == "path" and not (package.list("wheels") or package.get("sdist")):
            needs.append((graph.label(package), "only an sdist"))
        elif kind != "virtual":
            pins.append(graph.pin(index))
    return Reading(tuple(pins), tuple(folders), tuple(needs))


class _Graph:
    """The packages of one lock and how they lead to each other."""

    def __init__(self, document: Node, text: str, target: Target) -> None:
        self.lock, self.text, self.document = document.file, text, document
        version = document.int("version")
        if version != 1:
            hint = "Run 'uv lock' with a version of uv that writes version 1."
            raise BadLock(self.lock, f"is of version {version}; this stager reads version 1", hint, 1)
        self.packages = document.list("package")
        self.lines = lines_of(text, "[[package]]")
        self.target, self.markers = target, Markers(target, self.lock)
        self.active: frozenset[str] = frozenset()
        self.by_name: dict[str, list[int]] = {}
        for index, package in enumerate(self.packages):
            self.by_name.setdefault(self.name(package), []).append(index)
        self._check_environments(target)

    def name(self, package: Node) -> str:
        return normalise(package.str("name"), self.lock)

    def label(self, package: Node) -> str:
        version = package.str("version", "")
        return f"{self.name(package)}=={version}" if version else self.name(package)

    def line(self, index: int) -> int | None:
        """The line where a package's table begins."""
        return self.lines[index] if index < len(self.lines) else None

    def source(self, index: int) -> tuple[str, str]:
        """(kind, place) of a package's source; kind is one of registry, url, path, git and the local ones."""
        source = self.packages[index].at("source")
        for kind in ("registry", "git", "url", "path", *_LOCAL):
            if place := source.str(kind, ""):
                return kind, place
        why = f"{self.label(self.packages[index])} has an unknown kind of source"
        raise BadLock(self.lock, why, line=self.line(index))

    def pin(self, index: int) -> Pin:
        """A package that is not a folder of the app."""
        package, (kind, where) = self.packages[index], self.source(index)
        direct = kind in ("url", "path")
        nodes = [*package.list("wheels"), *filter(None, [package.get("sdist")])]
        files = tuple(_file(node, where if direct else "") for node in nodes)
        indexes = () if direct else (where,)
        return Pin(self.name(package), package.str("version"), files, (), indexes, direct, self.line(index))

    def walk(self, groups: Sequence[str], extras: Sequence[str]) -> list[Place]:
        """Every (package, extra) to install. Repeated while conflict markers learn of further extras."""
        roots = self._roots()
        asked = [place for extra in extras for place in self._extra_places(roots, extra)]
        while True:
            start = [*((root, "") for root in roots), *asked, *self._group_places(roots, groups)]
            found = reachable(start, self._edges)
            active = self.active | self._encoded(found, roots, groups)
            if active == self.active or self.document.get("conflicts") is None:
                return found
            self.active = active

    def check_conflicts(self) -> None:
        """No two of what the project declares to exclude one another may be in use."""
        for row in self.document.list("conflicts"):
            used = [label for label, mark in map(_conflicting, row) if mark in self.active]
            if len(used) > 1:
                why = f"{' and '.join(used)} exclude one another: the project declares them as conflicts"
                hint = "Keep one of them in python.extras and python.groups (which adds to uv's default groups)."
                line = line_of(self.text, "^conflicts")
                raise BadManifest("stager.yml", f"{why} ({self.lock}:{line})", hint)

    def check_recorded(self, places: Iterable[Place], extras: Sequence[str]) -> None:
        """Raise BadLock when a project's requirement, as recorded, holds on the target and leads nowhere."""
        here = {self.name(self.packages[index]) for index, _ in places}
        manifest = self.document.get("manifest") or Node({}, self.lock)
        settings = [*manifest.list("overrides"), *manifest.list("excludes")]
        changed = {node.value if isinstance(node.value, str) else node.str("name") for node in settings}
        for root in self._roots():
            metadata = self.packages[root].get("metadata") or Node({}, self.lock)
            for wanted in metadata.list("requires-dist"):
                name = normalise(wanted.str("name"), self.lock)
                if name in here or name in changed or not self.markers(wanted.str("marker", ""), frozenset(extras)):
                    continue
                asker = self.name(self.packages[root])
                why = f"was not made for {self.target.words}: {name} is missing, which {asker} asks for"
                hint = "Extend tool.uv.environments in pyproject.toml if it is there, then run 'uv lock --upgrade'."
                raise BadLock(self.lock, why, hint, self.line(root))

    def _roots(self) -> list[int]:
        """The project at the lock's folder; in a workspace without one, all members."""
        local = [index for index in range(len(self.packages)) if self.source(index)[0] in _LOCAL]
        here = [index for index in local if self.source(index)[1] == "."]
        manifest = self.document.get("manifest")
        members = {normalise(name, self.lock) for name in manifest.strings("members")} if manifest else set()
        roots = here or [index for index in local if self.name(self.packages[index]) in members]
        if not roots:
            raise BadLock(self.lock, "has no package for this project", "Run 'uv lock' and commit the result.")
        return roots

    def _extra_places(self, roots: Iterable[int], extra: str) -> list[Place]:
        known = [(root, extra) for root in roots if extra in self._extras(self.packages[root])]
        if not known:
            names = sorted({name for root in roots for name in self._extras(self.packages[root])})
            self._unknown("extra", extra, names)
        return known

    def _extras(self, package: Node) -> dict[str, Node]:
        table = package.table("optional-dependencies")
        metadata = package.get("metadata")
        empty = (
            {normalise(e, self.lock): Node([], self.lock) for e in metadata.strings("provides-extras")}
            if metadata
            else {}
        )
        return {**empty, **{normalise(extra, self.lock): node for extra, node in table.items()}}

    def _group_places(self, roots: Iterable[int], groups: Iterable[str]) -> Iterator[Place]:
        tables = [
            {normalise(g, self.lock): n for g, n in self.packages[r].table("dev-dependencies").items()} for r in roots
        ]
        empty = {normalise(group, self.lock) for root in roots for group in self._empty_groups(self.packages[root])}
        manifest = self.document.get("manifest")
        shared = manifest.table("dependency-groups") if manifest else {}
        tables.append({normalise(group, self.lock): node for group, node in shared.items()})
        for group in groups:
            if group not in empty and not any(group in table for table in tables):
                self._unknown("group", group, sorted(empty.union(*tables)))
            for table in tables:
                for dependency in table.get(group, ()):
                    yield from self._targets(dependency)

    def _empty_groups(self, package: Node) -> Iterable[str]:
        metadata = package.get("metadata")
        return metadata.table("requires-dev") if metadata else ()

    def _unknown(self, what: str, asked: str, known: Sequence[str]) -> None:
        hint = f"It has: {', '.join(known) or 'none'}. Correct python.{what}s in stager.yml, or run 'uv lock'."
        raise BadLock(self.lock, f"has no {what} {asked!r}", hint)

    def _edges(self, place: Place) -> Iterator[Place]:
        package, extra = self.packages[place[0]], place[1]
        dependencies: Iterable[Node] = package.list("dependencies")
        if extra:
            dependencies = self._extras(package).get(extra, ())
        for dependency in dependencies:
            yield from self._targets(dependency)

    def _targets(self, dependency: Node) -> Iterator[Place]:
        """Where a dependency leads: the package and each extra it asks for; nowhere when its marker is false."""
        name = normalise(dependency.str("name"), self.lock)
        if self.markers(dependency.str("marker", ""), self.active, what=name):
            index = self._resolve(name, dependency)
            yield index, ""
            for extra in _listed(dependency, "extra") + _listed(dependency, "extras"):
                yield index, normalise(extra, self.lock)

    def _resolve(self, name: str, dependency: Node) -> int:
        version, source = dependency.str("version", ""), dependency.get("source")
        fitting = [
            index
            for index in self.by_name.get(name, ())
            if version in ("", self.packages[index].str("version", ""))
            and (source is None or source.value == self.packages[index].at("source").value)
        ]
        if len(fitting) > 1:
            fitting = [index for index in fitting if self._in_fork(self.packages[index])]
        if len(fitting) != 1:
            why = f"{len(fitting)} packages" if fitting else "no package"
            wanted = f"{name}=={version}" if version else name
            raise BadLock(self.lock, f"{dependency.path}: {why} for the dependency {wanted}", line=self._line_for(name))
        return fitting[0]

    def _line_for(self, name: str) -> int | None:
        return line_of(self.text, rf'\{{ name = "{name}"')

    def _in_fork(self, package: Node) -> bool:
        markers = package.strings("resolution-markers")
        return not markers or any(self.markers(marker, self.active) for marker in markers)

    def _encoded(self, places: Iterable[Place], roots: Iterable[int], groups: Iterable[str]) -> frozenset[str]:
        """Projects, extras and groups in use, as uv writes them into conflict markers: `extra-4-demo-cpu`."""
        names = [(self.name(self.packages[index]), extra) for index, extra in places]
        projects = [f"project-{len(name)}-{name}" for name, extra in names if not extra]
        extras = [f"extra-{len(name)}-{name}-{extra}" for name, extra in names if extra]
        owners = [self.name(self.packages[root]) for root in roots]
        return frozenset([*projects, *extras, *(f"group-{len(o)}-{o}-{g}" for o in owners for g in groups)])

    def _check_environments(self, target: Target) -> None:
        markers = self.document.strings("supported-markers")
        if markers and not any(self.markers(marker) for marker in markers):
            hint = "Extend tool.uv.environments in pyproject.toml, then run 'uv lock'."
            why = f"was not made for {target.label}: its environments are {'; '.join(markers)[:300]}"
            raise BadLock(self.lock, why, hint, line_of(self.text, "^supported-markers"))


def _repository(text: str, lock: str, label: str, line: int | None) -> Repository:
    """A git source: `URL?rev=…&subdirectory=FOLDER#COMMIT`."""
    place, _, commit = text.partition("#")
    address, _, query = place.partition("?")
    folder = parse_qs(query).get("subdirectory", [""])[0]
    return locked(address, commit, folder, lock, label, "Run 'uv lock' and commit the result.", line)


def _conflicting(member: Node) -> tuple[str, str]:
    """What a member of a conflict is called, and how `_Graph.active` has it."""
    package = member.str("package")
    for kind in ("extra", "group"):
        if name := member.str(kind, ""):
            return f"{kind} {name}", f"{kind}-{len(package)}-{package}-{name}"
    return package, f"project-{len(package)}-{package}"


def _listed(node: Node, key: str) -> list[str]:
    """A member that is a string or a list of strings; absent means empty."""
    member = node.get(key)
    if member is not None and isinstance(member.value, str):
        return [member.value]
    return node.strings(key)


def _file(node: Node, source: str) -> DistributionFile:
    """A file of a package; `source` is the URL or path that the package comes from, when it is not an index."""
    found = node.value
    if not source and isinstance(found, dict):  # the usual entry, of which a lock has thousands
        url, hash_text, size = found.get("url"), found.get("hash"), found.get("size")
        if type(url) is str and type(hash_text) is str and type(size) in (int, NoneType) and "filename" not in found:
            return DistributionFile(filename_of(url), hash_text, size, url)
    url = node.str("url", "") or node.str("path", "") or source
    name = node.str("filename", "") or filename_of(url)
    return DistributionFile(name, node.str("hash", ""), node.int("size", None), url)
