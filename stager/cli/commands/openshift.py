"""`stager export openshift`: image and manifests, or the builder that s2i uses."""

from __future__ import annotations

from contextlib import ExitStack

from ...targets.openshift import export as openshift
from ...targets.openshift.export import OpenShiftOptions
from . import shared
from .oci import image_arguments, open_droplets
from .options import options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def _arguments(parser: argparse.ArgumentParser) -> None:
    image_arguments(parser, OpenShiftOptions)
    option = parser.add_argument
    shared.add_output(parser, "openshift", "the folder to write (openshift)", metavar="DIR")
    option(
        "--s2i-builder",
        type=shared.output,
        default="",
        metavar="DIR",
        help="write a builder for s2i instead, and nothing else",
    )
    option("--stack", default="debian-12", metavar="STACK", help="the builder's stack (debian-12)")


def _export(arguments: argparse.Namespace) -> int:
    if arguments.s2i_builder:
        return _builder(arguments)
    import dataclasses

    options, store = options_of(arguments, OpenShiftOptions), shared.store(arguments)
    with store.lease(), ExitStack() as keep:
        first, *more = open_droplets(arguments.droplets, store, keep)
        made = openshift.export(first, arguments.output, options, more=more, store=store)
    if arguments.json:
        shared.print_json(dataclasses.asdict(made))
    else:
        shared.warn(made.notes)
        shared.say(f"wrote {made.path}: push {made.path}/image, then oc apply -f {made.path}/openshift")
        print(made.digest)
    return 0


def _builder(arguments: argparse.Namespace) -> int:
    from ... import __version__
    from ...facts import stacks
    from ...targets.openshift.s2i import write_builder

    stack = stacks.load(arguments.stack).name
    paths = write_builder(arguments.s2i_builder, stack, __version__)
    if arguments.json:
        shared.print_json({"path": arguments.s2i_builder, "stack": stack, "files": paths})
    else:
        where = arguments.s2i_builder
        shared.say(f"wrote {where}: docker build --build-arg BASE=IMAGE -t stager-{stack} {where}")
    return 0


COMMANDS: dict[str, shared.Row] = {"export openshift": (_export, _arguments)}
