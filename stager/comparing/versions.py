"""Which of two versions is the higher one, by the rule of the ecosystem they are of."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..ecosystems.npm.semver import order as natural
from ..runtimes import known


def direction(ecosystem: str, before: str, after: str) -> str:
    """`up`, `down`, or `changed` when neither is higher, such as versions that no rule can read.

    pypi: PEP 440; npm: Semantic Versioning 2.0.0, clause 11; deb: Debian Policy 5.6.12; the rest: numbers by value.
    """
    try:
        low, high = key(ecosystem, before), key(ecosystem, after)
        return "up" if low < high else "down" if high < low else "changed"
    except (TypeError, ValueError):
        return "changed"


def key(ecosystem: str, version: str) -> Any:
    """A value that orders as the version does among versions of its ecosystem. ValueError for a malformed one."""
    if own := known(ecosystem):  # npm is a runtime and an ecosystem
        return own.order(version)
    if ecosystem == "pypi":
        return _pep440(version)
    if ecosystem == "deb":
        return _debian(version)
    return natural(version)


@cache
def _pep440(version: str) -> Any:
    from packaging.version import Version

    return Version(version)


@cache
def _debian(version: str) -> Any:
    from debian.debian_support import Version

    return Version(version)
