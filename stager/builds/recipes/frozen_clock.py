"""A clock that stands still, and unique names that are the same each time, for tools that stamp what they make.

Mends: `new Date()`, `Date.now()`, the times of files that the build itself has written, and `crypto.randomUUID()`. A tool that
waits by comparing times would wait for ever, so this is for those that are known not to.
"""

from __future__ import annotations

from ...text.resources import beside
from . import PROVIDED, Around, Recipe

FILE = "frozen-clock.js"
PROGRAM = beside(__file__, FILE)


def uuid(around: Around) -> str:
    """A name in the form of a random UUID (RFC 9562, version 4) that the build's inputs determine."""
    digits = around.identifier("uuid")
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:32]}"


RECIPE = Recipe(
    name="frozen-clock/1",
    mends="the time of the build, and random names",
    env=lambda around: {"NODE_OPTIONS": f"--require={PROVIDED}/{FILE}", "FIXED_BUILD_UUID": uuid(around)},
    provides=lambda _: {FILE: PROGRAM},
)
