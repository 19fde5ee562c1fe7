"""pnpm's settings that decide the layout: from `pnpm-workspace.yaml`, `.npmrc` and `package.json`.

They are the app's own files; the machine's configuration takes no part. Source: pnpm's settings documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stager.errors import BadManifest
from stager.text.typed import whole

from . import documents
from .manifest import manifest

if TYPE_CHECKING:
    from stager.tree import SourceTree

WORKSPACE = "pnpm-workspace.yaml"
_NPMRC = ".npmrc"
_MANAGER = re.compile(r"pnpm@(\d{1,3})\.")


@dataclass(frozen=True, slots=True)
class PnpmSettings:
    """How `node_modules` is laid out."""

    linker: str
    """`isolated` (links into a virtual store) or `hoisted` (as npm does)."""
    major: int
    """pnpm's major version by `packageManager`; 0 when the app does not say."""
    private: tuple[str, ...]
    """Patterns of names linked for all packages of the store (`hoist-pattern`)."""
    public: tuple[str, ...]
    """Patterns of names linked at the app's root (`public-hoist-pattern`)."""
    longest: int
    """Characters of a store folder's name before it is cut and hashed."""


def settings(tree: SourceTree) -> PnpmSettings:
    """Read them. Raises BadManifest for values that make no sense, or that stager cannot honour."""
    said, major = _said(tree), pnpm_major(tree)
    return PnpmSettings(
        linker=_linker(said, WORKSPACE if WORKSPACE in tree.files else _NPMRC),
        major=major,
        private=_patterns(said, "hoist-pattern", ("*",)) if said.get("hoist") != "false" else (),
        public=("*",)
        if said.get("shamefully-hoist") == "true"
        else _patterns(said, "public-hoist-pattern", ("*eslint*", "*prettier*") if major < 10 else ()),
        longest=_number(said, "virtual-store-dir-max-length", 120),
    )


def pnpm_major(tree: SourceTree) -> int:
    """pnpm's major version by `packageManager`; 0 when the app does not say."""
    found = _MANAGER.match(manifest(tree).package_manager)
    return int(found[1]) if found else 0


def _said(tree: SourceTree) -> dict[str, tuple[str, ...] | str]:
    said: dict[str, tuple[str, ...] | str] = {}
    if _NPMRC in tree.files:
        said.update(npmrc(documents.text(tree, _NPMRC, documents.bad_manifest)))
    if WORKSPACE in tree.files:
        text = documents.text(tree, WORKSPACE, documents.bad_manifest)
        for key, node in documents.parse_yaml(text, WORKSPACE, documents.bad_manifest).value.items():
            name = re.sub(r"[A-Z]", lambda match: "-" + match[0].lower(), key)
            if isinstance(node, str):
                said[name] = node
            elif isinstance(node, list):
                said[name] = tuple(item for item in node if isinstance(item, str))
    return said


def packages(tree: SourceTree) -> tuple[str, ...] | None:
    """The patterns of a workspace's members in pnpm-workspace.yaml; None when there is none. Raises BadManifest."""
    if WORKSPACE not in tree:
        return None
    document = documents.yaml_of(tree, WORKSPACE)
    found = document.value.get("packages")
    return tuple(item for item in found if isinstance(item, str)) if isinstance(found, list) else None


def npmrc(text: str) -> Mapping[str, tuple[str, ...] | str]:
    """The settings of an `.npmrc`: `key=value`, and `key[]=value` for lists (npm's ini format)."""
    said: dict[str, tuple[str, ...] | str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        key, value = key.strip(), value.strip().strip("\"'")
        if key.startswith(("#", ";", "[")):
            continue
        if key.endswith("[]"):
            before = said.get(key[:-2], ())
            said[key[:-2]] = (*(before if isinstance(before, tuple) else ()), value)
        else:
            said[key] = value if equals else "true"
    return said


def _linker(said: Mapping[str, tuple[str, ...] | str], file: str) -> str:
    linker = said.get("node-linker", "isolated")
    if linker not in ("isolated", "hoisted"):
        raise BadManifest(
            file,
            f"node-linker {linker} is not supported: there would be no node_modules",
            "Set node-linker to isolated or hoisted, and run 'pnpm install'.",
        )
    return str(linker)


def _patterns(said: Mapping[str, tuple[str, ...] | str], key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    value = said.get(key, default)
    if isinstance(value, str):
        value = (value,) if value else ()
    if any(len(pattern) > 300 or pattern.count("*") > 8 for pattern in value):
        why = f"{key}: a pattern is too long"
        raise BadManifest(_NPMRC, why)
    return value


def _number(said: Mapping[str, tuple[str, ...] | str], key: str, default: int) -> int:
    value = said.get(key, str(default))
    number = whole(value) if isinstance(value, str) else None
    if number is None or not 40 <= number <= 200:
        why = f"{key}: {value} is not a number from 40 to 200"
        raise BadManifest(_NPMRC, why)
    return number


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """pnpm's matcher: `*` for anything, a leading `!` takes away, later patterns win."""
    if not patterns:
        return False
    found = all(pattern.startswith("!") for pattern in patterns)
    for pattern in patterns:
        rule = ".*".join(re.escape(part) for part in pattern.removeprefix("!").split("*"))
        if re.fullmatch(rule, name):
            found = not pattern.startswith("!")
    return found
