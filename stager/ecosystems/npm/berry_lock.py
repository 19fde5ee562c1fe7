"""The entries of a Yarn 2+ lock, and how a name and a range lead to one of them.

On the way there: `resolutions` of the root's package.json, catalogs of `.yarnrc.yml`, and the `npm:` that Yarn puts
before plain ranges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from stager.errors import BadLock, BadManifest
from stager.text.typed import Node, whole

from . import documents
from .graph import LINK
from .manifest import PackageJson
from .names import check_name, folder
from .yarn import split_descriptor

if TYPE_CHECKING:
    from stager.tree import SourceTree

CONFIG = ".yarnrc.yml"
_SEPARATOR = re.compile(r",\s*")
_OLDEST, _NEWEST = 4, 10
_PATTERN = re.compile(
    r"(?:(?P<parent>(?:@[^/@]+/)?[^/@]+)(?:@[^/]+)?/)?(?P<name>(?:@[^/@]+/)?[^/@]+)(?:@(?P<range>.+))?"
)


@dataclass(frozen=True, slots=True)
class BerryEntry:
    """One resolved package or workspace."""

    id: str
    """Its `resolution`, such as `debug@npm:4.3.4`."""
    name: str
    kind: str
    """The resolution's protocol: `npm`, `workspace`, `patch`, `file`, `https` …"""
    reference: str
    """What follows the protocol, without Yarn's own parameters."""
    parameters: str
    """Yarn's own parameters, in the form of a query."""
    node: Node

    @property
    def version(self) -> str:
        """The exact version."""
        return str(self.node.str("version"))

    @property
    def label(self) -> str:
        """`name@version` for people."""
        return f"{self.name}@{self.version}"

    @property
    def needs(self) -> dict[str, str]:
        """Names and ranges of what it needs."""
        table = self.node.table("dependencies")
        return {check_name(name, self.node.file): str(item.value) for name, item in table.items()}

    @property
    def wants(self) -> frozenset[str]:
        """The names it needs optionally."""
        meta = self.node.table("dependenciesMeta")
        return frozenset(name for name, item in meta.items() if item.str("optional", "") == "true")

    @property
    def peers(self) -> frozenset[str]:
        """The names it must see as the package that needs it sees them."""
        return frozenset(self.node.table("peerDependencies"))


def is_berry(text: str) -> bool:
    """Whether a `yarn.lock` was written by Yarn 2 or newer."""
    return re.search(r"^__metadata:", text, re.MULTILINE) is not None


def entries(tree: SourceTree, lock: str) -> dict[str, BerryEntry]:
    """Descriptor to entry. Raises BadLock."""
    root = documents.parse_yaml(documents.text(tree, lock), lock)
    version = root.at("__metadata").str("version")
    if (number := whole(version)) is None or not _OLDEST <= number <= _NEWEST:
        raise BadLock(
            lock,
            f"__metadata.version {version[:20]} is not one of {_OLDEST} to {_NEWEST}",
            "Run 'yarn install' with Yarn 4 and commit the result.",
        )
    found: dict[str, BerryEntry] = {}
    for key in root.value:
        entry = _entry(root.at(key)) if key != "__metadata" else None
        for descriptor in _SEPARATOR.split(key) if entry else ():
            if descriptor in found:
                raise BadLock(lock, f"{descriptor!r} is given twice")
            assert entry is not None
            found[descriptor] = entry
    return found


def _entry(node: Node) -> BerryEntry:
    resolution = node.str("resolution")
    name, _, rest = split_descriptor(resolution)
    kind, _, reference = rest.partition(":")
    reference, _, parameters = reference.partition("::")
    return BerryEntry(resolution, check_name(name, node.file), kind, reference, parameters, node)


def linker(tree: SourceTree) -> str:
    """How Yarn would lay the packages out: `node-modules`, `pnp` (what Yarn does unless told) or `pnpm`."""
    return str(_settings(tree).str("nodeLinker", "pnp"))


def catalogs(tree: SourceTree) -> dict[str, str]:
    """The catalogs of `.yarnrc.yml`: `catalog:` range and package name, with a `|` between, to a range."""
    root = _settings(tree)
    found = {f"catalog:|{name}": str(item.value) for name, item in root.table("catalog").items()}
    for group, table in root.table("catalogs").items():
        found |= {f"catalog:{group}|{name}": table.str(name) for name in table.value}
    return found


def _settings(tree: SourceTree) -> Node:
    if CONFIG not in tree.files:
        return Node({}, CONFIG, "", lambda file, why: BadManifest(file, why))
    text = documents.text(tree, CONFIG, documents.bad_manifest)
    return documents.parse_yaml(text, CONFIG, documents.bad_manifest)


class Table:
    """The lock's entries and everything that takes part in finding one."""

    def __init__(
        self, found: Mapping[str, BerryEntry], root: PackageJson, catalogs: Mapping[str, str], lock: str
    ) -> None:
        self.found = found
        self.catalogs = catalogs
        self.lock = lock
        self.by_id = {entry.id: entry for entry in found.values()}
        self.bound: dict[str, list[str]] = {}
        for key in found:
            self.bound.setdefault(key.partition("::")[0], []).append(key)
        self.forced = [
            (match, wanted) for key, wanted in root.resolutions.items() if (match := _PATTERN.fullmatch(key))
        ]

    @property
    def workspaces(self) -> dict[str, BerryEntry]:
        """The app's folders by path; the root is `""`."""
        return {folder(item.reference, self.lock): item for item in self.found.values() if item.kind == "workspace"}

    def target(self, name: str, wanted: str, parent: str, base: str) -> str:
        """The id of the entry that `name@wanted` of the package `parent` leads to, or `link:` and a folder of the app.

        `base` is the folder of the app that asks. Raises BadLock when the lock has no such entry.
        """
        check_name(name, self.lock)
        wanted = self._forced(name, self.catalogs.get(f"{wanted}|{name}", wanted), parent)
        entry = self._find(name, wanted, base)
        if entry is None:
            hint = "Run 'yarn install' and commit the result."
            raise BadLock(self.lock, f"it has no {name}@{wanted}, which {parent or 'the app'} depends on", hint)
        if entry.kind == "portal":
            raise BadLock(self.lock, f"{name} is a portal", "Use 'workspace:' or 'link:' for a folder of the app.")
        if entry.kind == "link":
            return LINK + folder(f"{base}/{entry.reference}".lstrip("/"), self.lock, name)
        return LINK + folder(entry.reference, self.lock) if entry.kind == "workspace" else entry.id

    def _forced(self, name: str, wanted: str, parent: str) -> str:
        plain = wanted.removeprefix("npm:")
        for match, value in self.forced:
            right = match["parent"] in (None, "**", parent) and match["name"] == name
            if right and (match["range"] is None or match["range"].removeprefix("npm:") == plain):
                return value
        return wanted

    def _find(self, name: str, wanted: str, base: str) -> BerryEntry | None:
        for key in (f"{name}@{wanted}", f"{name}@npm:{wanted}"):
            if key in self.found:
                return self.found[key]
            mine = quote(f"workspace:{base or '.'}", safe="")
            bound = sorted(self.bound.get(key, ()), key=lambda item: (not item.endswith(mine), item))
            if bound:
                return self.found[bound[0]]
        return None
