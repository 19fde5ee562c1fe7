"""pnpm's isolated layout: a virtual store `node_modules/.pnpm` of packages, and links between them.

Folder names, which dependencies are linked where, and the order in which names are hoisted follow pnpm, so that the
tree equals `pnpm install --prod --ignore-scripts`.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode
from collections.abc import Iterable, Iterator, Mapping

from stager.errors import BadLock

from .graph import LINK, NpmGraph
from .pnpm_settings import PnpmSettings, matches

STORE = "node_modules/.pnpm"
_SPECIAL = re.compile(r'[\\/:*?"<>|]')
_BRACKETS = re.compile(r"\)\(|\(|\)")


def split_peers(key: str) -> tuple[str, str]:
    """A dependency path as (package, suffix of peers and patches in brackets)."""
    if not key.endswith(")"):
        return key, ""
    depth, at = 0, len(key)
    while at > 0:
        at -= 1
        depth += {")": 1, "(": -1}.get(key[at], 0)
        if depth == 0 and key[at - 1] != ")":
            break
    return key[:at], key[at:]


def folder_name(key: str, choice: PnpmSettings) -> str:
    """The package's folder in the store: special signs and brackets replaced, long or capital names hashed."""
    plain = key.replace(":", "+", 1) if key.startswith("file:") else key.removeprefix("/")
    name = _SPECIAL.sub("+", plain if choice.major < 10 else plain.replace("#", "+"))
    if "(" in name:
        name = _BRACKETS.sub("_", name.removesuffix(")"))
    if len(name) > choice.longest or (name != name.lower() and not name.startswith("file+")):
        mark = _hash(name, choice.major)
        return f"{name[: choice.longest - len(mark) - 1]}_{mark}"
    return name


def _hash(name: str, major: int) -> str:
    """pnpm 10 took SHA-256 in place of MD5."""
    if major >= 10:
        return hashlib.sha256(name.encode()).hexdigest()[:32]
    return b32encode(hashlib.md5(name.encode(), usedforsecurity=False).digest()).decode().rstrip("=").lower()


def isolated(
    graph: NpmGraph, choice: PnpmSettings, declared: frozenset[str], lock: str
) -> tuple[dict[str, str], dict[str, str]]:
    """(place → package id, link → path it leads to) of the whole app.

    `declared` are the names in the root's package.json: these are not hoisted. Raises BadLock when two packages would
    share a folder.
    """
    shelves = {key: f"{STORE}/{folder_name(key, choice)}/node_modules" for key in graph.units}
    homes = {key: f"{shelves[key]}/{unit.name}" for key, unit in graph.units.items()}
    if len(set(homes.values())) < len(homes):
        raise BadLock(lock, "two of its packages have the same folder name")
    links: dict[str, str] = {}
    for key, unit in graph.units.items():
        for name, ref in unit.needs.items():
            shelf = f"{homes[key]}/node_modules" if name == unit.name else shelves[key]
            links[f"{shelf}/{name}"] = _place(ref, homes)
    for path, home in graph.homes.items():
        for name, ref in home.needs.items():
            links[f"{path}/node_modules/{name}".lstrip("/")] = _place(ref, homes)
    for name, ref, public in hoisted(graph, choice, declared):
        links.setdefault(f"node_modules/{name}" if public else f"{STORE}/node_modules/{name}", _place(ref, homes))
    return {home: key for key, home in homes.items()}, links


def _place(ref: str, homes: Mapping[str, str]) -> str:
    return homes[ref] if ref in homes else ref.removeprefix(LINK)


def hoisted(graph: NpmGraph, choice: PnpmSettings, declared: frozenset[str]) -> Iterator[tuple[str, str, bool]]:
    """(name, id, whether at the app's root) for every name that is linked for all, first come first served.

    The order is pnpm's: workspace packages and direct dependencies, then by depth, then by id.
    """
    taken = set(declared)
    first = {home.name: LINK + path for path, home in graph.homes.items() if path and home.name}
    for home in graph.homes.values():
        for name, ref in home.needs.items():
            if not ref.startswith(LINK):
                first.setdefault(name, ref)
    rows = [(-1, "", first), *((depth, key, graph.units[key].needs) for depth, key in _depths(graph))]
    for _, _, needs in sorted(rows, key=lambda row: row[:2]):
        for name, ref in needs.items():
            public = matches(choice.public, name)
            if name.lower() not in taken and (public or matches(choice.private, name)) and ref != LINK:
                taken.add(name.lower())
                yield name, ref, public


def _depths(graph: NpmGraph) -> Iterator[tuple[int, str]]:
    """Every package with the depth at which pnpm's walk meets it: each group's children are claimed in turn."""
    walked: set[str] = set()

    def claim(refs: Iterable[str]) -> list[str]:
        fresh = [ref for ref in dict.fromkeys(refs) if ref in graph.units and ref not in walked]
        walked.update(fresh)
        return fresh

    stack = [(0, claim(ref for home in graph.homes.values() for ref in home.needs.values()))]
    while stack:
        depth, group = stack.pop()
        yield from ((depth, key) for key in group)
        below = [(depth + 1, claim(graph.units[key].needs.values())) for key in group]
        stack.extend(reversed([step for step in below if step[1]]))
