"""Which component each file of a droplet belongs to.

A layer says which kind of owner: the app, what stager generates, or artifacts. Among artifacts, a wheel's RECORD and a Debian
package's own list decide; everything else belongs to what is placed nearest above it. A file that nobody accounts for
is an error, so that an SBOM is complete or is not made.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from typing import Any
from urllib.parse import unquote

from .. import parsing
from ..errors import BadArchive
from ..model import Artifact, Plan
from ..receipt import APP as APP_LAYER
from .components import APP, GENERATED
from .contents import ENVELOPE, Contents
from .debs import is_deb
from .graph import normal

_SKELETON = "skeleton"
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


def wheels(contents: Contents) -> dict[str, str]:
    """Normalised project name → the place of its `.dist-info` folder."""
    found = {}
    for place in sorted(contents.texts):
        folder, _, name = place.rpartition("/")
        if name == "METADATA" and folder.endswith(".dist-info"):
            project = posixpath.basename(folder).removesuffix(".dist-info").rpartition("-")[0]
            found[normal(project)] = folder
    return found


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
    claims = _claims(contents, plan, debs)
    places = _places(plan) | {one.place: one.ref for one in bundled}
    found = {}
    for one in contents.held:
        if one.layer == APP_LAYER:
            found[one.path] = APP
        elif one.layer in (_SKELETON, ENVELOPE):
            found[one.path] = (one.target and claims.get(one.place)) or GENERATED
        else:
            found[one.path] = claims.get(one.place) or _above(one.place, places)
            if not found[one.path]:
                raise BadArchive(label, f"holds {one.place}, which nothing in its plan accounts for")
    return found


def _claims(contents: Contents, plan: Plan, debs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Place of a file → the ref of the artifact that lists it; of several, the first in the plan's order keeps it."""
    folders, known = wheels(contents), refs(plan)
    claims: dict[str, str] = {}
    for n, artifact in enumerate(plan.artifacts):
        if artifact.layout.startswith("wheel/"):
            for path in _record(contents, folders.get(python_name(artifact), "")):
                claims.setdefault(path, known[n])
        elif is_deb(artifact):
            for place in artifact.paths:
                for path in debs[artifact.digest]["files"][place]:
                    claims.setdefault(path, known[n])
    return claims


def _record(contents: Contents, folder: str) -> Iterator[str]:
    """The places that an installed wheel's RECORD lists."""
    text = contents.texts.get(f"{folder}/RECORD", b"").decode("utf-8", "replace")
    site = posixpath.dirname(folder)
    try:
        for row in csv.reader(io.StringIO(text, newline="")):
            if row:
                yield posixpath.normpath(posixpath.join(site, row[0]))
    except csv.Error:
        return  # a row that no installer could read names nothing


def _places(plan: Plan) -> dict[str, str]:
    """Place → the ref of the one artifact that owns what is below it; wheels and Debian packages own what they list."""
    known = refs(plan)
    return {
        place: known[n]
        for n, one in enumerate(plan.artifacts)
        if not one.layout.startswith("wheel/") and not is_deb(one)
        for place in one.paths
    }


def _above(place: str, places: Mapping[str, str]) -> str:
    while place:
        place = place.rpartition("/")[0]
        if place in places:
            return places[place]
    return ""


def bundled(contents: Contents, plan: Plan) -> list[Bundled]:
    """npm packages that lie inside other npm packages' tarballs; one without a name and a version is no package."""
    places = _places(plan)
    found = []
    for place in sorted(contents.texts):
        inside = _BUNDLED.fullmatch(place)
        carrier = _above(inside[1], places) if inside and inside[1] not in places else ""
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
