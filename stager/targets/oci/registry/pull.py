"""An image, or an index of images, from a registry, into the store or an OCI layout. Nothing is kept unverified.

Every manifest and blob must have the digest and size that what names it says. Layers that a manifest places elsewhere
(`urls`) are not fetched from there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ....formats.errors import BadArchive
from ....model import Event
from ....net.errors import NotFound
from .descriptors import INDEXES, Descriptor, ImageManifest
from .parallel import Several

if TYPE_CHECKING:
    from ....store import Store
    from .client import Client
    from .reference import Reference

_DEEPEST = 2
"""Indexes within an index."""


class Sink(Protocol):
    """Where content goes: the store (`StoreSink`) or an OCI layout (`layout.LayoutSink`)."""

    def has(self, digest: str, size: int) -> bool:
        """Whether it is there, whole and true."""

    def put(self, digest: str, size: int, parts: Iterator[bytes]) -> None:
        """Keep content under its digest. `parts` raises before its end when the bytes are wrong."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull brought: the manifest or index that the name stands for, and every image below it with its platform."""

    reference: str
    root: ImageManifest
    images: tuple[ImageManifest, ...]
    platforms: tuple[str, ...]
    """`os/architecture` of each of `images`; empty for an image that stands alone."""
    moved: int
    """Bytes of blobs fetched."""


class StoreSink:
    """Content into stager's store, where a blob's name is its SHA-256."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def has(self, digest: str, size: int) -> bool:  # noqa: ARG002
        """Whether the store has it."""
        return digest.startswith("sha256:") and self._store.has(digest.partition(":")[2])

    def put(self, digest: str, size: int, parts: Iterator[bytes]) -> None:
        """Keep it. Raises BadArchive for a digest the store cannot name, CannotWrite and what `parts` raises."""
        if not digest.startswith("sha256:"):
            raise BadArchive(digest, "is not named by its SHA-256, as the store's blobs are")
        with self._store.writer(size=size or None) as writer:
            for part in parts:
                writer.write(part)
            writer.commit(digest.partition(":")[2])


def pull(client: Client, reference: Reference, sink: Sink, *, platform: str = "") -> Pulled:
    """Bring an image into a sink; of an index all images, or the one of `platform` (`linux/amd64`), then without the index.

    What the sink has is not fetched. Raises NotFound, BadArchive, DigestMismatch, RegistryError, Cancelled, CannotWrite.
    """
    repository = reference.repository
    root = client.manifest(repository, reference.wanted)
    if platform and root.media_type in INDEXES:
        chosen = choose(root, platform, str(reference))
        root = _child(client, repository, chosen)
    manifests, images, platforms = _tree(client, repository, root, 0)
    blobs = {blob.digest: blob for image in images for blob in image.blobs}
    moved = _Work(client, repository, list(blobs.values()), sink).run()
    for manifest in manifests:
        if not sink.has(manifest.digest, len(manifest.raw)):
            sink.put(manifest.digest, len(manifest.raw), iter([manifest.raw]))
    return Pulled(reference.at(root.digest), root, tuple(images), tuple(platforms), moved)


def choose(index: ImageManifest, platform: str, what: str) -> Descriptor:
    """The image of an index for a platform: `linux/arm64` fits `linux/arm64/v8`, too. Raises NotFound."""
    exact = [child for child in index.children if child.platform == platform]
    for child in exact or [child for child in index.children if child.platform.startswith(f"{platform}/")]:
        return child
    there = ", ".join(child.platform for child in index.children if child.platform) or "none"
    raise NotFound(f"{what} for {platform}", f"It is there for: {there[:300]}.")


def _child(client: Client, repository: str, descriptor: Descriptor) -> ImageManifest:
    found = client.manifest(repository, descriptor.digest)
    if len(found.raw) != descriptor.size or found.media_type != descriptor.media_type:
        raise BadArchive(descriptor.digest, "is not of the size and type that its index says")
    return found


def _tree(
    client: Client, repository: str, root: ImageManifest, depth: int
) -> tuple[list[ImageManifest], list[ImageManifest], list[str]]:
    """All manifests (leaves first), the images among them, and their platforms."""
    if root.media_type not in INDEXES:
        return [root], [root], [""]
    if depth > _DEEPEST:
        raise BadArchive(root.digest, "holds indexes within indexes")
    manifests: list[ImageManifest] = []
    images: list[ImageManifest] = []
    platforms: list[str] = []
    for descriptor in root.children:
        below = _tree(client, repository, _child(client, repository, descriptor), depth + 1)
        manifests += below[0]
        images += below[1]
        platforms += [descriptor.platform or one for one in below[2]]
    return [*manifests, root], images, platforms


class _Work:
    """Many blobs, the biggest first."""

    def __init__(self, client: Client, repository: str, blobs: Sequence[Descriptor], sink: Sink) -> None:
        self._client = client
        self._repository = repository
        self._sink = sink
        self._count, self._total = len(blobs), sum(blob.size for blob in blobs)
        self._mutex = threading.Lock()
        self._done: dict[str, int] = {}
        self._moved = self._finished = 0
        ordered = sorted(blobs, key=lambda blob: (-blob.size, blob.digest))
        self._several = Several(ordered, client.access.jobs, self._fetch)

    def run(self) -> int:
        """The bytes that were fetched."""
        self._several.run()
        return self._moved

    def _fetch(self, blob: Descriptor) -> None:
        def tell(done: int) -> None:
            self._several.keep_going()
            self._report(blob.digest, done)

        there = self._sink.has(blob.digest, blob.size)
        if not there:
            parts = self._client.blob(self._repository, blob.digest, blob.size, tell)
            self._sink.put(blob.digest, blob.size, parts)
        with self._mutex:
            self._moved += 0 if there else blob.size
            self._finished += 1
        self._report(blob.digest, blob.size)

    def _report(self, digest: str, done: int) -> None:
        if self._client.access.progress is None:
            return
        with self._mutex:
            self._done[digest] = done
            arrived, finished = sum(self._done.values()), self._finished
        self._client.access.progress(Event("pull", f"{finished} of {self._count} blobs", arrived, self._total))
