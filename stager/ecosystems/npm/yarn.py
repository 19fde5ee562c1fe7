"""`yarn.lock` of Yarn 1: an indented format of its own, and a graph without places.

It lists no platforms, so the registry is asked for those of optional packages; `layout` decides where packages go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stager.errors import BadLock
from stager.model import Locked, Stack
from stager.text import parsing

from . import collect, cures, documents, layout, suspects
from .graph import LINK, NpmGraph, Unit
from .manifest import PackageJson, all_manifests, firm
from .names import check_name, check_version, folder
from .package_lock_v1 import platforms
from .platform import Needs
from .semver import satisfies
from .source import (
    PackumentLookup,
    Tarball,
    is_git,
    is_local_tarball,
    is_web,
    local_tarball,
    of_commit,
    outside_url,
    shasum,
    strongest,
)
from .words import words

if TYPE_CHECKING:
    from stager.tree import SourceTree

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s",:][^\s",]*?(?=:?(?:[\s,]|$))):?|[,:]')
_LONGEST_LINE = 1 << 18
_ALIAS = re.compile(r"npm:((?:@[^/@]+/)?[^/@]+)(?:@.*)?", re.DOTALL)


@dataclass(slots=True)
class YarnEntry:
    """One resolved package: what it is, and what it needs by range."""

    line: int
    descriptors: tuple[str, ...]
    fields: dict[str, str] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its first descriptor."""
        return self.descriptors[0]

    @property
    def name(self) -> str:
        """The real package name: what an alias stands for."""
        name, _, wanted = split_descriptor(self.id)
        alias = _ALIAS.fullmatch(wanted)
        return alias[1] if alias else name

    @property
    def version(self) -> str:
        """The exact version; empty when the lock does not say."""
        return self.fields.get("version", "")

    def needs(self) -> dict[str, str]:
        """Names and ranges of what it needs, optionally or not."""
        return {**self.tables.get("dependencies", {}), **self.tables.get("optionalDependencies", {})}


def split_descriptor(text: str) -> tuple[str, str, str]:
    """`name@range` as (name, "@", range)."""
    at = text.find("@", 1)
    return (text[:at], "@", text[at + 1 :]) if at > 0 else (text, "", "")


def parse(text: str, lock: str) -> dict[str, YarnEntry]:
    """Descriptor to entry. Raises BadLock with the line."""
    found: dict[str, YarnEntry] = {}
    entry: YarnEntry | None = None
    table = ""
    for number, raw in enumerate(text.splitlines(), 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        indent, words = len(raw) - len(raw.lstrip(" ")), _words(raw.strip(), lock, number)
        if indent == 0 and raw.rstrip().endswith(":"):
            entry, table = YarnEntry(number, tuple(words)), ""
            for descriptor in words:
                if descriptor in found:
                    raise BadLock(lock, f"{descriptor!r} is given twice", line=number)
                found[descriptor] = entry
        elif entry is not None and indent == 2 and raw.rstrip().endswith(":") and len(words) == 1:
            table = words[0]
            entry.tables[table] = {}
        elif entry is not None and indent == 2 and len(words) == 2:
            entry.fields[words[0]] = words[1]
        elif entry is not None and indent == 4 and table and len(words) == 2:
            entry.tables[table][check_name(words[0], lock, number)] = words[1]
        else:
            raise BadLock(lock, f"cannot be understood: {raw.strip()[:80]!r}", line=number)
    return found


def _words(line: str, lock: str, number: int) -> list[str]:
    words, at = [], 0
    if len(line) > _LONGEST_LINE:
        raise BadLock(lock, f"a line has more than {_LONGEST_LINE} characters", line=number)
    while at < len(line):
        match = _TOKEN.match(line, at)
        if match is None:
            raise BadLock(lock, f"cannot be understood: {line[:80]!r}", line=number)
        if match[1] is not None:
            words.append(_unquoted(match[0], lock, number))
        elif match[2]:
            words.append(match[2])
        at = match.end()
        while at < len(line) and line[at] in " \t":
            at += 1
    if not words:
        raise BadLock(lock, f"cannot be understood: {line[:80]!r}", line=number)
    return words


def _unquoted(text: str, lock: str, number: int) -> str:
    try:
        return str(parsing.json(text))
    except ValueError:
        raise BadLock(lock, f"cannot be understood: {text[:80]!r}", line=number) from None


# --- the graph ---


def read(
    tree: SourceTree, lock: str, stack: Stack, dev: bool, hosts: frozenset[str], lookup: PackumentLookup | None
) -> Locked:
    """What the lock comes to on `stack`.

    Raises BadLock, Unpinned, NeedsBuild, DigestMismatch, and NotCached when the registry must say what platform the
    optional packages are for and `lookup` is None.
    """
    entries = parse(documents.text(tree, lock), lock)
    manifests = all_manifests(tree)
    homes = {path: _home(item, manifests, entries, dev, lock) for path, item in manifests.items()}
    graph = NpmGraph(homes, _units(homes, entries, manifests, lock))
    graph = graph.fitting(_unfit(graph, entries, stack, lookup), lock, stack)
    places, links = layout.hoist(graph, lock)
    tarballs = _tarballs({key: entries[key] for key in graph.units}, tree, lock, hosts)
    links = collect.app_links(tree, links, {path: item.bin for path, item in manifests.items()}, lock)
    unsure = suspects.unsure(suspects.of_units(graph.units), firm(tree), words(tree, lock).looked)
    return collect.locked({path: tarballs[key] for path, key in places.items()}, links, (), lock, (), unsure)


def _home(
    item: PackageJson, manifests: Mapping[str, PackageJson], entries: Mapping[str, YarnEntry], dev: bool, lock: str
) -> Unit:
    needs = {}
    for name, wanted in item.all(dev).items():
        check_name(name, item.path)
        if wanted.startswith(LINK):
            needs[name] = LINK + folder(f"{item.folder}/{wanted.removeprefix('link:')}".lstrip("/"), item.path, name)
        else:
            needs[name] = _target(name, wanted, manifests, entries, lock)
    return Unit(item.name, needs, frozenset(item.optional))


def _target(
    name: str, wanted: str, manifests: Mapping[str, PackageJson], entries: Mapping[str, YarnEntry], lock: str
) -> str:
    """The id of the entry, or the workspace, that `name@wanted` is resolved to. Raises BadLock when there is none."""
    local = workspace(name, wanted, manifests)
    if local:
        return LINK + local
    entry = entries.get(f"{name}@{wanted}")
    if entry is None:
        forced = {key.rpartition("**/")[2]: value for key, value in manifests[""].resolutions.items()}
        entry = entries.get(f"{name}@{forced.get(name)}")
    if entry is None:
        raise BadLock(
            lock, f"it has no {name}@{wanted}, which something depends on", "Run 'yarn install' and commit it."
        )
    return entry.id


def workspace(name: str, wanted: str, manifests: Mapping[str, PackageJson]) -> str:
    """The folder of the workspace `name` when its version is in the range; empty otherwise."""
    for path, item in manifests.items():
        if path and item.name == name and (wanted in ("*", "") or satisfies(item.version, wanted)):
            return path
    return ""


def _units(
    homes: Mapping[str, Unit], entries: Mapping[str, YarnEntry], manifests: Mapping[str, PackageJson], lock: str
) -> dict[str, Unit]:
    queue = [ref for home in homes.values() for ref in home.needs.values()]
    units: dict[str, Unit] = {}
    for key in queue:
        if key not in units and not key.startswith(LINK):
            entry = entries[key]
            needs = {name: _target(name, wanted, manifests, entries, lock) for name, wanted in entry.needs().items()}
            units[key] = Unit(
                check_name(entry.name, lock, entry.line), needs, _wants(entry), frozenset(), entry.version
            )
            queue.extend(needs.values())
    return units


def _wants(entry: YarnEntry) -> frozenset[str]:
    return frozenset(entry.tables.get("optionalDependencies", ()))


def _unfit(
    graph: NpmGraph, entries: Mapping[str, YarnEntry], stack: Stack, lookup: PackumentLookup | None
) -> dict[str, Needs]:
    asked = {
        key: (entries[key].name, entries[key].version)
        for key in graph.optional()
        if is_web(entries[key].fields.get("resolved", "")) and entries[key].version
    }
    said = {key: Needs(**words) for key, words in platforms(asked, lookup).items()}
    return {key: needs for key, needs in said.items() if not needs.fit(stack)}


# --- tarballs ---


def _tarballs(
    entries: Mapping[str, YarnEntry], tree: SourceTree, lock: str, hosts: frozenset[str]
) -> dict[str, Tarball]:
    found, unpinned, builds = {}, [], []
    for key, entry in entries.items():
        resolved = entry.fields.get("resolved", "")
        wanted = split_descriptor(key)[2]
        label = f"{entry.name}@{entry.version}"
        tarball = None
        if is_git(resolved) or (not resolved and is_git(wanted)):
            tarball = of_commit(resolved or wanted, entry.name, check_version(entry.version, entry.name, lock), lock)
        if tarball:
            pass
        elif is_git(resolved) or (not resolved and is_git(wanted)):
            builds.append((label, cures.GIT, cures.from_git(lock, resolved or wanted)))
        elif not resolved and wanted.startswith("file:") and not is_local_tarball(wanted):
            folder(wanted.removeprefix("file:"), lock, entry.name)
            builds.append((label, cures.COPY, cures.linked(lock)))
        elif (tarball := _tarball(entry, resolved or wanted, label, tree, lock, hosts)) is None:
            if tarball := of_commit(resolved, entry.name, entry.version, lock):
                pass
            elif is_git(wanted) or cures.is_archive(resolved):
                builds.append((label, cures.GIT, cures.from_git(lock, wanted or resolved)))
            else:
                unpinned.append((label, outside_url(resolved, entry.name, entry.version, hosts, aliases=True)))
        if tarball:
            found[key] = tarball
    if builds:
        raise cures.needs_build(builds)
    if unpinned:
        raise cures.without_digest(lock, unpinned)
    return found


def _tarball(
    entry: YarnEntry, resolved: str, label: str, tree: SourceTree, lock: str, hosts: frozenset[str]
) -> Tarball | None:
    address, _, fragment = resolved.partition("#")
    digest = strongest(entry.fields.get("integrity", ""), label, lock)
    if digest is None and is_web(address):
        digest = shasum(fragment, label, lock)
    check_version(entry.version, entry.name, lock)
    local = "file:" in address or "/" in address
    if is_local_tarball(address) and local and not is_web(address):
        return local_tarball(tree, address, entry.name, entry.version, digest, lock)
    if digest is None:
        return None
    url = outside_url(address, entry.name, entry.version, hosts, aliases=True) if is_web(address) else ""
    return Tarball(entry.name, entry.version, digest, url)
