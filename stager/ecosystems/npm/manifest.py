"""`package.json`, read and checked, and the workspaces it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stager.errors import BadManifest
from stager.text.typed import Node

from . import documents
from .names import LONGEST

if TYPE_CHECKING:
    from stager.tree import SourceTree

_FILE = "package.json"
_STAR = re.compile(r"\*+|\?|[^*?]+")
_STEP = {"*": "[^/]*", "?": "[^/]"}
Ranges = Mapping[str, str]
"""Package name to the version range (or tag, URL, folder) asked for."""


@dataclass(frozen=True, slots=True)
class PackageJson:
    """A package.json. Every field is of the right type; absent ones are empty."""

    path: str
    name: str = ""
    version: str = ""
    main: str = ""
    type: str = ""
    package_manager: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    engines: Mapping[str, str] = field(default_factory=dict)
    bin: Mapping[str, str] = field(default_factory=dict)
    workspaces: tuple[str, ...] = ()
    dependencies: Ranges = field(default_factory=dict)
    dev: Ranges = field(default_factory=dict)
    optional: Ranges = field(default_factory=dict)
    peer: Ranges = field(default_factory=dict)
    optional_peers: frozenset[str] = frozenset()
    resolutions: Ranges = field(default_factory=dict)
    """Yarn's forced versions."""
    pnpm: Mapping[str, object] = field(default_factory=dict)
    """pnpm's settings; checked where they are used."""

    @property
    def folder(self) -> str:
        """The folder it lies in; the app's root is empty."""
        return self.path.rpartition("/")[0]

    @property
    def production(self) -> Ranges:
        """`dependencies` without those that are optional as well: npm lets `optionalDependencies` win."""
        return {name: wanted for name, wanted in self.dependencies.items() if name not in self.optional}

    def all(self, dev: bool = True) -> Ranges:
        """Everything that is installed for it; a production entry wins over a development one."""
        return {**(self.dev if dev else {}), **self.dependencies, **self.optional}


def manifest(tree: SourceTree, path: str = _FILE) -> PackageJson:
    """Read and check a package.json. Raises BadManifest with the line or the path of what is wrong."""
    root = documents.package_json(tree, path)
    meta = {name: item.bool("optional", False) for name, item in root.table("peerDependenciesMeta").items()}
    return PackageJson(
        path=path,
        name=_name(root),
        version=root.str("version", ""),
        main=root.str("main", ""),
        type=root.str("type", ""),
        package_manager=root.str("packageManager", ""),
        scripts=_strings(root, "scripts"),
        engines=_engines(root),
        bin=_bin(root),
        workspaces=_workspaces(root),
        dependencies=_strings(root, "dependencies"),
        dev=_strings(root, "devDependencies"),
        optional=_strings(root, "optionalDependencies"),
        peer=_strings(root, "peerDependencies"),
        optional_peers=frozenset(name for name, optional in meta.items() if optional),
        resolutions=_strings(root, "resolutions"),
        pnpm={name: item.value for name, item in root.table("pnpm").items()},
    )


def _name(root: Node) -> str:
    name: str = root.str("name", "")
    if len(name) > LONGEST or name.strip() != name or "\\" in name or ".." in name.split("/"):
        Node(name, root.file, "name", root.fail_with).fail(f"{name[:80]!r} is not a package name")
    return name


def _strings(root: Node, key: str) -> Ranges:
    return {name: root.at(key).str(name) for name in root.table(key)}


def _engines(root: Node) -> Mapping[str, str]:
    if isinstance(root.value.get("engines"), list):  # the form of npm before 1.0; npm ignores it, too
        return {}
    return _strings(root, "engines")


def _bin(root: Node) -> Mapping[str, str]:
    if isinstance(root.value.get("bin"), str):
        return {root.str("name", "").rpartition("/")[2]: root.str("bin")}
    return _strings(root, "bin")


def _workspaces(root: Node) -> tuple[str, ...]:
    holder = root.get("workspaces")
    if holder is None or isinstance(holder.value, list):
        return tuple(root.strings("workspaces"))
    return tuple(holder.strings("packages"))


def workspaces(tree: SourceTree, patterns: Iterable[str]) -> dict[str, PackageJson]:
    """The manifests of the folders that `patterns` name, by folder in byte order. Raises BadManifest.

    A pattern is a folder with `*` for one part and `**` for any number; one that starts with `!` takes folders away.
    """
    chosen: set[str] = set()
    folders = {path.rpartition("/")[0] for path in tree.files if path.endswith("/package.json")}
    candidates = {path for path in folders if path and "node_modules" not in path.split("/")}
    for pattern in patterns:
        rule = _pattern(pattern.removeprefix("!"))
        found = {path for path in candidates if rule.fullmatch(f"{path}/")}
        chosen = chosen - found if pattern.startswith("!") else chosen | found
    return {path: manifest(tree, f"{path}/package.json") for path in sorted(chosen, key=str.encode)}


def _pattern(pattern: str) -> re.Pattern[str]:
    parts = pattern.removeprefix("./").strip("/").split("/")
    if len(pattern) > 1000 or pattern.count("*") > 8:
        why = f"workspaces: {pattern[:80]!r} is too long"
        raise BadManifest(_FILE, why)
    steps = [
        "(?:.*/)?" if part == "**" else "".join(_STEP.get(bit) or re.escape(bit) for bit in _STAR.findall(part)) + "/"
        for part in parts
    ]
    return re.compile("".join(steps))


def all_manifests(tree: SourceTree, patterns: Iterable[str] | None = None) -> dict[str, PackageJson]:
    """The root's manifest under `""` and its workspaces' under their folders. Raises BadManifest.

    An app without a package.json, a program alone, asks for nothing.
    """
    root = manifest(tree) if _FILE in tree else PackageJson(_FILE)
    return {"": root, **workspaces(tree, root.workspaces if patterns is None else patterns)}


def firm(tree: SourceTree) -> frozenset[str]:
    """The names that the app and its workspaces cannot do without. Raises BadManifest."""
    return frozenset(name for item in all_manifests(tree).values() for name in item.dependencies)
