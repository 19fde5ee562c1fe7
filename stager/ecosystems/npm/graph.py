"""A graph of packages and the app's folders, and what remains of it on a target.

Leaving out follows npm: a package that needs one that does not fit does not fit either, unless it needs it optionally;
then everything that only the left-out ones needed goes, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from stager.errors import BadLock
from stager.model import Stack

from .platform import Needs, cpu

LINK = "link:"
"""Prefix of a need that is a folder of the app, not a package."""
Edges = Mapping[str, Sequence[tuple[str, bool]]]
"""Node to (needed node, whether it is needed optionally)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A package or a folder of the app, and what it needs."""

    name: str
    needs: Mapping[str, str]
    """Name in `node_modules` → id of a unit, or `link:` and a folder of the app."""
    wants: frozenset[str] = frozenset()
    """The names among them that it needs optionally."""
    peers: frozenset[str] = frozenset()
    """Names it must see as the package that needs it sees them."""
    version: str = ""


@dataclass(frozen=True, slots=True)
class NpmGraph:
    """The app's folders by path (its root is `""`) and the packages by id."""

    homes: Mapping[str, Unit]
    units: Mapping[str, Unit]

    def edges(self) -> dict[str, list[tuple[str, bool]]]:
        """All needs; a folder's node is `home:` and its path."""
        nodes = [*((f"home:{path}", home) for path, home in self.homes.items()), *self.units.items()]
        return {key: [(ref, name in unit.wants) for name, ref in unit.needs.items()] for key, unit in nodes}

    def roots(self) -> list[str]:
        """The folders' nodes."""
        return [f"home:{path}" for path in self.homes]

    def optional(self) -> list[str]:
        """The packages that the app could do without: all ways to them hold an optional need."""
        firm = {key: [edge for edge in some if not edge[1]] for key, some in self.edges().items()}
        always = reachable(firm, self.roots())
        return [key for key in self.units if key not in always]

    def fitting(self, unfit: Mapping[str, Needs], lock: str, stack: Stack) -> NpmGraph:
        """The graph without the unfit packages and what goes with them. Raises BadLock when the app needs one."""
        edges, roots = self.edges(), self.roots()
        bad = unusable(edges, roots, unfit, lock, stack)
        kept = reachable(edges, roots, bad)
        return NpmGraph(
            {path: _less(home, bad) for path, home in self.homes.items()},
            {key: _less(unit, bad) for key, unit in self.units.items() if key in kept},
        )


def _less(unit: Unit, bad: Collection[str]) -> Unit:
    return replace(unit, needs={name: ref for name, ref in unit.needs.items() if ref not in bad})


def reachable(edges: Edges, roots: Iterable[str], without: Collection[str] = ()) -> dict[str, None]:
    """Every node that can be reached from the roots, in breadth-first order."""
    seen = dict.fromkeys(root for root in roots if root not in without)
    queue = list(seen)
    for node in queue:
        for target, _ in edges.get(node, ()):
            if target not in seen and target not in without:
                seen[target] = None
                queue.append(target)
    return seen


def unusable(edges: Edges, roots: Collection[str], unfit: Mapping[str, Needs], lock: str, stack: Stack) -> set[str]:
    """The unfit nodes and those that cannot do without one.

    Raises BadLock when a root cannot do without one, naming the package that does not fit.
    """
    needed_by: dict[str, list[str]] = {}
    for node, targets in edges.items():
        for target, optional in targets:
            if not optional:
                needed_by.setdefault(target, []).append(node)
    cause = {node: node for node in unfit}
    queue = list(cause)
    for node in queue:
        for parent in needed_by.get(node, ()):
            if parent in roots:
                raise _misfit(cause[node], unfit[cause[node]], lock, stack)
            if parent not in cause:
                cause[parent] = cause[node]
                queue.append(parent)
    return set(cause)


def _misfit(node: str, needs: Needs, lock: str, stack: Stack) -> BadLock:
    return BadLock(
        lock,
        f"{node.lstrip('/')} runs on {needs} only, and stack {stack.name} is linux {cpu(stack)} glibc",
        "Move the package that needs it to optionalDependencies, or remove it, and make the lock again.",
    )


def fallout(edges: Edges, roots: Iterable[str], bad: Collection[str]) -> set[str]:
    """`bad` and everything that only they needed; nodes that nothing reaches at all are not in it."""
    return set(reachable(edges, bad)) - set(reachable(edges, roots, bad))
