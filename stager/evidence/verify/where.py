"""Where an entry of a droplet is and whose it is: its layer, the package that brings it, and whether its content is a copy.

Read from the droplet that was staged just now, which can be trusted, and from its plan.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property

from ...droplet.contents import name_of
from ...droplet.ownership import APP, APP_LAYER, BUILT, NOBODY, SKELETON, STAGER, Owners
from ...ecosystems import ecosystems
from ...model import Plan
from ...text import parsing
from ...text.wording import shown
from ..diff import Contents, Item
from ..diff.meeting import Meeting
from .findings import Finding

LOCK, LAYERS = ".stager/stager.lock", ".stager/layers.json"
_MADE = ".profile.d/000-"
"""How the paths begin of what staging writes for every runtime."""


class Where:
    """Answers for the entries of `rebuilt`, which are the first side of `met` and whose plan is `plan`."""

    def __init__(self, rebuilt: Contents, met: Meeting, plan: Plan | None) -> None:
        self._held, self._kinds = met.held, ecosystems()
        bounds = _bounds(rebuilt, met)
        self._ends = [end for _, end in bounds]
        self._names = [*(name for name, _ in bounds), APP_LAYER if bounds else ""]
        self._owners = Owners(plan, rebuilt.records())

    @cached_property
    def _starts(self) -> list[int]:
        ends = [item.end for item in self._held.values()]
        return [0, *ends[:-1]]

    def at(self, offset: int) -> Item | None:
        """The entry that a byte of the tar belongs to, extended headers included; None behind the last one."""
        index = bisect_right(self._starts, offset) - 1
        found = list(self._held.values())[index] if self._held else None
        return found if found and offset < found.end else None

    def layer(self, path: str) -> str:
        """The layer an entry lies in; empty for the envelope, and for what this archive does not have."""
        item = self._held.get(path)
        return "" if item is None or item.outside else self._names[bisect_left(self._ends, item.end)]

    def package(self, path: str) -> str:
        """Whose an entry is, as `ownership` says; empty for the envelope's."""
        if path.startswith("/"):
            return ""
        item, layer = self._held.get(path), self.layer(path)
        return self._owners.of(path, item.kind if item else "file", layer)

    def verbatim(self, path: str) -> bool:
        """Whether an entry's content is copied as it is from the source or from an artifact, so only these can differ."""
        made = path.startswith(_MADE) or any(one.makes(path) for one in self._kinds)
        if made or self.layer(path) in ("", SKELETON):
            return False
        owner = self.package(path)
        if owner.startswith(BUILT):
            return False
        return self.layer(path) == APP_LAYER or owner not in (APP, STAGER, NOBODY)

    def finding(
        self,
        level: str,
        cause: str,
        at: Item,
        what: str,
        where: str = "",
        droplet: str = "",
        rebuilt: str = "",
        *,
        name: str = "",
    ) -> Finding:
        """A finding at an entry, with its layer and package filled in and everything fit to be shown.

        `name` is what the archive calls the entry, where that may be otherwise than in a droplet.
        """
        values = (shown(what), shown(where), shown(droplet), shown(rebuilt))
        package = shown(self.package(at.path))
        return Finding(level, cause, shown(name or name_of(at), 400), *values, self.layer(at.path), package)


def _bounds(rebuilt: Contents, met: Meeting) -> list[tuple[str, int]]:
    """Every layer's name and the tar's byte after it, in order; the app's layer, which comes last, is not among them."""
    try:
        table = parsing.json(rebuilt.records().get(LAYERS, b"{}"))
        count = int(table["entries"])
        bounds = [(SKELETON, met.held[met.before[count - 1]].end)]
        for row in table["layers"]:
            bounds.append((str(row["name"]), bounds[-1][1] + int(row["length"])))
        return bounds
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return []
