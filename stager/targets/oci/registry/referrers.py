"""Artifacts that are about an image (signatures, bills of materials): stored beside it and found again by its digest.

OCI image-spec 1.1 gives a manifest a `subject`; distribution-spec 1.1 lists such manifests by the referrers API. A registry
without that API keeps the list as an index under the tag `sha256-<hex>` (distribution-spec, "Referrers Tag Schema").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ....formats.errors import BadArchive
from ....net.errors import NotFound
from ....text.typed import Node
from ..errors import RegistryRefused
from ..image import Blob
from .descriptors import EMPTY, EMPTY_TYPE, INDEX, MANIFEST, Descriptor, canonical, digest_of, read_descriptor
from .upload import upload

if TYPE_CHECKING:
    from .client import Client

_MOST = 10_000
_TRIES = 4
"""How often a list under a tag is written again when somebody else has changed it in between."""


def attach(
    client: Client,
    repository: str,
    subject: Descriptor,
    artifact_type: str,
    blobs: Sequence[tuple[str, bytes]],
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """Store an artifact about `subject`: its blobs as (media type, bytes), in order. Returns its manifest's descriptor.

    Equal arguments give an equal manifest, so attaching twice changes nothing. The subject need not be there yet. Raises
    what `upload` raises, and RegistryRefused when others keep changing the list of a registry without the referrers API.
    """
    content = [Blob.of(data) for _, data in blobs]
    for blob in dict.fromkeys((Blob.of(EMPTY).digest, *(one.digest for one in content))):
        upload(client, repository, next(one for one in (Blob.of(EMPTY), *content) if one.digest == blob))
    layers = [Descriptor.of(data, kind).as_json() for kind, data in blobs]
    raw = artifact(subject, artifact_type, layers, annotations or {})
    found = Descriptor(MANIFEST, digest_of(raw), len(raw), dict(annotations or {}), artifact_type)
    answer = client.put_manifest(repository, found.digest, raw, MANIFEST)
    if answer.get("oci-subject") != subject.digest and not _has_api(client, repository, subject.digest):
        _list(client, repository, subject.digest, found)
    return found


def artifact(
    subject: Descriptor, artifact_type: str, layers: Sequence[Mapping[str, Any]], annotations: Mapping[str, str]
) -> bytes:
    """The manifest of an artifact (image-spec, "Guidelines for Artifact Usage"), a function of its arguments."""
    empty = Descriptor.of(EMPTY, EMPTY_TYPE).as_json()
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": empty,
        "layers": list(layers) or [empty],
        "subject": Descriptor(subject.media_type, subject.digest, subject.size).as_json(),
    }
    return canonical({**document, "annotations": dict(annotations)} if annotations else document)


def referrers(client: Client, repository: str, digest: str, artifact_type: str = "") -> tuple[Descriptor, ...]:
    """The artifacts about the manifest `digest`, of one type if given; empty when there are none.

    Their manifests are read with `client.manifest(repository, descriptor.digest)`, their blobs with `client.blob`. Raises
    BadArchive for a list that is malformed.
    """
    found = _by_api(client, repository, digest)
    if found is None:
        found = _by_tag(client, repository, digest)
    return tuple(one for one in found if not artifact_type or one.artifact_type == artifact_type)


def fallback_tag(digest: str) -> str:
    """The tag of the list for a digest: `sha256:abc` → `sha256-abc`, each part cut as the specification has it."""
    algorithm, _, value = digest.partition(":")
    return f"{re.sub(r'[^A-Za-z0-9._-]', '-', algorithm)[:32]}-{value[:64]}"


def _has_api(client: Client, repository: str, digest: str) -> bool:
    return _by_api(client, repository, digest) is not None


def _by_api(client: Client, repository: str, digest: str) -> list[Descriptor] | None:
    """The list by the API; None when the registry has none."""
    try:
        pages = list(client.pages(f"/v2/{repository}/referrers/{digest}", repository, {"Accept": INDEX}))
    except RegistryRefused:  # registries answer unknown paths with 400 or 405, too
        return None
    return [one for page in pages for one in _read(page, digest)] if pages else None


def _by_tag(client: Client, repository: str, digest: str) -> list[Descriptor]:
    try:
        index = client.manifest(repository, fallback_tag(digest))
    except NotFound:
        return []
    return list(index.children)


def _list(client: Client, repository: str, digest: str, new: Descriptor) -> None:
    """Add an artifact to the list under the tag. The API has no lock, so what was written is read again."""
    for _ in range(_TRIES):
        known = _by_tag(client, repository, digest)
        if any(one.digest == new.digest for one in known):
            return
        raw = _index([*known, new])
        client.put_manifest(repository, fallback_tag(digest), raw, INDEX)
    if not any(one.digest == new.digest for one in _by_tag(client, repository, digest)):
        what = f"listing what is attached to {digest[:19]}"
        raise RegistryRefused(what, 409, "others change the list at the same time", "Run the same command again.")


def _index(listed: Iterable[Descriptor]) -> bytes:
    return canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [one.as_json() for one in listed]})


def _read(page: Any, digest: str) -> list[Descriptor]:
    node = Node(page, f"the list of what is attached to {digest[:19]}", "", lambda where, why: BadArchive(where, why))
    if not isinstance(page, dict):
        node.fail("is no index")
    found = node.list("manifests")
    if len(found) > _MOST:
        node.fail(f"has more than {_MOST} entries")
    return [read_descriptor(child) for child in found]
