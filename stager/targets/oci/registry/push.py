"""An image, or an index of images, to a registry: what is there already is not sent again.

When the name stands for this very image already, one HEAD is all. Otherwise each blob is looked for, mounted or uploaded,
several at once, then the manifests follow from the leaves up, and the name comes last: whoever pulls it finds all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....formats.errors import BadArchive
from ....model import Event
from ..errors import BadReference
from ..image import Blob, Image
from .descriptors import ImageManifest, read_manifest
from .parallel import Several
from .upload import upload

if TYPE_CHECKING:
    from .client import Client
    from .reference import Reference


@dataclass(frozen=True, slots=True)
class PushedImage:
    """What a push came to. `moved` is in bytes of blobs; `unchanged` when the name stood for this image already."""

    reference: str
    """The image by its digest: `host/name@sha256:…`."""
    digest: str
    size: int
    unchanged: bool = False
    moved: int = 0
    uploaded: tuple[str, ...] = ()
    mounted: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    names: tuple[str, ...] = field(default=())
    """What it was stored under: the tag, or the digest."""


def push(client: Client, reference: Reference, image: Image, *, mount_from: Sequence[str] = ()) -> PushedImage:
    """Store an image under a name. `mount_from` are repositories of the same registry that may hold its layers.

    Safe to call again after any failure. Raises BadReference when the name's digest is another than the image's, BadArchive
    for a manifest that does not fit its blobs, RegistryError, DigestMismatch, Cancelled.
    """
    digest = image.digest
    if reference.digest and reference.digest != digest:
        raise BadReference(str(reference), f"the image that is pushed has the digest {digest}")
    blobs = _all_blobs(image)
    client.will_push(reference.repository, *mount_from)
    pushed = PushedImage(reference.at(digest), digest, image.manifest.size, names=(reference.tag or digest,))
    if client.manifest_digest(reference.repository, reference.tag or digest) == digest:
        if client.access.progress:
            client.access.progress(Event("push", "unchanged", 1, 1))
        return PushedImage(pushed.reference, digest, pushed.size, unchanged=True, names=pushed.names)
    results = _Work(client, reference.repository, blobs, mount_from).run()
    _store(client, reference.repository, image, reference.tag or digest)
    by = {
        how: tuple(one for one in sorted(results) if results[one] == how) for how in ("uploaded", "mounted", "present")
    }
    moved = sum(blob.size for blob in blobs if results[blob.digest] == "uploaded")
    return PushedImage(
        pushed.reference, digest, pushed.size, False, moved, by["uploaded"], by["mounted"], by["present"], pushed.names
    )


def _all_blobs(image: Image) -> list[Blob]:
    """Every blob of the image or of an index's images once, each of which its manifest must name, and the other way round."""
    known = _read(image)
    found = {blob.digest: blob for blob in image.blobs}
    if {one.digest: one.size for one in known.blobs} != {blob.digest: blob.size for blob in found.values()}:
        raise BadArchive(image.digest, "its manifest names other blobs than it comes with")
    for child in image.images:
        found.update({blob.digest: blob for blob in _all_blobs(child)})
    return list(found.values())


def _read(image: Image) -> ImageManifest:
    return read_manifest(image.raw, image.manifest.media_type, image.digest)


def _store(client: Client, repository: str, image: Image, name: str) -> None:
    for child in image.images:
        _store(client, repository, child, child.digest)
    client.put_manifest(repository, name, image.raw, image.manifest.media_type)


class _Work:
    """Many blobs, the biggest first."""

    def __init__(self, client: Client, repository: str, blobs: Sequence[Blob], sources: Sequence[str]) -> None:
        self._client = client
        self._repository = repository
        self._sources = [source for source in sources if source != repository]
        self._count, self._total = len(blobs), sum(blob.size for blob in blobs)
        self._mutex = threading.Lock()
        self._done: dict[str, int] = {}
        self._results: dict[str, str] = {}
        ordered = sorted(blobs, key=lambda blob: (-blob.size, blob.digest))
        self._several = Several(ordered, client.access.jobs, self._push)

    def run(self) -> dict[str, str]:
        """Digest → how it came to be there."""
        self._several.run()
        return self._results

    def _push(self, blob: Blob) -> None:
        def tell(done: int) -> None:
            self._several.keep_going()
            self._report(blob.digest, done)

        how = upload(self._client, self._repository, blob, self._sources, tell)
        with self._mutex:
            self._results[blob.digest] = how
        self._report(blob.digest, blob.size)

    def _report(self, digest: str, done: int) -> None:
        if self._client.access.progress is None:
            return
        with self._mutex:
            self._done[digest] = done
            arrived, finished = sum(self._done.values()), len(self._results)
        self._client.access.progress(Event("push", f"{finished} of {self._count} blobs", arrived, self._total))
