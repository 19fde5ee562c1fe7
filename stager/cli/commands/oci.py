"""`stager export oci` and `stager rebase`; what an image is made of is declared here for other commands, too."""

from __future__ import annotations

from contextlib import ExitStack

from ...errors import UsageError
from ...files import writing
from ...targets.oci.base import BaseOptions
from ...targets.oci.export import ImageOptions, OciOptions
from . import shared
from .options import add_options, options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from ...droplet.reader import DropletFile
    from ...store import Store
    from ...targets.oci.compose import Shipment


# --- what images are made of -----------------------------------------------------------------------------------


def image_arguments(parser: argparse.ArgumentParser, kind: type[ImageOptions] = ImageOptions) -> None:
    """Declare the droplet files and what decides an image's bytes."""
    parser.add_argument(
        "droplets", nargs="*", default=["droplet.tgz"], metavar="DROPLET", help="droplet files, one an architecture"
    )
    add_options(parser, kind)
    shared.add_any_stack(parser)


def open_droplets(paths: Sequence[str], store: Store, keep: ExitStack) -> list[DropletFile]:
    """The droplet files, open until `keep` is closed."""
    from ...droplet.reader import open_droplet

    return [keep.enter_context(open_droplet(path, store)) for path in paths]


# --- export oci ------------------------------------------------------------------------------------------------


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    image_arguments(parser, OciOptions)
    help_ = "where to write it: an archive when it ends with .tar, else a layout folder (image.tar)"
    shared.add_output(parser, "", help_, metavar="FILE|DIR")
    parser.add_argument("--load", action="store_true", help="load it into the container engine of DOCKER_HOST")


def _export(arguments: argparse.Namespace) -> int:
    from ...droplet.incremental import keep_foreign
    from ...targets.oci import export
    from ...targets.oci.registry.reference import read

    options = options_of(arguments, OciOptions)
    if options.name:
        read(options.name)
    place = arguments.output or ("" if arguments.load else "image.tar")
    if place:
        keep_foreign(place)
    store = shared.store(arguments)
    if arguments.output:
        writing.keep_apart(arguments.output, *arguments.droplets, arguments.base_root)
    with store.lease(), ExitStack() as keep:
        droplets = open_droplets(arguments.droplets, store, keep)
        shipped, notes = export.build(droplets, options, keep, store)
        document: dict[str, Any] = _facts(shipped, notes)
        if arguments.load:
            from ...targets.oci.engine import load

            document["loaded"] = load(shipped, options.name, shared.environ())
        if place:
            made = export.write(shipped, place, options)
            document["path"] = made.path
            document["file"] = {"path": made.path, "digest": made.digest, "size": made.size}  # as it was called
    _report(document, arguments)
    return 0


def _facts(shipped: Shipment, notes: Sequence[str]) -> dict[str, Any]:
    images = [
        {
            "architecture": image.recipe.architecture,
            "digest": image.image.digest,
            "droplet": image.recipe.droplet,
            "layers": list(image.own),
            "base_layers": len(image.image.blobs) - 1 - len(image.own),
        }
        for image in shipped.images
    ]
    return {"digest": shipped.image.digest, "images": images, "notes": list(notes)}


def _report(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.json:
        shared.print_json(document)
        return
    shared.warn(document["notes"])
    if "loaded" in document:
        shared.say(f"loaded as {arguments.name or document['loaded']}")
    if "file" in document:
        shared.say(f"wrote {shared.where(document['file']['path'])}")
    shared.result(arguments, document["digest"])


# --- rebase ----------------------------------------------------------------------------------------------------


def _rebase_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image", metavar="FILE|DIR", help="an image that stager exported: a layout folder or an archive"
    )
    parser.add_argument("--onto", default="", metavar="BASE", help="FILE@sha256:…, or a stack's name")
    parser.add_argument("--onto-root", default="", metavar="FILE", help="a root filesystem's tar as the base")
    add_options(parser, BaseOptions, without=("base", "base_root"))
    shared.add_any_stack(parser)
    shared.add_output(parser, "", "where to write it (the image itself)", metavar="FILE|DIR")


def _rebase(arguments: argparse.Namespace) -> int:
    from ...targets.oci.rebase import rebase

    if not arguments.onto and not arguments.onto_root:
        raise UsageError("no base is named", "Write --onto with a stack's name or FILE@sha256:…")
    store = shared.store(arguments)
    options = BaseOptions(
        base=arguments.onto,
        base_root=arguments.onto_root,
        base_name=arguments.base_name,
        allow_missing=tuple(arguments.allow_missing),
    )
    with store.lease():
        done = rebase(arguments.image, arguments.output or arguments.image, options, store)
    if arguments.json:
        shared.print_json({"path": done.path, "before": done.before, "digest": done.digest, "notes": list(done.notes)})
    else:
        shared.warn(done.notes)
        shared.say(f"{shared.where(done.path)}: {'as before' if done.before == done.digest else f'was {done.before}'}")
        shared.result(arguments, done.digest)
    return 0


COMMANDS: dict[str, shared.Row] = {
    "export oci": (_export, _export_arguments),
    "rebase": (_rebase, _rebase_arguments),
}
