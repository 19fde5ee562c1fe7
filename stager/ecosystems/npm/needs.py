"""Who needs whom in the locks of the npm world: npm's, pnpm's, both of Yarn's, and Bun's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from stager.ecosystems.graph import Graph
from stager.text.source_lines import json_line
from stager.text.typed import Node as Document

from . import berry_lock, bun, documents, pnpm, pnpm_layout, yarn
from .manifest import all_manifests

if TYPE_CHECKING:
    from stager.tree import SourceTree

_GROUPS = ("dependencies", "optionalDependencies")


def graph(tree: SourceTree, lock: str) -> Graph:
    """What an npm lock of the app says. Raises BadLock, BadManifest."""
    found = Graph(lock)
    name = lock.rpartition("/")[2]
    if name in ("npm-shrinkwrap.json", "package-lock.json"):
        _npm(found, documents.parse_json(documents.text(tree, lock), lock), tree)
    elif name == "pnpm-lock.yaml":
        _pnpm(found, pnpm.document(tree, lock), tree)
    elif name == "bun.lock":
        _bun(found, bun.document(tree, lock), tree)
    elif berry_lock.is_berry(documents.text(tree, lock)):
        _berry(found, berry_lock.entries(tree, lock), tree)
    else:
        _yarn(found, yarn.parse(documents.text(tree, lock), lock), tree)
    return found


def _asked(tree: SourceTree) -> Iterable[tuple[str, str, str, str]]:
    """(folder, name, range, where) of everything the app and its workspaces ask for."""
    for path, manifest in sorted(all_manifests(tree).items()):
        file = f"{path}/package.json".lstrip("/")
        text = documents.text(tree, file)
        for group, table in (("dependencies", manifest.dependencies), ("optionalDependencies", manifest.optional)):
            for name, wanted in sorted(table.items()):
                line = json_line(text, f"{group}.{name}")
                yield path, name, wanted, f"{file}:{line}" if line else file


# --- npm -------------------------------------------------------------------------------------------------------


def _npm(found: Graph, root: Document, tree: SourceTree) -> None:
    packages = root.table("packages") or _flattened(root, "")
    for place, node in packages.items():
        name = node.str("name", place.rpartition("node_modules/")[2])
        found.names[place] = (name, node.str("version", ""))
    found.own = {place for place in packages if "node_modules/" not in place}
    for place, node in packages.items():
        needs = [name for group in _GROUPS for name in node.table(group)]
        needs += [*node.table("requires")] if "packages" not in root.value else []
        found.edges[place] = [spot for name in needs if (spot := _nearest(place, name, packages))]
    for folder, name, _, where in _asked(tree):
        if spot := _nearest(folder, name, packages):
            found.roots.setdefault(spot, where)


def _flattened(node: Document, path: str, depth: int = 0) -> dict[str, Document]:
    """The packages of a version 1 lock by place; `depth` bounds what a hostile lock nests."""
    found: dict[str, Document] = {}
    for name, child in node.table("dependencies").items():
        place = f"{path}/node_modules/{name}".lstrip("/")
        found[place] = Document({**_plain(child), "dependencies": {}}, child.file, child.path, child.fail_with)
        if depth < 64:
            found |= _flattened(child, place, depth + 1)
    return found


def _plain(node: Document) -> dict[str, object]:
    """An entry of a version 1 lock, whose `requires` may also be a mere `true`."""
    table = dict(node.value) if isinstance(node.value, dict) else {}
    if not isinstance(table.get("requires"), dict):
        table.pop("requires", None)
    return table


def _nearest(place: str, name: str, packages: Mapping[str, object]) -> str:
    """Where Node finds `name` from `place`: the nearest `node_modules` upward; empty when nowhere."""
    while True:
        spot = f"{place}/node_modules/{name}".lstrip("/")
        if spot in packages:
            return spot
        if not place:
            return ""
        place = place.rpartition("node_modules/")[0].rstrip("/") if "node_modules/" in place else ""


# --- pnpm ------------------------------------------------------------------------------------------------------


def _pnpm(found: Graph, root: Document, tree: SourceTree) -> None:
    old = not root.str("lockfileVersion").startswith("9")
    snapshots = root.table("packages" if old else "snapshots")
    for key in snapshots:
        bare = pnpm_layout.split_peers(key)[0].lstrip("/")
        name, _, version = bare.rpartition("@") if "@" in bare[1:] else (bare, "", "")
        found.names[key] = (name, version)
    for key, node in snapshots.items():
        found.edges[key] = [
            ref
            for group in _GROUPS
            for name, item in node.table(group).items()
            if (ref := _reference(name, str(item.value), snapshots))
        ]
    importers = pnpm.importers(root)
    for folder, name, _, where in _asked(tree):
        for group in _GROUPS:
            item = importers[folder].table(group).get(name) if folder in importers else None
            if item is not None and (ref := _reference(name, item.str("version", ""), snapshots)):
                found.roots.setdefault(ref, where)


def _reference(name: str, ref: str, known: Mapping[str, object]) -> str:
    return next((key for key in (ref, f"{name}@{ref}", f"/{name}@{ref}") if key in known), "")


# --- Yarn ------------------------------------------------------------------------------------------------------


def _yarn(found: Graph, entries: Mapping[str, yarn.YarnEntry], tree: SourceTree) -> None:
    for entry in entries.values():
        found.names[entry.id] = (entry.name, entry.version)
        wanted = [entries.get(f"{name}@{text}") for name, text in entry.needs().items()]
        found.edges[entry.id] = [one.id for one in wanted if one is not None]
    for _, name, text, where in _asked(tree):
        target = entries.get(f"{name}@{text}")
        if target is not None:
            found.roots.setdefault(target.id, where)


def _berry(found: Graph, entries: Mapping[str, berry_lock.BerryEntry], tree: SourceTree) -> None:
    def target(name: str, text: str) -> berry_lock.BerryEntry | None:
        return entries.get(f"{name}@{text}") or entries.get(f"{name}@npm:{text}")

    for entry in entries.values():
        found.names[entry.id] = (entry.name, entry.version)
        found.own |= {entry.id} if "@workspace:" in entry.id else set()
        wanted = [target(name, text) for name, text in entry.needs.items()]
        found.edges[entry.id] = [one.id for one in wanted if one is not None]
    for _, name, text, where in _asked(tree):
        if (one := target(name, text)) is not None:
            found.roots.setdefault(one.id, where)


# --- Bun -------------------------------------------------------------------------------------------------------


def _bun(found: Graph, root: Document, tree: SourceTree) -> None:
    rows = root.table("packages")
    for key, item in rows.items():
        parts = list(item)
        label = str(parts[0].value) if parts else key
        name, _, version = yarn.split_descriptor(label)
        found.names[key] = (name, version)
        info = next((part for part in parts if isinstance(part.value, dict)), None)
        needs = [name for group in _GROUPS for name in info.table(group)] if info is not None else []
        found.edges[key] = [spot for name in needs if (spot := _above(key, name, rows, found.lock))]
    for _, name, _, where in _asked(tree):
        if name in rows:
            found.roots.setdefault(name, where)


def _above(key: str, name: str, rows: Mapping[str, object], lock: str) -> str:
    """Bun's rule: the nearest key upward that ends in the name."""
    parts = list(bun.components(key, lock))
    while True:
        spot = "/".join([*parts, name])
        if spot in rows:
            return spot
        if not parts:
            return ""
        parts.pop()
