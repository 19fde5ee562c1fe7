"""Another base below an image's own layers, from the image alone: no droplet, no staging, the same layers.

An image is composed of its recipe and a base, so going to another base and back gives the first bytes again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ...errors import UsageError
from ...stacks.errors import BadImage
from ...store import Store
from . import abi, base
from .compose import Composed, compose, shipment
from .image import Blob
from .labels import Recipe, droplet_order, read_recipe
from .layout import write_archive, write_layout
from .source import Found, Source, images


@dataclass(frozen=True, slots=True)
class Rebased:
    """What a rebase did: the image's `digest` before and after (an index's for several architectures)."""

    path: str
    before: str
    digest: str
    images: tuple[Composed, ...]
    notes: tuple[str, ...]


def rebase(path: str, out: str, options: base.BaseOptions, store: Store | None = None) -> Rebased:
    """Put the image file `path` on the base that `options` name (see `base.choose`), and write it to `out`.

    It is written in the form it has, with the name it has. Raises BadImage, WrongBase, WrongArchitecture, NotBuilt,
    CannotWrite; nothing is written then.
    """
    if not (options.base or options.base_root):
        raise UsageError("no base is named", "Write --onto with a stack's name or FILE@sha256:…")
    with ExitStack() as keep:
        source = keep.enter_context(Source(path))
        found = images(source)
        made, notes = [], list[str]()
        for one in found:
            image, remarks = _moved(one, path, options, keep, store)
            made.append(image)
            notes += remarks
        shipped = shipment(made)
        before = _before(source, found)
        name = found[0].tag
        if source.is_folder:
            write_layout(shipped, out, name)
        else:
            write_archive(shipped, out, name)
    return Rebased(out, before, shipped.image.digest, shipped.images, tuple(dict.fromkeys(notes)))


def _moved(
    found: Found, path: str, options: base.BaseOptions, keep: ExitStack, store: Store | None
) -> tuple[Composed, tuple[str, ...]]:
    recipe = read_recipe(found.labels, path)
    own = own_of(found, recipe, path)
    below, notes = base.choose(recipe.stack, recipe.architecture, options, keep, store)
    more = abi.check(below, own, recipe.architecture, store, options.allow_missing)
    return compose(recipe, own, below), (*notes, *more)


def own_of(found: Found, recipe: Recipe, path: str) -> tuple[Blob, ...]:
    """The droplet's layers of an image, its last ones, in the droplet's order (in which older images have them, too).

    Raises BadImage when they are not what the image's recipe says.
    """
    own = [diff_id for _, diff_id in recipe.layers]
    last = {layer.diff_id: layer for layer in found.layers[len(found.layers) - len(own) :]} if own else {}
    if list(droplet_order(list(last), recipe.names, own)) != own:
        raise BadImage(path, "its last layers are not the droplet's that its recipe names", "Export the droplet again.")
    return tuple(last[diff_id] for diff_id in own)


def _before(source: Source, found: Sequence[Found]) -> str:
    """The digest that the image had."""
    if not source.has("index.json"):
        return found[0].reference
    (first, *_) = source.json("index.json").list("manifests")
    return str(first.str("digest"))
