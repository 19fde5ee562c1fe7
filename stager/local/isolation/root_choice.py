"""Which root filesystem a droplet runs in: its stack's, from the store or built now, or one that the user names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...sandbox import roots
from ...stacks import find, image, lock, root
from ...stacks.errors import NotBuilt
from ...store.errors import StoreCorrupt
from ...targets.oci.compose import LAYER
from ...targets.oci.image import Blob

if TYPE_CHECKING:
    from ...droplet.reader import DropletFile
    from ...sandbox.roots import RootFolder
    from ...stacks.build_context import Making
    from ...stacks.root import Root
    from ...store import Store


@dataclass(frozen=True, slots=True)
class WantedRoot:
    """A stack's name and architecture, with who builds it when the store has it not."""

    stack: str
    architecture: str
    making: Making
    tell: Callable[[str], None]


def wanted(droplet: DropletFile, making: Making, tell: Callable[[str], None]) -> WantedRoot:
    """The stack that a droplet was staged for."""
    return WantedRoot(droplet.launch.stack, droplet.launch.architecture, making, tell)


def made(want: WantedRoot) -> tuple[Root, tuple[tuple[str, str], ...]]:
    """The stack's root in the store, built when it is not there, and its variables.

    Raises UsageError for a stack that stager does not build, and what `stacks.root.build` raises.
    """
    definition = find.load(want.stack)
    root.chosen(definition, ())
    pinned = lock.load(definition)
    env = tuple(sorted({**dict(definition.env), "LANG": definition.locale}.items()))
    try:
        return root.find(definition, pinned, want.architecture, want.making.store), env
    except NotBuilt:
        want.tell(f"building the root filesystem of {want.stack} first ('stager box build {want.stack}')")
    return root.build(definition, pinned, want.architecture, want.making), env


def folder(want: WantedRoot, given: str = "") -> RootFolder:
    """The root on the disk: the stack's, or the tar or folder `given`. Raises what `made` and `roots.unpacked` raise."""
    store = want.making.store
    if given and os.path.isdir(given):
        return roots.given(given)
    if given:
        with roots.opened(given, store) as (tar, digest):
            return roots.unpacked(tar, digest, given, store)
    with store.lease():
        try:
            found, env = made(want)
            ready = _unpacked(found, store)
        except StoreCorrupt as damaged:  # build it anew, once
            store.set_aside(damaged.digest.partition(":")[2])
            found, env = made(want)
            ready = _unpacked(found, store)
    return roots.RootFolder(ready.path, found.digest, found.name, env)


def _unpacked(found: Root, store: Store) -> RootFolder:
    tar = store.open(found.digest.hex)
    try:
        return roots.unpacked(tar, found.digest, found.name, store)
    finally:
        os.close(tar)


@dataclass(frozen=True, slots=True)
class Layers:
    """What an engine's image is made of."""

    name: str
    architecture: str
    env: tuple[tuple[str, str], ...]
    layers: tuple[Blob, ...]


@contextmanager
def layers(want: WantedRoot, given: str = "") -> Iterator[Layers]:
    """The same root as layers for an engine: the stack's base image's, or the tar `given`. Raises as `folder` does."""
    store = want.making.store
    if not given:
        with store.lease():
            _, env = made(want)
            base = image.base_image(want.stack, want.architecture, store)
            blobs = (
                Blob(x.digest, x.size, LAYER + "+gzip", partial(base.open, x.digest), x.diff_id) for x in base.layers
            )
            yield Layers(want.stack, want.architecture, env, tuple(blobs))
        return
    if os.path.isdir(given):
        raise UsageError(f"{given} is a folder, and an engine takes layers", "Give its tar, or use --in stack.")
    with roots.opened(given, store) as (tar, digest):
        size = os.fstat(tar).st_size
        blob = Blob(digest, size, LAYER, partial(_parts, tar), digest)
        yield Layers("given", want.architecture, (), (blob,))


def _parts(tar: int) -> Iterator[bytes]:
    done = 0
    while part := os.pread(tar, 1 << 20, done):
        done += len(part)
        yield part
