"""Reads a Procfile: process types and their commands.

The format has no published grammar; this is what Heroku, Cloud Foundry and foreman share. A line is `type: command`; a
type is 1 to 63 of `A-Z a-z 0-9 _ -`; a line that starts with `#` is a comment; the command is one line for a shell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import BadManifest
from ...model import Process, Reason
from ...runtimes import kinds

if TYPE_CHECKING:
    from ...tree import SourceTree

NAME = "Procfile"
TYPE = re.compile(r"[A-Za-z0-9_-]{1,63}\Z")
_QUOTED = re.compile(r"""(?:'([^'\\]*\s[^'\\]*)'|"([^"\\]*\s[^"\\]*)")\Z""")
"""A whole command in quotes, as YAML's writers put it: for a shell it would be one word, and no program's name has spaces."""


def _line(tree: SourceTree) -> str:
    """What a line is, with an example in the app's own language."""
    found = [one.example for one in kinds() if any(tree.glob(sign) for sign in one.signs)]
    command = found[-1] if found else "./server"  # the last: bun's lock lies beside a package.json
    return f"A line is a process type, a colon and a command, such as 'web: {command}'."


def read(tree: SourceTree) -> tuple[Process, ...]:
    """The processes in the order of the file; none when there is no Procfile. Raises BadManifest with the line."""
    return tree.once(_read)


def _read(tree: SourceTree) -> tuple[Process, ...]:
    if NAME not in tree:
        return ()
    found: dict[str, Process] = {}
    for number, line in enumerate(_lines(tree.read_whole(NAME)), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            process = _process(text, number, tree)
            _refuse_second(found.get(process.type), process)
            found[process.type] = process
    if not found:
        raise BadManifest(NAME, _EMPTY, f"{_line(tree)} Or delete the file.")
    return tuple(found.values())


_EMPTY = "the file names no process"


def _lines(data: bytes) -> list[str]:
    """The file's lines; `\\n`, `\\r\\n` and `\\r` end one, nothing else does."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = "the file is not UTF-8"
        raise BadManifest(NAME, why, "Save it as UTF-8.", line) from None
    if "\0" in text:
        why = "the file holds a NUL character"
        raise BadManifest(NAME, why, "Save it as UTF-8.", text.count("\n", 0, text.index("\0")) + 1)
    return re.split(r"\r\n|\n|\r", text)


def _process(text: str, number: int, tree: SourceTree) -> Process:
    kind, colon, command = (part.strip() for part in text.partition(":"))
    if not colon or not TYPE.match(kind):
        why = f"{kind[:80]!r} is not a process type" if colon else f"there is no colon in {text[:80]!r}"
        raise BadManifest(NAME, why, _line(tree), number)
    if not command:
        why = f"{kind} has no command"
        raise BadManifest(NAME, why, _line(tree), number)
    if command.endswith("\\"):
        why = f"the command of {kind} ends with a backslash, and none goes on in the next line"
        raise BadManifest(NAME, why, _line(tree), number)
    if kind.lower() == "web" and kind != "web":
        raise BadManifest(
            NAME, f"{kind} is not web, the process that answers requests", f"Write it as '{_web(command)}'.", number
        )
    if quoted := _QUOTED.match(command):
        command = (quoted[1] or quoted[2]).strip()
    return Process(kind, command, Reason(f"{NAME} names it", NAME, number))


def _web(command: str) -> str:
    return f"web: {command}"


def _refuse_second(first: Process | None, process: Process) -> None:
    if first is not None:
        why = f"{process.type} is given twice; the first is in line {first.reason.line}"
        raise BadManifest(NAME, why, "Delete one of them.", process.reason.line)
