"""Ecosystems: each knows how its packages are locked, found, unpacked and told apart, as one record (see `record`).

A new one is a package or a module, and a line in `ECOSYSTEMS`. The registry names modules instead of importing them, as an app
uses one or two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, cast

from .record import Ecosystem

if TYPE_CHECKING:
    from stager.formats.archive import HeldArchive
    from stager.formats.tar import Unpacked
    from stager.model import Artifact

    Unpack = Callable[[str | HeldArchive, Artifact, str], Unpacked]

ECOSYSTEMS = {
    "pypi": "stager.ecosystems.pypi",
    "npm": "stager.ecosystems.npm",
    "deb": "stager.ecosystems.deb",
}
"""Name → the module with its record, `ECOSYSTEM`; in the order in which they are told."""


def ecosystem(name: str) -> Ecosystem:
    """The record called `name`; KeyError for a name that is not in `ECOSYSTEMS`."""
    return cast("Ecosystem", import_module(ECOSYSTEMS[name]).ECOSYSTEM)


def ecosystems() -> list[Ecosystem]:
    """Every record, in the registry's order."""
    return [ecosystem(name) for name in ECOSYSTEMS]


def by_layout() -> dict[str, Ecosystem]:
    """Layout → the ecosystem whose packages have it; a runtime's layouts are nobody's."""
    return {layout: one for one in ecosystems() for layout in one.layouts}


def kind_of(artifact: Artifact) -> str:
    """The type of an artifact's package URL: the ecosystem it is found in, also when it is a part of a runtime."""
    return artifact.purl.removeprefix("pkg:").partition("/")[0]


def of_purl(artifact: Artifact) -> Ecosystem | None:
    """The ecosystem that an artifact is found in; None for a package URL of a type that is none's."""
    kind = kind_of(artifact)
    return ecosystem(kind) if kind in ECOSYSTEMS else None


def covered(path: str, files: Iterable[str], places: Collection[str]) -> list[str]:
    """Those of `files` (paths in the app, of the package at `path`) that lie in the folder of another one of `places`.

    They must be left out: a folder belongs to the package that is placed there. npm's locks mark what a package bundles, and
    place nothing there; those of Yarn do not, and with the bundled copy left in place two versions would be mixed.
    """
    inside = [f"{place}/" for place in places if place.startswith(f"{path}/")]
    return sorted(file for file in files if file.startswith(tuple(inside))) if inside else []


def split(places: Iterable[str]) -> dict[str, list[str]]:
    """Of places that packages fill: each that has others in it → these."""
    known, found = set(places), dict[str, list[str]]()
    for place in sorted(known):
        above = place.rpartition("/")[0]
        while above:
            if above in known:
                found.setdefault(above, []).append(place)
            above = above.rpartition("/")[0]
    return found


def chosen(artifacts: Sequence[Artifact]) -> list[Ecosystem]:
    """The ecosystems whose packages are among the artifacts, in the registry's order."""
    layouts = {one.layout for one in artifacts}
    return [one for one in ecosystems() if not layouts.isdisjoint(one.layouts)]
