"""A stack's OCI base image: its root as the one layer, and a configuration (OCI image specification 1.1).

Layer, configuration and manifest are blobs of the store. Nothing in them is of the machine or the time: the layer is a root's
canonical tar compressed by stager's own codec, and `created` is the date of the package index.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..digest import Digest, canonical_json
from ..files.writing import Output, folder_above
from ..formats import codec
from ..model import Layer
from ..store.errors import StoreCorrupt
from . import find, lock, root
from .errors import NotBuilt

if TYPE_CHECKING:
    from ..store import Store
    from .definition import Definition
    from .root import Root

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
USER = "2000:0"
"""Who runs in it: `vcap`, with group 0, to which a droplet's files belong."""
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An OCI image in the store. `layers` are in order; `manifest` and `config` are digests with their sizes in bytes."""

    name: str
    architecture: str
    stack: Digest
    manifest: Digest
    manifest_size: int
    config: Digest
    config_size: int
    layers: tuple[Layer, ...]
    store: Store

    def open(self, digest: Digest) -> Iterator[bytes]:
        """A blob of this image in parts: its manifest, configuration or a layer. Raises StoreCorrupt."""
        return self.store.parts(digest.hex)

    def read(self, digest: Digest) -> bytes:
        """A small blob of this image: its manifest or configuration."""
        return b"".join(self.open(digest))


def base_image(name: str, architecture: str, store: Store, sets: Sequence[str] = ()) -> BaseImage:
    """The base image of the stack `name` (or of the folder that this is a path of), which must have been built.

    Raises UsageError for an unknown stack or one that stager does not build, LockMissing, LockStale, and NotBuilt when
    `stager box build` has not put it into the store.
    """
    definition = find.load(name)
    return of(definition, root.find(definition, lock.load(definition), architecture, store, sets), store)


def of(definition: Definition, made: Root, store: Store) -> BaseImage:
    """The image of a root in the store; its layer is compressed when that has not been done before. Raises CannotWrite."""
    with store.lease():
        layer = _layer(made, store)
        config = canonical_json(_config(definition, made))
        manifest = canonical_json(_manifest(Digest("sha256:" + store.put(config)), len(config), layer))
        return BaseImage(
            made.name, made.architecture, made.stack, Digest("sha256:" + store.put(manifest)), len(manifest),
            Digest("sha256:" + store.put(config)), len(config), (layer,), store,
        )  # fmt: skip


def _layer(made: Root, store: Store) -> Layer:
    key = f"{codec.CODEC} {made.digest}"
    known = store.recall("stack-layer", key)
    if isinstance(known, dict) and store.has(Digest(known["digest"]).hex):
        return Layer("root", Digest(known["digest"]), made.digest, known["size"])
    if not store.has(made.digest.hex):
        raise NotBuilt(made.name, made.architecture)
    codec.check_known_answer()
    digest, size = _compressed(made, store)
    store.remember("stack-layer", key, {"digest": digest, "size": size})
    return Layer("root", digest, made.digest, size)


def _compressed(made: Root, store: Store) -> tuple[Digest, int]:
    import hashlib

    state, crc, done = hashlib.sha256(), 0, 0
    descriptor = store.open(made.digest.hex)
    try:
        with store.writer() as writer:
            writer.write(codec.HEADER)
            while part := os.pread(descriptor, codec.CHUNK, done):
                state.update(part)
                crc, done = codec.crc32(part, crc), done + len(part)
                for run in codec.compress(part):
                    writer.write(run)
            writer.write(codec.trailer(crc, done))
            if state.hexdigest() != made.digest.hex:
                store.set_aside(made.digest.hex)
                raise StoreCorrupt(made.digest)
            return Digest("sha256:" + writer.commit()), writer.size
    finally:
        os.close(descriptor)


def _date(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _config(definition: Definition, made: Root) -> dict[str, object]:
    env = {**dict(definition.env), "LANG": definition.locale}
    labels = {
        "io.buildpacks.stack.id": definition.name,
        "io.buildpacks.base.distro.name": definition.box.distribution,
        **({"io.buildpacks.base.distro.version": definition.box.release} if definition.box.release else {}),
        "io.stager.stack.digest": str(made.stack),
    }
    return {
        "architecture": made.architecture,
        "config": {
            "Cmd": ["/bin/bash"],
            "Env": [f"{name}={value}" for name, value in sorted(env.items())],
            "Labels": labels,
            "User": USER,
            "WorkingDir": "/app",
        },
        "created": _date(made.epoch),
        "history": [{"created": _date(made.epoch), "created_by": f"stager box build {definition.name}"}],
        "os": "linux",
        "rootfs": {"diff_ids": [made.digest], "type": "layers"},
    }


def _manifest(config: Digest, size: int, layer: Layer) -> dict[str, object]:
    return {
        "config": {"digest": config, "mediaType": CONFIG, "size": size},
        "layers": [{"digest": layer.digest, "mediaType": LAYER, "size": layer.size}],
        "mediaType": MANIFEST,
        "schemaVersion": 2,
    }


# --- as a file ---------------------------------------------------------------------------------------------------


def write_root(made: Root, path: str, store: Store) -> None:
    """The root's canonical tar as a new file, made beside its place.

    Raises CannotWrite, also when it is there, and StoreCorrupt.
    """
    folder_above(path)
    with Output(path, new=True) as output:
        for part in store.parts(made.digest.hex):
            output.write(part)
