"""Numbers and foreign texts in words for people. On the warm path."""

from __future__ import annotations

from ..names import printable


def size_text(count: int) -> str:
    """A number of bytes for people: B, kB, MB or GB, decimal."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if abs(count) >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def shown(text: object, limit: int = 200) -> str:
    """Text from an untrusted file for a terminal or a document: one printable line of at most `limit` characters."""
    whole = str(text)
    cut = whole if len(whole) <= limit else whole[: limit // 2] + "…" + whole[-limit // 2 :]
    return printable(cut)
