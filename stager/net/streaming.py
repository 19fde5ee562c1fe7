"""Large JSON documents (RFC 8259) read piece by piece, so that memory follows one entry and not the page."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from ..text import parsing

STEP = 1 << 18
"""Bytes that are read at once."""
_ENTRY, _OTHER = 4 << 20, 16 << 20
"""The longest entry, and the longest other member of the document, in characters."""
_WHITE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def entries(file: IO[bytes], member: str) -> Iterator[tuple[str, Any]]:
    """What the array or table `member` of the document's top table holds, one by one: (key, or empty in an array, value).

    Raises ValueError for what is no such document, perhaps only after entries were given; then none of them counts.
    """
    text, found = _Text(file), False
    for key in text.table():
        if key == member:
            found = True
            if text.next() == "[":
                yield from (("", text.value(_ENTRY)) for _ in text.array())
            else:
                yield from ((name, text.value(_ENTRY)) for name in text.table())
        else:
            text.value(_OTHER)
    if text.next() or not found:
        raise ValueError(f"the document has no {member}, or more after its end")


class _Text:
    """The document as text, decoded as far as it is needed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._at = 0
        self._ended = False

    def _more(self, size: int = STEP) -> bool:
        if self._ended:
            return False
        data = self._file.read(size)
        self._held = self._held[self._at :] + self._decoder.decode(data, not data)
        self._at = 0
        self._ended = not data
        return True

    def next(self) -> str:
        """The next sign that is no white space; empty at the end."""
        while True:
            found = _WHITE.match(self._held, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more():
                return ""

    def _take(self, signs: str) -> str:
        found = self.next()
        if not found or found not in signs:
            raise ValueError(f"expected one of {signs}")
        self._at += 1
        return found

    def array(self) -> Iterator[None]:
        """Stand before each item of the array that begins here; each must be taken with `value`."""
        self._take("[")
        if self.next() == "]":
            self._take("]")
            return
        yield
        while self._take(",]") == ",":
            yield

    def table(self) -> Iterator[str]:
        """Each key of the table that begins here, standing before its value, which must be taken."""
        self._take("{")
        if self.next() == "}":
            self._take("}")
            return
        yield self._key()
        while self._take(",}") == ",":
            yield self._key()

    def _key(self) -> str:
        key = self.value(_ENTRY)
        self._take(":")
        if not isinstance(key, str):
            raise ValueError("a key is no string")
        return key

    def value(self, most: int) -> Any:
        """The value that begins here, of at most `most` characters."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._held, self._at)
            except RecursionError:
                raise ValueError("it is nested too deeply") from None
            except ValueError:
                end = -1
            if 0 <= end < len(self._held) or (end >= 0 and self._ended):  # a number may go on behind what is held
                break
            size = len(self._held) - self._at
            if size > most or not self._more(max(STEP, size)):
                raise ValueError("a value is cut short, malformed or too long")
        raw, self._at = self._held[self._at : end], end
        return parsing.json(raw) if "\\u" in raw else value  # which refuses half a character
