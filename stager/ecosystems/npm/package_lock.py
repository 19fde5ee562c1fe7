"""`package-lock.json` and `npm-shrinkwrap.json`, versions 1 to 3: the lock's own paths are the layout.

The result equals `npm ci --omit=dev --ignore-scripts`. Rules: npm's documentation of package-lock.json, and the
behaviour of npm's arborist for optional packages that do not fit the platform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stager.errors import BadLock
from stager.model import Locked, Stack
from stager.text.typed import Node

from . import collect, cures, documents, suspects
from .graph import fallout, unusable
from .manifest import firm
from .names import check_name, check_version, folder, split_place
from .package_lock_v1 import flatten
from .platform import Needs
from .source import (
    PackumentLookup,
    Tarball,
    is_git,
    is_local_tarball,
    is_web,
    local_tarball,
    of_commit,
    outside_url,
    strongest,
)
from .suspects import Suspect
from .words import words as build_words

if TYPE_CHECKING:
    from stager.tree import SourceTree


@dataclass(frozen=True, slots=True)
class Spot:
    """One `packages` entry: a package, a folder of the app, or a link to one."""

    path: str
    name: str
    """The real package name, of an alias, too."""
    node: Node
    link: str | None
    """The folder of the app it leads to; None for a package."""

    def says(self, flag: str) -> bool:
        """A boolean of the entry, absent meaning false."""
        return bool(self.node.bool(flag, False))

    @property
    def is_package(self) -> bool:
        """Whether it comes from a tarball of its own."""
        in_app = "node_modules" not in self.path.split("/")
        return self.link is None and not in_app and not self.says("inBundle")

    @property
    def label(self) -> str:
        """`name@version` for people."""
        version = self.node.str("version", "")
        return f"{self.name}@{version}" if version else self.name


def read(
    tree: SourceTree, lock: str, stack: Stack, dev: bool, hosts: frozenset[str], lookup: PackumentLookup | None
) -> Locked:
    """What the lock comes to on `stack`.

    Raises BadLock, Unpinned (no digest), NeedsBuild (git), DigestMismatch (a tarball in the app), and NotCached when a
    version 1 lock needs the registry to say what platform its optional packages are for and `lookup` is None.
    """
    root = documents.parse_json(documents.text(tree, lock), lock)
    spots = _spots(_packages(root, lock, dev, lookup), lock)
    if not dev:
        spots = {path: spot for path, spot in spots.items() if not spot.says("dev")}
    spots = _fitting(spots, lock, stack, dev)
    chosen = [spot for spot in spots.values() if spot.is_package]
    places = _places(chosen, tree, lock, hosts)
    bins = {path: _bins(spot) for path, spot in spots.items() if "node_modules" not in path.split("/")}
    scripts = [spot.label for spot in chosen if spot.says("hasInstallScript")]
    links = {path: spot.link for path, spot in spots.items() if spot.link is not None}
    unsure = suspects.unsure(map(_suspect, chosen), firm(tree), build_words(tree, lock).looked)
    return collect.locked(places, collect.app_links(tree, links, bins, lock), (), lock, scripts, unsure)


def _suspect(spot: Spot) -> Suspect:
    """A package as far as compiling goes: what npm was not told by its registry, the lock does not have."""
    wants = spot.node.table("optionalDependencies").keys()
    needs = spot.node.table("dependencies").keys() - wants
    return Suspect(spot.name, spot.node.str("version", ""), needs, wants, spot.says("hasInstallScript") or None)


def _packages(root: Node, lock: str, dev: bool, lookup: PackumentLookup | None) -> Mapping[str, Node]:
    version = root.int("lockfileVersion", 1)
    if version not in (1, 2, 3):
        raise BadLock(lock, f"lockfileVersion {version} is not one of 1, 2, 3", "Make it again with npm 7 or newer.")
    if version == 1 or "packages" not in root.value:
        return flatten(root, lock, dev, lookup)
    packages = root.table("packages")
    if "" not in packages:
        root.at("packages").fail("has no entry for the app itself")
    return packages


def _spots(packages: Mapping[str, Node], lock: str) -> dict[str, Spot]:
    spots = {}
    for path, node in packages.items():
        base, nested = split_place(path, lock)
        name = check_name(node.str("name", nested[-1]), lock) if nested else node.str("name", base or "the app")
        link = folder(node.str("resolved"), lock, name) if node.bool("link", False) else None
        if link is not None and not nested:
            node.fail("a link must be inside node_modules")
        if not node.bool("extraneous", False):
            spots[path] = Spot(path, name, node, link)
    return spots


def _fitting(spots: dict[str, Spot], lock: str, stack: Stack, dev: bool) -> dict[str, Spot]:
    edges = {path: _edges(spot, spots, dev) for path, spot in spots.items()}
    roots = [path for path in spots if "node_modules" not in path.split("/")]
    unfit = {}
    for path, spot in spots.items():
        needs = Needs(*(words(spot.node, key) for key in ("os", "cpu", "libc")))
        if "node_modules" in path.split("/") and not needs.fit(stack):
            unfit[path] = needs
    gone = fallout(edges, roots, unusable(edges, roots, unfit, lock, stack))
    return {path: spot for path, spot in spots.items() if path not in gone}


def words(node: Node, key: str) -> list[str]:
    """A list of strings that may be written as one string."""
    value = node.value.get(key)
    return [value] if isinstance(value, str) else node.strings(key)


def _edges(spot: Spot, spots: Mapping[str, Spot], dev: bool) -> list[tuple[str, bool]]:
    """What a spot needs, and whether it can do without; with `dev` also what the app's folders are developed with."""
    if spot.link is not None:
        return [(spot.link, False)] if spot.link in spots else []
    node, found = spot.node, []
    meta = node.table("peerDependenciesMeta")
    loose = {name for name, item in meta.items() if item.bool("optional", False)} | set(
        node.table("optionalDependencies")
    )
    for key in ("dependencies", "optionalDependencies", "peerDependencies", *(("devDependencies",) if dev else ())):
        for name in node.table(key):
            target = _resolve(spot.path, name, spots)
            if target is not None:
                found.append((target, name in loose or key == "devDependencies"))
    return found


def _resolve(path: str, name: str, spots: Mapping[str, Spot]) -> str | None:
    """Where Node finds `name` from the package at `path`: the nearest `node_modules` upward."""
    while True:
        place = f"{path}/node_modules/{name}" if path else f"node_modules/{name}"
        if place in spots:
            return place
        if not path:
            return None
        path = path.rpartition("/")[0]


def _places(chosen: list[Spot], tree: SourceTree, lock: str, hosts: frozenset[str]) -> dict[str, Tarball]:
    unpinned, builds, places = [], [], {}
    for spot in chosen:
        resolved = spot.node.str("resolved", "")
        if is_git(resolved):
            version = spot.node.str("version", "")
            if found := of_commit(resolved, spot.name, version and check_version(version, spot.name, lock), lock):
                places[spot.path] = found
                continue
            builds.append((spot.label, cures.GIT, cures.from_git(lock, resolved)))
            continue
        tarball = _tarball(spot, resolved, tree, lock, hosts)
        if tarball is None:
            unpinned.append((spot.label, outside_url(resolved, spot.name, spot.node.str("version"), hosts)))
        else:
            places[spot.path] = tarball
    if builds:
        raise cures.needs_build(builds)
    if unpinned:
        raise cures.without_digest(lock, unpinned)
    return places


def _tarball(spot: Spot, resolved: str, tree: SourceTree, lock: str, hosts: frozenset[str]) -> Tarball | None:
    version = spot.node.str("version")
    if version or not resolved:
        check_version(version, spot.name, lock)
    digest = strongest(spot.node.str("integrity", ""), spot.label, lock)
    if resolved and not is_web(resolved):
        if not is_local_tarball(resolved):
            raise BadLock(
                lock,
                f"{spot.label} is a copy of {resolved[:120]!r}",
                "Set install-links=false in .npmrc, or pack the folder with 'npm pack', and run 'npm install'.",
            )
        return local_tarball(tree, resolved, spot.name, version, digest, lock)
    if digest is None:
        return None
    return Tarball(spot.name, version, digest, outside_url(resolved, spot.name, version, hosts))


def _bins(spot: Spot) -> Mapping[str, str]:
    table = spot.node.value.get("bin")
    if isinstance(table, str):
        return {spot.name.rpartition("/")[2]: table}
    return {name: item for name, item in table.items() if isinstance(item, str)} if isinstance(table, dict) else {}
