"""Reading `pdm.lock` (lock_version 4.x).

With the strategy `inherit_metadata`, the default since 2.11, each package states its groups and marker. Without it the
graph is walked from the dependencies in `pyproject.toml`. A package appears again for each set of extras in use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stager.ecosystems.repository import locked
from stager.errors import BadLock
from stager.text.typed import Node

from .document import lines_of, read, toml
from .folders import folder_path
from .graph import reachable
from .manifest import DeclaredDependency, project_wanted
from .pins import DistributionFile, Pin, Reading, filename_of, is_sdist, merged, normalise, of_repository
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
    _check_targets(metadata, target)
    packages, markers, left = document.list("package"), Markers(target, lock), list[tuple[str, str]]()
    if any(package.get("groups") is not None for package in packages):
        meant = [i for i, package in enumerate(packages) if not _groups_of(package).isdisjoint(asked)]
        chosen = [i for i in meant if _applies(packages[i], markers, extras, groups)]
        others = [packages[i] for i in meant if i not in set(chosen)]
        left = [(normalise(package.str("name"), lock), package.str("marker", "")) for package in others]
    else:
        wanted = project_wanted(tree, asked[1:])
        chosen = _walk(packages, wanted, markers, lock)
    lines = lines_of(read(tree, lock), "[[package]]")
    rows = [(packages[i], lines[i] if i < len(lines) else None) for i in chosen]
    return _reading(tree, document, rows)._replace(left=tuple(left))


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


_OS = {"macos": "macOS", "windows": "Windows", "musllinux": "Linux with musl", "alpine": "Linux with musl"}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def _check_targets(metadata: Node, target: Target) -> None:
    """`metadata.targets` are the environments that pdm resolved for; it installs into no other, and nor does stager."""
    targets = metadata.list("targets")
    if targets and not any(_serves(one, target) for one in targets):
        made = "; ".join(dict.fromkeys(map(_described, targets)))[:300]
        raise BadLock(metadata.file, f"was made for {made}, not for {target.words}", pdm_hint(target))


def _serves(one: Node, target: Target) -> bool:
    """Whether a lock's target is the one here: its Python, implementation, system and processor, where it names them."""
    python, platform = one.str("requires_python", ""), one.str("platform", "")
    wanted = DeclaredDependency("python", python, file=one.file)
    return (
        (not python or wanted.accepts(target.full))
        and one.str("implementation", "cpython") in ("", "cpython")
        and on_linux(platform)
        and (not (machine := _machine(platform)) or machine == target.stack.machine)
    )


def on_linux(platform: str) -> bool:
    """Whether a platform as pdm names it (`manylinux_2_17_x86_64`, `linux`, `macos_14_0_arm64`) may be a stack; "" is any."""
    return platform.startswith(("linux", "manylinux")) or not platform


def pdm_python(metadata: Node) -> str:
    """The Pythons that a lock's targets on Linux are for, joined by `||`; empty where it names none, or only other systems."""
    pythons = [one.str("requires_python", "") for one in metadata.list("targets") if on_linux(one.str("platform", ""))]
    return " || ".join(pythons) if all(pythons) else ""


def _machine(platform: str) -> str:
    found = re.search(r"(x86_64|amd64|aarch64|arm64|armv\w+|i?[36]86|x86|ppc64le|s390x|riscv64)\Z", platform)
    return _MACHINES.get(found[1], found[1]) if found else ""


def _described(one: Node) -> str:
    python, platform = one.str("requires_python", "") or "any", one.str("platform", "")
    system = _OS.get(re.split(r"[^a-z]", platform)[0], "Linux" if on_linux(platform) else platform)
    where = f" on {system} ({platform})" if platform else ""
    kind = one.str("implementation", "cpython")
    return f"Python {python}{where}" + (f" with {kind}" if kind not in ("", "cpython") else "")


def pdm_hint(target: Target) -> str:
    """How pdm adds a target to its lock."""
    platform = f"{target.platform}_{target.stack.machine}"
    return f"Run 'pdm lock --append --python \"=={target.full}\" --platform {platform}' and commit pdm.lock."


def _groups_of(package: Node) -> set[str]:
    return {normalise(name, package.file) for name in package.strings("groups")}


def _applies(package: Node, markers: Markers, extras: Sequence[str], groups: Sequence[str]) -> bool:
    return markers(package.str("marker", ""), frozenset(extras), frozenset(groups), package.str("name"))


def _walk(packages: Sequence[Node], roots: Sequence[DeclaredDependency], markers: Markers, lock: str) -> list[int]:
    """The positions of the packages that the project's dependencies lead to."""

    def targets(wanted: DeclaredDependency) -> Iterator[int]:
        if markers(wanted.marker, what=wanted.name):
            yield from _resolve(packages, wanted, lock)

    def edges(index: int) -> Iterator[int]:
        for line in packages[index].strings("dependencies"):
            yield from targets(DeclaredDependency.of_requirement(line, lock))

    return sorted(reachable([index for wanted in roots for index in targets(wanted)], edges))


def _resolve(packages: Sequence[Node], wanted: DeclaredDependency, lock: str) -> list[int]:
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
        if package.get("git") is not None:
            again, label = "Run 'pdm lock' and commit the result.", f"{name}=={version}"
            commit, folder = package.str("revision", ""), package.str("subdirectory", "")
            source = locked(package.str("git"), commit, folder, lock, label, again, line)
            pins.append(of_repository(name, version, source, line))
        elif any(package.get(kind) is not None for kind in ("hg", "svn", "bzr")):
            needs[f"{name}=={version}", "a version control repository"] = None
        elif path and not (path.endswith(".whl") or is_sdist(path)):
            folders[name, folder_path(tree, path, lock, line)] = None
        else:
            url = package.str("url", "") or path
            pins.append(Pin(name, version, _files(package, document, url), (), (), bool(url), line))
    return Reading(tuple(merged(pins)), tuple(folders), tuple(needs))


def _files(package: Node, document: Node, source: str) -> tuple[DistributionFile, ...]:
    """The files of an entry; before 4.3 they were under `[metadata.files]` by "name version"."""
    nodes = package.list("files")
    if not nodes:
        table = document.at("metadata").table("files")
        old = table.get(f"{package.str('name')} {package.str('version', '')}")
        nodes = list(old) if old is not None else []
    return tuple(_file(node, source) for node in nodes)


def _file(node: Node, source: str) -> DistributionFile:
    url = node.str("url", "") or source
    return DistributionFile(node.str("file", "") or filename_of(url), node.str("hash", ""), None, url)
