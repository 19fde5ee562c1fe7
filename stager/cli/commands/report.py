"""`stager report`: one HTML page about a droplet, or about how one became another."""

from __future__ import annotations

import os

from ...files import writing
from ...text.wording import size_text
from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `report`."""
    parser.add_argument("droplet", metavar="DROPLET", help="a droplet, slug or image")
    parser.add_argument(
        "newer", nargs="?", default="", metavar="DROPLET", help="another one: the page says what changed"
    )
    shared.add_output(parser, "report.html", "the page (report.html)")


def run(arguments: argparse.Namespace) -> int:
    """Write the page and say where."""
    from ...errors import UsageError
    from ...evidence.diff import compare, read
    from ...evidence.report import render_page

    writing.keep_apart(arguments.output, arguments.droplet, arguments.newer)
    sides = [read(path) for path in (arguments.droplet, arguments.newer) if path]
    for side in sides:
        if not side.has_files or not side.whole or side.kind == "box":
            hint = "Give a droplet, a slug or an image."
            raise UsageError(f"{side.label} is a {side.kind}, about which there is no report", hint)
    page = render_page(sides[-1], compare(*sides) if len(sides) == 2 else None).encode()
    writing.write(arguments.output, page)
    if arguments.json:
        digests = [str(side.digest) for side in sides]
        shared.print_json({"path": os.path.abspath(arguments.output), "size": len(page), "droplets": digests})
    else:
        shared.say(f"{size_text(len(page))} in {shared.where(arguments.output)}")
    return 0


COMMANDS: dict[str, shared.Row] = {"report": (run, configure)}
