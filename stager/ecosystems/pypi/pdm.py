"""Reading `pdm.lock` (lock_version 4.x).

With the strategy `inherit_metadata`, the default since 2.11, each package states its groups and marker. Without it the
graph is walked from the dependencies in `pyproject.toml`. A package appears again for each set of extras in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stager.checked import Node
from stager.errors import BadLock

from .document import lines_of, read, toml
from .folders import folder_path
from .graph import reachable
from .manifest import Wanted, project_wanted
from .pins import File, Pin, Reading, filename_of, merged, normalise
from .target import Markers, Target

if TYPE_CHECKING:
    from stager.tree import SourceTree


def read_pdm(tree: SourceTree, lock: str, target: Target, groups: Sequence[str], extras: Sequence[str]) -> Reading:
    """What `pdm.lock` installs: the default group, and the groups and extras asked for (pdm calls both groups).

    Raises BadLock for another lock_version, a group the lock was made without, or a dependency that is not in it.
    """
    document = toml(tree, lock)
    metadata = document.at("metadata")
    _check_version(metadata)
    asked = ["default", *(normalise(name, lock) for name in (*groups, *extras))]
    _check_groups(metadata, asked)
    packages, markers = document.list("package"), Markers(target, lock)
    if any(package.get("groups") is not None for package in packages):
        chosen = [i for i, package in enumerate(packages) if _applies(package, asked, markers, extras, groups)]
    else:
        wanted = project_wanted(tree, asked[1:])
        chosen = _walk(packages, wanted, markers, lock)
    lines = lines_of(read(tree, lock), "[[package]]")
    return _reading(tree, document, [(packages[i], lines[i] if i < len(lines) else None) for i in chosen])


def _check_version(metadata: Node) -> None:
    version = metadata.str("lock_version")
    if version.partition(".")[0] != "4":
        hint = "Run 'pdm lock' with a version of pdm that writes 4.x."
        raise BadLock(metadata.file, f"is of lock_version {version[:20]}; this stager reads 4", hint)


def _check_groups(metadata: Node, asked: Sequence[str]) -> None:
    known = {"default", *(normalise(name, metadata.file) for name in metadata.strings("groups"))}
    for name in asked:
        if name not in known:
            hint = (
                f"It has: {', '.join(sorted(known))}. Correct python.groups in stager.yml, or run 'pdm lock -G {name}'."
            )
            raise BadLock(metadata.file, f"has no group {name!r}", hint)


def _applies(
    package: Node, asked: Sequence[str], markers: Markers, extras: Sequence[str], groups: Sequence[str]
) -> bool:
    own = {normalise(name, package.file) for name in package.strings("groups")}
    what = package.str("name")
    return not own.isdisjoint(asked) and markers(package.str("marker", ""), frozenset(extras), frozenset(groups), what)


def _walk(packages: Sequence[Node], roots: Sequence[Wanted], markers: Markers, lock: str) -> list[int]:
    """The positions of the packages that the project's dependencies lead to."""

    def targets(wanted: Wanted) -> Iterator[int]:
        if markers(wanted.marker, what=wanted.name):
            yield from _resolve(packages, wanted, lock)

    def edges(index: int) -> Iterator[int]:
        for line in packages[index].strings("dependencies"):
            yield from targets(Wanted.of_requirement(line, lock))

    return sorted(reachable([index for wanted in roots for index in targets(wanted)], edges))


def _resolve(packages: Sequence[Node], wanted: Wanted, lock: str) -> list[int]:
    """The entries a requirement means: that of its extras, which leads to the plain one by itself."""
    same = [i for i, package in enumerate(packages) if normalise(package.str("name"), lock) == wanted.name]
    exact = [
        i for i in same if {normalise(extra, lock) for extra in packages[i].strings("extras")} == set(wanted.extras)
    ]
    fitting = [i for i in exact or same if wanted.accepts(packages[i].str("version", ""))]
    if not fitting:
        raise BadLock(lock, f"no package for the dependency {wanted.name} {wanted.version}".rstrip())
    return fitting[:1]


def _reading(tree: SourceTree, document: Node, chosen: Sequence[tuple[Node, int | None]]) -> Reading:
    lock = document.file
    pins, folders, needs = list[Pin](), dict[tuple[str, str], None](), dict[tuple[str, str], None]()
    for package, line in chosen:
        name, version, path = normalise(package.str("name"), lock), package.str("version", ""), package.str("path", "")
        if any(package.get(kind) is not None for kind in ("git", "hg", "svn", "bzr")):
            needs[f"{name}=={version}", "a version control repository"] = None
        elif path and not path.endswith(".whl"):
            folders[name, folder_path(tree, path, lock, line)] = None
        else:
            url = package.str("url", "") or path
            pins.append(Pin(name, version, _files(package, document, url), (), (), bool(url), line))
    return Reading(tuple(merged(pins)), tuple(folders), tuple(needs))


def _files(package: Node, document: Node, source: str) -> tuple[File, ...]:
    """The files of an entry; before 4.3 they were under `[metadata.files]` by "name version"."""
    nodes = package.list("files")
    if not nodes:
        table = document.at("metadata").table("files")
        old = table.get(f"{package.str('name')} {package.str('version', '')}")
        nodes = list(old) if old is not None else []
    return tuple(_file(node, source) for node in nodes)


def _file(node: Node, source: str) -> File:
    url = node.str("url", "") or source
    return File(node.str("file", "") or filename_of(url), node.str("hash", ""), None, url)
