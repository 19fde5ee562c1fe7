"""`stager export bosh`."""

from __future__ import annotations

from . import shared
from .exporting import add_export, add_name, export

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def _configure(parser: argparse.ArgumentParser) -> None:
    add_export(parser, "release.tgz")
    add_name(parser)
    parser.add_argument(
        "--supervisor", default="bpm", choices=["bpm", "monit"], help="what keeps the processes running (bpm)"
    )
    parser.add_argument(
        "--stemcell", default="", metavar="OS/VERSION", help="the stemcell line (the oldest whose glibc is enough)"
    )


def _run(arguments: argparse.Namespace) -> int:
    options = {"name": arguments.name, "supervisor": arguments.supervisor, "stemcell": arguments.stemcell}
    return export("bosh", arguments, options)


COMMANDS: dict[str, shared.Row] = {
    "export bosh": (_run, _configure),
}
