"""Poetry's version constraints (`^1.2`, `~1.2`, `1.*`, `>=1 <2 || ==3`) as PEP 440 specifiers.

See Poetry's documentation, "Dependency specification". Needed to tell several locked versions of one package apart,
and to read `python-versions`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_LONGEST = 2000
_PART = re.compile(r"(\^|~(?!=)|===?|!=|~=|<=|>=|<|>|)\s*v?([0-9A-Za-z.*!+_-]+|\*)")


def alternatives(text: str) -> list[SpecifierSet]:
    """A constraint as specifier sets of which one must hold. Raises ValueError for what is no constraint."""
    from packaging.specifiers import SpecifierSet

    if len(text) > _LONGEST:
        why = f"longer than {_LONGEST} characters"
        raise ValueError(why)
    return [SpecifierSet(",".join(_specifiers(choice))) for choice in re.split(r"\s*\|\|?\s*", text.strip())]


def accepts(text: str, version: str) -> bool:
    """Whether a version, pre-releases included, satisfies a constraint."""
    return any(choice.contains(version, prereleases=True) for choice in alternatives(text))


def _specifiers(text: str) -> list[str]:
    found: list[str] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            why = f"not a version constraint: {text[:100]!r}"
            raise ValueError(why)
        found += _one(match[1], match[2])
        position = match.end()
        while position < len(text) and text[position] in " \t\n,":
            position += 1
    return found


def _one(operator: str, version: str) -> list[str]:
    if version == "*":
        return []
    if operator in ("^", "~"):
        return [f">={version}", f"<{_ceiling(operator, version)}"]
    if operator in ("", "=", "=="):
        return [f"=={version}"]
    return [f"{operator}{version}"]


def _ceiling(operator: str, version: str) -> str:
    """The first version that a caret or tilde excludes: the caret raises the first number that is not zero."""
    release = [int(part) for part in re.findall(r"[0-9]+", re.split(r"[a-zA-Z+-]", version)[0])]
    if not release:
        why = f"not a version: {version[:100]!r}"
        raise ValueError(why)
    if operator == "~":
        place = min(1, len(release) - 1)
    else:
        place = next((index for index, part in enumerate(release) if part), len(release) - 1)
    return ".".join(str(part) for part in [*release[:place], release[place] + 1])
