"""What the export commands of single files share: open the droplet, export it, say what was written."""

from __future__ import annotations

from ...files import writing
from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import Any


def export(target: str, arguments: argparse.Namespace, options: Mapping[str, Any]) -> int:
    """Export the droplet that the arguments name; its digest on standard output, or all facts with `--json`."""
    import dataclasses

    from ...droplet.reader import open_droplet
    from ...targets import load

    writing.keep_apart(arguments.output, arguments.droplet)
    with open_droplet(arguments.droplet, shared.store(arguments)) as droplet:
        made = load(target).export(droplet, arguments.output, options)
    if arguments.json:
        shared.print_json(dataclasses.asdict(made))
    else:
        shared.warn(made.notes)
        shared.say(f"{shared.size_text(made.size)} in {shared.where(made.path)}")
        shared.result(arguments, made.digest)
    return 0


def add_export(parser: argparse.ArgumentParser, output: str) -> None:
    """Declare the droplet file, the output and what every such command takes."""
    shared.add_droplet(parser)
    shared.add_output(parser, output, f"what to write ({output})")
    shared.add_any_stack(parser)


def add_name(parser: argparse.ArgumentParser) -> None:
    """Declare the app's name, which generated files carry."""
    parser.add_argument("--name", default="app", metavar="NAME", help="the app's name in what is generated (app)")
