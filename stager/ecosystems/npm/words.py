"""What an app says of which packages are built when it is installed, in the words of pnpm, Yarn and Bun.

Sources: pnpm's settings (`onlyBuiltDependencies`, `neverBuiltDependencies`, `ignoredBuiltDependencies`, `allowBuilds`), the
manifests of Yarn (`dependenciesMeta.*.built`) and of Bun (`trustedDependencies`). They are read whatever lock there is, as npm
has no such words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import documents
from .pnpm_settings import WORKSPACE

if TYPE_CHECKING:
    from stager.text.typed import Node
    from stager.tree import SourceTree


@dataclass(frozen=True, slots=True)
class BuildWords:
    """Names of packages, without versions."""

    named: frozenset[str]
    """Those that are to be built."""
    never: frozenset[str]
    """Those that are not."""
    alone: bool
    """Whether the lock's own tool builds none but those named."""

    def forbid(self, name: str) -> bool:
        """Whether the app's own tool would leave a package unbuilt."""
        return name in self.never or (self.alone and name not in self.named)


def words(tree: SourceTree, lock: str) -> BuildWords:
    """What the app at the tree's root says, whose lock is `lock`. Raises BadManifest."""
    named, never = set[str](), set[str]()
    pnpm, bun = False, False
    tables = []
    if "package.json" in tree:
        root = documents.package_json(tree, "package.json")
        tables.append(root.value.get("pnpm"))
        meta = root.value.get("dependenciesMeta")
        for key, item in meta.items() if isinstance(meta, Mapping) else ():
            if isinstance(item, Mapping) and isinstance(item.get("built"), bool):
                (named if item["built"] else never).add(_name(key))
        trusted = root.value.get("trustedDependencies")
        bun = isinstance(trusted, list)
        named |= _names(trusted)
    if WORKSPACE in tree:
        tables.append(_workspace(tree).value)
    for table in tables:
        if isinstance(table, Mapping):
            only, allow = _names(table.get("onlyBuiltDependencies")), table.get("allowBuilds")
            chosen = allow if isinstance(allow, Mapping) else {}
            yes = {_name(key) for key, value in chosen.items() if value in (True, "true")}
            never |= {_name(key) for key, value in chosen.items() if value in (False, "false")}
            never |= _names(table.get("neverBuiltDependencies")) | _names(table.get("ignoredBuiltDependencies"))
            named |= only | yes
            pnpm = pnpm or bool(only | yes)
    file = lock.rpartition("/")[2]
    alone = (pnpm and file == "pnpm-lock.yaml") or (bun and file == "bun.lock")
    return BuildWords(frozenset(named - never), frozenset(never), alone)


def _workspace(tree: SourceTree) -> Node:
    text = documents.text(tree, WORKSPACE, documents.bad_manifest)
    return documents.parse_yaml(text, WORKSPACE, documents.bad_manifest)


def _names(value: object) -> set[str]:
    rows: Iterable[object] = value if isinstance(value, list) else ()
    return {_name(row) for row in rows if isinstance(row, str)}


def _name(text: object) -> str:
    """`name` of `name@versions`."""
    found = str(text)
    at = found.find("@", 1)
    return found[:at] if at > 0 else found
