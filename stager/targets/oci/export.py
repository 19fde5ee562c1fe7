"""An OCI image whose layers are the droplet's own blobs, as a layout folder or one archive that Docker loads, too."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...digest import Digest
from ...droplet.reader import DropletFile
from ...errors import UsageError
from ...files.writing import final, never
from ..record import DeployRequest, Exported, HeldDroplet, Platform, option
from . import abi, base
from .compose import Composed, Shipment, compose, own_layers, shipment
from .labels import PORT, droplet_order, read_recipe, recipe_of
from .layout import write_archive, write_layout
from .rebase import own_of
from .registry.reference import parse
from .source import Source, images

if TYPE_CHECKING:
    from ...store import Store

FORMATS = ("layout", "archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions(base.BaseOptions):
    """What decides an image's bytes, whoever gets it."""

    port: int = option(PORT, "the port web listens on, unless PORT is set (8080)", "N", least=1, most=65_535)
    source: str = option("", "where the app's source is kept", "URL")
    revision: str = option("", "the source's version, such as a commit", "ID")
    labels: Mapping[str, str] = option({}, "a label of the image", "NAME=VALUE", name="--label")

    def __post_init__(self) -> None:
        base.BaseOptions.__post_init__(self)
        if not 1024 <= self.port <= 65535:
            hint = "Choose one from 1024 to 65535: the process has no privileges."
            raise UsageError(f"port {self.port} cannot be used", hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class OciOptions(ImageOptions):
    """How an image's file is written, and the name in it."""

    format: str = option("", "whatever the name ends with", choices=FORMATS)
    name: str = option("", "the image's name, such as host/team/app:1.2", "NAME", short="-t", name="--tag")

    def __post_init__(self) -> None:
        ImageOptions.__post_init__(self)
        if self.format and self.format not in FORMATS:
            raise UsageError(f"there is no format {self.format!r}", f"Formats: {', '.join(FORMATS)}.")


def export(
    droplet: DropletFile,
    out: str,
    options: OciOptions = OciOptions(),
    *,
    more: Sequence[DropletFile] = (),
    store: Store | None = None,
    stop: Callable[[], bool] = never,
) -> Exported:
    """Write the droplet's image to `out`: one archive when the name ends with `.tar`, or is a device's; else a layout.

    `more` are further droplets of the same app for other architectures. Raises a TargetError; nothing is written then.
    """
    with ExitStack() as keep:
        shipped, notes = build((droplet, *more), options, keep, store)
        return write(shipped, out, options, notes, stop)


def build(
    droplets: Sequence[DropletFile], options: ImageOptions, keep: ExitStack, store: Store | None
) -> tuple[Shipment, tuple[str, ...]]:
    """The image of the droplets, one an architecture, and remarks; valid until `keep` is closed."""
    made, notes = [], list[str]()
    for droplet in droplets:
        image, remarks = _image(droplet, options, keep, store)
        made.append(image)
        notes += remarks
    platforms = [image.recipe.architecture for image in made]
    if len(set(platforms)) < len(platforms):
        raise UsageError(
            f"two droplets are for one architecture: {', '.join(platforms)}", "Give one for each architecture."
        )
    return shipment(made), tuple(dict.fromkeys(notes))


def _image(
    droplet: DropletFile, options: ImageOptions, keep: ExitStack, store: Store | None
) -> tuple[Composed, tuple[str, ...]]:
    recipe = recipe_of(
        droplet, port=options.port, source=options.source, revision=options.revision, labels=options.labels
    )
    below, notes = base.choose(recipe.stack, recipe.architecture, options, keep, store)
    own = own_layers(droplet)
    more = abi.check(below, own, recipe.architecture, store, options.allow_missing)
    return compose(recipe, own, below), (*notes, *more)


def write(
    shipped: Shipment, out: str, options: OciOptions, notes: tuple[str, ...] = (), stop: Callable[[], bool] = never
) -> Exported:
    """Write an image in the format that the options or the name ask for."""
    form = options.format or ("archive" if out.endswith(".tar") or not final(out) else "layout")
    digest, size = shipped.image.digest, shipped.image.manifest.size
    if form == "archive":
        digest, size = write_archive(shipped, out, options.name, stop)
    else:
        write_layout(shipped, out, options.name, stop)
    notes = (f"image {shipped.image.digest}", *notes)
    return Exported("oci", os.fspath(out), Digest(digest), size, shipped.images[0].own, notes)


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the droplet's layers in an exported image (the first architecture's). Raises BadImage."""
    with Source(path) as source:
        found = images(source)[0]
        recipe = read_recipe(found.labels, path)
        return tuple(layer.diff_id for layer in own_of(found, recipe, path))


def deploy(droplet: DropletFile, where: str, context: DeployRequest) -> HeldDroplet:
    """Push the image; its manifest is read back and must name the droplet's own blobs, in an image's order."""
    from .registry.access import Access
    from .registry.client import connect
    from .registry.push import push

    reference = parse(where)
    wishes = {"plain_http": context.plain_http, "cancel": context.cancel}
    access = Access.from_environment(context.environ, context.home, progress=context.progress, **wishes)
    options = ImageOptions(base=context.base, base_root=context.base_root)
    with ExitStack() as keep:
        shipped, _ = build((droplet,), options, keep, context.store)
        client = keep.enter_context(connect(reference, access))
        pushed = push(client, reference, shipped.image)
        blobs = [blob.digest for blob in client.manifest(reference.repository, pushed.digest).blobs]
    ids: dict[str, str] = {layer.digest: layer.diff_id for layer in droplet.layers}
    there = [str(ids[digest]) for digest in blobs if digest in ids]
    held = droplet_order(there, [layer.name for layer in droplet.layers], [str(one) for one in ids.values()])
    return HeldDroplet(pushed.reference, held, "the registry's manifest names the droplet's own blobs")


OCI = Platform("oci", "write an OCI image", OciOptions, export, layers, "image.tar", deploy, parse)
