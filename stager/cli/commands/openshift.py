"""`stager export openshift`: image and manifests, or the builder that s2i uses."""

from __future__ import annotations

from contextlib import ExitStack

from . import shared
from .oci import image_arguments, image_options, open_droplets, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def _arguments(parser: argparse.ArgumentParser) -> None:
    from .values import number, variable

    image_arguments(parser)
    option = parser.add_argument
    shared.add_output(parser, "openshift", "the folder to write (openshift)", metavar="DIR")
    option("--image", default="", metavar="IMAGE", help="where the image will be, such as host/team/app")
    option("--app", default="", metavar="APP", help="the app's name in manifests (the repository's last part)")
    help_ = "a variable, readable in the manifests; may be repeated"
    option("--env", action="append", type=variable, default=[], metavar="NAME=VALUE", help=help_)
    option("--secret", default="", metavar="NAME", help="a Secret whose keys become variables")
    option("--host", default="", metavar="HOST", help="the host name of Route and Ingress")
    option("--probe-path", default="", metavar="/PATH", help="what probes ask for (only whether the port is open)")
    option("--replicas", type=number(), default=1, metavar="N", help="processes of each type (1)")
    option("--cpu", default="", metavar="AMOUNT", help="CPU to request, such as 250m")
    option("--memory", default="", metavar="AMOUNT", help="memory to request and allow, such as 256Mi")
    option("--writable-root", action="store_true", help="the app writes outside /tmp")
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

    from ...targets.openshift import export

    store = shared.store(arguments)
    with store.lease(), ExitStack() as keep:
        kept = ("image", "app", "secret", "host", "probe_path", "replicas", "cpu", "memory", "writable_root")
        options = {
            **image_options(arguments, store),
            **{key: getattr(arguments, key) for key in kept},
            "env": table(arguments.env, "--env"),
        }
        first, *more = open_droplets(arguments.droplets, store, keep)
        made = export.export(first, arguments.output, {**options, "more": more})
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
