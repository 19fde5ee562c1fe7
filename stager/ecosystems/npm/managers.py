"""Which package manager a package.json asks for, beside the one that wrote the lock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from stager.errors import Ambiguous
from stager.model import Reason
from stager.text.source_lines import json_line

from . import documents, semver

if TYPE_CHECKING:
    from stager.tree import SourceTree


def manager(tree: SourceTree) -> str:
    """The one that `packageManager` names; empty for none. Raises BadManifest."""
    value = documents.package_json(tree, "package.json").value.get("packageManager") if "package.json" in tree else None
    return value.partition("@")[0] if isinstance(value, str) else ""


def check(tree: SourceTree, lock: str, managers: Mapping[str, str]) -> None:
    """Refuse a lock of one package manager when package.json asks for another. Raises Ambiguous, BadManifest."""
    writer = managers.get(lock.rpartition("/")[2])
    if not writer or "package.json" not in tree:
        return
    document = documents.package_json(tree, "package.json").value
    for field, named in _named(document, set(managers.values()), writer):
        line = json_line(documents.text(tree, "package.json", documents.bad_manifest), field)
        what = f"package.json asks for {named}, but the lock file is {writer}'s"
        places = [f"package.json:{line} ({field})" if line else f"package.json ({field})", lock]
        raise Ambiguous(
            what, places, f"Make the lock with {named} and delete {lock}, or change {field} in package.json."
        )


def _named(document: Mapping[str, object], managers: set[str], writer: str) -> list[tuple[str, str]]:
    """(field, manager) where package.json names another manager than `writer`."""
    value, engines = document.get("packageManager"), document.get("engines")
    if isinstance(value, str):
        named = value.partition("@")[0]
        return [("packageManager", named)] if named in managers and named != writer else []
    ranges = engines if isinstance(engines, dict) else {}
    if writer in ranges:
        return []
    # engines.npm is left alone: it stands in many packages that use another manager. Bun is a runtime as well
    return [
        (f"engines.{name}", name)
        for name, text in ranges.items()
        if name in managers and name not in ("npm", "bun") and _range(text)
    ]


def _range(text: object) -> bool:
    return isinstance(text, str) and semver.satisfies("1.0.0", text) is not None


_VERSION = re.compile(r"^lockfileVersion:\s*'?\"?(\d+)", re.MULTILINE)
_PNPM = {"6": "8", "9": "9 || 10"}
"""Version of the lock → versions of pnpm that write it as it is."""


def made_with(tree: SourceTree, lock: str) -> list[tuple[str, str, Reason]]:
    """(package manager, range, where it says so) that wrote a lock, where only some of its versions know it."""
    if lock.rpartition("/")[2] != "pnpm-lock.yaml" or lock not in tree:
        return []
    found = _VERSION.search(documents.text(tree, lock)[:1000])
    wanted = _PNPM.get(found[1], "") if found else ""
    return [("pnpm", wanted, Reason(f"{lock} has version {found[1]}", lock, 1))] if found and wanted else []
