"""What an app asks for as a runtime's version, as a test that versions pass or fail; each runtime reads its own words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import VersionError

if TYPE_CHECKING:
    from ..model import Reason

LONGEST = 200
"""Characters of a request beyond which it is refused unread."""


@dataclass(frozen=True, slots=True)
class VersionRequest:
    """One request: its text and source, and whether a version (`3.11.2`) satisfies it."""

    text: str
    reason: Reason
    accepts: Callable[[str], bool]
    prefers: str = ""
    """`newest` or `lts` when the words ask for more than a range; else empty."""

    @property
    def where(self) -> str:
        """`file:line` of the request."""
        return place(self.reason)


def place(reason: Reason) -> str:
    """The `file` or `file:line` that a reason rests on, as errors show it."""
    return f"{reason.file}:{reason.line}" if reason.line else reason.file


def beginning(text: str, reason: Reason) -> VersionRequest:
    """A request for a version by its first numbers: `1.2` is any 1.2."""
    wanted = text.strip()
    return VersionRequest(wanted, reason, lambda version: f"{version}.".startswith(f"{wanted}."))


def short(runtime: str, text: str, reason: Reason, hint: str) -> str:
    """The text with one space where there is any white space. Raises VersionError."""
    plain = " ".join(text.split())
    if len(text) > LONGEST or len(text.strip().splitlines()) > 1 or not plain.isprintable():
        raise VersionError(runtime, repr(text[:40]), "too long, or not on one line", hint, place(reason))
    return plain
