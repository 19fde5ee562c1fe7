"""Errors of fetching artifacts."""

from __future__ import annotations

from ..errors import TargetError


class TooLarge(TargetError):
    """A result over a platform's limit."""

    code = "TooLarge"

    def __init__(self, what: str, limit: int, size: int, hint: str = "") -> None:
        super().__init__(f"{what} is {size} bytes; the limit is {limit}", hint or "Leave files out with .stagerignore.")
