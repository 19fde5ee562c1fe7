"""Which names a droplet can hold on every platform, and how to show those it cannot. On the warm path."""

from __future__ import annotations

from ..errors import UnsafePath

LONGEST_NAME = 255
LONGEST_PATH = 4096
"""Bytes; what Linux allows for a name and for a path."""


def printable(text: str) -> str:
    """A name for people: bytes that are not UTF-8, and what cannot be printed, as escapes."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def fault(text: str) -> str:
    """What is wrong with the characters of a name or link target, or an empty string."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if not text.isprintable() and any(c < " " or "\x7f" <= c <= "\x9f" for c in text):
        return "has a control character"
    return ""


def check_name(path: str) -> None:
    """Raises UnsafePath when `path` is too long, or its last part is a name that some platform cannot hold."""
    name = path.rpartition("/")[2]
    if path.isascii() and name.isprintable() and len(name) <= LONGEST_NAME and len(path) <= LONGEST_PATH:
        return
    wrong = fault(name)
    if wrong:
        raise UnsafePath(printable(path), f"its name {wrong}")
    if len(name.encode()) > LONGEST_NAME:
        raise UnsafePath(path, f"its name is longer than {LONGEST_NAME} bytes")
    if len(path.encode()) > LONGEST_PATH:
        raise UnsafePath(path, f"its path is longer than {LONGEST_PATH} bytes")
