"""Who needs whom, resolved among what is really in the droplet, as Python and Node resolve it when the app runs."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

from ..ownership import normal


@dataclass(frozen=True, slots=True)
class Target:
    """What environment markers ask (PEP 508): Python's full version, and the kernel's word for the architecture."""

    python: str
    machine: str

    def environment(self) -> dict[str, str]:
        """The marker variables of a droplet: always CPython on Linux."""
        short = ".".join(self.python.split(".")[:2])
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": short,
            "sys_platform": "linux",
        }


# --- Python ----------------------------------------------------------------------------------------------------


def python(packages: Mapping[str, Message], target: Target) -> dict[str, set[str]]:
    """Normalised name → the names of those among `packages` that it requires, extras included where they are asked for."""
    from packaging.requirements import InvalidRequirement, Requirement

    parsed: dict[str, list[Requirement]] = {}
    for name, metadata in packages.items():
        parsed[name] = []
        for row in metadata.get_all("Requires-Dist", []):
            try:
                parsed[name].append(Requirement(str(row)))
            except InvalidRequirement:
                continue
    extras: dict[str, set[str]] = {name: set() for name in packages}
    while True:
        edges, asked = _edges(parsed, extras, target.environment())
        if asked == extras:
            return edges
        extras = asked


def _edges(
    parsed: Mapping[str, Iterable[Any]], extras: Mapping[str, set[str]], environment: dict[str, str]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The edges when these extras are asked for, and which extras these edges ask for."""
    edges: dict[str, set[str]] = {}
    asked = {name: set(known) for name, known in extras.items()}
    for name, requirements in parsed.items():
        edges[name] = set()
        for one in requirements:
            other = normal(one.name)
            if other in parsed and _applies(one.marker, extras[name], environment):
                edges[name].add(other)
                asked[other] |= one.extras
    return edges, asked


def _applies(marker: Any, extras: Iterable[str], environment: dict[str, str]) -> bool:
    from packaging.markers import UndefinedComparison, UndefinedEnvironmentName

    if marker is None:
        return True
    try:
        return any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *sorted(extras)))
    except (UndefinedComparison, UndefinedEnvironmentName):
        return False


# --- Node ------------------------------------------------------------------------------------------------------

_TABLES = ("dependencies", "optionalDependencies", "peerDependencies")


def node(manifests: Mapping[str, Mapping[str, Any]], links: Mapping[str, str]) -> dict[str, set[str]]:
    """Place → the places of the packages it requires, found as Node's resolution does: `node_modules` of each folder above.

    `manifests` are the packages by their place in the app folder, `links` the symbolic links by path.
    """
    found: dict[str, set[str]] = {}
    for place, manifest in manifests.items():
        names = {name for table in _TABLES for name in _keys(manifest.get(table))}
        places = (_resolve(place, name, manifests, links) for name in sorted(names))
        found[place] = {other for other in places if other and other != place}
    return found


def _keys(table: Any) -> list[str]:
    return [name for name in table if isinstance(name, str)] if isinstance(table, dict) else []


def _resolve(place: str, name: str, places: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """Where `require(name)` leads from a file in `place`; empty when nowhere in the droplet."""
    folder = place
    while True:
        if folder.rpartition("/")[2] != "node_modules":
            candidate = _followed(f"{folder}/node_modules/{name}".lstrip("/"), links)
            if candidate in places:
                return candidate
        if not folder:
            return ""
        folder = folder.rpartition("/")[0]


def _followed(path: str, links: Mapping[str, str]) -> str:
    """A path after its own link, if it is one; pnpm's and workspaces' links lead to folders that are none."""
    for _ in range(8):
        if path not in links:
            return path
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), links[path]))
    return path
