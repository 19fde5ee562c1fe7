"""The box of a stack as a container image: its root with what Vagrant and the supervisor need, and a first process.

The image is loaded into the engine once and known by the digest of its configuration, so the same root is the same image on
every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...digest import canonical_json, sha256
from ...formats.tar import BLOCK, END
from ...stacks.tree import RootItem, Tree, header, write
from ...targets.errors import EngineFailed
from . import guest_files
from .providers import engine, first_line

if TYPE_CHECKING:
    from ...stacks.definition import Definition
    from ...stacks.root import Root
    from ...store import Store

INIT = "/usr/lib/stager-init"
_BUFFER = 1 << 20


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
    import docker

    client = engine(environ)
    trouble = (docker.errors.DockerException, OSError)
    try:
        if _there(client, image):
            return False
        client.images.load(_archive(image, store))
        if not _there(client, image):
            raise EngineFailed(f"it took {image.tag}, but does not have it")
        return True
    except trouble as problem:
        raise EngineFailed(first_line(problem)) from None
    finally:
        client.close()


def _there(client: Any, image: BoxImage) -> bool:
    import docker

    try:
        found = client.images.get(image.tag)
    except docker.errors.ImageNotFound:
        return False
    layers = found.attrs.get("RootFS", {}).get("Layers", [])
    return bool(layers == [str(image.root.digest), str(sha256(image.top))])


def _archive(image: BoxImage, store: Store) -> Iterator[bytes]:
    """What `docker load` reads, in parts; the root's bytes are checked on their way."""
    name = f"{sha256(image.config).hex}.json"
    row = {"Config": name, "Layers": ["root.tar", "top.tar"], "RepoTags": [image.tag]}
    yield from _member(name, len(image.config), [image.config])
    yield from _member("root.tar", image.root.size, store.parts(image.root.digest.hex))
    yield from _member("top.tar", len(image.top), [image.top])
    index = canonical_json([row])
    yield from _member("manifest.json", len(index), [index])
    yield END


def _member(name: str, size: int, parts: Iterator[bytes] | Sequence[bytes]) -> Iterator[bytes]:
    yield header(name, "file", RootItem("file", 0o644), size, "", guest_files.EPOCH)
    yield from parts
    yield bytes(-size % BLOCK)
