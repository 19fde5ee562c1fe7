"""`stager report`: one HTML page about a droplet, or about how one became another."""

from __future__ import annotations

import os

from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `report`."""
    parser.add_argument("droplet", metavar="DROPLET", help="a droplet, slug or image")
    parser.add_argument("newer", nargs="?", default="", metavar="NEWER", help="another one: the page says what changed")
    parser.add_argument("-o", "--output", default="report.html", metavar="FILE", help="the page (report.html)")
    shared.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the page and say where."""
    from ..comparing import compare, read
    from ..errors import UsageError
    from ..reporting import render_page

    sides = [read(path) for path in (arguments.droplet, arguments.newer) if path]
    for side in sides:
        if not side.has_files or not side.whole or side.kind == "box":
            hint = "Give a droplet, a slug or an image."
            raise UsageError(f"{side.label} is a {side.kind}, about which there is no report", hint)
    page = render_page(sides[-1], compare(*sides) if len(sides) == 2 else None).encode()
    _write(os.path.abspath(arguments.output), page)
    if arguments.json:
        digests = [str(side.digest) for side in sides]
        shared.print_json({"path": os.path.abspath(arguments.output), "size": len(page), "droplets": digests})
    else:
        shared.say(f"{shared.size_text(len(page))} in {os.path.relpath(arguments.output)}")
    return 0


def _write(path: str, data: bytes) -> None:
    """Write the file whole or not at all."""
    from ..errors import CannotWrite

    temporary = f"{path}.{os.urandom(6).hex()}.part"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from None
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


COMMANDS: dict[str, shared.Row] = {"report": ("write one HTML page about a droplet, or about two", run, configure)}
