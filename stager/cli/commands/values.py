"""What an argument's text stands for: numbers, times, ports, sizes, variables. A text without sense is told before any work.

Each function is a `type` of argparse, which puts the option's name before what is raised here.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentTypeError
    from collections.abc import Callable

_MOST_SECONDS = 10**7
"""A wait of more than a hundred days is a slip."""
_SMALLEST = 4 << 20
"""Bytes of memory without which nothing runs."""


def number(least: int = 1, most: int = 10**9) -> Callable[[str], int]:
    """What reads a whole number in these bounds."""

    def read(text: str) -> int:
        found = whole(text)
        if found is None or not least <= found <= most:
            bounds = f"from {least} to {most:,}" if most < 10**9 else f"of {least} or more"
            raise wrong(f"{text!r} is no whole number {bounds}")
        return found

    return read


tcp_port = number(1, 65_535)
"""Reads a TCP port."""


def seconds(text: str) -> float:
    """A time to wait."""
    found = float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0
    if not 0 < found <= _MOST_SECONDS:
        raise wrong(f"{text!r} is no number of seconds above 0")
    return found


def memory_size(text: str) -> int:
    """A size such as `512M` in bytes; K, M and G are powers of 1024."""
    size = _scaled(text, {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30})
    if size is None or size < _SMALLEST:
        raise wrong(f"{text!r} is no size of 4M or more, such as 512M")
    return size


def disk_size(text: str) -> int:
    """A size such as `5G` in bytes; K, M, G and T are powers of 1000."""
    size = _scaled(text, {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12})
    if size is None:
        raise wrong(f"{text!r} is no size: write bytes, or a number with K, M, G or T, such as 5G")
    return size


def _scaled(text: str, units: dict[str, int]) -> int | None:
    unit = text[-1:].upper()
    found = whole(text[:-1] if unit in units else text)
    return None if found is None else found * units.get(unit, 1)


def pair(text: str) -> tuple[str, str]:
    """`NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise wrong(f"{name!r} has no value: write NAME=VALUE")
    return name, value


def variable(text: str) -> tuple[str, str]:
    """`NAME=VALUE`, where NAME can be the name of a variable (POSIX.1-2024, XBD 8.1)."""
    name, value = pair(text)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise wrong(f"{name!r} is no name of a variable: letters, digits and _, and no digit first")
    return name, value


def scale(text: str) -> list[tuple[str, int]]:
    """`TYPE=N`, or several with commas: how many of each process type."""
    rows = [(kind, whole(count)) for kind, _, count in (part.partition("=") for part in text.split(","))]
    if not all(kind and count is not None for kind, count in rows):
        raise wrong(f"{text!r} is not TYPE=N, such as worker=2")
    return [(kind, count or 0) for kind, count in rows]


def image_name(text: str) -> str:
    """The name of an image in a registry. Raises BadReference."""
    from ...targets.oci.registry.reference import parse

    if text:  # argparse reads a default that is a text, too
        parse(text)
    return text


def whole(text: str) -> int | None:
    """`typed.whole`, imported when there is a number to read: a plain command line seldom has one."""
    from ...text import typed

    return typed.whole(text)


def wrong(message: str) -> ArgumentTypeError:
    """The error that argparse tells with the option's name."""
    from argparse import ArgumentTypeError  # here, since a plain command line is read without it

    return ArgumentTypeError(message)
