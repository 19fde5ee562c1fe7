"""The parser of a command line: options in full, no empty value, and every command with the arguments that all take."""

from __future__ import annotations

import argparse
import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from ...errors import UsageError
from . import MODULES, shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, NoReturn

_MAY_BE_EMPTY = {"--drain", "--command"}
"""Options that an empty value takes back."""
_OF_SSH = {"-C", "--dir", "--cache-dir"}
"""The options of `ssh` that have a value; whatever else is empty there belongs to the program that it runs."""


class Parser(argparse.ArgumentParser):
    """A command's parser. An option has one spelling, so that a later one never changes what an old script means."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, which is told like any other error, with `--json` as a document, too."""
        raise UsageError(message, f"'{self.prog} --help' says what it takes.")


def nearest(word: str, known: Iterable[str]) -> str:
    """`Did you mean x? ` when a known word is close, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {close[0]}? " if close else ""


def configure(parser: argparse.ArgumentParser, words: str) -> None:
    """Declare a command's arguments, its own and those that all take, and what runs it."""
    run, own = import_module(f"{__package__}.{MODULES[words][0]}").COMMANDS[words]
    own(parser)
    shared.add_common(parser)
    parser.set_defaults(run=run)


def parser_of(words: str) -> Parser:
    """The parser of one command, such as `cache gc`."""
    help_ = MODULES[words][1]
    parser = Parser(prog=f"stager {words}", description=help_[0].upper() + help_[1:] + ".")
    configure(parser, words)
    return parser


def parse(words: str, given: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command. Raises UsageError."""
    parser = parser_of(words)
    own = [*given[: given.index("--")]] if "--" in given else [*given]
    _check_empty(words, own)
    if words != "ssh":
        _check_options(parser, own)
    return parser.parse_args(given)


def _check_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Raise UsageError for an option that the command has not, before anything else is found wrong."""
    known = parser._option_string_actions
    for word in words:
        name = word.partition("=")[0]
        if name.startswith("--") and " " not in name and name not in known:
            hint = f"{nearest(name, known)}'{parser.prog} --help' says what it takes."
            raise UsageError(f"unrecognized arguments: {word}", hint)


def _check_empty(command: str, words: Sequence[str]) -> None:
    """Raise UsageError for an empty value, which is what a variable that is not set leaves in a script.

    What follows `--` belongs to another program, as do the words of `ssh`.
    """
    for before, word in zip(["", *words], words, strict=False):
        option, equals, value = word.partition("=")
        if equals and not value and option.startswith("--") and option not in _MAY_BE_EMPTY:
            before = option
        elif word or before in _MAY_BE_EMPTY or (command == "ssh" and before not in _OF_SSH):
            continue
        what = f"{before} has an empty value" if before.startswith("-") else "an argument is empty"
        raise UsageError(what, "Leave it out, or give it one; in a script, see that the variable is set.")
