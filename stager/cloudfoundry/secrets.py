"""Keeping secrets out of what people read: a server may repeat whatever it was sent.

Every text that comes from a server passes through `Secrets.hide` before it becomes part of an error, note or result.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "***"
_SHORTEST = 4
"""Characters; hiding shorter values would make every text unreadable and hide nothing."""
_LONGEST = 400
"""Characters of a server's text that are shown."""


class Secrets:
    """Values that may never be shown, in any usual spelling."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._spellings: set[str] = set()
        self.add(*values)

    def add(self, *values: str) -> None:
        """Hide these values from now on; lines of a text of many lines each by itself, too."""
        for value in values:
            for part in {value, *value.splitlines()}:
                if len(part) >= _SHORTEST:
                    self._spellings.update(spellings(part))

    def hide(self, text: str) -> str:
        """`text` as one printable line of bounded length in which no secret is left."""
        for spelling in sorted(self._spellings, key=len, reverse=True):
            text = text.replace(spelling, HIDDEN)
        line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return line if len(line) <= _LONGEST else line[:_LONGEST] + " …"


def spellings(value: str) -> set[str]:
    """The value as it is, quoted for URLs, JSON and forms, in hexadecimal, and the part of its base64 that never varies."""
    raw = value.encode("utf-8", "surrogatepass")
    found = {value, quote(value, safe="", errors="replace"), quote(value, errors="replace")}
    found |= {quote_plus(value, errors="replace"), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    found |= {raw.hex(), raw.hex().upper(), *_base64(raw)}
    return {one for one in found if len(one) >= _SHORTEST}


def _base64(raw: bytes) -> set[str]:
    """What is always there when the bytes stand anywhere inside base64 text: one core for each of the three offsets."""
    found = set()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(offset) + raw).decode()
            begin, whole = (0, 2, 3)[offset], (offset + len(raw)) * 8 // 6
            found.add(text[begin:whole])
    return {core for core in found if len(core) >= 2 * _SHORTEST}
