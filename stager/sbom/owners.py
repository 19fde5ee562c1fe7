"""Which component each file of a droplet belongs to: what `ownership` says, down to the packages inside other packages.

A file that nobody accounts for is an error, so that an SBOM is complete or is not made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any
from urllib.parse import unquote

from .. import parsing
from ..errors import BadArchive
from ..model import Artifact, Plan
from ..ownership import APP as THE_APP
from ..ownership import NOBODY, Owners, above, normal, wheels
from .components import APP, GENERATED
from .contents import Contents
from .debs import is_deb

_BUNDLED = re.compile(r"(.*node_modules/(?:@[^/]+/)?[^/@][^/]*)/package\.json")


@dataclass(frozen=True, slots=True)
class Bundled:
    """An npm package inside another one's tarball: its ref, its place in the app folder, its package.json, its carrier."""

    ref: str
    place: str
    manifest: Mapping[str, Any]
    carrier: str


def refs(plan: Plan) -> dict[int, str]:
    """Index of an artifact in the plan → its ref: its package URL, with the digest where two share it."""
    counts: dict[str, int] = {}
    for one in plan.artifacts:
        counts[one.purl] = counts.get(one.purl, 0) + 1
    return {
        n: one.purl if counts[one.purl] == 1 else f"{one.purl}#{one.digest}" for n, one in enumerate(plan.artifacts)
    }


def python_name(artifact: Artifact) -> str:
    """The normalised project name of a `pkg:pypi` artifact."""
    return normal(unquote(artifact.purl.partition("/")[2].partition("@")[0]))


def info_folders(contents: Contents, plan: Plan) -> dict[int, str]:
    """Index of a wheel in the plan → the place of its `.dist-info` folder."""
    return {index: folder for index, _, folder in wheels(plan.artifacts, contents.texts)}


def metadata(contents: Contents, folder: str) -> Message:
    """The core metadata in a `.dist-info` folder."""
    return BytesHeaderParser().parsebytes(contents.texts.get(f"{folder}/METADATA", b""))


def manifest(contents: Contents, place: str) -> Mapping[str, Any]:
    """The package.json of an npm package; an empty one when it cannot be read."""
    try:
        value = parsing.json(contents.texts.get(f"{place}/package.json", b"{}").decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def assign(
    contents: Contents, plan: Plan, debs: Mapping[str, Mapping[str, Any]], bundled: Iterable[Bundled], label: str
) -> dict[str, str]:
    """Path in the archive → the ref of its owner, for every file and link. Raises BadArchive for a file without one."""
    listed = {n: _files(one, debs[one.digest]) for n, one in enumerate(plan.artifacts) if is_deb(one)}
    owners, known = Owners(plan, contents.texts, listed), refs(plan)
    inside = {one.place: one.ref for one in bundled}
    places = _places(plan).keys() | inside.keys()
    found = {}
    for one in contents.held:
        owner = owners.find(one.place, "link" if one.target else "file", one.layer)
        if owner == NOBODY:
            raise BadArchive(label, f"holds {one.place}, which nothing in its plan accounts for")
        if isinstance(owner, str):
            found[one.path] = APP if owner == THE_APP else GENERATED
        else:
            found[one.path] = inside.get(above(one.place, places)) or known[owner]
    return found


def _files(artifact: Artifact, facts: Mapping[str, Any]) -> list[str]:
    return [path for place in artifact.paths for path in facts["files"][place]]


def _places(plan: Plan) -> dict[str, str]:
    """Place → the ref of the one artifact that owns what is below it; wheels and Debian packages own what they list."""
    known = refs(plan)
    return {
        place: known[n]
        for n, one in enumerate(plan.artifacts)
        if not one.layout.startswith("wheel/") and not is_deb(one)
        for place in one.paths
    }


def bundled(contents: Contents, plan: Plan) -> list[Bundled]:
    """npm packages that lie inside other npm packages' tarballs; one without a name and a version is no package."""
    places = _places(plan)
    found = []
    for place in sorted(contents.texts):
        inside = _BUNDLED.fullmatch(place)
        carrier = places.get(above(inside[1], places), "") if inside and inside[1] not in places else ""
        if not inside or not carrier.startswith("pkg:npm/"):
            continue
        table = manifest(contents, inside[1])
        purl = npm_purl(table)
        if purl:
            found.append(Bundled(f"{purl}#{inside[1]}", inside[1], table, carrier))
    return found


def npm_purl(table: Mapping[str, Any]) -> str:
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
