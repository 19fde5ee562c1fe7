"""Whether two requirements mean the same, however they are written.

Tools write requirements into locks in their own spelling (`python_version >= "3.11"` becomes
`python_full_version >= '3.11'`), so markers and specifiers are compared by what they accept: both sides are tried on
every value that either of them mentions and on its neighbours.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

from .target import with_extras_set

if TYPE_CHECKING:
    from .manifest import DeclaredDependency

_ATOM = re.compile(r"""(?<![a-z_])([a-z_]+)\s*(?:[<>=!~]=?=?|not\s+in|in)\s*("[^"]*"|'[^']*')""")
_REVERSED = re.compile(r"""("[^"]*"|'[^']*')\s*(?:[<>=!~]=?=?|not\s+in|in)\s*([a-z_]+)""")
_RELEASE = re.compile(r"\d+(?:\.\d+)*")
_MOST = 4096
"""Combinations tried; beyond, two markers count as equal, for a false alarm would stop a good app."""


def same_requirements(one: Iterable[DeclaredDependency], other: Iterable[DeclaredDependency]) -> bool:
    """Whether two lists hold the same requirements in any order."""
    left = list(dict.fromkeys(other))
    for wanted in dict.fromkeys(one):
        match = next((candidate for candidate in left if same_requirement(wanted, candidate)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def same_requirement(one: DeclaredDependency, other: DeclaredDependency) -> bool:
    """Whether two requirements ask for the same; the version does not count where either has a URL or path."""
    if one.name != other.name or set(one.extras) != set(other.extras):
        return False
    placed = bool(one.url or other.url)
    return (placed or same_specifier(one.version, other.version)) and same_marker(one.marker, other.marker)


def same_specifier(one: str, other: str) -> bool:
    """Whether two version specifiers accept the same of the releases around those they mention."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        first, second = SpecifierSet(one), SpecifierSet(other)
    except InvalidSpecifier:
        return one == other
    if first == second:
        return True
    tried = set(releases_around([*_RELEASE.findall(one), *_RELEASE.findall(other)]))
    return all(first.contains(version) == second.contains(version) for version in tried)


def releases_around(releases: Iterable[str]) -> Iterator[str]:
    """Each release, the next one at each of its places, and the one before."""
    for release in releases:
        numbers = [*(int(part[:9]) for part in release.split(".")), 0, 0][:4]
        for place in range(len(numbers)):
            for step in (-1, 0, 1):
                if numbers[place] + step >= 0:
                    yield ".".join(map(str, [*numbers[:place], numbers[place] + step, *([0] * (3 - place))]))
        yield release


def same_marker(one: str, other: str) -> bool:
    """Whether two markers hold in the same environments."""
    from packaging.markers import Marker

    if one == other:
        return True
    try:
        first, second = (Marker(with_extras_set(text)) if text else None for text in (one, other))
        for environment in _environments(f"{one} ; {other}"):
            facts = cast("dict[str, str]", environment)
            answers = {found is None or found.evaluate(facts, context="lock_file") for found in (first, second)}
            if len(answers) == 2:
                return False
    except ValueError:
        return one == other
    return True


def _environments(text: str) -> Iterator[dict[str, Any]]:
    """Environments that between them decide every comparison in the text of two markers."""
    pairs = [(found[1], found[2][1:-1]) for found in _ATOM.finditer(text)]
    pairs += [(found[2], found[1][1:-1]) for found in _REVERSED.finditer(text)]
    values: dict[str, set[str]] = {}
    for name, value in pairs:
        key = "python" if name.startswith(("python_", "implementation_v")) else name
        key = "extras" if name in ("extra", "extras") else key
        found = values.setdefault(key, set())
        found.update(releases_around(_RELEASE.findall(value)) if key == "python" else (value, "another"))
    keys = sorted(values)
    for combination in itertools.islice(itertools.product(*(sorted(values[key]) for key in keys)), _MOST):
        yield _environment(dict(zip(keys, combination, strict=True)))


def _environment(facts: dict[str, str]) -> dict[str, Any]:
    release = ".".join([*facts.pop("python", "3.11.1").split("."), "0", "0"][:3])
    base = dict.fromkeys(
        ("implementation_name", "os_name", "platform_machine", "platform_python_implementation", "platform_release",
         "platform_system", "platform_version", "sys_platform"), "another"
    )  # fmt: skip
    versions = {"python_full_version": release, "implementation_version": release}
    extras = frozenset({facts.pop("extras", "another")})
    return {**base, **versions, "python_version": ".".join(release.split(".")[:2]), "extras": extras, **facts}
