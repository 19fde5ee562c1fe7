"""What packages say of their licences, brought to SPDX expressions where that is what they say.

Nothing is guessed from licence texts: a name that is no SPDX licence stays a name, and silence stays silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 120
"""Signs of a licence's name; some packages put the whole text there."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What a package says of its licence: an SPDX expression, or names that are none. Both empty: it says nothing."""

    expression: str = ""
    names: tuple[str, ...] = ()


UNSTATED = Licence()


def expression(text: str) -> str:
    """The text as a canonical SPDX expression; empty when it is none."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return str(canonicalize_license_expression(text))
    except (InvalidLicenseExpression, ValueError, IndexError, SyntaxError):
        return ""


def named(names: Iterable[str]) -> Licence:
    """Names that are no SPDX expressions, each on one line and cut."""
    short = (" ".join(name.split())[:LONGEST] for name in names)
    return Licence(names=tuple(sorted({name for name in short if name})))
