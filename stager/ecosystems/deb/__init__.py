"""Debian packages, of which runtimes are made, and which apps ask for by name: no app has a lock of them.

The layouts of those in runtimes are the runtimes' own; `system` has that of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..record import Ecosystem, Laid, Listing, WantedArtifact
from .place import LAYOUT, PLACE, STATUS

if TYPE_CHECKING:
    from ...formats.archive import HeldArchive
    from ...formats.tar import Unpacked
    from ...model import Artifact, Plan
    from ...net.indexes import Indexes
    from ...tree import SourceTree
    from ..graph import Graph
    from ..installed import Installed, Said
    from ..record import Unpack


def _order(version: str) -> Any:
    from debian.debian_support import Version

    return Version(version)


def _upstream(version: str) -> str:
    """Debian Policy 5.6.12: `[epoch:]upstream[-revision]`."""
    return (version.rpartition("-")[0] or version).rpartition(":")[2]


def _locate(wanted: WantedArtifact) -> Iterator[str]:
    """A pool file of the mirror; security updates have an archive of their own.

    What apt happens to be configured with may be a partial mirror, so the default archive comes after it.
    """
    from ...net.indexes import default_debian, joined

    name, indexes = wanted.artifact.filename, wanted.indexes
    security = name.startswith("pool/updates/")
    yield joined(indexes.debian()[security], name)
    if not (indexes.debian_security_mirror if security else indexes.debian_mirror):
        yield joined(default_debian() + ("-security" if security else ""), name)
    yield wanted.hint


def _page(indexes: Indexes) -> str:
    from ...net.indexes import joined

    return joined(indexes.debian("bookworm")[0], "dists/bookworm/InRelease")


def _look(artifact: Artifact, held: HeldArchive, recipe: Unpack) -> dict[str, Any]:
    from .copyright import look

    return look(artifact, held, recipe)


def _needs(_tree: SourceTree, _lock: str, plan: Plan) -> Graph:
    from .system import graph

    return graph(plan)


def _tells(path: str) -> bool:
    return path.startswith(f"{STATUS}/")


def _inventory(installed: Installed) -> Said:
    from .copyright import inventory

    return inventory(installed)


def _unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    from .system import unpack

    return unpack(blob, artifact, path)


def _is_list(path: str) -> bool:
    return path.startswith(f"{STATUS}/") and path.endswith(".md5sums")


def _claims(
    artifacts: Sequence[tuple[int, Artifact]], lists: Mapping[str, bytes]
) -> Iterator[tuple[int, Iterable[str], str]]:
    from .system import claims

    return claims(artifacts, lists)


def _unplanned(lists: Mapping[str, bytes]) -> Iterator[tuple[str, Iterable[str], str]]:
    from .system import unplanned

    return unplanned(lists)


def _links(laid: Sequence[Laid], known: Sequence[tuple[str, str]]) -> dict[str, str]:
    from .system import links

    return links(laid, known)


def _check(plan: Plan, laid: Sequence[Laid]) -> None:
    from .system import check

    check(plan, laid)


def _notes(plan: Plan, laid: Sequence[Laid], paths: Collection[str]) -> list[str]:
    from .system import notes

    return notes(plan, laid, paths)


ECOSYSTEM = Ecosystem(
    name="deb",
    title="Debian",
    order=_order,
    upstream=_upstream,
    locate=_locate,
    gone="The mirror has replaced it by a newer build: run 'stager lock --upgrade' and commit the result.",
    page=_page,
    layouts={LAYOUT: _unpack},
    listing=Listing(_is_list, _claims, _unplanned, PLACE),
    links=_links,
    check=_check,
    notes=_notes,
    needs=_needs,
    look=_look,
    tells=_tells,
    inventory=_inventory,
)
