"""Keeping secrets out of what people read: a server may repeat whatever it was sent, in any usual spelling.

Every text that comes from a server passes through a session's `Secrets` before it becomes part of an error, note or result.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "***"
_SHORTEST = 4
"""Characters; hiding shorter values would make every text unreadable and hide nothing."""
_LONGEST = 400
"""Characters of a server's text that are shown."""


class Secrets:
    """Values that may never be shown, in any usual spelling, in capitals or small letters. Safe to share between threads."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._spellings: set[str] = set()
        self._mutex = threading.Lock()
        self.add(*values)

    def add(self, *values: str) -> None:
        """Keep these values secret from now on; lines of a text of many lines each by itself, too."""
        parts = {part for value in values for part in (value, *value.splitlines()) if part}
        found = {spelling for part in parts for spelling in spellings(part)}
        with self._mutex:
            self._spellings |= found

    def hide(self, text: str) -> str:
        """`text` as one printable line of bounded length in which no secret is left; one of three letters stays."""
        known = [re.escape(one) for one in self._longest_first() if len(one) >= _SHORTEST]
        return _line(re.sub("|".join(known), HIDDEN, text, flags=re.IGNORECASE) if known else text)

    def withhold(self, text: str) -> str:
        """`text` as such a line, or nothing at all when it holds a secret, however short."""
        lower = text.lower()
        return "" if any(one.lower() in lower for one in self._longest_first()) else _line(text)

    def _longest_first(self) -> list[str]:
        with self._mutex:
            return sorted(self._spellings, key=len, reverse=True)


def _line(text: str) -> str:
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + " …"


def spellings(value: str) -> set[str]:
    """The value and its reverse: as they are, quoted for URLs, JSON and forms, in hexadecimal and in base64."""
    found: set[str] = set()
    for text in (value, value[::-1]):
        raw = text.encode("utf-8", "surrogatepass")
        found |= {text, quote(text, safe="", errors="replace"), quote(text, errors="replace"), raw.hex()}
        found |= {
            quote_plus(text, errors="replace"),
            json.dumps(text)[1:-1],
            json.dumps(text, ensure_ascii=False)[1:-1],
        }
        found |= _base64(raw)
    return found


def _base64(raw: bytes) -> set[str]:
    """All of it, and what never varies of it inside other base64 text: a core for each of three offsets."""
    found = set()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found.add(encode(raw).decode().rstrip("="))
        for offset in range(3):
            text = encode(bytes(offset) + raw).decode()
            begin, whole = (0, 2, 3)[offset], (offset + len(raw)) * 8 // 6
            found.add(text[begin:whole])
    return {one for one in found if len(one) >= _SHORTEST}
