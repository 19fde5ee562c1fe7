"""`pnpm-lock.yaml`, versions 6 and 9 (written by pnpm 8 to 12), read into a graph of packages.

A package's id is its dependency path as the lock spells it, peers included; `pnpm_layout` makes folders of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stager.errors import BadLock
from stager.model import Locked, Stack
from stager.text.typed import Node

from . import collect, cures, documents, layout, pnpm_layout, suspects
from .graph import LINK, NpmGraph, Unit
from .manifest import firm, manifest
from .names import check_name, check_version, folder
from .platform import Needs
from .pnpm_settings import settings
from .source import Tarball, is_git, is_web, local_tarball, of_commit, outside_url, strongest
from .words import words

if TYPE_CHECKING:
    from stager.tree import SourceTree

_VERSIONS = ("6.0", "6.1", "9.0")


@dataclass(frozen=True, slots=True)
class PnpmLock:
    """What a lock says: the graph, each package's own table by id, and the names each folder declares."""

    graph: NpmGraph
    infos: Mapping[str, Node]
    declared: Mapping[str, frozenset[str]]
    """Development dependencies are among them, whether they are installed or not."""


def document(tree: SourceTree, lock: str) -> Node:
    """The lock, of a version that is understood. Raises BadLock."""
    root = documents.parse_yaml(documents.text(tree, lock), lock)
    version = root.str("lockfileVersion")
    if version not in _VERSIONS:
        raise BadLock(
            lock,
            f"lockfileVersion {version} is not one of {', '.join(_VERSIONS)}",
            "Run 'pnpm install --lockfile-only' with pnpm 8 or newer and commit the result.",
        )
    return root


def importers(root: Node) -> dict[str, Node]:
    """The `importers` table by folder; a lock of a single project may have it at its root."""
    found = root.table("importers") if "importers" in root.value else {".": root}
    return {folder(path, root.file): node for path, node in found.items()}


def read(tree: SourceTree, lock: str, stack: Stack, dev: bool, hosts: frozenset[str]) -> Locked:
    """What the lock comes to on `stack`, laid out as pnpm would.

    Raises BadLock (also for patches, which are not applied), Unpinned, NeedsBuild, DigestMismatch.
    """
    root = document(tree, lock)
    choice = settings(tree)
    found = _lock(root, tree, dev)
    unfit = {key: _platform(info) for key, info in found.infos.items() if not _platform(info).fit(stack)}
    graph = found.graph.fitting(unfit, lock, stack)
    _refuse_patches(root, graph, found.infos, lock)
    tarballs = _tarballs(graph, found.infos, tree, lock, hosts)
    if choice.linker == "hoisted":
        places, links = layout.hoist(graph, lock)
    else:
        places, links = pnpm_layout.isolated(graph, choice, found.declared.get("", frozenset()), lock)
    links = collect.app_links(tree, links, _bins(tree, graph), lock)
    notes = [] if choice.linker == "hoisted" else ["commands in node_modules/.bin are links, not pnpm's shell scripts"]
    scripts = _scripts(graph, found.infos)
    old = not root.str("lockfileVersion").startswith("9")
    says = {key: key in scripts for key in graph.units} if old else {}
    unsure = suspects.unsure(suspects.of_units(graph.units, says), firm(tree), words(tree, lock).looked)
    placed = {path: tarballs[key] for path, key in places.items()}
    return collect.locked(placed, links, notes, lock, scripts.values(), unsure)


def _platform(info: Node) -> Needs:
    return Needs(*(info.strings(word) for word in ("os", "cpu", "libc")))


def _bins(tree: SourceTree, graph: NpmGraph) -> dict[str, Mapping[str, str]]:
    return {path: manifest(tree, f"{path}/package.json".lstrip("/")).bin for path in graph.homes}


def _scripts(graph: NpmGraph, infos: Mapping[str, Node]) -> dict[str, str]:
    """The packages with install scripts as far as the lock says it: id → `name@version`."""
    found = [key for key in graph.units if infos[key].str("requiresBuild", "") == "true"]
    return {key: f"{graph.units[key].name}@{graph.units[key].version}" for key in found}


# --- the graph ---


def _lock(root: Node, tree: SourceTree, dev: bool) -> PnpmLock:
    lock = root.file
    old = not root.str("lockfileVersion").startswith("9")
    packages = root.table("packages")
    snapshots = packages if old else root.table("snapshots")
    nodes = importers(root)
    homes = {path: _home(tree, path, node, snapshots, dev, old) for path, node in nodes.items()}
    queue = [ref for home in homes.values() for ref in home.needs.values()]
    units: dict[str, Unit] = {}
    infos: dict[str, Node] = {}
    for key in queue:
        if key not in units and not key.startswith(LINK):
            if key not in snapshots:
                raise BadLock(lock, f"it has no {key.lstrip('/')}, which something depends on")
            infos[key] = _info(key, packages, snapshots[key], old)
            units[key] = _unit(key, snapshots, infos[key], old)
            queue.extend(units[key].needs.values())
    graph = NpmGraph(homes, {key: units[key] for key in snapshots if key in units})
    return PnpmLock(graph, infos, {path: frozenset(declared(node)) for path, node in nodes.items()})


def declared(importer: Node) -> dict[str, str]:
    """Name → specifier of everything an importer declares."""
    found = {}
    for group in _GROUPS:
        for name, item in importer.table(group).items():
            found[name] = item.str("specifier")
    return found


_GROUPS = ("devDependencies", "dependencies", "optionalDependencies")


def _home(tree: SourceTree, path: str, node: Node, known: Mapping[str, Node], dev: bool, old: bool) -> Unit:
    needs: dict[str, str] = {}
    for group in _GROUPS if dev else _GROUPS[1:]:
        for name, item in node.table(group).items():
            check_name(name, node.file)
            needs[name] = _reference(name, item.str("version"), path, known, old, node.file)
    own = manifest(tree, f"{path}/package.json".lstrip("/"))
    return Unit(own.name, needs, frozenset(node.table("optionalDependencies")))


def _reference(name: str, ref: str, base: str, known: Mapping[str, Node], old: bool, file: str) -> str:
    """The id that a `version` in the lock means for the dependency `name`, or `link:` and a folder of the app."""
    if ref.startswith(LINK):
        return LINK + folder(f"{base}/{ref.removeprefix(LINK)}".lstrip("/"), file, name)
    at, colon = ref.partition("(")[0].find("@"), ref.find(":")
    whole = ref.startswith("/") if old else at >= 0 and (colon < 0 or at < colon)
    if whole or ref in known:
        return ref
    return f"/{name}@{ref}" if old else f"{name}@{ref}"


def _info(key: str, packages: Mapping[str, Node], snapshot: Node, old: bool) -> Node:
    bare = key if old else pnpm_layout.split_peers(key)[0]
    if bare not in packages:
        raise BadLock(snapshot.file, f"its packages have no {bare.lstrip('/')}, of which it has a snapshot")
    return packages[bare]


def _unit(key: str, snapshots: Mapping[str, Node], info: Node, old: bool) -> Unit:
    snapshot, bare = snapshots[key], pnpm_layout.split_peers(key)[0].lstrip("/")
    name = info.str("name", bare[: bare.find("@", 1)] if "@" in bare[1:] else bare)
    web = bool(info.at("resolution").str("tarball", ""))
    version = info.str("version", "" if web and ":" in bare else bare[len(name) + 1 :])
    needs: dict[str, str] = {}
    for group in _GROUPS[1:]:
        for alias, item in snapshot.table(group).items():
            check_name(alias, snapshot.file)
            needs[alias] = _reference(alias, str(item.value), "", snapshots, old, snapshot.file)
    wants = frozenset(snapshot.table("optionalDependencies"))
    return Unit(check_name(name, snapshot.file), needs, wants, frozenset(), version)


def _refuse_patches(root: Node, graph: NpmGraph, infos: Mapping[str, Node], lock: str) -> None:
    names = {name.rpartition("@")[0] or name for name in map(str, root.table("patchedDependencies"))}
    patched = sorted(
        key.lstrip("/")
        for key, unit in graph.units.items()
        if "(patch_hash=" in key or infos[key].value.get("patched") == "true" or unit.name in names
    )
    if patched:
        raise BadLock(
            lock,
            f"pnpm patches these packages, and stager does not apply patches: {', '.join(patched)}",
            "Publish the patched package, or apply the patch when the app starts, and remove patchedDependencies.",
        )


# --- tarballs ---


def _tarballs(
    graph: NpmGraph, infos: Mapping[str, Node], tree: SourceTree, lock: str, hosts: frozenset[str]
) -> dict[str, Tarball]:
    found, unpinned, builds = {}, [], []
    for key, unit in graph.units.items():
        resolution = infos[key].at("resolution")
        address, kind = resolution.str("tarball", ""), resolution.str("type", "")
        label = key.lstrip("/")
        if tarball := _commit(resolution, unit, lock):
            found[key] = tarball
            continue
        if kind == "git" or is_git(address):
            spec = address or f"git+{resolution.str('repo', '')}#{resolution.str('commit', '')}".replace(
                "git+git", "git"
            )
            builds.append((label, cures.GIT, cures.from_git(lock, spec)))
        elif kind in ("", "directory") and "directory" in resolution.value:
            folder(resolution.str("directory"), lock, unit.name)
            builds.append((label, cures.COPY, cures.linked(lock, "'workspace:' or 'link:'")))
        elif kind:
            builds.append((label, _KINDS.get(kind, f"it is a {kind}"), _ELSEWHERE))
        elif (tarball := _tarball(key, unit, resolution, tree, lock, hosts)) is None:
            if cures.is_archive(address):
                builds.append((label, cures.GIT, cures.from_git(lock, address)))
            else:
                unpinned.append((f"{unit.name}@{unit.version}" if unit.version else label, address))
        else:
            found[key] = tarball
    if builds:
        raise cures.needs_build(builds)
    if unpinned:
        raise cures.without_digest(lock, unpinned)
    return found


def _commit(resolution: Node, unit: Unit, lock: str) -> Tarball | None:
    """The package that comes from a whole commit, and is all of its files."""
    address, commit = resolution.str("tarball", ""), resolution.str("commit", "")
    named = f"{resolution.str('repo', '')}#{commit}" if resolution.str("type", "") == "git" else address
    packed = cures.is_archive(address) and "integrity" not in resolution.value
    if "path" in resolution.value or not (commit or is_git(address) or packed):
        return None
    version = check_version(unit.version, unit.name, lock) if unit.version else ""
    return of_commit(named, unit.name, version, lock)


_KINDS = {"variations": "it is a runtime", "binary": "it is a runtime"}
_ELSEWHERE = "Ask for Node.js by engines.node in package.json in its place, and run 'pnpm install --lockfile-only'."


def _tarball(
    key: str, unit: Unit, resolution: Node, tree: SourceTree, lock: str, hosts: frozenset[str]
) -> Tarball | None:
    digest = strongest(resolution.str("integrity", ""), key.lstrip("/"), lock)
    address = resolution.str("tarball", "")
    if unit.version or not address:
        check_version(unit.version, unit.name, lock)
    if address and not is_web(address):
        return local_tarball(tree, address, unit.name, unit.version, digest, lock)
    if digest is None:
        return None
    return Tarball(unit.name, unit.version, digest, outside_url(address, unit.name, unit.version, hosts))
