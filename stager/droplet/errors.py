"""Errors of droplets: of making one, and of a file that is none."""

from __future__ import annotations

from ..errors import AssemblyError, Unreadable, listing
from ..formats.errors import BadArchive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class NoDroplet(Unreadable):
    """A droplet file that is not there: nothing was staged yet, or it lies elsewhere."""

    code = "NoDroplet"

    def __init__(
        self, path: str, hint: str = "Run 'stager stage' to make a droplet, or name one that is there."
    ) -> None:
        super().__init__(path, "there is no such file", hint)


class PathConflict(AssemblyError):
    """Two owners claim one path in the droplet."""

    code = "PathConflict"

    def __init__(self, path: str, owners: Sequence[str], hint: str = "") -> None:
        super().__init__(
            f"claimed by {listing(owners)}",
            hint or "Rename or remove the app's file.",
            where=path,
            owners=list(owners),
        )


class UnsafeLinks(AssemblyError):
    """A symbolic link of a droplet that leads astray, perhaps only together with others.

    `chain` has (link, target, whose) in a row.
    """

    code = "UnsafeLinks"

    def __init__(self, chain: Sequence[tuple[str, str, str]], why: str) -> None:
        steps = [f"{path} -> {target} ({owner})" for path, target, owner in chain if target]
        super().__init__(
            f"{why}: {listing(steps)}" if steps else why,
            "Change or remove one of these links. If it is not the app's own, make its lock again, or pin another version.",
            where=chain[0][0],
            chain=[list(step) for step in chain],
        )


class NotADroplet(BadArchive):
    """A file or folder in a droplet's place that never was one; `what` says what it is instead."""

    code = "NotADroplet"

    def __init__(self, path: str, what: str) -> None:
        name = path.rstrip("/").rpartition("/")[2] or path
        super().__init__(name, f"is no droplet: {what}")
        self.hint = "Name the file that 'stager stage' wrote."
