"""How artifacts are unpacked: the recipes of every packaging format and every runtime, by an artifact's `layout`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .. import ecosystems, runtimes

if TYPE_CHECKING:
    from ..ecosystems import Unpack
    from ..formats.tar import Unpacked
    from ..model import Artifact
    from ..store import Store


def names() -> frozenset[str]:
    """The layouts that an artifact may have."""
    return frozenset(ecosystems.by_layout()).union(*(one.layouts for one in runtimes.kinds()))


def recipe(name: str) -> Unpack:
    """The unpack recipe of a layout, of bytecode's too; KeyError for one that is neither that nor in `names()`."""
    for one in runtimes.kinds():
        if one.bytecode and one.bytecode.layout == name:
            return one.bytecode.unpack
    own = runtimes.of_layout(name)
    return own.layouts[name].unpack if own else ecosystems.by_layout()[name].layouts[name]


@contextmanager
def unpacked(artifact: Artifact, path: str, blob: str, store: Store) -> Iterator[Unpacked]:
    """What an artifact comes to at `path`, from its stored blob, which is proved by the artifact's digest while it is read.

    Raises DamagedArtifact for other bytes, and what the recipe raises.
    """
    from ..formats.archive import HeldArchive
    from ..store.errors import DamagedArtifact, StoreCorrupt

    try:
        with store.prove(blob, artifact.digest) as descriptor:
            held = HeldArchive(descriptor, f"{store.root}/v1/tmp")
            with recipe(artifact.layout)(held, artifact, path) as found:
                found.size = os.fstat(descriptor).st_size
                yield found
    except StoreCorrupt as error:
        raise DamagedArtifact(artifact.name, error, store.path(blob)) from None
