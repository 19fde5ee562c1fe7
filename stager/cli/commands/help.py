"""`stager help` and `stager completion`: what the command line takes, for people, shells and `man`.

All of it comes from the parsers that the commands run with; shtab writes completions, argparse-manpage the manual page.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from typing import Any

from ... import __version__
from ...errors import UsageError
from ...formats.codec import CODEC
from . import EXAMPLES, GROUPS, MODULES, SECTIONS, shared
from .arguments import Parser, configure, nearest, parser_of

ABOUT = "Turns an app's folder into a byte-identical droplet and runs it anywhere."
STATUSES = (
    "Exit statuses: 0 done, 1 different (diff), 2 usage, 20 the app, 30 a buildpack, 40 fetching, 50 integrity, "
    "60 assembling, 70 a target or this machine, 80 not reproducible, 100 an error in stager, 130 interrupted."
)
_SHELLS = ("bash", "zsh", "fish")
_PATHS = {"FILE": ("FILE",), "DROPLET": ("FILE",), "DIR": ("DIRECTORY",)}
"""What an argument is called → the kinds of path that a shell is to complete it with."""


# --- for people ------------------------------------------------------------------------------------------------


def overview() -> str:
    """What `stager` alone prints."""
    lines = ["usage: stager COMMAND [options] [arguments]", "", ABOUT, "", "Examples"]
    lines += _rows(EXAMPLES.items())
    for title, names in SECTIONS.items():
        lines += ["", title, *_rows((name, GROUPS.get(name) or MODULES[name][1]) for name in names)]
    lines += [
        "",
        "'stager help COMMAND' or 'stager COMMAND --help' says what one takes; --version, which stager this is.",
    ]
    return "\n".join([*lines, *textwrap.wrap(STATUSES, 110), ""])


def group_help(group: str) -> str:
    """What the first word of several commands is about, and which they are."""
    rows = _rows((name, help_) for name, (_, help_) in MODULES.items() if name.startswith(f"{group} "))
    about = GROUPS[group][0].upper() + GROUPS[group][1:] + "."
    return "\n".join([f"usage: stager {group} COMMAND [options] [arguments]", "", about, "", *rows, ""])


def _rows(rows: Any) -> list[str]:
    found = list(rows)
    width = max(len(name) for name, _ in found)
    return [f"  {name:<{width}}  {about}" for name, about in found]


def unknown(words: list[str]) -> UsageError:
    """The error for a command line that names no command."""
    first = words[0]
    if first in GROUPS:
        second = next((word for word in words[1:] if not word.startswith("-")), "")
        known = [name.partition(" ")[2] for name in MODULES if name.startswith(f"{first} ")]
        what = f"there is no command 'stager {first} {second}'" if second else f"'stager {first}' lacks a word"
        return UsageError(what, f"{nearest(second, known)}After {first} comes one of: {', '.join(known)}.")
    if first.startswith("-"):
        return UsageError(f"no command stands before {first}", "Write 'stager COMMAND'; 'stager help' lists commands.")
    known = [*(name for name in MODULES if " " not in name), *GROUPS]
    return UsageError(f"there is no command {first!r}", f"{nearest(first, known)}'stager help' lists all commands.")


# --- the commands ----------------------------------------------------------------------------------------------


def _help_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="one command, such as 'export oci' (all)")
    parser.add_argument("--man", action="store_true", help="print the manual page, for man (needs stager[completion])")


def _help(arguments: argparse.Namespace) -> int:
    words = " ".join(arguments.command)
    if arguments.man:
        _print(arguments, "manual", manual())
    elif not words:
        rows = [{"command": name, "about": about} for name, (_, about) in MODULES.items()]
        _print(arguments, "commands", rows if arguments.json else overview())
    elif words in MODULES:
        parser = parser_of(words)
        _print(arguments, "arguments", described(parser) if arguments.json else parser.format_help())
    elif words in GROUPS:
        rows = [{"command": name, "about": MODULES[name][1]} for name in MODULES if name.startswith(f"{words} ")]
        _print(arguments, "commands", rows if arguments.json else group_help(words))
    else:
        raise unknown(words.split())
    return 0


def _print(arguments: argparse.Namespace, key: str, value: Any) -> None:
    if arguments.json:
        shared.print_json({key: value})
    else:
        shared.print_plain(value)


def described(parser: argparse.ArgumentParser) -> list[dict[str, Any]]:
    """A command's arguments, for programs."""
    return [
        {"names": action.option_strings, "value": shown(action), "help": action.help or "", "required": action.required}
        for action in parser._actions
        if action.dest != "help"
    ]


def shown(action: argparse.Action) -> str:
    """What an argument's value is called; empty for a flag."""
    choices = [str(choice) for choice in action.choices or () if choice != ""]
    name = action.metavar or (f"{{{','.join(choices)}}}" if choices else action.dest.upper())
    return "" if action.nargs == 0 else str(name)


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=_SHELLS, help="the shell (needs stager[completion])")


def _completion(arguments: argparse.Namespace) -> int:
    _print(arguments, "script", completion(arguments.shell))
    return 0


# --- for shells and man ----------------------------------------------------------------------------------------


def tree() -> Parser:
    """One parser of all commands, as no command line needs it."""
    top = Parser(prog="stager", description=ABOUT, epilog=STATUSES)
    top.add_argument("--version", action="version", version=version(), help="print which stager this is")
    verbs = top.add_subparsers(metavar="COMMAND", dest="command")
    groups: dict[str, Any] = {}
    for words, (_, about) in MODULES.items():
        first, _, second = words.partition(" ")
        if second and first not in groups:
            group = verbs.add_parser(first, help=GROUPS[first], description=GROUPS[first])
            groups[first] = group.add_subparsers(metavar="COMMAND", dest="command")
        parser = (groups[first] if second else verbs).add_parser(second or first, help=about, description=about)
        configure(parser, words)
    return top


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of a tree that run something."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield parser
    for action in inner:
        for child in action.choices.values():
            yield from leaves(child)


def version() -> str:
    """What `--version` prints."""
    return f"stager {__version__} ({CODEC})"


def completion(shell: str) -> str:
    """A script that makes a shell complete commands, options and paths. Raises UsageError without shtab."""
    try:
        import shtab
    except ImportError:
        raise _missing("shtab") from None
    top = tree()
    for parser in leaves(top):
        for action in parser._actions:
            kinds = _PATHS.get(str(action.metavar).split("|")[0], ())
            for kind in kinds:
                action.complete = getattr(shtab, kind)  # type: ignore[attr-defined]
    return str(shtab.complete(top, shell))


def manual() -> str:
    """The manual page in man's language. Raises UsageError without argparse-manpage."""
    try:
        from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]
    except ImportError:
        raise _missing("argparse-manpage") from None
    top = tree()
    values = {
        "prog": "stager",
        "project_name": "stager",
        "version": __version__,
        "description": ABOUT.rstrip("."),
        "manual_title": "stager",
    }
    return str(Manpage(top, format="pretty", _data=values))


def _missing(library: str) -> UsageError:
    return UsageError(f"{library} is not installed here", "Install stager with its extra: stager[completion].")


COMMANDS: dict[str, shared.Row] = {
    "help": (_help, _help_arguments),
    "completion": (_completion, _completion_arguments),
}
