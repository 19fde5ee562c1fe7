"""npm's version ranges, as node-semver reads them: `>=22  <25`, `~>22`, `1.x || ^2.3`, `1.2 - 3`, `*`, nothing at all.

The one reader of ranges, for runtimes (`engines`) and packages alike. Grammar and rules: node-semver's README ("Ranges",
"Range Grammar", "Prerelease Tags") and its `classes/range.js`. A version is compared as SemVer 2.0.0, clause 11, says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

LONGEST = 256
"""Characters of a range or version beyond which it is none; node-semver's MAX_LENGTH."""
_NUMBER = r"(?:0|[1-9]\d{0,15})"
_PART = rf"({_NUMBER}|[xX*])"
_WORD = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_IDENTIFIER = rf"(?:{_NUMBER}(?![0-9A-Za-z-])|\d*[A-Za-z-][0-9A-Za-z-]*)"
_PRE = rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*"
_PARTIAL = rf"[v=\s]*{_PART}(?:\.{_PART}(?:\.{_PART}(?:-({_PRE}))?(?:\+{_WORD})?)?)?"
_COMPARATOR = re.compile(rf"(~>?|\^|[<>]?=?)\s*{_PARTIAL}", re.ASCII)
_HYPHEN = re.compile(rf"{_PARTIAL}\s+-\s+{_PARTIAL}", re.ASCII)
_VERSION = re.compile(rf"[v=\s]*({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRE}))?(?:\+{_WORD})?\s*", re.ASCII)
_SPACED = re.compile(r"(~>?|\^|[<>]=?|=)\s+", re.ASCII)
_BARE = re.compile(r"v\s+(?=\d)", re.ASCII)

Core = tuple[int, int, int]
Key = tuple[tuple[int, int | str], ...]


@dataclass(frozen=True, slots=True)
class Version:
    """An exact version: its numbers, and what stands behind the dash, as it is compared."""

    core: Core
    pre: Key = ()

    @property
    def key(self) -> tuple[Core, int, Key]:
        """What orders versions: a release comes after its pre-releases."""
        return self.core, not self.pre, self.pre


@dataclass(frozen=True, slots=True)
class _Bound:
    """One comparison with a version: `<`, `<=`, `>`, `>=` or `=`."""

    sign: str
    version: Version

    def admits(self, version: Version) -> bool:
        return _SIGNS[self.sign](version.key, self.version.key)


_SIGNS: dict[str, Callable[[tuple[Core, int, Key], tuple[Core, int, Key]], bool]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "=": lambda one, other: one == other,
}
_LOWEST: Key = ((0, 0),)
"""The pre-release `-0`, before which there is none: an upper bound with it lets no pre-release of itself in."""
_NOTHING = (_Bound("<", Version((0, 0, 0), _LOWEST)),)


def version(text: str) -> Version:
    """An exact version, a `v` or `=` before it aside. Raises ValueError for what is none."""
    found = _VERSION.fullmatch(text) if len(text) <= LONGEST else None
    if not found:
        raise ValueError(text[:LONGEST])
    return Version((int(found[1]), int(found[2]), int(found[3])), _pre(found[4]))


def parse(text: str) -> Callable[[Version], bool]:
    """The test of a range. Raises ValueError for what is none: a tag, a URL, a typing error."""
    if len(text) > LONGEST:
        raise ValueError(text[:LONGEST])
    sets = [_bounds(" ".join(part.split())) for part in text.split("||")]
    sets = [()] if () in sets else sets  # as node-semver does: beside "any release", nothing lets a pre-release in
    return lambda version: any(_admits(bounds, version) for bounds in sets)


def _admits(bounds: tuple[_Bound, ...], version: Version) -> bool:
    """Whether a version meets every bound; a pre-release only where a bound names one of the same numbers."""
    named = not version.pre or any(bound.version.pre and bound.version.core == version.core for bound in bounds)
    return named and all(bound.admits(version) for bound in bounds)


def _bounds(text: str) -> tuple[_Bound, ...]:
    """What one alternative demands. Raises ValueError."""
    if found := _HYPHEN.fullmatch(text):
        groups = found.groups()
        return tuple(_telling((*_compared(">=", *groups[:4]), *_compared("<=", *groups[4:]))))
    words = _BARE.sub("v", _SPACED.sub(r"\1", text)).split()
    return tuple(_telling(bound for word in words for bound in _comparator(word)))


def _telling(bounds: Iterable[_Bound]) -> Iterator[_Bound]:
    """All but `>=0.0.0`, which says nothing."""
    return (bound for bound in bounds if bound != _Bound(">=", Version((0, 0, 0))))


def _comparator(word: str) -> tuple[_Bound, ...]:
    found = _COMPARATOR.fullmatch(word)
    if not found:
        raise ValueError(word)
    sign, *parts = found.groups()
    if sign == "^" or sign.startswith("~"):
        return _near(sign[0], *parts)
    return _compared(sign or "=", *parts)


def _near(sign: str, major: str, minor: str | None, patch: str | None, pre: str | None) -> tuple[_Bound, ...]:
    """`~` allows newer patches, `^` whatever leaves the first number that is not 0 as it is."""
    given = _given(major, minor, patch)
    if not given:
        return ()
    kept = min(len(given), 2) if sign == "~" else next((at for at, n in enumerate(given, 1) if n), len(given))
    return _between(given, kept, pre if len(given) == 3 else None)


def _compared(sign: str, major: str, minor: str | None, patch: str | None, pre: str | None) -> tuple[_Bound, ...]:
    given = _given(major, minor, patch)
    if not given:
        return _NOTHING if sign in "<>" else ()
    if len(given) == 3:
        return (_Bound(sign, Version(_core(given), _pre(pre))),)
    if sign == "=":
        return _between(given, len(given))
    if sign in (">", "<="):  # beyond all of 1.x, or up to the end of it
        return (_Bound(">=", Version(_after(given))) if sign == ">" else _Bound("<", Version(_after(given), _LOWEST)),)
    return (_Bound(sign, Version(_core(given), _LOWEST if sign == "<" else ())),)


def _between(given: list[int], kept: int, pre: str | None = None) -> tuple[_Bound, ...]:
    """From `given` up to where the number `kept` (counted from 1) would change."""
    return _Bound(">=", Version(_core(given), _pre(pre))), _Bound("<", Version(_after(given[:kept]), _LOWEST))


def _given(*parts: str | None) -> list[int]:
    """The numbers up to the first that is left open."""
    found: list[int] = []
    for part in parts:
        if part is None or part in "xX*":
            break
        found.append(int(part))
    return found


def _core(given: list[int]) -> Core:
    major, minor, patch = [*given, 0, 0][:3]
    return major, minor, patch


def _after(given: list[int]) -> Core:
    return _core([*given[:-1], given[-1] + 1])


def _pre(text: str | None) -> Key:
    parts = text.split(".") if text else []
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)
