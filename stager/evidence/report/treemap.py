"""Rectangles whose areas are sizes: a squarified treemap (Bruls, Huizing, van Wijk, 2000), laid out in plain arithmetic.

The layout is a function of the tree and the page's size: ties are broken by name, and coordinates are rounded to a tenth,
so equal sizes give equal bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ...text.wording import size_text

HEAD = 22.0
"""Height of a group's heading."""
PAD = 2.0
SIZE = 13.0
"""Of the label's font, in the page's units."""
_NARROW, _BROAD = frozenset("ijlIftr.,:;'|!()[]{} -/\\"), frozenset("@%mwMWQ&…—")
"""Letters that are narrower, or broader, than most in every usual sans-serif font."""
_TALL_ENOUGH, _WIDE_ENOUGH = 18.0, 34.0


@dataclass(frozen=True, slots=True)
class TreemapNode:
    """Something with a size in bytes, perhaps made of parts. `kind` is its colour."""

    name: str
    size: int
    kind: str
    parts: tuple[TreemapNode, ...] = ()
    title: str = ""
    """What is shown when it is pointed at."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One rectangle of the page: texts are cut to fit, and empty when there is no room."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str
    label: str = ""
    size: str = ""
    group: bool = False
    level: int = 1
    """How deep it lies: a group's parts are one deeper than the group."""


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float
    height: float

    def inner(self, head: float) -> _Box:
        """What is left below a heading and inside a margin."""
        width, height = max(0.0, self.width - 2 * PAD), max(0.0, self.height - head - PAD)
        return _Box(self.x + PAD, self.y + head, width, height)


@dataclass(slots=True)
class _Page:
    tiles: list[Tile] = field(default_factory=list)


def tiles(root: Iterable[TreemapNode], width: float, height: float) -> list[Tile]:
    """The rectangles of these nodes and their parts on a page of this size, each group before its parts."""
    page = _Page()
    _place(sorted(root, key=_order), _Box(0.0, 0.0, width, height), page)
    return page.tiles


def _order(node: TreemapNode) -> tuple[int, str]:
    return -node.size, node.name


def _place(nodes: Sequence[TreemapNode], box: _Box, page: _Page, level: int = 1) -> None:
    for node, place in zip(nodes, _squarify([node.size for node in nodes], box), strict=True):
        if place.width < 1 or place.height < 1:
            continue
        grouped = bool(node.parts) and place.width >= 48 and place.height >= HEAD + 26
        page.tiles.append(_tile(node, place, grouped, level))
        if grouped:
            _place(sorted(node.parts, key=_order), place.inner(HEAD), page, level + 1)


def _tile(node: TreemapNode, place: _Box, grouped: bool, level: int) -> Tile:
    size = size_text(node.size)
    width = place.width - 12
    if grouped:
        whole = f"{node.name} · {size}"
        label, size = _fitted(whole if room(whole) <= width else node.name, width), ""
    else:
        label = _fitted(node.name, width) if place.height >= _TALL_ENOUGH and place.width >= _WIDE_ENOUGH else ""
        size = size if label and place.height >= 2 * _TALL_ENOUGH and room(size) <= width else ""
    x, y, right, bottom = (round(n, 1) for n in (place.x, place.y, place.x + place.width, place.y + place.height))
    width, height = round(right - x, 1), round(bottom - y, 1)
    return Tile(x, y, width, height, node.kind, node.title or node.name, label, size, grouped, level)


def room(text: str) -> float:
    """How wide a text is at most, in the widest of the usual sans-serif fonts: letters of other scripts count as square."""
    return sum(_letter(sign) for sign in text)


def _letter(sign: str) -> float:
    if sign in _NARROW:
        return 0.46 * SIZE
    if sign in _BROAD or ord(sign) >= 0x250:
        return 1.08 * SIZE
    return (0.78 if sign.isascii() and sign.isupper() else 0.68) * SIZE


def _fitted(text: str, width: float) -> str:
    """The text, cut so that it needs no more room; empty when not even three letters fit."""
    if room(text) <= width:
        return text
    kept, used = "", _letter("…")
    for sign in text:
        used += _letter(sign)
        if used > width:
            break
        kept += sign
    return f"{kept.rstrip()}…" if len(kept) >= 3 else ""


def _squarify(sizes: Sequence[int], box: _Box) -> Iterator[_Box]:
    """One rectangle a size (sizes in falling order), as square as can be."""
    total = sum(sizes)
    if not total or box.width <= 0 or box.height <= 0:
        yield from (_Box(box.x, box.y, 0.0, 0.0) for _ in sizes)
        return
    scale = box.width * box.height / total
    areas = [size * scale for size in sizes]
    at = 0
    while at < len(areas):
        side = min(box.width, box.height)
        end = at + 1
        while end < len(areas) and _worst(areas[at : end + 1], side) <= _worst(areas[at:end], side):
            end += 1
        row = areas[at:end]
        rest = sum(areas[end:])
        places, box = _row(row, box, last=rest <= 0)
        yield from places
        at = end


def _worst(row: Sequence[float], side: float) -> float:
    """The worst ratio of a row's rectangles laid along a side of this length."""
    total, smallest = sum(row), min(row)
    if smallest <= 0 or side <= 0:
        return float("inf")
    return max(side * side * max(row) / (total * total), total * total / (side * side * smallest))


def _row(row: Sequence[float], box: _Box, last: bool) -> tuple[list[_Box], _Box]:
    """A row along the shorter side, and the box that is left."""
    total = sum(row)
    places = []
    if box.width >= box.height:
        depth = box.width if last else min(box.width, total / box.height)
        y = box.y
        for area in row:
            height = area / total * box.height if total else 0.0
            places.append(_Box(box.x, y, depth, height))
            y += height
        return places, _Box(box.x + depth, box.y, box.width - depth, box.height)
    depth = box.height if last else min(box.height, total / box.width)
    x = box.x
    for area in row:
        width = area / total * box.width if total else 0.0
        places.append(_Box(x, box.y, width, depth))
        x += width
    return places, _Box(box.x, box.y + depth, box.width, box.height - depth)
