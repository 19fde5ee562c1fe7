"""Which of two versions is the higher one, by the rule of the ecosystem or runtime they are of."""

from __future__ import annotations

from functools import cache
from typing import Any

from ...ecosystems import ECOSYSTEMS
from ...ecosystems import ecosystem as record
from ...ecosystems.npm.semver import order as natural
from ...runtimes import known


def direction(ecosystem: str, before: str, after: str) -> str:
    """`up`, `down`, or `changed` when neither is higher, such as versions that no rule can read.

    Of what is no ecosystem's, such as nginx, numbers count by value.
    """
    try:
        low, high = key(ecosystem, before), key(ecosystem, after)
        return "up" if low < high else "down" if high < low else "changed"
    except (TypeError, ValueError):
        return "changed"


@cache
def key(ecosystem: str, version: str) -> Any:
    """A value that orders as the version does among versions of its ecosystem. ValueError for a malformed one."""
    if own := known(ecosystem):  # npm is a runtime and an ecosystem
        return own.order(version)
    return record(ecosystem).order(version) if ecosystem in ECOSYSTEMS else natural(version)
