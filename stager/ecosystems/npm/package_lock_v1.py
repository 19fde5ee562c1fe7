"""Version 1 of npm's lock (npm 5 and 6): nested `dependencies` become the `packages` table of version 2.

It holds no `os` and `cpu`, so the registry is asked for those of optional packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stager.errors import BadLock
from stager.net.errors import NotCached
from stager.text.typed import Node

from .names import check_name
from .source import PackumentLookup, is_git, is_local_tarball, is_web

_ALIAS = re.compile(r"npm:(.+)@([^@]+)")
_DEEPEST = 64
_FLAGS = {"dev": "dev", "optional": "optional", "bundled": "inBundle"}


def flatten(root: Node, lock: str, dev: bool, lookup: PackumentLookup | None) -> Mapping[str, Node]:
    """The `packages` table that this lock would have in version 2.

    Raises BadLock, and NotCached when optional packages need the registry and `lookup` is None.
    """
    top = dict.fromkeys(root.table("dependencies"), "*")
    table: dict[str, dict[str, Any]] = {"": {"dependencies": top}}
    for path, node in _walk(root, "", lock, 0):
        entry = table[path] = _entry(path.rpartition("node_modules/")[2], node)
        if entry.get("link"):
            table.setdefault(entry["resolved"], {})
    _loosen(table)
    for path, needs in platforms(_asked(table, dev), lookup).items():
        table[path].update(needs)
    return Node({"packages": table}, lock, "", root.fail_with).table("packages")


def _walk(node: Node, path: str, lock: str, depth: int) -> Iterator[tuple[str, Node]]:
    if depth > _DEEPEST:
        raise BadLock(lock, f"{path}: nested too deeply")
    for name, child in node.table("dependencies").items():
        place = f"{path}/node_modules/{check_name(name, lock)}".lstrip("/")
        yield place, child
        yield from _walk(child, place, lock, depth + 1)


def _entry(name: str, node: Node) -> dict[str, Any]:
    entry: dict[str, Any] = {new: node.bool(old, False) for old, new in _FLAGS.items()}
    entry["dependencies"] = {} if isinstance(node.value.get("requires"), bool) else _ranges(node.table("requires"))
    entry["name"], version = name, node.str("version")
    alias = _ALIAS.fullmatch(version)
    if alias:
        entry["name"], version = alias[1], alias[2]
    if version.startswith("file:") and not is_local_tarball(version):
        return {**entry, "link": True, "resolved": version.removeprefix("file:")}
    if is_git(version) or is_web(version) or is_local_tarball(version):
        return {**entry, "version": "", "resolved": version, "integrity": node.str("integrity", "")}
    resolved = node.str("resolved", "") if isinstance(node.value.get("resolved"), str) else ""
    return {**entry, "version": version, "resolved": resolved, "integrity": node.str("integrity", "")}


def _ranges(table: Mapping[str, Node]) -> dict[str, str]:
    return {name: str(item.value) for name, item in table.items()}


def _loosen(table: Mapping[str, dict[str, Any]]) -> None:
    """`requires` does not say which needs are optional; those that only optional packages share are taken as such."""
    names = {path.rpartition("node_modules/")[2] for path, entry in table.items() if entry.get("optional")}
    for entry in table.values():
        needs = entry.get("dependencies", {})
        entry["optionalDependencies"] = {name: wanted for name, wanted in needs.items() if name in names}


def _asked(table: Mapping[str, dict[str, Any]], dev: bool) -> dict[str, tuple[str, str]]:
    return {
        path: (entry["name"], entry["version"])
        for path, entry in table.items()
        if entry.get("optional") and entry.get("version") and not entry["inBundle"] and (dev or not entry["dev"])
    }


def platforms(asked: Mapping[str, tuple[str, str]], lookup: PackumentLookup | None) -> dict[str, dict[str, list[str]]]:
    """The registry's `os`, `cpu` and `libc` for each key of `asked` (key → name, version).

    Raises NotCached when there is something to ask and nobody to answer.
    """
    if asked and lookup is None:
        names = sorted({f"{name}@{version} (its platform is not in the lock)" for name, version in asked.values()})
        raise NotCached(names)
    known: dict[tuple[str, str], dict[str, list[str]]] = {}
    for pair in asked.values():
        if pair not in known and lookup is not None:
            said = lookup.version(*pair)
            known[pair] = {key: _words(said.get(key)) for key in ("os", "cpu", "libc")}
    return {key: known[pair] for key, pair in asked.items()}


def _words(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(word) for word in value] if isinstance(value, list) else []
