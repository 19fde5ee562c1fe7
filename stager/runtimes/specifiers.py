"""Requests for Python: PEP 440 specifiers, bare versions (`3.11` means any 3.11), Poetry's `^`, `~` and `||`, and `latest`.

Every version is the latest, so that a stack's own is taken where it has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .errors import VersionError
from .version_requests import VersionRequest, place, short

if TYPE_CHECKING:
    from ..model import Reason

_HINT = "Write a version such as 3.11 or 3.11.2, or a range such as >=3.11,<3.14."
_BARE = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?((?:a|b|rc)\d+)?")
_SPACED = re.compile(r"([<>=!~^]+)[ \t]+")


def parse(text: str, reason: Reason) -> VersionRequest:
    """A request for Python. Raises VersionError when it is malformed or for another implementation."""
    wanted = re.sub(r"^(?:c?python[-@= ]?)(?=\d)", "", short("python", text, reason, _HINT), flags=re.IGNORECASE)
    if wanted.lower() == "latest":
        return VersionRequest(text.strip(), reason, lambda _: True)
    if re.fullmatch(r"[A-Za-z][\w.+-]*", wanted):
        raise VersionError("python", text.strip(), "only CPython is carried", _HINT, place(reason))
    try:
        tests = [_specifiers(part) for part in re.split(r"\|\|?", wanted)]
    except ValueError as problem:
        raise VersionError("python", text.strip(), f"not a version: {problem}", _HINT, place(reason)) from None
    return VersionRequest(text.strip(), reason, lambda version: any(test(version) for test in tests))


def _specifiers(text: str) -> Callable[[str], bool]:
    """One alternative: specifiers joined by commas or spaces. Raises ValueError."""
    from packaging.specifiers import SpecifierSet

    parts = re.split(r"[,\s]+", _SPACED.sub(r"\1", text.strip()).strip(","))
    wanted = SpecifierSet(",".join(_specifier(part) for part in parts if part not in ("", "*")))
    return lambda version: bool(wanted.contains(version, prereleases=False))


def _specifier(text: str) -> str:
    """Poetry's and bare forms as PEP 440. Raises ValueError (packaging's InvalidSpecifier is one)."""
    if text.startswith("^"):
        numbers = _numbers(text[1:])
        kept = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
        return _between(numbers, kept)
    if text.startswith("~") and not text.startswith("~="):
        numbers = _numbers(text[1:])
        return _between(numbers, min(1, len(numbers) - 1))
    if found := _BARE.fullmatch(text):
        return f"=={text}" if found[3] else f"=={text}.*"
    if re.fullmatch(r"\d+(?:\.\d+)*\.[*x]", text):
        return f"=={text[:-1]}*"
    return f"={text}" if re.match(r"=\d", text) else text


def _numbers(text: str) -> list[int]:
    if not re.fullmatch(r"\d{1,6}(?:\.\d{1,6}){0,2}", text):
        raise ValueError(f"{text!r}")
    return [int(part) for part in text.split(".")]


def _between(numbers: list[int], kept: int) -> str:
    """At least `numbers`, and below the next version of the part `kept`."""
    low = ".".join(map(str, numbers))
    high = ".".join(map(str, [*numbers[:kept], numbers[kept] + 1]))
    return f">={low},<{high}"
