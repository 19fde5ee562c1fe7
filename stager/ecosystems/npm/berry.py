"""`yarn.lock` of Yarn 2 and newer, laid out as `node_modules` whatever linker Yarn itself would use.

Plug'n'Play keeps packages as zip files that Yarn makes itself and Node.js reads through a loader; the lock says the same of
them, and in `node_modules` Node.js finds them without a loader, those with programs of their own included.

The lock's checksums are of zip files that Yarn makes itself, so the tarballs' digests are asked from the registry once
and then held by `stager.lock`: trust on first use, and said so. Peers are respected when the packages are laid out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

from stager.errors import BadLock, Unpinned
from stager.model import Locked, Stack
from stager.net.errors import NotCached

from . import collect, cures, layout, suspects
from .berry_lock import BerryEntry, Table, catalogs, entries, linker
from .graph import LINK, NpmGraph, Unit
from .manifest import PackageJson, firm, manifest
from .names import check_version, folder
from .platform import Needs, conditions
from .source import (
    PackumentLookup,
    Tarball,
    is_git,
    is_local_tarball,
    local_tarball,
    of_commit,
    outside_url,
    shasum,
    strongest,
)
from .words import words

if TYPE_CHECKING:
    from stager.tree import SourceTree

_BUILTIN = re.compile(r"[^#]*#(?:optional!|~)?builtin<[^<>&]*>")


def read(
    tree: SourceTree, lock: str, stack: Stack, dev: bool, hosts: frozenset[str], lookup: PackumentLookup | None
) -> Locked:
    """What the lock comes to on `stack`.

    Raises BadManifest for a .yarnrc.yml that cannot be read, BadLock (also for patches), Unpinned, NeedsBuild, and NotCached
    when the registry is needed and `lookup` is None.
    """
    table = Table(entries(tree, lock), manifest(tree), catalogs(tree), lock)
    manifests = {path: manifest(tree, f"{path}/package.json".lstrip("/")) for path in table.workspaces}
    homes = {path: _home(path, own, table, dev) for path, own in manifests.items()}
    graph = NpmGraph(homes, _units(homes, table))
    unfit = {key: needs for key in graph.units if not (needs := _platform(table.by_id[key])).fit(stack)}
    graph = graph.fitting(unfit, lock, stack)
    chosen = [table.by_id[key] for key in graph.units]
    scripts: dict[str, bool] = {}
    tarballs = _tarballs(chosen, tree, lock, hosts, lookup, scripts)
    places, links = layout.hoist(graph, lock)
    links = collect.app_links(tree, links, {path: own.bin for path, own in manifests.items()}, lock)
    unsure = suspects.unsure(suspects.of_units(graph.units, scripts), firm(tree), words(tree, lock).looked)
    placed = {path: tarballs[key] for path, key in places.items()}
    return collect.locked(placed, links, _notes(chosen, linker(tree)), lock, (), unsure)


def _home(path: str, own: PackageJson, table: Table, dev: bool) -> Unit:
    needs = {name: table.target(name, wanted, own.name, path) for name, wanted in own.all(dev).items()}
    return Unit(own.name, needs, frozenset(own.optional))


def _units(homes: Mapping[str, Unit], table: Table) -> dict[str, Unit]:
    queue = [ref for home in homes.values() for ref in home.needs.values()]
    units: dict[str, Unit] = {}
    for key in queue:
        if key not in units and not key.startswith(LINK):
            entry = table.by_id[key]
            needs = {name: table.target(name, wanted, entry.name, "") for name, wanted in entry.needs.items()}
            units[key] = Unit(entry.name, needs, entry.wants, entry.peers, entry.version)
            queue.extend(needs.values())
    return units


def _platform(entry: BerryEntry) -> Needs:
    text = entry.node.str("conditions", "")
    needs = conditions(text)
    if needs is None:
        entry.node.at("conditions").fail(f"{text[:120]!r} cannot be understood")
    return needs


# --- tarballs ---


def _tarballs(
    chosen: list[BerryEntry],
    tree: SourceTree,
    lock: str,
    hosts: frozenset[str],
    lookup: PackumentLookup | None,
    scripts: dict[str, bool],
) -> dict[str, Tarball]:
    """Each entry's tarball; and into `scripts`, of which of them the registry says that it has install scripts."""
    _refuse(chosen, lock)
    asked = [entry for entry in chosen if entry.kind in ("npm", "patch")]
    if asked and lookup is None:
        raise NotCached(sorted(f"{entry.label} (Yarn's lock has no digest of its tarball)" for entry in asked))
    found: dict[str, Tarball] = {}
    unpinned = []
    for entry in chosen:
        if commit := _commit(entry, lock):
            found[entry.id] = commit
        elif entry.kind == "file":
            found[entry.id] = _local(entry, tree, lock)
        elif lookup is not None and (digest_holder := _asked(entry, lookup, hosts, lock, scripts)) is not None:
            found[entry.id] = digest_holder
        else:
            unpinned.append((entry.label, entry.label if entry.kind == "npm" else f"{entry.kind}:{entry.reference}"))
    if unpinned:
        hint = (
            f"Yarn's lock holds no digest of a tarball, and no registry gives one. {cures.packed(lock, unpinned[0][1])}"
        )
        raise Unpinned(lock, [label for label, _ in unpinned], hint)
    return found


def _refuse(chosen: list[BerryEntry], lock: str) -> None:
    patched = sorted(
        entry.label for entry in chosen if entry.kind == "patch" and not _BUILTIN.fullmatch(entry.reference)
    )
    if patched:
        raise BadLock(
            lock,
            f"Yarn patches these packages, and stager does not apply patches: {', '.join(patched)}",
            "Publish the patched package, or apply the patch when the app starts, and remove 'patch:'.",
        )
    builds = [(entry.label, *why) for entry in chosen if (why := _build(entry, lock))]
    if builds:
        raise cures.needs_build(builds)


def _build(entry: BerryEntry, lock: str) -> tuple[str, str] | None:
    """Why an entry cannot be fetched, and what to do about it."""
    if entry.kind == "file" and not is_local_tarball(entry.reference):
        folder(f"{_base(entry, lock)}/{entry.reference.partition('#')[0]}".lstrip("/"), lock, entry.name)
        return cures.COPY, cures.linked(lock)
    address = f"{entry.kind}:{entry.reference}"
    if _commit(entry, lock):
        return None
    if is_git(address) or "commit=" in entry.reference:
        scheme = "git+" if entry.kind in ("http", "https", "ssh") else ""
        return cures.GIT, cures.from_git(lock, scheme + address.replace("#commit=", "#"))
    return None


def _commit(entry: BerryEntry, lock: str) -> Tarball | None:
    """The package of an entry that comes from a whole commit."""
    address = f"{entry.kind}:{entry.reference}"
    if not is_git(address) and "commit=" not in entry.reference:
        return None
    return of_commit(address, entry.name, check_version(entry.version, entry.name, lock), lock)


def _base(entry: BerryEntry, lock: str) -> str:
    """The folder of the app that a path of the entry is relative to."""
    locator = parse_qs(entry.parameters).get("locator", ["@workspace:."])[0]
    return folder(unquote(locator).partition("@workspace:")[2] or ".", lock)


def _local(entry: BerryEntry, tree: SourceTree, lock: str) -> Tarball:
    return local_tarball(tree, entry.reference, entry.name, entry.version, None, lock, _base(entry, lock))


def _asked(
    entry: BerryEntry, lookup: PackumentLookup, hosts: frozenset[str], lock: str, scripts: dict[str, bool]
) -> Tarball | None:
    if entry.kind not in ("npm", "patch"):
        return None
    check_version(entry.version, entry.name, lock)
    published = lookup.version(entry.name, entry.version)
    if published.get("hasInstallScript") is True:
        scripts[entry.id] = True
    dist = published.get("dist")
    said = dist if isinstance(dist, Mapping) else {}
    label = f"the registry's metadata of {entry.label}"
    digest = strongest(str(said.get("integrity") or ""), label, lock) or shasum(
        str(said.get("shasum") or ""), label, lock
    )
    if digest is None:
        return None
    archive = parse_qs(entry.parameters).get("__archiveUrl", [""])[0]
    return Tarball(entry.name, entry.version, digest, outside_url(archive, entry.name, entry.version, hosts, True))


def _notes(chosen: list[BerryEntry], wanted: str) -> list[str]:
    builtin = sorted(entry.label for entry in chosen if entry.kind == "patch")
    asked = sum(entry.kind in ("npm", "patch") for entry in chosen)
    found = []
    if asked:
        found.append(
            f"yarn.lock holds no digests of tarballs: those of {asked} packages were taken from the registry and are "
            "trusted from now on (trust on first use)"
        )
    if asked and wanted == "pnp":
        found.append("Yarn's Plug'n'Play is not used: the packages that yarn.lock names are laid out in node_modules")
    if builtin:
        found.append("Yarn's own patches for Plug'n'Play are not applied: " + ", ".join(builtin))
    return found
