"""Where a wheel may be: where the app's lock says, and what the index pages of its project list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from stager.errors import FetchError
from stager.net.indexes.origins import Origin

from .pages import PypiLookup

if TYPE_CHECKING:
    from stager.ecosystems.record import WantedArtifact
    from stager.model import Artifact

    from .lookup import IndexFile


def locate(wanted: WantedArtifact) -> Iterator[str]:
    """The hint first, unless an index is configured in the default one's place: then that index's page first."""
    hint, indexes = wanted.hint, wanted.indexes
    replaced = indexes.pypi_default != "" and not (hint and Origin.of(hint) in indexes.trusted)
    if not replaced:
        yield hint
    try:
        yield from _on_pages(wanted)
    except FetchError:
        if not (hint and replaced):
            raise
    yield hint


def _on_pages(wanted: WantedArtifact) -> list[str]:
    """The URLs of files with the artifact's digest, then of those with its name and no digest of that algorithm."""
    artifact, digest = wanted.artifact, wanted.artifact.digest
    name = unquote(artifact.purl.partition("/")[2].partition("@")[0].rpartition("/")[2])
    files = PypiLookup(wanted.pages(), wanted.indexes).files(name, keep=lambda file: _may_be(artifact, file))
    same = [file.url for file in files if file.hashes.get(digest.algorithm) == digest.hex]
    named = [file.url for file in files if file.filename == artifact.filename and digest.algorithm not in file.hashes]
    return same + named


def _may_be(artifact: Artifact, file: IndexFile) -> bool:
    """Whether a file of an index page is the artifact, by digest or, where the page states none of its kind, by name."""
    stated = file.hashes.get(artifact.digest.algorithm)
    return stated == artifact.digest.hex if stated else file.filename == artifact.filename
