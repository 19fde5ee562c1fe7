"""What the commands about one stack share: its arguments, and its definition."""

from __future__ import annotations

import os

from . import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ...stacks.definition import Definition


def stack_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every command about one stack."""
    parser.add_argument("stack", nargs="?", default="", metavar="STACK", help="a stack's name, or its folder (./mine)")
    parser.add_argument("--box", default="", metavar="DIR", help="the folder of a stack of your own")
    shared.add_offline(parser)


def definition_of(arguments: argparse.Namespace) -> Definition:
    """The stack that the command line names. Raises UsageError and InvalidDefinition."""
    from ...errors import UsageError
    from ...stacks import find

    if bool(arguments.stack) == bool(arguments.box):
        raise UsageError("which stack?", "Name one ('stager box list' shows them), or a folder with --box DIR.")
    return find.load(arguments.stack or os.path.join(arguments.box, ""))
