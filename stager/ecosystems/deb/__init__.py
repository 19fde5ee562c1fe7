"""Debian packages, of which runtimes are made: no app has a lock of them, and their layouts are the runtimes' own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..record import Ecosystem, WantedArtifact

if TYPE_CHECKING:
    from ...formats.archive import HeldArchive
    from ...model import Artifact
    from ...net.indexes import Indexes
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


def _inventory(installed: Installed) -> Said:
    from .copyright import inventory

    return inventory(installed)


ECOSYSTEM = Ecosystem(
    name="deb",
    title="Debian",
    order=_order,
    upstream=_upstream,
    locate=_locate,
    gone="The mirror has replaced it by a newer build: run 'stager lock --upgrade' and commit the result.",
    page=_page,
    look=_look,
    inventory=_inventory,
)
