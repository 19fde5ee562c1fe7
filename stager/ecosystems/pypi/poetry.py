"""Reading `poetry.lock` (lock-version 1.x and 2.x).

From 2.1 on each package states its groups and the marker under which each needs it. Older locks only hold the graph, so
it is walked from the dependencies in `pyproject.toml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stager.ecosystems.repository import locked
from stager.errors import BadLock
from stager.text.typed import Node, whole

from .constraints import accepts
from .document import lines_of, read, toml
from .folders import folder_path
from .graph import reachable
from .manifest import DeclaredDependency, poetry_wanted
from .pins import DistributionFile, Pin, Reading, filename_of, normalise, of_repository
from .target import Markers, Target

if TYPE_CHECKING:
    from stager.tree import SourceTree


class PoetryPackage(NamedTuple):
    """One `[[package]]` of the lock."""

    name: str
    version: str
    node: Node
    line: int | None


def read_poetry(tree: SourceTree, lock: str, target: Target, groups: Sequence[str], extras: Sequence[str]) -> Reading:
    """What `poetry.lock` installs: the main group, and the groups and extras asked for.

    Raises BadLock for another lock-version, an unknown group or extra, or a dependency that is not in the lock.
    """
    document, text = toml(tree, lock), read(tree, lock)
    version = _lock_version(document)
    lines = lines_of(text, "[[package]]")
    packages = [
        PoetryPackage(
            normalise(node.str("name"), lock), node.str("version"), node, lines[i] if i < len(lines) else None
        )
        for i, node in enumerate(document.list("package"))
    ]
    markers = Markers(target, lock)
    asked = [normalise(group, lock) for group in groups]
    features = frozenset(_known_extras(document, extras, lock))
    if version >= (2, 1):
        chosen = _by_group(packages, document, markers, ["main", *asked], features)
    else:
        chosen = _by_walk(packages, poetry_wanted(tree, asked, features), markers, target, lock)
    left = _left(packages, markers, features, asked) if version >= (2, 1) else ()
    return _reading(tree, lock, document, chosen)._replace(left=tuple(left))


def _lock_version(document: Node) -> tuple[int, int]:
    metadata = document.at("metadata")
    text = metadata.str("lock-version", "1.0")
    major, _, minor = text.partition(".")
    number = whole(minor)
    if major not in ("1", "2") or number is None:
        hint = "Run 'poetry lock' with Poetry 1 or 2."
        raise BadLock(document.file, f"is of lock-version {text[:20]}; this stager reads 1 and 2", hint)
    return int(major), number


def _known_extras(document: Node, extras: Sequence[str], lock: str) -> list[str]:
    known = sorted({normalise(name, lock) for name in document.table("extras")})
    asked = [normalise(extra, lock) for extra in extras]
    for extra in asked:
        if extra not in known:
            hint = f"It has: {', '.join(known) or 'none'}. Correct python.extras in stager.yml, or run 'poetry lock'."
            raise BadLock(lock, f"has no extra {extra!r}", hint)
    return asked


def _by_group(
    packages: Sequence[PoetryPackage], document: Node, markers: Markers, groups: Sequence[str], extras: frozenset[str]
) -> list[PoetryPackage]:
    known = {normalise(group, document.file) for package in packages for group in package.node.strings("groups")}
    for group in groups:
        if group not in known and group != "main":
            hint = f"It has: {', '.join(sorted(known))}. Correct python.groups in stager.yml, or run 'poetry lock'."
            raise BadLock(document.file, f"has no group {group!r}", hint)
    return [package for package in packages if any(_applies(package, group, markers, extras) for group in groups)]


def _left(
    packages: Iterable[PoetryPackage], markers: Markers, extras: frozenset[str], groups: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """(name, marker) of what one of the groups asks for on other targets only."""
    for package in packages:
        for group in ("main", *groups):
            text = _marker(package, group)
            if text and not markers(text, extras, what=package.name):
                yield package.name, text


def _applies(package: PoetryPackage, group: str, markers: Markers, extras: frozenset[str]) -> bool:
    """Whether a group needs a package here; its marker is one for all groups or a table of one for each."""
    text = _marker(package, group)
    return text is not None and markers(text, extras, what=package.name)


def _marker(package: PoetryPackage, group: str) -> str | None:
    """The marker under which a group needs a package, empty for always; None when the group does not."""
    if group not in {normalise(name, package.node.file) for name in package.node.strings("groups")}:
        return None
    marker = package.node.get("markers")
    if marker is None:
        return ""
    return marker.value if isinstance(marker.value, str) else marker.str(group, "")


Place = tuple[int, str]


def _by_walk(
    packages: Sequence[PoetryPackage], roots: Iterable[DeclaredDependency], markers: Markers, target: Target, lock: str
) -> list[PoetryPackage]:
    """The packages that the project's dependencies lead to; places are (position in the lock, extra or "")."""

    def targets(wanted: DeclaredDependency, extras: frozenset[str]) -> Iterator[Place]:
        python = wanted.python
        if markers(wanted.marker, extras, what=wanted.name) and (not python or _accepts(python, target.full, wanted)):
            index = _resolve(packages, wanted, target, lock)
            yield index, ""
            yield from ((index, normalise(extra, lock)) for extra in wanted.extras)

    def edges(place: Place) -> Iterator[Place]:
        package, extra = packages[place[0]], place[1]
        named = _names_of_extra(package, extra) if extra else frozenset()
        for wanted in dependencies(package):
            if wanted.name in named if extra else not wanted.optional:
                yield from targets(wanted, frozenset([extra]) if extra else frozenset())

    def dependencies(package: PoetryPackage) -> Iterator[DeclaredDependency]:
        for name, node in package.node.table("dependencies").items():
            for one in node if isinstance(node.value, list) else (node,):
                yield DeclaredDependency.of_poetry(name, one)

    start = [place for wanted in roots for place in targets(wanted, frozenset())]
    return [packages[index] for index in sorted({index for index, _ in reachable(start, edges)})]


def _names_of_extra(package: PoetryPackage, extra: str) -> frozenset[str]:
    """The dependencies that an extra of a package adds, from lines such as `hiredis (>=1.0)`."""
    tables = {normalise(name, package.node.file): node for name, node in package.node.table("extras").items()}
    lines = [node.value for node in tables[extra]] if extra in tables else []
    words = [line.replace("[", " ").replace("(", " ").split() for line in lines if isinstance(line, str)]
    return frozenset(normalise(parts[0].rstrip(";<>=!~"), package.node.file) for parts in words if parts)


def _resolve(packages: Sequence[PoetryPackage], wanted: DeclaredDependency, target: Target, lock: str) -> int:
    """The one package that a dependency means; several versions are told apart by constraint and Python version."""
    same = [index for index, package in enumerate(packages) if package.name == wanted.name]
    if len(same) > 1:
        same = [
            index for index in same if not wanted.version or _accepts(wanted.version, packages[index].version, wanted)
        ]
    if len(same) > 1:
        running = [i for i in same if _accepts(packages[i].node.str("python-versions", "*"), target.full, wanted)]
        same = running or same
    if not same:
        raise BadLock(lock, f"no package for the dependency {wanted.name} {wanted.version}".rstrip())
    return same[-1]


def _accepts(constraint: str, version: str, wanted: DeclaredDependency) -> bool:
    try:
        return accepts(constraint, version)
    except ValueError:
        raise BadLock(wanted.file, f"{wanted.name}: {constraint[:100]!r} is not a version constraint") from None


def _reading(tree: SourceTree, lock: str, document: Node, chosen: Iterable[PoetryPackage]) -> Reading:
    pins, folders = [], []
    for package in chosen:
        source = package.node.get("source")
        kind = source.str("type", "") if source is not None else ""
        url = source.str("url", "") if source is not None else ""
        if kind == "git":
            assert source is not None
            label, commit = f"{package.name}=={package.version}", source.str("resolved_reference", "")
            again, folder = "Run 'poetry lock' and commit the result.", source.str("subdirectory", "")
            place = locked(url, commit, folder, lock, label, again, package.line)
            pins.append(of_repository(package.name, package.version, place, package.line))
        elif kind == "directory":
            folders.append((package.name, folder_path(tree, url, lock, package.line)))
        elif kind in ("", "legacy", "url", "file"):
            pins.append(_pin(package, document, kind, url))
        else:
            raise BadLock(lock, f"{package.name} has an unknown kind of source: {kind[:50]!r}", line=package.line)
    return Reading(tuple(pins), tuple(folders))


def _pin(package: PoetryPackage, document: Node, kind: str, url: str) -> Pin:
    direct = kind in ("url", "file")
    nodes = _file_nodes(package, document)
    if nodes is None:
        hashes = tuple(f"sha256:{text}" for text in _bare_hashes(package, document))
        return Pin(package.name, package.version, (), hashes, (url,) if url else (), line=package.line)
    files = [DistributionFile(node.str("file"), node.str("hash", ""), None, url if direct else "") for node in nodes]
    if direct:
        files = [file for file in files if file.filename == filename_of(url)] or files
    indexes = (url,) if kind == "legacy" else ()
    return Pin(package.name, package.version, tuple(files), (), indexes, direct, package.line)


def _file_nodes(package: PoetryPackage, document: Node) -> list[Node] | None:
    """The files of a package: in its own table since Poetry 1.5, in `[metadata.files]` before; None if neither."""
    if package.node.get("files") is not None:
        return package.node.list("files")
    table = document.at("metadata").table("files")
    found = {normalise(name, document.file): node for name, node in table.items()}.get(package.name)
    if found is None:
        return None
    return [node for node in found if _is_of(node.str("file"), package)]


def _is_of(filename: str, package: PoetryPackage) -> bool:
    """Whether a file may be of a package's version: `[metadata.files]` mixes the files of all versions of a name."""
    from packaging.version import InvalidVersion, Version

    if not filename.endswith(".whl"):
        return True
    try:
        return Version(filename.split("-")[1]) == Version(package.version)
    except (IndexError, InvalidVersion):
        return False


def _bare_hashes(package: PoetryPackage, document: Node) -> list[str]:
    hashes = document.at("metadata").table("hashes")
    found = {normalise(name, document.file): node for name, node in hashes.items()}.get(package.name)
    return [node.value for node in found if isinstance(node.value, str)] if found is not None else []
