"""What must never be shown: credentials and tokens of a session, recognised in any spelling a server could send back."""

from __future__ import annotations

import threading
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

_SHORT = 4
"""Bytes of a secret from which on a part of its base64 says anything; shorter ones are found whole."""
_SHOWN = 300


class Secrets:
    """The secrets of a session. Safe to share between threads."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._mutex = threading.Lock()

    def add(self, *secrets: str) -> None:
        """Remember secrets in every form in which `shown` must find them."""
        found = {form.lower() for secret in secrets if secret for form in forms(secret)}
        with self._mutex:
            self._forms |= found

    def shown(self, text: str) -> str:
        """A server's words for people: one line, cut, or nothing at all when they hold a secret."""
        with self._mutex:
            known = list(self._forms)
        lower = text.lower()
        if any(form in lower for form in known):
            return ""
        line = "".join(sign if sign.isprintable() else " " for sign in text)
        return " ".join(line.split())[:_SHOWN]


def forms(secret: str) -> set[str]:
    """A secret raw, in hex, quoted for URLs, in base64 at each of its three alignments; and all that of it reversed."""
    found: set[str] = set()
    for text in (secret, secret[::-1]):
        raw = text.encode()
        found |= {text, raw.hex(), quote(text, safe=""), quote_plus(text)}
        for encode in (b64encode, urlsafe_b64encode):
            found.add(encode(raw).decode().rstrip("="))
            if len(raw) >= _SHORT:
                found |= {_inner(encode(b"\0" * shift + raw).decode(), shift) for shift in range(3)}
    return found


def _inner(encoded: str, shift: int) -> str:
    """The part of base64 that depends on the secret alone, whatever stands before and after it."""
    return encoded.rstrip("=")[shift + 1 if shift else 0 : -1]
