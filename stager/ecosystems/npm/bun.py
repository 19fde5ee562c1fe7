"""`bun.lock`: JSON with comments, whose keys are places in `node_modules` already.

A key such as `mocha/debug/ms` is `node_modules/mocha/node_modules/debug/node_modules/ms`; one that starts with a
workspace's name lies in that workspace's own folder. Source: Bun's lockfile reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stager.errors import BadLock
from stager.model import Locked, Stack
from stager.text.typed import Node

from . import collect, cures, documents, suspects
from .graph import Edges, reachable, unusable
from .manifest import firm
from .names import check_name, check_version, folder
from .platform import Needs
from .source import Tarball, is_git, is_local_tarball, is_web, local_tarball, of_commit, outside_url, strongest
from .suspects import Suspect
from .words import words
from .yarn import split_descriptor

if TYPE_CHECKING:
    from stager.tree import SourceTree

_NEWEST = 3
_GROUPS = ("dependencies", "optionalDependencies", "peerDependencies")


@dataclass(frozen=True, slots=True)
class BunEntry:
    """One `packages` entry."""

    key: str
    name: str
    reference: str
    """What follows the `@`: a version, `workspace:<folder>`, a URL …"""
    registry: str
    info: Node
    integrity: str

    @property
    def label(self) -> str:
        """`name@version` for people."""
        return f"{self.name}@{self.reference}"

    @property
    def folder(self) -> str | None:
        """The folder of the app it is; None for a package."""
        for prefix in ("workspace:", "link:", "file:", "root:"):
            if self.reference.startswith(prefix) and not is_local_tarball(self.reference):
                return self.reference.removeprefix(prefix)
        return None


def document(tree: SourceTree, lock: str) -> Node:
    """The lock, of a version that is understood. Raises BadLock."""
    root = documents.parse_jsonc(documents.text(tree, lock), lock)
    version = root.int("lockfileVersion")
    if not 0 <= version <= _NEWEST:
        raise BadLock(
            lock, f"lockfileVersion {version} is not one of 0 to {_NEWEST}", "Make it again with Bun 1.2 or 1.3."
        )
    return root


def read(tree: SourceTree, lock: str, stack: Stack, dev: bool, hosts: frozenset[str]) -> Locked:
    """What the lock comes to on `stack`. Raises BadLock (also for patches), Unpinned, NeedsBuild, DigestMismatch."""
    root = document(tree, lock)
    rows = {key: _row(key, item, lock) for key, item in root.table("packages").items()}
    homes = {folder(path, lock): node for path, node in root.table("workspaces").items()}
    names = {path: node.str("name", "") for path, node in homes.items() if path}
    edges = _edges(rows, homes, names, dev, lock)
    roots = [f"home:{path}" for path in homes]
    unfit = {key: needs for key, row in rows.items() if not (needs := _platform(row.info)).fit(stack)}
    kept = reachable(edges, roots, unusable(edges, roots, unfit, lock, stack))
    chosen = {key: row for key, row in rows.items() if key in kept}
    _refuse_patches(root, chosen, lock)
    places = {key: _place(key, rows, lock) for key in chosen}
    tarballs = _tarballs(chosen, tree, lock, hosts)
    links = {places[key]: folder(row.folder, lock, row.name) for key, row in chosen.items() if row.folder is not None}
    for path in names:  # every workspace is linked at the root, needed or not
        if names[path] in rows and rows[names[path]].folder is not None:
            links.setdefault(f"node_modules/{check_name(names[path], lock)}", path)
    bins = {path: _bins(node) for path, node in homes.items()}
    links = collect.app_links(tree, links, bins, lock)
    found = [_suspect(row) for key, row in chosen.items() if key in tarballs]
    unsure = suspects.unsure(found, firm(tree), words(tree, lock).looked)
    return collect.locked({places[key]: tarball for key, tarball in tarballs.items()}, links, (), lock, (), unsure)


def _suspect(row: BunEntry) -> Suspect:
    wants = row.info.table("optionalDependencies").keys()
    version = "" if is_web(row.reference) or is_local_tarball(row.reference) else row.reference
    return Suspect(row.name, version, row.info.table("dependencies").keys() - wants, wants)


def _row(key: str, item: Node, lock: str) -> BunEntry:
    components(key, lock)
    parts = list(item)
    texts = [part.value for part in parts if isinstance(part.value, str)]
    if not texts:
        item.fail("expected the package's name and version first")
    name, _, reference = split_descriptor(texts[0])
    info = next((part for part in parts if isinstance(part.value, dict)), None)
    integrity = texts[-1] if len(texts) > 1 and isinstance(parts[-1].value, str) and info is not None else ""
    registry = texts[1] if len(texts) > 1 and len(parts) > 1 and isinstance(parts[1].value, str) else ""
    return BunEntry(key, name, reference, registry, info or Node({}, item.file, item.path, item.fail_with), integrity)


def components(key: str, lock: str) -> tuple[str, ...]:
    """The package names that a key is made of. Raises BadLock."""
    words = key.split("/")
    found: list[str] = []
    while words:
        word = words.pop(0)
        found.append(check_name(f"{word}/{words.pop(0)}" if word.startswith("@") and words else word, lock))
    return tuple(found)


def _place(key: str, rows: Mapping[str, BunEntry], lock: str) -> str:
    path, seen = "", ""
    for name in components(key, lock):
        seen = f"{seen}/{name}".lstrip("/")
        above = rows.get(seen)
        if above is not None and above.folder is not None and seen != key:
            path = folder(above.folder, lock)
        else:
            path = f"{path}/node_modules/{name}".lstrip("/")
    return path


# --- the graph ---


def _edges(
    rows: Mapping[str, BunEntry], homes: Mapping[str, Node], names: Mapping[str, str], dev: bool, lock: str
) -> Edges:
    edges: dict[str, list[tuple[str, bool]]] = {}
    for path, node in homes.items():
        groups = (*_GROUPS, "devDependencies") if dev else _GROUPS
        edges[f"home:{path}"] = _needs(node, groups, names.get(path, ""), rows, lock)
    for key, row in rows.items():
        below = () if row.reference.startswith("workspace:") else _GROUPS  # a workspace's needs are its own table's
        edges[key] = _needs(row.info, below, key, rows, lock)
    return edges


def _needs(
    node: Node, groups: tuple[str, ...], key: str, rows: Mapping[str, BunEntry], lock: str
) -> list[tuple[str, bool]]:
    loose = set(node.strings("optionalPeers")) | set(node.table("optionalDependencies"))
    found = []
    for group in groups:
        for name in node.table(group):
            target = _resolve(key, check_name(name, lock), rows, lock)
            if target is not None:
                found.append((target, name in loose))
            elif group in ("dependencies", "devDependencies"):
                raise BadLock(lock, f"it has no {name}, which {key or 'the app'} depends on", "Run 'bun install'.")
    return found


def _resolve(key: str, name: str, rows: Mapping[str, BunEntry], lock: str) -> str | None:
    above = list(components(key, lock)) if key else []
    while True:
        candidate = "/".join([*above, name])
        if candidate in rows:
            return candidate
        if not above:
            return None
        above.pop()


def _platform(info: Node) -> Needs:
    return Needs(*(_words(info, key) for key in ("os", "cpu", "libc")))


def _words(node: Node, key: str) -> list[str]:
    value = node.value.get(key)
    return [value] if isinstance(value, str) else node.strings(key)


def _bins(node: Node) -> Mapping[str, str]:
    table = node.value.get("bin")
    if isinstance(table, str):
        return {node.str("name", "").rpartition("/")[2]: table}
    return {name: item for name, item in table.items() if isinstance(item, str)} if isinstance(table, dict) else {}


def _refuse_patches(root: Node, chosen: Mapping[str, BunEntry], lock: str) -> None:
    patched = sorted(set(root.table("patchedDependencies")) & {row.label for row in chosen.values()})
    if patched:
        raise BadLock(
            lock,
            f"Bun patches these packages, and stager does not apply patches: {', '.join(patched)}",
            "Publish the patched package, or apply the patch when the app starts, and remove patchedDependencies.",
        )


# --- tarballs ---


def _tarballs(chosen: Mapping[str, BunEntry], tree: SourceTree, lock: str, hosts: frozenset[str]) -> dict[str, Tarball]:
    found, unpinned, builds = {}, [], []
    for key, row in chosen.items():
        if row.folder is not None or row.info.bool("bundled", False):
            continue
        check_name(row.name, lock)
        if is_git(row.reference) and (tarball := of_commit(row.reference, row.name, "", lock)):
            found[key] = tarball
        elif is_git(row.reference):
            builds.append((row.label, cures.GIT, cures.from_git(lock, row.reference)))
        elif (tarball := _tarball(row, tree, lock, hosts)) is None:
            unpinned.append((row.label, row.reference if is_web(row.reference) else ""))
        else:
            found[key] = tarball
    if builds:
        raise cures.needs_build(builds)
    if unpinned:
        raise cures.without_digest(lock, unpinned)
    return found


def _tarball(row: BunEntry, tree: SourceTree, lock: str, hosts: frozenset[str]) -> Tarball | None:
    digest = strongest(row.integrity, row.label, lock)
    if is_local_tarball(row.reference):
        return local_tarball(tree, row.reference, row.name, "", digest, lock)
    if digest is None:
        return None
    if is_web(row.reference):
        return Tarball(row.name, "", digest, outside_url(row.reference, row.name, "", hosts))
    check_version(row.reference, row.name, lock)
    address = row.registry if row.registry.endswith((".tgz", ".tar.gz")) else ""
    return Tarball(row.name, row.reference, digest, outside_url(address, row.name, row.reference, hosts))
