"""The command line: which command was asked for, its exit status, and how an error is told.

The commands are in `commands`, each imported only when it is asked for, so that `--help` and a warm restage stay fast.
"""

from __future__ import annotations

import os
import sys

from ..errors import Cancelled, CannotWrite, StagerError
from ..files.writing import stdout_full
from ..names import printable_lines
from .commands import GROUPS, MODULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Any, TextIO


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    arguments: argparse.Namespace | None = None
    _open_streams()
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Spelling.over(sys.stdout, stdout_full), _Spelling.over(sys.stderr)
    try:
        try:
            arguments = _parse(words)
            if getattr(arguments, "json", False):
                from .commands.shared import check_output

                check_output(arguments)
            if hasattr(arguments, "output") or hasattr(arguments, "junit"):
                from .commands.shared import check_places

                check_places(arguments)
            return int(arguments.run(arguments))
        finally:
            _flush()
    except KeyboardInterrupt:
        return _fail(Cancelled(), _json(words, arguments))
    except BrokenPipeError:
        _abandon(sys.stdout)
        return 141
    except Exception as error:
        return _fail(_typed(error, words), _json(words, arguments))
    finally:
        sys.stdout, sys.stderr = streams


def _open_streams() -> None:
    """Give a process that was started without standard streams some that hold nothing.

    Otherwise the next file it opens, its droplet or its store's, gets their number, and whatever its children print
    goes in there (POSIX: `open` takes the lowest free descriptor). What is told to nobody is no error; an output that
    was asked for there (`-o -`) is: the descriptor is for reading only.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(
                sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w", encoding="utf-8")
            )


class _Spelling:
    """A text stream over another: what is written is spelled out as `names.printable` does, line by line.

    Names, locks, commands, servers' answers: whatever anybody else wrote reaches the terminal through here. What must
    move the cursor (bars, a machine's own log) goes to the stream `beneath`. A stream that takes nothing raises what
    `full` makes of that; without it nobody is told, and that is no error. A pipe that nobody reads is left to `main`.
    """

    def __init__(self, beneath: TextIO, full: Callable[[OSError], StagerError] | None = None) -> None:
        self.beneath = beneath
        self._full = full

    @classmethod
    def over(cls, stream: Any, full: Callable[[OSError], StagerError] | None = None) -> Any:
        """Such a stream; None where there is none, as in a process without a standard output."""
        return stream and cls(stream, full)

    def write(self, text: str) -> int:
        self._try(lambda: self.beneath.write(printable_lines(text)))
        return len(text)

    def plain(self, text: str) -> None:
        """Write a text as it is, for another program to read."""
        self._try(lambda: self.beneath.write(text))

    def flush(self) -> None:
        self._try(self.beneath.flush)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BrokenPipeError:
            raise
        except OSError as error:
            _abandon(self.beneath)
            if self._full:
                raise self._full(error) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.beneath, name)


def _flush() -> None:
    """Bring out what was printed while an error of it can still be told. Raises CannotWrite."""
    if sys.stdout is not None:
        sys.stdout.flush()


def _abandon(stream: TextIO) -> None:
    """Let nothing more be written to a stream that takes no more, not even when Python ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # it is no file, or closed
        return


def _typed(error: Exception, words: list[str]) -> StagerError:
    """Any exception as an error that stager has words for; with STAGER_DEBUG in the environment, its traceback is printed."""
    if isinstance(error, StagerError):
        return error
    from ..unexpected import typed
    from .commands.shared import environ

    if environ().get("STAGER_DEBUG"):
        from traceback import print_exception

        print_exception(error)
    return typed(error, "stager " + _command(words))


def _command(words: list[str]) -> str:
    """The command of a command line, without its arguments: they may be anybody's secrets."""
    return next((" ".join(words[:count]) for count in (2, 1) if " ".join(words[:count]) in MODULES), "")


def _json(words: list[str], arguments: argparse.Namespace | None) -> bool:
    """Whether a document was asked for; the words say so where they make no arguments."""
    return "--json" in words if arguments is None else getattr(arguments, "json", False)


def _fail(error: StagerError, json: bool) -> int:
    try:
        if json:
            from .commands.shared import print_json

            print_json({"error": error.as_json()})
        _flush()
    except (OSError, CannotWrite):
        _abandon(sys.stdout)
    try:
        what, newline, hint = str(error).partition("\n")
        print(f"stager: {what} [{error.code}]{newline}{hint}", file=sys.stderr, flush=True)
    except OSError:
        _abandon(sys.stderr)
    return error.exit_code


def _parse(argv: list[str]) -> argparse.Namespace:
    """The arguments. Only the parser of the command at hand is built."""
    if argv[:1] == ["stage"]:
        from .commands.stage import plain

        plainly = plain(argv)
        if plainly is not None:
            return plainly
    words = _command(argv)
    if not words:
        return _without_command(argv)
    from .commands.arguments import parse

    return parse(words, argv[len(words.split()) :])


def _without_command(argv: list[str]) -> argparse.Namespace:
    """What `stager`, `stager --help`, `stager --version` and `stager export --help` do. Raises UsageError for all others."""
    from argparse import Namespace

    from .commands import help as helping

    asked = {"-h", "--help"} & {*argv}
    if argv == ["--version"]:
        text = helping.version() + "\n"
    elif argv and not (asked and argv[0] in (*GROUPS, *asked)):
        raise helping.unknown(argv)
    else:
        text = helping.group_help(argv[0]) if argv and argv[0] in GROUPS else helping.overview()
    return Namespace(run=lambda _: sys.stdout.write(text) and 0)


if __name__ == "__main__":
    sys.exit(main())
