"""`stager sbom`, `receipt` and `attest`: what is in a droplet, what it was made from, and who says so."""

from __future__ import annotations

import os
import sys

from ...errors import Unreadable, UsageError
from ...files import limits, regular, writing
from ...names import visible_json
from . import shared
from .values import image_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ...droplet.reader import DropletFile
    from ...store import Store
    from ...targets.oci.registry.client import Client
    from ...targets.oci.registry.reference import Reference


def read(path: str) -> bytes:
    """A document's bytes. Raises Unreadable."""
    try:
        return regular.read(path, limits.EVIDENCE)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), "Name a file that you can read.") from None


def _output(parser: argparse.ArgumentParser) -> None:
    shared.add_output(parser, "", "where to write it (standard output)")


def _registry(parser: argparse.ArgumentParser) -> None:
    help_ = "also store it beside this image, which must carry the droplet's layers"
    parser.add_argument("--attach", type=image_name, default="", metavar="IMAGE", help=help_)
    shared.add_plain_http(parser)


def _deliver(arguments: argparse.Namespace, data: bytes, told: dict[str, Any]) -> int:
    """The document to its file or standard output; with a file, `told` with `--json`."""
    if not arguments.output:
        text = data.decode()
        shared.print_plain(visible_json(text) if sys.stdout.isatty() else text)
        return 0
    writing.keep_apart(arguments.output, arguments.droplet)
    writing.write(arguments.output, data)
    if arguments.json:
        shared.print_json({"path": os.path.abspath(arguments.output), "size": len(data), **told})
    else:
        shared.say(f"wrote {shared.where(arguments.output)}")
    return 0


def _attach(arguments: argparse.Namespace, droplet: DropletFile, kind: str, data: bytes) -> dict[str, str]:
    """Store a document beside the image that the arguments name, if they do; what was attached to what."""
    if not arguments.attach:
        return {}
    from ...evidence.provenance import stored
    from ...targets.oci.registry.reference import parse

    reference = parse(arguments.attach)
    with _client(arguments, reference) as client:
        image = stored.image_of(client, reference, droplet)
        digest = stored.attach(client, reference, image, kind, data).digest
    shared.say(f"attached to {reference.at(image.digest)}")
    return {"attached": digest, "image": image.digest}


def _client(arguments: argparse.Namespace, reference: Reference) -> Client:
    from ...targets.oci.registry.access import Access
    from ...targets.oci.registry.client import connect

    wishes = {"plain_http": arguments.plain_http}
    return connect(reference, Access.from_environment(shared.environ(), shared.home(), **wishes))


# --- sbom ------------------------------------------------------------------------------------------------------


def _sbom_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_droplet(parser)
    parser.add_argument(
        "--format",
        choices=["cyclonedx", "spdx"],
        default="cyclonedx",
        help="CycloneDX 1.6 (default) or SPDX 2.3, as JSON",
    )
    parser.add_argument("--files", action="store_true", help="list every file with its component")
    parser.add_argument(
        "--name", default="droplet", metavar="NAME", help="what the document calls the droplet (droplet)"
    )
    shared.add_offline(parser, "open no connection for Debian packages' copyright files")
    _registry(parser)
    _output(parser)


def _sbom(arguments: argparse.Namespace) -> int:
    from ... import fetching
    from ...droplet.reader import open_droplet
    from ...evidence import sbom
    from ...evidence.sbom import inventory

    store = shared.store(arguments)
    with store.lease(), open_droplet(arguments.droplet, store) as droplet:
        wanted = inventory.outside(droplet.plan)
        settings = shared.settings(arguments, store, save_lock=False)
        fetching.fetch(
            wanted, store, indexes=settings.indexes, offline=settings.offline, progress=settings.progress, prove=True
        )
        found = inventory.take(droplet, store, arguments.name)
        data = sbom.dumps(found, arguments.format, files=arguments.files)
        told = _attach(arguments, droplet, sbom.MEDIA_TYPES[arguments.format], data)
    facts = {"digest": found.digest, "components": len(found.components), "files": len(found.files)}
    return _deliver(arguments, data, {**facts, **told})


# --- receipt ---------------------------------------------------------------------------------------------------


def _receipt_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_droplet(parser)
    parser.add_argument("--check", default="", metavar="FILE", help="compare this receipt with the droplet instead")
    _output(parser)


def _receipt(arguments: argparse.Namespace) -> int:
    from ...droplet.reader import open_droplet
    from ...evidence import receipt

    store = shared.store(arguments)
    with open_droplet(arguments.droplet, store) as droplet:
        if arguments.check:
            found = receipt.check(read(arguments.check), droplet, arguments.check)
            if arguments.json:
                shared.print_json(found)
            else:
                shared.say(f"{arguments.check} says what {droplet.name} is")
            return 0
        data = receipt.dumps(receipt.make(droplet))
    return _deliver(arguments, data, {"digest": receipt.digest(data)})


# --- attest ----------------------------------------------------------------------------------------------------


def _attest_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_droplet(parser)
    parser.add_argument("--source", default=".", metavar="DIR", help="the app's folder, which is staged again (.)")
    parser.add_argument(
        "--key", action="append", default=[], metavar="FILE", help="sign with this key; may be repeated"
    )
    parser.add_argument("--make-key", default="", metavar="FILE", help="make a key, and its public half in FILE.pub")
    parser.add_argument("--builder", default="", metavar="URL", help="who built it, such as your CI system's address")
    parser.add_argument("--fresh", action="store_true", help="use nothing of the store: fetch everything again")
    shared.add_offline(parser)
    parser.add_argument("--sigstore", action="store_true", help="sign with this identity, through sigstore")
    parser.add_argument("--identity-token", default="", metavar="FILE", help="an identity token for --sigstore")
    _registry(parser)
    _output(parser)


def _attest(arguments: argparse.Namespace) -> int:
    if arguments.make_key:
        return _make_key(arguments)
    if bool(arguments.key) == arguments.sigstore:
        message = (
            "sign with --key or with --sigstore" if not arguments.key else "--key and --sigstore exclude each other"
        )
        raise UsageError(message, "Run 'stager attest --make-key FILE' to make a key.")
    from ...droplet.reader import open_droplet
    from ...evidence import attesting
    from ...evidence.provenance import keys, stored
    from ...evidence.provenance.statement import BUILDER

    private = [keys.read_private(path) for path in arguments.key]
    store = shared.store(arguments)
    with open_droplet(arguments.droplet, store) as droplet:
        _rebuild(arguments, droplet, store)
        builder, name = arguments.builder or BUILDER, os.path.basename(arguments.droplet)
        kind = stored.ENVELOPE
        if arguments.sigstore:
            from ...evidence.provenance import keyless

            token = read(arguments.identity_token).decode().strip() if arguments.identity_token else ""
            data = keyless.sign(attesting.statement_of(droplet, builder, name=name), token)
            kind = keyless.MEDIA_TYPE
        else:
            data = attesting.attest(droplet, private, builder, name=name).dumps()
        told = _attach(arguments, droplet, kind, data)
        facts = {"digest": droplet.digest, "keys": sorted(key.public.id for key in private)}
    return _deliver(arguments, data, {**facts, **told})


def _rebuild(arguments: argparse.Namespace, droplet: DropletFile, store: Store) -> None:
    """Stage the source again, in a store of its own with `--fresh`; nothing is signed unless it gives the same digest."""
    from ...evidence.attesting import rebuild
    from ...store import Store

    if not arguments.fresh:
        rebuild(droplet, arguments.source, shared.settings(arguments, store, save_lock=False))
        return
    from ...files import temporary

    with temporary.folder("fresh") as folder:
        rebuild(droplet, arguments.source, shared.settings(arguments, Store(folder), save_lock=False))


def _make_key(arguments: argparse.Namespace) -> int:
    from ...evidence.provenance import keys

    public = keys.make(arguments.make_key)
    if arguments.json:
        shared.print_json({"key": public.id, "private": arguments.make_key, "public": arguments.make_key + keys.PUBLIC})
    else:
        shared.say(f"wrote {arguments.make_key}, which only you may read, and {arguments.make_key}{keys.PUBLIC}")
        print(public.id)
    return 0


COMMANDS: dict[str, shared.Row] = {
    "sbom": (_sbom, _sbom_arguments),
    "receipt": (_receipt, _receipt_arguments),
    "attest": (_attest, _attest_arguments),
}
