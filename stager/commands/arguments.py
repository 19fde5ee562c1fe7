"""What the command line takes: options in full, no empty value, and no number without sense, all told before any work."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from ..checked import whole
from ..errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

_MOST_SECONDS = 10**7
"""A wait of more than a hundred days is a slip."""
_MAY_BE_EMPTY = {"--drain", "--command"}
"""Options that an empty value takes back."""


class Parser(argparse.ArgumentParser):
    """A command's parser. An option has one spelling, so that a later one never changes what an old script means."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError, which is told like any other error, with `--json` as a document, too."""
        raise UsageError(message, f"'{self.prog} --help' says what it takes.")


def check_empty(command: str, words: Sequence[str]) -> None:
    """Raise UsageError for an empty value, which is what a variable that is not set leaves in a script.

    What follows `--` belongs to another program, as do the words of `ssh`.
    """
    given = [*words[: words.index("--")]] if "--" in words else [*words]
    for before, word in zip(["", *given], given, strict=False):
        option, equals, value = word.partition("=")
        if equals and not value and option.startswith("--") and option not in _MAY_BE_EMPTY:
            before = option
        elif word or before in _MAY_BE_EMPTY or (command == "ssh" and not before.startswith("--")):
            continue
        what = f"{before} has an empty value" if before.startswith("-") else "an argument is empty"
        raise UsageError(what, "Leave it out, or give it one; in a script, see that the variable is set.")


def number(least: int = 1, most: int = 10**9) -> Callable[[str], int]:
    """What reads a whole number in these bounds."""

    def read(text: str) -> int:
        found = whole(text)
        if found is None or not least <= found <= most:
            bounds = f"from {least} to {most:,}" if most < 10**9 else f"of {least} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number {bounds}")
        return found

    return read


tcp_port = number(1, 65_535)
"""Reads a TCP port."""


def seconds(text: str) -> float:
    """Read a time to wait."""
    found = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0
    if not 0 < found <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return found
