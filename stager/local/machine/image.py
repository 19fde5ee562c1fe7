"""The box of a stack as a container image: its root with what Vagrant and the supervisor need, and a first process.

The image is loaded into the engine once and known by the digest of its configuration, so the same root is the same image on
every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ...digest import canonical_json, sha256
from ...sandbox.errors import EngineFailed
from ...stacks.tree import RootItem, Tree, write
from ...targets.oci.compose import LAYER
from ...targets.oci.image import Blob
from ...targets.oci.layout import docker_archive
from . import guest_files
from .providers import engine

if TYPE_CHECKING:
    from ...stacks.definition import Definition
    from ...stacks.root import Root
    from ...store import Store

INIT = "/usr/lib/stager-init"


@dataclass(frozen=True, slots=True)
class BoxImage:
    """A container image that is not loaded yet: `config` is its configuration, `top` the layer above the root's."""

    tag: str
    config: bytes
    top: bytes
    root: Root


def compose(definition: Definition, made: Root) -> BoxImage:
    """The image of a root."""
    tree = Tree({"": RootItem("folder", 0o755)})
    tree.put(INIT[1:], RootItem("file", 0o755, data=guest_files.script("init")))
    parts: list[bytes] = []
    write(tree, made.epoch, parts.append)
    top = b"".join(parts)
    env = {**dict(definition.env), "LANG": definition.locale}
    config = canonical_json(
        {
            "architecture": made.architecture,
            "config": {
                "Entrypoint": [INIT],
                "Env": [f"{name}={value}" for name, value in sorted(env.items())],
                "ExposedPorts": {"22/tcp": {}},
                "Labels": {"io.stager.box": definition.name, "io.stager.stack.digest": str(made.stack)},
            },
            "os": "linux",
            "rootfs": {"diff_ids": [str(made.digest), str(sha256(top))], "type": "layers"},
        }
    )
    return BoxImage(f"stager/{definition.name}:{sha256(config).hex[:16]}", config, top, made)


def load(image: BoxImage, store: Store, environ: Mapping[str, str]) -> bool:
    """Have the image in the engine; whether it was loaded only now. Raises EngineFailed, StoreCorrupt."""
    with engine(environ) as client:
        if _there(client, image):
            return False
        root = Blob(image.root.digest, image.root.size, LAYER, partial(store.parts, image.root.digest.hex))
        client.images.load(docker_archive(image.config, [root, Blob.of(image.top, LAYER)], image.tag))
        if not _there(client, image):
            raise EngineFailed(f"it took {image.tag}, but does not have it")
        return True


def _there(client: Any, image: BoxImage) -> bool:
    import docker

    try:
        found = client.images.get(image.tag)
    except docker.errors.ImageNotFound:
        return False
    layers = found.attrs.get("RootFS", {}).get("Layers", [])
    return bool(layers == [str(image.root.digest), str(sha256(image.top))])
