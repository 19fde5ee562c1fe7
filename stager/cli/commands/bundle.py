"""`stager bundle`: everything a staging needs beside the app's files, to a machine without a network and there."""

from __future__ import annotations

from ...text.wording import size_text
from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_planning(parser)
    shared.add_output(parser, "bundle.tar", "the bundle (bundle.tar)")


def _export(arguments: argparse.Namespace) -> int:
    from ...evidence.bundle.exporting import export

    store = shared.store(arguments)
    done = export(arguments.dir, arguments.output, shared.settings(arguments, store))
    if arguments.json:
        shared.print_json(
            {"path": done.path, "digest": done.digest, "size": done.size, "plan": done.plan, "blobs": done.blobs}
        )
    else:
        shared.say(f"{size_text(done.size)} in {shared.where(done.path)}: {done.blobs} files")
        shared.say("Bring it and the app's folder with its stager.lock to the other machine; there:")
        shared.say("  stager bundle import FILE DIR && stager stage DIR --locked --offline")
        shared.result(arguments, done.digest)
    return 0


def _import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="FILE", help="the bundle")
    parser.add_argument("dir", nargs="?", default="", metavar="DIR", help="the app, to give it the plan if it has none")
    parser.add_argument(
        "--trust-builds",
        action="store_true",
        help="take over what its builds left, which no digest pins: for bundles of whom you trust",
    )


def _import(arguments: argparse.Namespace) -> int:
    from ...evidence.bundle.importing import load

    done = load(arguments.bundle, shared.store(arguments), arguments.dir, trust_builds=arguments.trust_builds)
    if arguments.json:
        keys = ("plan", "blobs", "new", "lock", "unbelieved")
        shared.print_json({key: getattr(done, key) for key in keys})
    else:
        shared.say(f"{done.blobs} files are right; {done.new} of them are new to the store")
        if done.lock:
            shared.say(f"wrote {done.lock}")
        if done.unbelieved:
            what = "1 result of a build is" if done.unbelieved == 1 else f"{done.unbelieved} results of builds are"
            shared.say(f"{what} not taken over; --trust-builds believes whoever made the bundle, else it is built here")
        print(done.plan)
    return 0


COMMANDS: dict[str, shared.Row] = {
    "bundle export": (_export, _export_arguments),
    "bundle import": (_import, _import_arguments),
}
