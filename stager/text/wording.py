"""Numbers in words for people. On the warm path."""

from __future__ import annotations


def size_text(count: int) -> str:
    """A number of bytes for people: B, kB, MB or GB, decimal."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if abs(count) >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
