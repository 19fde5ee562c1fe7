"""Where an artifact may be fetched from: its candidate URLs, best first. The digest decides; a URL is only a hope."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..ecosystems import of_purl, repository
from ..ecosystems.record import Pages, WantedArtifact
from ..errors import BadLock
from ..net.indexes import Indexes
from ..runtimes import of_layout

if TYPE_CHECKING:
    from ..model import Artifact


def gone(artifact: Artifact) -> str:
    """How to mend a pin that its index no longer has."""
    runtime, found = of_layout(artifact.layout), of_purl(artifact)
    own = runtime.layouts[artifact.layout].gone if runtime else ""
    return own or (found.gone if found else "Pin another version, and commit the lock.")


def locate(artifact: Artifact, indexes: Indexes, pages: Callable[[], Pages], hints: Mapping[str, str]) -> Iterator[str]:
    """The artifact's candidate URLs; what costs a request is only asked when the ones before it failed.

    Raises BadLock for an artifact that says itself where it is, but in a way nobody can fetch, and what `pages` raises.
    """
    if artifact.url:
        yield _own(artifact, indexes)
        return
    hint = hints.get(artifact.digest, "")
    if indexes.refusal(hint):
        hint = ""  # the app's lock names a place that is not to be asked, or none; an index will do
    found, wanted = of_purl(artifact), WantedArtifact(artifact, indexes, pages, hint)
    given: set[str] = set()
    for url in found.locate(wanted) if found else _generic(wanted):
        if url and url not in given:
            given.add(url)
            yield url


def _own(artifact: Artifact, indexes: Indexes) -> str:
    if artifact.url.startswith("file:"):
        place = artifact.url.removeprefix("file:")
        raise BadLock("stager.lock", f"{artifact.name} is the app's own file {place}, and is not in the store")
    try:
        place = repository.of(artifact.url).url
    except ValueError:
        place = artifact.url
    why = indexes.refusal(place)
    if why:
        hint = (
            "Publish it on an https server, or configure its host as an index (for example with PIP_EXTRA_INDEX_URL)."
        )
        raise BadLock("stager.lock", f"the URL of {artifact.name} is refused: {why}", hint)
    return artifact.url


def _generic(wanted: WantedArtifact) -> Iterator[str]:
    own = of_layout(wanted.artifact.layout)
    find = own.layouts[wanted.artifact.layout].locate if own else None
    if find is not None:
        yield from find(wanted.artifact, wanted.indexes)
    yield wanted.hint
