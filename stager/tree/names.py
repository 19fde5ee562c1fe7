"""Refusing names of the app that no droplet can hold (see `stager.names`). On the warm path."""

from __future__ import annotations

from ..names import LONGEST_PATH, fault, printable
from .errors import UnsafePath


def check_name(path: str) -> None:
    """Raises UnsafePath when `path` is too long, or its last part is a name that some platform cannot hold."""
    wrong = fault(path.rpartition("/")[2])
    if wrong:
        raise UnsafePath(printable(path), f"its name {wrong}")
    if len(path) > LONGEST_PATH or len(path.encode("utf-8", "surrogateescape")) > LONGEST_PATH:
        raise UnsafePath(printable(path), f"its path is longer than {LONGEST_PATH} bytes")
