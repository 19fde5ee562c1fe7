"""Walking a lock's dependency graph without recursion, so that cycles and depth cannot hurt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Place = TypeVar("Place")


def reachable(roots: Iterable[Place], edges: Callable[[Place], Iterable[Place]]) -> list[Place]:
    """Every place that can be reached from the roots, each once, in the order found."""
    found = dict.fromkeys(roots)
    todo = list(found)
    while todo:
        for place in edges(todo.pop()):
            if place not in found:
                found[place] = None
                todo.append(place)
    return list(found)
