"""Small images as values, for tests of registries, and quick access to them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry_server import noise

from stager.net.indexes import Indexes
from stager.net.patience import Patience
from stager.targets.oci.image import Blob, Image
from stager.targets.oci.registry.access import Access
from stager.targets.oci.registry.credentials import Logins
from stager.targets.oci.registry.descriptors import INDEX, MANIFEST, Descriptor, canonical, digest_of

QUICK = Patience(connect=5.0, read=5.0, waits=(0.01, 0.02, 0.03), longest_wait=1.5, grace=20.0)
HERE = Indexes(allowed=("127.0.0.0/8",))
"""The operator allows what a registry on this machine points to: other ports are other origins."""
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def image(*layers: bytes, architecture: str = "amd64", packed: bool = False) -> Image:
    """An image of these layers; `packed` compresses them, so that no other tool does so on the way."""
    rootfs = {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}
    document = {"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs}
    config = json.dumps(document, sort_keys=True).encode()
    blobs = [gzip.compress(layer, mtime=0) for layer in layers] if packed else list(layers)
    rows = [Descriptor.of(blob, LAYER + "+gzip" * packed).as_json() for blob in blobs]
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": rows}
    manifest["config"] = Descriptor.of(config, CONFIG).as_json()
    return Image.of(canonical(manifest), tuple(Blob.of(data) for data in (config, *blobs)))


def index(*images: tuple[str, Image]) -> Image:
    """An index of (platform, image)."""
    rows = [Descriptor(MANIFEST, one.digest, len(one.raw), platform=platform).as_json() for platform, one in images]
    raw = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows})
    return Image.of(raw, (), INDEX, tuple(one for _, one in images))


def content(blob: Blob) -> bytes:
    """A blob's bytes."""
    return b"".join(blob.read())


def access(config: Path | None = None, **fields: Any) -> Access:
    """Quick access, logged in by a `DOCKER_CONFIG` folder."""
    logins = logins_of({"DOCKER_CONFIG": str(config)}) if config else None
    return Access(**{"patience": QUICK, "commit": 10.0, "logins": logins, **fields})


def logins_of(environ: Mapping[str, str]) -> Logins:
    """Docker's configuration of nobody but this environment."""
    return Logins(environ, "/nonexistent")


__all__ = ["CONFIG", "LAYER", "QUICK", "access", "content", "image", "index", "logins_of", "noise"]
