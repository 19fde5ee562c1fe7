"""Where in a text something stands, so that a reason or an error can name the line.

The parsers of the standard library give values without positions; these functions look the position up afterwards. They
never fail: what cannot be found has no line.
"""

from __future__ import annotations

import re

_JSON = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|\n')
_TOML_TABLE = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")
_TOML_KEY = re.compile(r"\s*([\w.\"'-]+)\s*=")


def json_line(text: str, path: str) -> int | None:
    """The 1-based line of the member at the dotted `path` of a JSON object; of one that is given twice, the last."""
    line, found, stack, key, last = 1, None, list[str](), "", ""
    for sign in _JSON.findall(text):
        if sign == "\n":
            line += 1
        elif sign in "{[":
            stack.append(key)
            key = ""
        elif sign in "}]":
            key = stack.pop() if stack else ""
        elif sign == ":":
            key = last[1:-1]
            if ".".join([*stack[1:], key]) == path:
                found = line
        else:
            last = sign
    return found


def toml_line(text: str, path: str) -> int | None:
    """The 1-based line of the key at the dotted `path` of a TOML document (not inside inline tables)."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TOML_TABLE.match(line):
            table = _plain(header[1]) + "."
            if table == path + ".":
                return number
        elif (key := _TOML_KEY.match(line)) and table + _plain(key[1]) == path:
            return number
    return None


def _plain(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))


def text_line(text: str, position: int) -> int:
    """The 1-based line of the character at `position`."""
    return text.count("\n", 0, position) + 1


def line_of(text: str, pattern: str) -> int | None:
    """The 1-based number of the first line that matches the regular expression, None when none does."""
    found = re.search(pattern, text, re.MULTILINE)
    return text_line(text, found.start()) if found else None
