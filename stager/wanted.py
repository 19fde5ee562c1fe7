"""What an app asks for as a runtime's version, as a test that versions pass or fail.

Python: PEP 440 specifiers, bare versions (`3.11` means any 3.11), Poetry's `^`, `~` and `||`, and `latest`, which every
version is, so that a stack's own is taken where it has one. Node: npm's ranges (`npmrange`), and the words of nvm and
others: `lts/*`, `lts/jod`, `node`, `latest`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import npmrange
from .errors import VersionError

if TYPE_CHECKING:
    from .model import Reason

LONGEST = 200
"""Characters of a request beyond which it is refused unread."""
_PYTHON_HINT = "Write a version such as 3.11 or 3.11.2, or a range such as >=3.11,<3.14."
_NODE_HINT = "Write a version such as 22 or 22.14.0, a range such as >=22 <25, or lts/*."
_BARE = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?((?:a|b|rc)\d+)?")
_SPACED = re.compile(r"([<>=!~^]+)[ \t]+")


@dataclass(frozen=True, slots=True)
class Request:
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


def python(text: str, reason: Reason) -> Request:
    """A request for Python. Raises VersionError when it is malformed or for another implementation."""
    wanted = re.sub(
        r"^(?:c?python[-@= ]?)(?=\d)", "", _short("python", text, reason, _PYTHON_HINT), flags=re.IGNORECASE
    )
    if wanted.lower() == "latest":
        return Request(text.strip(), reason, lambda _: True)
    if re.fullmatch(r"[A-Za-z][\w.+-]*", wanted):
        raise VersionError("python", text.strip(), "only CPython is carried", _PYTHON_HINT, place(reason))
    try:
        tests = [_specifiers(part) for part in re.split(r"\|\|?", wanted)]
    except ValueError as problem:
        raise VersionError("python", text.strip(), f"not a version: {problem}", _PYTHON_HINT, place(reason)) from None
    return Request(text.strip(), reason, lambda version: any(test(version) for test in tests))


def node(text: str, reason: Reason, codenames: Mapping[str, str], runtime: str = "node") -> Request:
    """A request for Node, npm or bun. Raises VersionError when it is malformed or names an unknown line."""
    wanted = _short(runtime, text, reason, _NODE_HINT)
    word = wanted.lower()
    if word in ("node", "latest", "current", "latest/node", "stable"):
        return Request(text.strip(), reason, lambda _: True, "newest")
    if word in ("lts", "lts/*"):
        return Request(text.strip(), reason, lambda _: True, "lts")
    if word.startswith("lts/"):
        wanted = codenames.get(word[4:], "")
        if not wanted:
            names = ", ".join(f"lts/{name}" for name in codenames)
            raise VersionError(runtime, text.strip(), "no such line", f"Known here: lts/*, {names}.", place(reason))
    return Request(text.strip(), reason, _npm_range(runtime, wanted, text, reason))


def _short(runtime: str, text: str, reason: Reason, hint: str) -> str:
    """The text with one space where there is any white space. Raises VersionError."""
    plain = " ".join(text.split())
    if len(text) > LONGEST or len(text.strip().splitlines()) > 1 or not plain.isprintable():
        raise VersionError(runtime, repr(text[:40]), "too long, or not on one line", hint, place(reason))
    return plain


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


def _npm_range(runtime: str, wanted: str, text: str, reason: Reason) -> Callable[[str], bool]:
    try:
        fits = npmrange.parse(wanted)
    except ValueError:
        raise VersionError(runtime, text.strip(), "not a version or range", _NODE_HINT, place(reason)) from None
    return lambda version: fits(npmrange.version(version))
