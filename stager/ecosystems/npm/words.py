"""What an app says of which packages are built when it is installed, in the words of npm, pnpm, Yarn and Bun.

Sources: pnpm's settings (`onlyBuiltDependencies`, `neverBuiltDependencies`, `ignoredBuiltDependencies`, `allowBuilds`,
`dangerouslyAllowAllBuilds`; from pnpm 10 on none is built that is not allowed), the manifests of npm (`allowScripts`), Yarn
(`dependenciesMeta.*.built`) and Bun (`trustedDependencies`), read whatever lock there is; `.npmrc` (`ignore-scripts`,
`strict-allow-scripts`, `build-from-source`), `.yarnrc.yml` (`enableScripts`), Yarn 1's `.yarnrc` and `bunfig.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stager.net.indexes.configured import npmrc
from stager.text import parsing

from . import documents
from .pnpm_settings import WORKSPACE, pnpm_major

if TYPE_CHECKING:
    from stager.tree import SourceTree


ALL = "*"
_BLOCKING = 10
"""The major version of pnpm from which on it builds only what it is told."""
_YARN, _BUN = ".yarnrc.yml", "bunfig.toml"


@dataclass(frozen=True, slots=True)
class BuildWords:
    """Names of packages, without versions."""

    named: frozenset[str]
    """Those that are to be built."""
    never: frozenset[str]
    """Those that are not."""
    alone: bool
    """Whether the lock's own tool builds none but those named."""
    none: bool = False
    """Whether no script of a package is run at all."""
    sources: frozenset[str] = frozenset()
    """Those that are compiled though they have an add-on; `ALL` for every one."""

    @property
    def looked(self) -> frozenset[str]:
        """Those that are to be looked into, whatever else is known of them."""
        return self.named | self.sources

    def forbid(self, name: str) -> bool:
        """Whether the app's own tool would leave a package unbuilt."""
        return self.none or name in self.never or (self.alone and name not in self.named)

    def compiles(self, name: str) -> bool:
        """Whether a package is to be compiled though it has an add-on."""
        return not self.sources.isdisjoint((name, ALL))


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
        allowed = root.value.get("allowScripts")
        for key, value in allowed.items() if isinstance(allowed, Mapping) else ():
            if isinstance(value, bool):
                (named if value else never).add(_name(key))
        trusted = root.value.get("trustedDependencies")
        bun = isinstance(trusted, list)
        named |= _names(trusted)
    if WORKSPACE in tree:
        tables.append(documents.yaml_of(tree, WORKSPACE).value)
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
    berry, options = file == "yarn.lock" and _YARN in tree, _npmrc(tree)
    blocked = file == "pnpm-lock.yaml" and not pnpm and _pnpm_blocks(tree, tables, options)
    strict = file.startswith(("package-lock", "npm-shrinkwrap")) and options.get("strict-allow-scripts") == "true"
    alone = (pnpm and file == "pnpm-lock.yaml") or (bun and file == "bun.lock") or blocked or strict
    if berry:
        alone = documents.yaml_of(tree, _YARN).value.get("enableScripts") in (False, "false") or alone
    return BuildWords(
        named=frozenset(named - never),
        never=frozenset(never),
        alone=alone,
        none=not berry and (options.get("ignore-scripts") == "true" or _ignored(tree, file)),
        sources=frozenset() if berry else _sources(options.get("build-from-source", "false")),
    )


def _npmrc(tree: SourceTree) -> dict[str, str]:
    """The app's `.npmrc`, in which npm takes `_` for `-`, and a key alone for `true`."""
    rows = npmrc(tree.read_text(".npmrc"), {}) if ".npmrc" in tree.files else {}
    return {key.replace("_", "-").lower(): value.lower() or "true" for key, value in rows.items()}


def _pnpm_blocks(tree: SourceTree, tables: Iterable[object], options: Mapping[str, str]) -> bool:
    """Whether the app's pnpm is one that builds only what it is told, and is not told to build all."""
    found = [table for table in tables if isinstance(table, Mapping)]
    everything = any(table.get("dangerouslyAllowAllBuilds") in (True, "true") for table in found)
    excepted = any(isinstance(table.get("neverBuiltDependencies"), list) for table in found)
    told = everything or excepted or options.get("dangerously-allow-all-builds") == "true"
    return "package.json" in tree and pnpm_major(tree) >= _BLOCKING and not told


def _ignored(tree: SourceTree, lock: str) -> bool:
    """Whether Yarn 1's or Bun's own settings have no script run."""
    if lock == "yarn.lock" and ".yarnrc" in tree.files:
        return re.search(r"^(?:--)?ignore-scripts\s+\"?true\b", tree.read_text(".yarnrc"), re.MULTILINE) is not None
    if lock == "bun.lock" and _BUN in tree.files:
        try:
            table = parsing.toml(tree.read_text(_BUN)).get("install")
        except ValueError as error:
            raise documents.bad_manifest(_BUN, str(error)) from None
        return isinstance(table, Mapping) and table.get("ignoreScripts") is True
    return False


def _sources(value: str) -> frozenset[str]:
    """`true`, or the names of packages."""
    names = frozenset(re.split(r"[,\s]+", value)) - {"", "false"}
    return frozenset({ALL}) if "true" in names else names


def _names(value: object) -> set[str]:
    rows: Iterable[object] = value if isinstance(value, list) else ()
    return {_name(row) for row in rows if isinstance(row, str)}


def _name(text: object) -> str:
    """`name` of `name@versions`."""
    found = str(text)
    at = found.find("@", 1)
    return found[:at] if at > 0 else found
