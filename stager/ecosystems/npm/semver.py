"""Does a version satisfy an npm range? `semantic_version`'s NpmSpec, given the spellings it does not know.

Ranges in the wild have spaces after operators, `v` prefixes and `~>`; NpmSpec refuses these, so they are written
plainly first. Rules: node-semver's README.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stager.wanted import npm_spec

if TYPE_CHECKING:
    from semantic_version import NpmSpec, Version

_OPERATOR = re.compile(r"(<=|>=|~>|[<>=^~])\s*v?\s*")
_LEADING_V = re.compile(r"(^|[\s|])v(?=\d)")
_ZERO_X = re.compile(r"\^0\.0(?:\.[xX*])?(?=$|[\s|])")
_LONGEST = 256


def satisfies(version: str, wanted: str) -> bool | None:
    """Whether `version` is in the range `wanted`; None when one of them is no version or range (a tag, a URL)."""
    spec, exact = _spec(wanted), _version(version)
    return None if spec is None or exact is None else bool(spec.match(exact))


def _spec(wanted: str) -> NpmSpec | None:
    if len(wanted) > _LONGEST:
        return None
    plain = _OPERATOR.sub(lambda match: match[1].replace("~>", "~"), wanted.strip())
    plain = _ZERO_X.sub("0.0.x", _LEADING_V.sub(r"\1", plain))
    try:
        return npm_spec(plain)
    except ValueError:
        return None


def _version(text: str) -> Version | None:
    from semantic_version import Version

    try:
        return Version(text.strip().lstrip("=v").partition("+")[0])
    except ValueError:
        return None


def order(version: str) -> tuple[tuple[int, int | str], ...]:
    """A total order for versions of any spelling: numbers by value, a release after its pre-releases."""
    release, dash, rest = version.partition("+")[0].partition("-")
    parts: list[tuple[int, int | str]] = [_part(part) for part in release.split(".")]
    return (*parts, (2, "") if not dash else (-1, ""), *(_part(part) for part in rest.split(".") if dash))


def _part(text: str) -> tuple[int, int | str]:
    return (0, int(text)) if text.isascii() and text.isdigit() and len(text) < 20 else (1, text)
