"""Where a path of a droplet is and whose it is: its layer, the package that brings it, and whether its content is a copy.

Read from the droplet that was staged just now, which can be trusted, and from its plan.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

from ...droplet.ownership import APP, APP_LAYER, BEHIND, NOBODY, RECORD, SKELETON, STAGER, Owners
from ...formats.tar import ROOT
from ...model import Plan
from ...text import parsing
from .findings import Finding, shown
from .scanning import LAYERS, Scan, contents_of, end_of

_MADE = re.compile(r"/(?:RECORD|INSTALLER|REQUESTED|direct_url\.json)$|\.pyc$|^\.stager/pypi/bin/|^\.profile\.d/000-")
"""What staging itself writes into a package's place; everything else there is a copy out of the artifact."""


class Where:
    """Answers for the paths in the archive `of`, whose plan is `plan`."""

    def __init__(self, of: Scan, plan: Plan | None) -> None:
        self._of = of
        self._plan = plan
        bounds = _bounds(of)
        ends, names = [end for _, end in bounds], [*(name for name, _ in bounds), APP_LAYER if bounds else ""]
        self._entries = {
            entry.name: (names[bisect_right(ends, entry.offset)] if entry.name.startswith(ROOT) else BEHIND, entry.kind)
            for entry in of.entries
        }

    @cached_property
    def _owners(self) -> Owners:
        """Reads the archive once more, since wheels' lists of files are seldom needed."""
        names = {name for name in self._entries if name.endswith(RECORD)}
        found = contents_of(self._of.path, names) if names else {}
        return Owners(self._plan, {name.removeprefix(ROOT): data for name, data in found.items()})

    def layer(self, name: str) -> str:
        """The layer an entry lies in; empty for the envelope, and for what this archive does not have."""
        layer, _ = self._entries.get(name, ("", ""))
        return "" if layer == BEHIND else layer

    def package(self, name: str) -> str:
        """Whose an entry is, as `ownership` says; empty for the envelope's."""
        if not name.startswith(ROOT):
            return ""
        _, kind = self._entries.get(name, ("", "file"))
        return self._owners.of(name.removeprefix(ROOT).rstrip("/"), kind, self.layer(name))

    def verbatim(self, name: str) -> bool:
        """Whether an entry's content is copied as it is from the source or from an artifact, so only these can differ."""
        if _MADE.search(name.removeprefix(ROOT)) or self.layer(name) in ("", SKELETON):
            return False
        return self.layer(name) == APP_LAYER or self.package(name) not in (APP, STAGER, NOBODY)

    def finding(
        self, level: str, cause: str, name: str, what: str, where: str = "", droplet: str = "", rebuilt: str = ""
    ) -> Finding:
        """A finding at an entry, with its layer and package filled in and everything fit to be shown."""
        values = (shown(what), shown(where), shown(droplet), shown(rebuilt))
        return Finding(level, cause, shown(name, 400), *values, self.layer(name), shown(self.package(name)))


def _bounds(of: Scan) -> list[tuple[str, int]]:
    """Every layer's name and the tar's byte after it, in order; the app's layer, which comes last, is not among them."""
    try:
        table = parsing.json(of.texts.get(LAYERS, b"{}"))
        count = int(table["entries"])
        bounds = [(SKELETON, end_of(of.entries[count - 1]))]
        for row in table["layers"]:
            bounds.append((str(row["name"]), bounds[-1][1] + int(row["length"])))
        return bounds
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return []
