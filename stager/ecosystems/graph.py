"""Who needs whom: as a lock file says it, or as installed packages say it of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from stager.model import Plan

Node = str
"""A package in a lock, by the lock's own key."""


@dataclass
class Graph:
    """The packages of one lock, what the app itself asks for, and what each needs."""

    lock: str
    roots: dict[Node, str] = field(default_factory=dict)
    """What the app asks for → where it does: `package.json:6`."""
    edges: dict[Node, list[Node]] = field(default_factory=dict)
    names: dict[Node, tuple[str, str]] = field(default_factory=dict)
    """Node → name and version."""
    own: set[Node] = field(default_factory=set)
    """Those that are the app itself, or members of its workspace, where the lock has them too."""
    silence: str = "which does not lead to it from what the app asks for"
    """Why there may be no path, as a part of a sentence."""

    def label(self, node: Node) -> str:
        """`name version` for people."""
        return " ".join(part for part in self._named(node) if part)

    def path_to(self, name: str, version: str) -> list[Node] | None:
        """The shortest path from what the app asks for to a package; None when there is none. First found in order wins."""
        node = next((one for one in self._reached.get(name, ()) if self._named(one)[1] in ("", version)), None)
        if node is None:
            return None
        path = [node]
        while (before := self._above[path[-1]]) is not None:
            path.append(before)
        return path[::-1]

    def needed_by(self, node: Node) -> list[Node]:
        """The packages that need this one directly, in the order of the lock; the app's own are none."""
        return self._needing.get(self._named(node), [])

    def _named(self, node: Node) -> tuple[str, str]:
        return self.names.get(node, (node, ""))

    # A graph is asked when it is complete, perhaps about every package of an app: what follows is worked out once.

    @cached_property
    def _above(self) -> dict[Node, Node | None]:
        """What the app's wishes lead to, the nearest first: each node with the one before it."""
        above: dict[Node, Node | None] = dict.fromkeys(self.roots)
        queue = list(above)
        for node in queue:
            for target in self.edges.get(node, ()):
                if target not in above:
                    above[target] = node
                    queue.append(target)
        return above

    @cached_property
    def _reached(self) -> dict[str, list[Node]]:
        """The same nodes by name."""
        found: dict[str, list[Node]] = {}
        for node in self._above:
            found.setdefault(self._named(node)[0], []).append(node)
        return found

    @cached_property
    def _needing(self) -> dict[tuple[str, str], list[Node]]:
        """Who needs a package, by its name and version."""
        found: dict[tuple[str, str], list[Node]] = {}
        for one, targets in ((one, targets) for one, targets in self.edges.items() if one not in self.own):
            for name in dict.fromkeys(map(self._named, targets)):
                found.setdefault(name, []).append(one)
        return found


def members(plan: Plan, kind: str) -> Iterator[tuple[str, str]]:
    """(name, version) of the plan's artifacts whose package URLs are of this type."""
    for one in plan.artifacts:
        words = one.purl.partition("?")[0].partition("#")[0].removeprefix(f"pkg:{kind}/")
        if words != one.purl.partition("?")[0].partition("#")[0]:
            name, _, version = words.rpartition("@") if "@" in words[1:] else (words, "", "")
            yield unquote(name), unquote(version)
