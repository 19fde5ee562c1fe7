"""Images, wherever their bytes lie: in a droplet, the store, a layout, an archive, or memory.

One noun for what is composed, written as a layout or an archive, loaded into an engine, and pushed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .registry.descriptors import MANIFEST, digest_of


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that an image names: a layer, or a document. `read()` gives them in parts and may be called again."""

    digest: str
    size: int
    media_type: str
    read: Callable[[], Iterator[bytes]] = field(compare=False, repr=False)
    diff_id: str = ""
    """Of a layer: the digest of its uncompressed tar."""
    title: str = ""
    """What the manifest calls it; mostly nothing."""

    @classmethod
    def of(cls, data: bytes, media_type: str = "application/octet-stream") -> Blob:
        """A blob in memory."""
        return cls(digest_of(data), len(data), media_type, lambda: iter((data,)))

    @property
    def descriptor(self) -> dict[str, Any]:
        """What names it in a manifest or index."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    def behind(self, offset: int) -> Iterator[bytes]:
        """Its bytes from an offset on; what lies before is read and dropped."""
        for part in self.read():
            if offset < len(part):
                yield part[offset:]
            offset = max(0, offset - len(part))


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest with its blobs (configuration first, then layers in order), or an index with its images."""

    manifest: Blob
    blobs: tuple[Blob, ...] = ()
    images: tuple[Image, ...] = ()

    @classmethod
    def of(
        cls, raw: bytes, blobs: tuple[Blob, ...] = (), media_type: str = MANIFEST, images: tuple[Image, ...] = ()
    ) -> Image:
        """The image of a manifest's or an index's bytes."""
        return cls(Blob.of(raw, media_type), blobs, images)

    @property
    def digest(self) -> str:
        """The digest of the manifest or index."""
        return self.manifest.digest

    @property
    def raw(self) -> bytes:
        """The bytes of the manifest or index."""
        return b"".join(self.manifest.read())

    @property
    def everything(self) -> tuple[Blob, ...]:
        """Every blob once, in an order in which nothing is named before it is there."""
        below = [blob for image in self.images for blob in image.everything]
        found = {blob.digest: blob for blob in (*below, *self.blobs, self.manifest)}
        return tuple(found.values())
