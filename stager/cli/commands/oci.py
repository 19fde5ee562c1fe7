"""`stager export oci` and `stager rebase`; what an image is made of is declared here for other commands, too."""

from __future__ import annotations

from contextlib import ExitStack

from ...errors import UsageError
from ...files import writing
from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from ...droplet.reader import DropletFile
    from ...store import Store
    from ...targets.oci.image import Shipment


# --- what images are made of -----------------------------------------------------------------------------------


def image_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the droplet files and what decides an image's bytes."""
    from .values import pair, tcp_port

    parser.add_argument(
        "droplets", nargs="*", default=["droplet.tgz"], metavar="DROPLET", help="droplet files, one an architecture"
    )
    parser.add_argument(
        "--base", default="", metavar="BASE", help="FILE@sha256:… (a layout or archive), a stack's name, or scratch"
    )
    parser.add_argument("--base-root", default="", metavar="FILE", help="a root filesystem's tar as the base")
    _base_name(parser)
    _allow_missing(parser)
    parser.add_argument(
        "--port", type=tcp_port, default=8080, metavar="N", help="the port web listens on, unless PORT is set (8080)"
    )
    parser.add_argument("--source", default="", metavar="URL", help="where the app's source is kept")
    parser.add_argument("--revision", default="", metavar="ID", help="the source's version, such as a commit")
    parser.add_argument(
        "--label", action="append", type=pair, default=[], metavar="NAME=VALUE",
        help="a label of the image; may be repeated",
    )  # fmt: skip


def _base_name(parser: argparse.ArgumentParser) -> None:
    help_ = "the base's name in its registry, so that a lifecycle's rebaser swaps it without force"
    parser.add_argument("--base-name", default="", metavar="NAME", help=help_)


def _allow_missing(parser: argparse.ArgumentParser) -> None:
    help_ = "a library or symbol version that the app does without; may be repeated"
    parser.add_argument("--allow-missing", action="append", default=[], metavar="NAME", help=help_)
    shared.add_any_stack(parser)


def image_options(arguments: argparse.Namespace, store: Store) -> dict[str, Any]:
    """The options of `targets.oci` that `image_arguments` declared."""
    return {
        **{key: getattr(arguments, key) for key in ("base", "base_root", "base_name", "port", "source", "revision")},
        "allow_missing": tuple(arguments.allow_missing),
        "labels": table(arguments.label, "--label"),
        "store": store,
    }


def table(pairs: Sequence[tuple[str, str]], option: str) -> dict[str, str]:
    """`NAME=VALUE` arguments as a table. Raises UsageError for a name given twice."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise UsageError(f"{option} {name!r} is given twice", "Leave one out.")
        found[name] = value
    return found


def open_droplets(paths: Sequence[str], store: Store, keep: ExitStack) -> list[DropletFile]:
    """The droplet files, open until `keep` is closed."""
    from ...droplet.reader import open_droplet

    return [keep.enter_context(open_droplet(path, store)) for path in paths]


# --- export oci ------------------------------------------------------------------------------------------------


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    image_arguments(parser)
    help_ = "where to write it: an archive when it ends with .tar, else a layout folder (image.tar)"
    shared.add_output(parser, "", help_, metavar="FILE|DIR")
    parser.add_argument("--format", choices=["layout", "archive"], default="", help="whatever the name ends with")
    parser.add_argument("-t", "--tag", default="", metavar="NAME", help="the image's name, such as host/team/app:1.2")
    parser.add_argument("--load", action="store_true", help="load it into the container engine of DOCKER_HOST")


def _export(arguments: argparse.Namespace) -> int:
    from ...droplet.incremental import keep_foreign
    from ...targets.oci import export
    from ...targets.oci.registry.reference import read

    if arguments.tag:
        read(arguments.tag)
    place = arguments.output or ("" if arguments.load else "image.tar")
    if place:
        keep_foreign(place)
    store = shared.store(arguments)
    if arguments.output:
        writing.keep_apart(arguments.output, *arguments.droplets, arguments.base_root)
    with store.lease(), ExitStack() as keep:
        options = {**image_options(arguments, store), "name": arguments.tag, "format": arguments.format}
        droplets = open_droplets(arguments.droplets, store, keep)
        shipped, notes = export.build(droplets, options, keep)
        document: dict[str, Any] = _facts(shipped, notes)
        if arguments.load:
            from ...targets.oci.engine import load

            document["loaded"] = load(shipped, arguments.tag, shared.environ())
        if place:
            made = export.write(shipped, place, options)
            document["file"] = {"path": made.path, "digest": made.digest, "size": made.size}
    _report(document, arguments)
    return 0


def _facts(shipped: Shipment, notes: Sequence[str]) -> dict[str, Any]:
    images = [
        {
            "architecture": image.recipe.architecture,
            "digest": image.manifest.digest,
            "droplet": image.recipe.droplet,
            "layers": list(image.own),
            "base_layers": len(image.layers) - len(image.own),
        }
        for image in shipped.images
    ]
    return {"digest": shipped.top.digest, "images": images, "notes": list(notes)}


def _report(document: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.json:
        shared.print_json(document)
        return
    shared.warn(document["notes"])
    if "loaded" in document:
        shared.say(f"loaded as {arguments.tag or document['loaded']}")
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
    _base_name(parser)
    _allow_missing(parser)
    shared.add_output(parser, "", "where to write it (the image itself)", metavar="FILE|DIR")


def _rebase(arguments: argparse.Namespace) -> int:
    from ...targets.oci.rebase import rebase

    if not arguments.onto and not arguments.onto_root:
        raise UsageError("no base is named", "Write --onto with a stack's name or FILE@sha256:…")
    store = shared.store(arguments)
    options = {
        "base": arguments.onto,
        "base_root": arguments.onto_root,
        "base_name": arguments.base_name,
        "allow_missing": tuple(arguments.allow_missing),
    }
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
