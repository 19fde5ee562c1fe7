"""Nuxt: a clock that stands still, as in `frozen_clock`, and the server's lists of styles and public files in one order.

Mends: `buildId` (a random UUID, also in names of files), `timestamp`, `date` of `nitro.json`, the times of public files
that the server's program lists, the order of that list, in which these were read, and `styles.mjs`, whose members come in
the order in which components were compiled.
"""

from __future__ import annotations

import re
from dataclasses import replace

from . import frozen_clock

_STYLES = re.compile(rb"(?<=\nconst styles = \{\n)(?:  [^\n]+,\n)*  [^\n]+\n(?=\};\n)")
_FILE = rb'  "/[^\n]*": \{\n(?:    [^\n]*\n)+  \}'
_FILES = re.compile(rb"(?<= = \{\n)(?:" + _FILE + rb",\n)+" + _FILE + rb"(?=\n\};\n)")


def in_order(data: bytes) -> bytes:
    """The program's one table, a member a line, in the order of the lines; what has none stays as it is."""

    def ordered(found: re.Match[bytes]) -> bytes:
        return b",\n".join(sorted(line.removesuffix(b",") for line in found[0].splitlines())) + b"\n"

    return _STYLES.sub(ordered, data)


def files_in_order(data: bytes) -> bytes:
    """The server's program with its table of public files, each with its type and size, in the order of their addresses."""
    return _FILES.sub(lambda found: b",\n".join(sorted(re.findall(_FILE, found[0]))), data)


RECIPE = replace(
    frozen_clock.RECIPE,
    name="nuxt/2",
    mends="the build's id, its time, the times of public files, and the order of styles and public files",
    rewrites={"*/server/chunks/*/styles.mjs": in_order, "*/server/chunks/nitro/nitro.mjs": files_in_order},
)
