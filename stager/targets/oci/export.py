"""An OCI image whose layers are the droplet's own blobs, as a layout folder or one archive that Docker loads, too."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ...digest import Digest
from ...droplet.reader import DropletFile
from ...errors import UsageError
from ...files.writing import final, never
from .. import Exported
from . import abi, base
from .image import Blob, Image, Shipment, compose, own_layers, shipment
from .labels import PORT, read_recipe, recipe_of
from .layout import write_archive, write_layout
from .rebase import own_of
from .source import Source, images

if TYPE_CHECKING:
    from .registry.push import Image as Transferable

FORMATS = ("layout", "archive")


def export(droplet: DropletFile, out: str, options: Mapping[str, Any]) -> Exported:
    """Write the droplet's image to `out`: one archive when the name ends with `.tar`, or is a device's; else a layout.

    Options: `base`, `base_root` (see `oci.base.choose`), `allow_missing` (see `oci.abi.check`), `name` (the image's),
    `format` (`layout` or `archive`), `port`, `source`, `revision`, `labels`, `store`, and `more`: further droplets of the
    same app for other architectures. Raises a TargetError; nothing is written then.
    """
    with ExitStack() as keep:
        shipped, notes = build((droplet, *options.get("more", ())), options, keep)
        return write(shipped, out, options, notes)


def build(
    droplets: Sequence[DropletFile], options: Mapping[str, Any], keep: ExitStack
) -> tuple[Shipment, tuple[str, ...]]:
    """The image of the droplets, one an architecture, and remarks; valid until `keep` is closed."""
    made, notes = [], list[str]()
    for droplet in droplets:
        image, remarks = _image(droplet, options, keep)
        made.append(image)
        notes += remarks
    platforms = [image.recipe.architecture for image in made]
    if len(set(platforms)) < len(platforms):
        raise UsageError(
            f"two droplets are for one architecture: {', '.join(platforms)}", "Give one for each architecture."
        )
    return shipment(made), tuple(dict.fromkeys(notes))


def _image(droplet: DropletFile, options: Mapping[str, Any], keep: ExitStack) -> tuple[Image, tuple[str, ...]]:
    store = options.get("store")
    wishes = {key: options[key] for key in ("source", "revision", "labels") if options.get(key)}
    recipe = recipe_of(droplet, port=port_of(options), **wishes)
    below, notes = base.choose(recipe.stack, recipe.architecture, options, keep, store)
    own = own_layers(droplet)
    more = abi.check(below, own, recipe.architecture, store, options.get("allow_missing") or ())
    return compose(recipe, own, below), (*notes, *more)


def port_of(options: Mapping[str, Any]) -> int:
    """The port that `web` listens on. Raises UsageError for one that an ordinary user may not open."""
    port = int(options.get("port") or PORT)
    if not 1024 <= port <= 65535:
        raise UsageError(f"port {port} cannot be used", "Choose one from 1024 to 65535: the process has no privileges.")
    return port


def write(shipped: Shipment, out: str, options: Mapping[str, Any], notes: tuple[str, ...] = ()) -> Exported:
    """Write an image in the format that the options or the name ask for."""
    name = str(options.get("name") or "")
    form = options.get("format") or ("archive" if out.endswith(".tar") or not final(out) else "layout")
    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}", f"Formats: {', '.join(FORMATS)}.")
    digest, size, stop = shipped.top.digest, shipped.top.size, options.get("stop", never)
    if form == "archive":
        digest, size = write_archive(shipped, out, name, stop)
    else:
        write_layout(shipped, out, name, stop)
    notes = (f"image {shipped.top.digest}", *notes)
    return Exported("oci", os.fspath(out), Digest(digest), size, shipped.images[0].own, notes)


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the droplet's layers in an exported image (the first architecture's). Raises BadImage."""
    with Source(path) as source:
        found = images(source)[0]
        recipe = read_recipe(found.labels, path)
        return tuple(layer.diff_id for layer in own_of(found, recipe, path))


def transferable(shipped: Shipment) -> Transferable:
    """A shipment as the registry package pushes it."""
    from .registry.push import Image as Transferable
    from .registry.upload import Blob as Upload

    def blob(one: Blob) -> Upload:
        return Upload.streamed(one.digest, one.size, one.read)

    images = tuple(
        Transferable(b"".join(one.manifest.read()), (blob(one.config), *map(blob, one.layers)))
        for one in shipped.images
    )
    if len(images) == 1:
        return images[0]
    return Transferable(b"".join(shipped.top.read()), (), shipped.top.media_type, images)
