"""Manifests and the descriptors in them (OCI image-spec 1.1), read as untrusted JSON."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ....errors import StagerError
from ....formats.errors import BadArchive
from ....store.errors import DigestMismatch
from ....text import parsing
from ....text.typed import Node

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
IMAGES = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_INDEX)
REF_NAME = "org.opencontainers.image.ref.name"
"""The annotation that names an image in a layout's index (image-layout.md): a tag, or any name."""
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
"""The content of a descriptor that stands for nothing (image-spec, "Guidance for an Empty Descriptor")."""
LARGEST = 4 << 20
"""Bytes of a manifest; registries need not take larger ones (distribution-spec, "Pushing Manifests")."""
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_MOST = 1000
"""Descriptors of one manifest."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What names content in a registry: its media type, digest and size in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    """Only in lists of referrers: what kind of thing the manifest is."""
    platform: str = ""
    """`os/architecture[/variant]` of an image in an index, else empty."""

    @classmethod
    def of(cls, data: bytes, media_type: str, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """The descriptor of bytes in memory."""
        return cls(media_type, digest_of(data), len(data), dict(annotations or {}))

    def as_json(self) -> dict[str, Any]:
        """The JSON object of the image specification, without what is empty."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.platform:
            parts = self.platform.split("/")
            document["platform"] = dict(zip(("os", "architecture", "variant"), parts, strict=False))
        return document


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """A manifest or index as bytes, and what it refers to. `digest` is that of the bytes."""

    raw: bytes
    media_type: str
    digest: str
    blobs: tuple[Descriptor, ...] = ()
    """Configuration first, then layers in order; empty for an index."""
    children: tuple[Descriptor, ...] = ()
    """The manifests of an index; empty for an image."""
    subject: str = ""
    """Digest of what an artifact is about."""
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Descriptor:
        """What an index or a subject names this manifest by."""
        return Descriptor(self.media_type, self.digest, len(self.raw))


def read_manifest(raw: bytes, media_type: str = "", where: str = "the manifest") -> ImageManifest:
    """What a manifest refers to. `media_type` is what the server calls it; the document's own word must agree.

    Raises BadArchive for anything but an OCI or Docker (schema 2) image manifest or index.
    """
    if len(raw) > LARGEST:
        raise BadArchive(where, f"is larger than {LARGEST} bytes")
    try:
        node = Node(parsing.json(raw), where, "", _bad)
    except (ValueError, RecursionError):
        raise BadArchive(where, "is no JSON") from None
    kind = _kind(node, media_type.partition(";")[0].strip())
    if kind in INDEXES:
        children = tuple(read_descriptor(child) for child in _few(node, "manifests"))
        return ImageManifest(raw, kind, digest_of(raw), children=children, annotations=_strings(node, "annotations"))
    config = read_descriptor(node.at("config"))
    layers = tuple(read_descriptor(layer) for layer in _few(node, "layers"))
    subject = node.get("subject")
    return ImageManifest(
        raw,
        kind,
        digest_of(raw),
        (config, *layers),
        subject=read_descriptor(subject).digest if subject else "",
        artifact_type=node.str("artifactType", "") or config.media_type,
        annotations=_strings(node, "annotations"),
    )


def read_descriptor(node: Node) -> Descriptor:
    """A descriptor of a manifest. Raises the node's error for one that is malformed."""
    media_type, digest, size = node.str("mediaType"), node.str("digest"), node.int("size")
    if not _TYPE.fullmatch(media_type):
        node.fail("its mediaType is none")
    if not _DIGEST.fullmatch(digest):
        node.fail("its digest is no sha256 or sha512 digest")
    if not 0 <= size < 1 << 50:
        node.fail("its size is impossible")
    return Descriptor(
        media_type, digest, size, _strings(node, "annotations"), node.str("artifactType", ""), _platform(node)
    )


LIED = "Do not use this registry until that is explained; pushing or pulling again will not mend it."
"""What to do when a registry's bytes are not what it says."""


def short(digest: str) -> str:
    """A digest for people."""
    return digest[:19]


def place(digest: str) -> str:
    """Where a layout keeps a blob; digests have been checked to be hexadecimal when they were read."""
    return f"blobs/{digest.replace(':', '/')}"


def hasher(digest: str) -> Any:
    """The hash that a digest names."""
    return hashlib.new(digest.partition(":")[0])


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """The digest of bytes in memory."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def check(data: bytes, digest: str, what: str, hint: str = "") -> bytes:
    """The data, which must have that digest. Raises DigestMismatch."""
    got = digest_of(data, digest.partition(":")[0])
    if got != digest:
        raise DigestMismatch(what, digest, got, hint)
    return data


def canonical(document: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> bytes:
    """A manifest that stager writes: sorted keys, no spaces, so that equal contents are equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _kind(node: Node, told: str) -> str:
    if node.value is None or not isinstance(node.value, dict) or node.int("schemaVersion", 0) != 2:
        node.fail("is no manifest of schema version 2")
    own = node.str("mediaType", "")
    kind = own or (told if told in (*IMAGES, *INDEXES) else INDEX if node.get("manifests") else MANIFEST)
    if kind not in (*IMAGES, *INDEXES):
        node.fail(f"its mediaType {kind[:80]!r} is no image's or index's")
    if told in (*IMAGES, *INDEXES) and told != kind:
        node.fail("its mediaType is not what the registry says it is")
    return str(kind)


def _few(node: Node, key: str) -> list[Node]:
    found = node.list(key)
    if len(found) > _MOST:
        node.fail(f"has more than {_MOST} {key}")
    return found


def _strings(node: Node, key: str) -> dict[str, str]:
    table = node.table(key)
    for child in table.values():
        if not isinstance(child.value, str):
            child.fail("expected a string")
    return {name: child.value for name, child in table.items()}


def _platform(node: Node) -> str:
    found = node.get("platform")
    if found is None:
        return ""
    parts = (found.str("os"), found.str("architecture"), found.str("variant", ""))
    return "/".join(part for part in parts if part)


def _bad(where: str, why: str) -> StagerError:
    return BadArchive(where, why)
