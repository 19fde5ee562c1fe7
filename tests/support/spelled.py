"""A value as it could appear in somebody's text, written without stager's own help."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus


def encodings(value: str) -> dict[str, str]:
    """Spelling → the value so spelled."""
    raw = value.encode()
    return {
        "raw": value, "quoted": quote(value, safe=""), "quoted less": quote(value), "form": quote_plus(value),
        "json": json.dumps(value)[1:-1], "json unicode": json.dumps(value, ensure_ascii=False)[1:-1],
        "hex": raw.hex(), "HEX": raw.hex().upper(), "base64": base64.b64encode(raw).decode().rstrip("="),
        "base64 url": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "base64 of user:value": base64.b64encode(b"user:" + raw).decode(),
        "base64 of u:value": base64.b64encode(b"u:" + raw).decode(),
    }  # fmt: skip
