"""`stager push oci`: a droplet, or an image file, to a registry."""

from __future__ import annotations

import os

from ...droplet import mistaken
from ...errors import UsageError
from ...files import regular
from ...stacks.errors import BadImage
from ...targets.oci.export import ImageOptions
from ...text.wording import size_text
from . import shared
from .oci import image_arguments, open_droplets
from .options import options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from contextlib import ExitStack
    from typing import Any

    from ...targets.oci.image import Image
    from ...targets.oci.registry.access import Access
    from ...targets.oci.registry.push import PushedImage

_GZIP = b"\x1f\x8b"
_IMAGES = ("", "an image archive", mistaken.TAR)
_EXPORTED = "Name a droplet, or the folder or archive that 'stager export oci' wrote."


def _arguments(parser: argparse.ArgumentParser) -> None:
    image_arguments(parser)
    parser.add_argument("image", metavar="IMAGE", help="its name: HOST[:PORT]/NAME[:TAG]")
    parser.add_argument(
        "--select", default="", metavar="NAME", help="of an image file with several: its name or digest"
    )
    _registry_arguments(parser)


def _registry_arguments(parser: argparse.ArgumentParser) -> None:
    from .values import number

    parser.add_argument(
        "--mount-from", action="append", default=[], metavar="NAME", help="a repository there that has layers already"
    )
    shared.add_plain_http(parser)
    parser.add_argument(
        "--chunk-size", type=number(), default=0, metavar="BYTES", help="of one request of an upload (32 MiB)"
    )
    parser.add_argument("--jobs", type=number(1, 1024), default=4, metavar="N", help="uploads at once (4)")


def _push(arguments: argparse.Namespace) -> int:
    import threading
    from contextlib import ExitStack

    from ...targets.oci.registry.client import connect
    from ...targets.oci.registry.push import push
    from ...targets.oci.registry.reference import parse

    reference = parse(arguments.image)
    for name in arguments.mount_from:
        parse(f"{reference.host}/{name}")
    cancel = threading.Event()
    with ExitStack() as keep:
        image, notes = _open(arguments, keep)
        client = keep.enter_context(connect(reference, _access(arguments, cancel)))
        try:
            pushed = push(client, reference, image, mount_from=arguments.mount_from)
        except KeyboardInterrupt:
            cancel.set()
            raise
    return _report(arguments, pushed, notes)


def _access(arguments: argparse.Namespace, cancel: Any) -> Access:
    from ...targets.oci.registry.access import CHUNK, Access

    wishes = {"plain_http": arguments.plain_http, "chunk": arguments.chunk_size or CHUNK, "jobs": arguments.jobs}
    return Access.from_environment(
        shared.environ(), shared.home(), progress=shared.progress(arguments), cancel=cancel, **wishes
    )


# --- what is pushed --------------------------------------------------------------------------------------------


def _open(arguments: argparse.Namespace, keep: ExitStack) -> tuple[Image, tuple[str, ...]]:
    """The image that the arguments stand for, readable until `keep` is closed, and remarks."""
    if all(_is_droplet(path) for path in arguments.droplets):
        return _of_droplets(arguments, keep)
    made = [
        name for name in ("base", "base_root", "base_name", "source", "revision", "labels") if getattr(arguments, name)
    ]
    wrong = next((path for path in arguments.droplets if not _is_droplet(path)), "")
    if not os.path.isdir(wrong) and (found := mistaken.what_is(wrong)) not in _IMAGES:
        raise BadImage(wrong, f"it is neither a droplet nor an image: it is {found}", _EXPORTED)
    if made or len(arguments.droplets) > 1:
        raise UsageError(
            "an image file is pushed as it is, and alone", "Export the droplets again to change the image."
        )
    from ...targets.oci.source import Source, image_of

    source = keep.enter_context(Source(arguments.droplets[0]))
    if not source.has("index.json"):
        raise BadImage(source.path, "it is no image: it has no index.json, as an OCI layout has", _EXPORTED)
    return image_of(source, arguments.select), ()


def _is_droplet(path: str) -> bool:
    """Whether a file is a droplet; folders and uncompressed tars are images. Raises Unreadable."""
    if os.path.isdir(path):
        return False
    try:
        with regular.opened(path) as stream:
            return stream.read(2) == _GZIP
    except OSError as error:
        raise mistaken.unopened(path, error) from None


def _of_droplets(arguments: argparse.Namespace, keep: ExitStack) -> tuple[Image, tuple[str, ...]]:
    from ...targets.oci.export import build

    store = shared.store(arguments)
    shipped, notes = build(
        open_droplets(arguments.droplets, store, keep), options_of(arguments, ImageOptions), keep, store
    )
    return shipped.image, notes


# --- what it came to -------------------------------------------------------------------------------------------


def _report(arguments: argparse.Namespace, pushed: PushedImage, notes: tuple[str, ...]) -> int:
    if arguments.json:
        import dataclasses

        shared.print_json({**dataclasses.asdict(pushed), "notes": list(notes)})
        return 0
    shared.warn(notes)
    shared.say(_summary(pushed))
    print(pushed.reference)
    return 0


def _summary(pushed: PushedImage) -> str:
    if pushed.unchanged:
        return "there already, unchanged"
    counts = (
        (len(pushed.uploaded), "uploaded"),
        (len(pushed.mounted), "mounted"),
        (len(pushed.present), "there already"),
    )
    found = ", ".join(f"{count} {how}" for count, how in counts if count)
    return f"blobs: {found}; {size_text(pushed.moved)} sent"


COMMANDS: dict[str, shared.Row] = {
    "push oci": (_push, _arguments),
}
