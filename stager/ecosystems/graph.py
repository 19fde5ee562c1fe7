"""Who needs whom: as a lock file says it, or as installed packages say it of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from stager.model import Plan

Node = str
"""A package in a lock, by the lock's own key."""


@dataclass(slots=True)
class Graph:
    """The packages of one lock, what the app itself asks for, and what each needs."""

    lock: str
    roots: dict[Node, str] = field(default_factory=dict)
    """What the app asks for → where it does: `package.json:6`."""
    edges: dict[Node, list[Node]] = field(default_factory=dict)
    names: dict[Node, tuple[str, str]] = field(default_factory=dict)
    """Node → name and version."""
    silence: str = "which does not lead to it from what the app asks for"
    """Why there may be no path, as a part of a sentence."""

    def label(self, node: Node) -> str:
        """`name version` for people."""
        return " ".join(part for part in self.names.get(node, (node, "")) if part)

    def path_to(self, name: str, version: str) -> list[Node] | None:
        """The shortest path from what the app asks for to a package; None when there is none. First found in order wins."""
        above: dict[Node, Node | None] = dict.fromkeys(self.roots)
        queue = list(above)
        for node in queue:
            if self._is(node, name, version):
                return self._back(node, above)
            for target in self.edges.get(node, ()):
                if target not in above:
                    above[target] = node
                    queue.append(target)
        return None

    def _is(self, node: Node, name: str, version: str) -> bool:
        found, stated = self.names.get(node, (node, ""))
        return found == name and (not stated or stated == version)

    def _back(self, node: Node, above: dict[Node, Node | None]) -> list[Node]:
        path = [node]
        while (before := above[path[-1]]) is not None:
            path.append(before)
        return path[::-1]

    def needed_by(self, node: Node) -> list[Node]:
        """The packages that need this one directly, in the order of the lock."""
        name = self.names.get(node)
        same = {other for other, found in self.names.items() if found == name} | {node}
        return [one for one, targets in self.edges.items() if same & set(targets)]


def members(plan: Plan, kind: str) -> Iterator[tuple[str, str]]:
    """(name, version) of the plan's artifacts whose package URLs are of this type."""
    for one in plan.artifacts:
        words = one.purl.partition("?")[0].partition("#")[0].removeprefix(f"pkg:{kind}/")
        if words != one.purl.partition("?")[0].partition("#")[0]:
            name, _, version = words.rpartition("@") if "@" in words[1:] else (words, "", "")
            yield unquote(name), unquote(version)
