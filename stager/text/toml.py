"""Writing TOML 1.0: both locks are written by hand, since no library promises its bytes for ever."""

from __future__ import annotations

import json


def basic(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
