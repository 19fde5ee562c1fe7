"""The command line: which command was asked for, its exit status, and how an error is told.

The commands are in `commands`, each imported only when it is asked for, so that `--help` and a warm restage stay fast.
"""

from __future__ import annotations

import os
import sys

from .commands import GROUPS, MODULES
from .errors import Cancelled, StagerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_EPILOG = (
    "Exit codes: 0 done, 1 different (diff), 2 usage, 20 the app, 30 a buildpack, 40 fetching, 50 integrity, "
    "60 assembling, 70 a target, 80 not reproducible."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status."""
    arguments = _parse(sys.argv[1:] if argv is None else list(argv))
    try:
        return int(arguments.run(arguments))
    except StagerError as error:
        return _fail(error, arguments)
    except KeyboardInterrupt:
        return _fail(Cancelled(), arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _fail(error: StagerError, arguments: argparse.Namespace) -> int:
    if getattr(arguments, "json", False):
        from .commands.shared import print_json

        print_json({"error": error.as_json()})
    print(f"stager: {error}", file=sys.stderr)
    return error.exit_code


def _parse(argv: list[str]) -> argparse.Namespace:
    """The arguments. Only the parser of the command at hand is built; `--help` builds them all, without importing any."""
    if argv[:1] == ["stage"]:
        from .commands.stage import plain

        plainly = plain(argv)
        if plainly is not None:
            return plainly
    import argparse

    words = next((" ".join(argv[:count]) for count in (2, 1) if " ".join(argv[:count]) in MODULES), "")
    if not words:
        return _overview(argv[0] if argv[:1] and argv[0] in GROUPS else "").parse_args(argv)
    from importlib import import_module

    help_, run, configure = import_module(f"{__package__}.commands.{MODULES[words][0]}").COMMANDS[words]
    parser = argparse.ArgumentParser(prog=f"stager {words}", description=help_[0].upper() + help_[1:] + ".")
    configure(parser)
    parser.set_defaults(run=run)
    return parser.parse_args(argv[len(words.split()) :])


def _overview(group: str) -> argparse.ArgumentParser:
    """The parser that only knows names: for help, and for refusing what is no command."""
    import argparse

    from . import __version__
    from .codec import CODEC

    about = "Turns an app's folder into a byte-identical droplet and runs it anywhere."
    parser = argparse.ArgumentParser(prog="stager", description=about, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"stager {__version__} ({CODEC})")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="stager")
    for name, (_, help_) in MODULES.items():
        if " " not in name:
            verbs.add_parser(name, help=help_)
    used = {name.partition(" ")[0] for name in MODULES if " " in name}
    for name in GROUPS:
        if name in used and name not in MODULES:
            inner = verbs.add_parser(name, help=GROUPS[name])
            if name == group:
                _inner(inner, group)
    return parser


def _inner(parser: argparse.ArgumentParser, group: str) -> None:
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog=f"stager {group}")
    for name, (_, help_) in MODULES.items():
        if name.startswith(f"{group} "):
            parts.add_parser(name.partition(" ")[2], help=help_)


if __name__ == "__main__":
    sys.exit(main())
