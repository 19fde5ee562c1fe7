"""What installed npm packages say of themselves: licences, packages inside others' tarballs, whom Node finds."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stager.ecosystems.installed import Inner, Node, Said
from stager.ecosystems.licence import Licence, expression, named
from stager.text import parsing

from .direct import direct

if TYPE_CHECKING:
    from stager.ecosystems.installed import Installed

_BUNDLED = re.compile(r"(.*node_modules/(?:@[^/]+/)?[^/@][^/]*)/package\.json")
_TABLES = ("dependencies", "optionalDependencies", "peerDependencies")


def inventory(installed: Installed) -> Said:
    """Licences and needs of the packages, and those that they bundle; one without a name and a version is no package."""
    inner = _inner(installed)
    places: dict[str, Node] = {
        place: index for index, one in installed.artifacts.items() if index in installed.packages for place in one.paths
    }
    places |= {one.place: one.place for one in inner}
    manifests = {place: _manifest(installed, place) for place in sorted(places)}
    needs: dict[Node, set[Node]] = {}
    for one in inner:
        needs.setdefault(one.carrier, set()).add(one.place)
    for place, others in required(manifests, installed.links).items():
        needs.setdefault(places[place], set()).update({places[other] for other in others} - {places[place]})
    top = {f"node_modules/{name}" for name in direct(installed.plan)}
    return Said(
        {
            index: licence(table)
            for index, one in installed.artifacts.items()
            if (table := _manifest(installed, one.paths[0]))
        },
        {node: frozenset(others) for node, others in needs.items()},
        inner,
        frozenset(index for index, one in installed.artifacts.items() if top & set(one.paths)),
    )


def _inner(installed: Installed) -> tuple[Inner, ...]:
    places = {place: index for index, one in installed.artifacts.items() for place in one.paths}
    found = []
    for path in sorted(installed.texts):
        inside = _BUNDLED.fullmatch(path)
        if not inside or inside[1] in places:
            continue
        carrier = inside[1]
        while carrier and carrier not in places:
            carrier = carrier.rpartition("/")[0]
        table = _manifest(installed, inside[1])
        if carrier and (purl := _purl(table)):
            found.append(Inner(purl, inside[1], places[carrier], licence(table)))
    return tuple(found)


def _manifest(installed: Installed, place: str) -> Mapping[str, Any]:
    """The package.json of a package; an empty one when it cannot be read."""
    try:
        value = parsing.json(installed.texts.get(f"{place}/package.json", b"{}").decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _purl(table: Mapping[str, Any]) -> str:
    """The package URL that a package.json comes to; empty without a name and a version."""
    from packageurl import PackageURL

    name, version = table.get("name"), table.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or not name or not version:
        return ""
    namespace, _, base = name.rpartition("/")
    try:
        return PackageURL("npm", namespace or None, base, version).to_string()
    except ValueError:
        return ""


def required(manifests: Mapping[str, Mapping[str, Any]], links: Mapping[str, str]) -> dict[str, set[str]]:
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


def licence(manifest: Mapping[str, Any]) -> Licence:
    """From a package.json: `license` as npm documents it, or the older tables."""
    found = manifest.get("license", manifest.get("licenses"))
    rows = found if isinstance(found, list) else [found]
    names = [row.get("type") or row.get("name") if isinstance(row, dict) else row for row in rows]
    words = [name for name in names if isinstance(name, str) and name.strip()]
    known = [expression(word) for word in words]
    if known and all(known):
        return Licence(" OR ".join(known))  # several licences in the older table are a choice
    return named(words)
