"""Evidence beside an image in a registry: OCI referrers where the registry lists them, else the list under a tag.

What is attached is about a droplet; it is attached to an image that carries the droplet's layers, and to no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...targets.oci.labels import droplet_order
from ..errors import BadEvidence
from .dsse import LARGEST

if TYPE_CHECKING:
    from ...droplet.reader import DropletFile
    from ...targets.oci.registry.client import Client
    from ...targets.oci.registry.descriptors import Descriptor, ImageManifest
    from ...targets.oci.registry.reference import Reference

ENVELOPE = "application/vnd.dsse.envelope.v1+json"
"""Media and artifact type of an attestation: a DSSE envelope."""
_MOST = 100
"""Attestations of one image that are read."""


def image_of(client: Client, reference: Reference, droplet: DropletFile) -> Descriptor:
    """The image of that name, or that one of an index, which carries the droplet's layers.

    Raises BadEvidence when there is none, and what reading a manifest raises.
    """
    wanted = [str(layer.digest) for layer in droplet.layers]
    names = [layer.name for layer in droplet.layers]
    for manifest in _images(client, reference):
        if _holds([one.digest for one in manifest.blobs], wanted, names):
            return manifest.descriptor
    hint = f"Push the droplet there first: stager push oci {droplet.name} {reference}"
    raise BadEvidence(str(reference), f"is no image with the layers of {droplet.name}", hint)


def _images(client: Client, reference: Reference) -> Sequence[ImageManifest]:
    found = client.manifest(reference.repository, reference.wanted)
    if not found.children:
        return [found]
    return [client.manifest(reference.repository, child.digest) for child in found.children]


def _holds(blobs: Sequence[str], wanted: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the droplet's layers are there one after the other, in an image's order (or the droplet's, as once was)."""
    starts = range(len(blobs) - len(wanted) + 1)
    return bool(wanted) and any(
        droplet_order(blobs[n : n + len(wanted)], names, wanted) == tuple(wanted) for n in starts
    )


def attach(client: Client, reference: Reference, image: Descriptor, kind: str, data: bytes) -> Descriptor:
    """Store a document of a media type about an image. Equal documents are stored once. Raises what pushing raises."""
    from ...targets.oci.registry.referrers import attach as attach_to

    return attach_to(client, reference.repository, image, kind, [(kind, data)])


def read(client: Client, reference: Reference, image: str, kind: str = ENVELOPE) -> list[tuple[str, bytes]]:
    """(name, bytes) of every document of a media type about the image with this digest, in the registry's order.

    Anybody who may push may attach: nothing in it is to be believed before its signature is checked. Raises BadEvidence
    for one beyond measure, and what reading from a registry raises.
    """
    from ...targets.oci.registry.referrers import referrers

    found = []
    for listed in referrers(client, reference.repository, image, kind)[:_MOST]:
        manifest = client.manifest(reference.repository, listed.digest)
        for blob in manifest.blobs:
            if blob.media_type == kind:
                name = reference.at(listed.digest)
                if blob.size > LARGEST:
                    raise BadEvidence(name, f"is {blob.size} bytes; the limit is {LARGEST}")
                found.append((name, b"".join(client.blob(reference.repository, blob.digest, blob.size))))
    return found
