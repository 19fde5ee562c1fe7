"""Where an artifact may be fetched from: its candidate URLs, best first. The digest decides; a URL is only a hope."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..errors import BadLock, FetchError
from ..indexes import Indexes, default_debian, joined
from ..indexes.origins import Origin
from ..runtimes import of_layout

if TYPE_CHECKING:
    from ..ecosystems.pypi.lookup import IndexFile
    from ..model import Artifact

Pages = Callable[[str], "list[IndexFile]"]
"""The files of a Python project, from the configured indexes' simple pages."""

GONE = {
    "pypi": "It was removed from the index. Pin another version, or configure an index that still has it.",
    "npm": "It was unpublished. Pin another version, or configure a registry that still has it.",
    "deb": "The mirror has replaced it by a newer build: run 'stager lock --upgrade' and commit the result.",
}
"""Per type of package URL, how to mend a pin that its index no longer has."""


def kind_of(artifact: Artifact) -> str:
    """The type of its package URL: `pypi`, `npm`, `deb`, `generic` …"""
    return artifact.purl.removeprefix("pkg:").partition("/")[0]


def locate(artifact: Artifact, indexes: Indexes, pages: Pages, hints: Mapping[str, str]) -> Iterator[str]:
    """The artifact's candidate URLs; what costs a request is only asked when the ones before it failed.

    Raises BadLock for an artifact that says itself where it is, but in a way nobody can fetch, and what `pages` raises.
    """
    if artifact.url:
        yield _own(artifact, indexes)
        return
    hint = hints.get(artifact.digest, "")
    if indexes.refusal(hint):
        hint = ""  # the app's lock names a place that is not to be asked, or none; an index will do
    find = {"pypi": _pypi, "npm": _npm, "deb": _deb}.get(kind_of(artifact), _generic)
    given: set[str] = set()
    for url in find(artifact, indexes, pages, hint):
        if url and url not in given:
            given.add(url)
            yield url


def _own(artifact: Artifact, indexes: Indexes) -> str:
    if artifact.url.startswith("file:"):
        place = artifact.url.removeprefix("file:")
        raise BadLock("stager.lock", f"{artifact.name} is the app's own file {place}, and is not in the store")
    why = indexes.refusal(artifact.url)
    if why:
        hint = (
            "Publish it on an https server, or configure its host as an index (for example with PIP_EXTRA_INDEX_URL)."
        )
        raise BadLock("stager.lock", f"the URL of {artifact.name} is refused: {why}", hint)
    return artifact.url


def _pypi(artifact: Artifact, indexes: Indexes, pages: Pages, hint: str) -> Iterator[str]:
    """The hint first, unless an index is configured in the default one's place: then that index's page first."""
    replaced = indexes.pypi_default != "" and not (hint and Origin.of(hint) in indexes.trusted)
    if not replaced:
        yield hint
    try:
        yield from _on_pages(artifact, pages)
    except FetchError:
        if not (hint and replaced):
            raise
    yield hint


def _on_pages(artifact: Artifact, pages: Pages) -> list[str]:
    """The URLs of files with the artifact's digest, then of those with its name and no digest of that algorithm."""
    name = unquote(artifact.purl.partition("/")[2].partition("@")[0].rpartition("/")[2])
    files, digest = pages(name), artifact.digest
    same = [file.url for file in files if file.hashes.get(digest.algorithm) == digest.hex]
    named = [file.url for file in files if file.filename == artifact.filename and digest.algorithm not in file.hashes]
    return same + named


def _npm(artifact: Artifact, indexes: Indexes, _: Pages, hint: str) -> Iterator[str]:
    """`<registry>/<name>/-/<base>-<version>.tgz`; the lock's own URL first only when it is of that registry."""
    words = artifact.purl.removeprefix("pkg:npm/").partition("?")[0].partition("@")
    name, version = unquote(words[0]), unquote(words[2])
    registry = indexes.npm(name)
    usual = joined(registry, f"{name}/-/{name.rpartition('/')[2]}-{version}.tgz")
    same = bool(hint) and Origin.of(hint) == Origin.of(registry)
    yield from (hint, usual) if same else (usual, hint)


def _deb(artifact: Artifact, indexes: Indexes, _: Pages, hint: str) -> Iterator[str]:
    """A pool file of the mirror; security updates have an archive of their own.

    What apt happens to be configured with may be a partial mirror, so the default archive comes after it.
    """
    security = artifact.filename.startswith("pool/updates/")
    yield joined(indexes.debian()[security], artifact.filename)
    if not (indexes.debian_security_mirror if security else indexes.debian_mirror):
        yield joined(default_debian() + ("-security" if security else ""), artifact.filename)
    yield hint


def _generic(artifact: Artifact, indexes: Indexes, _: Pages, hint: str) -> Iterator[str]:
    own = of_layout(artifact.layout)
    find = own.layouts[artifact.layout].locate if own else None
    if find is not None:
        yield find(artifact, indexes)
    yield hint
