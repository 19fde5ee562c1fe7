"""TOML and JSON from strangers: what would take long, or mean nothing, is refused before and after the parser.

`tomllib` takes time by the square of a dotted key's length and recurses into arrays; both parsers leave numbers of 5,000
digits to `int`, which refuses them; JSON can name half of a character (`"\\ud800"`), which no file name or output can hold.
"""

from __future__ import annotations

import json as _json
import re
from collections.abc import Callable
from typing import Any

DEPTH = 64
"""A key with more parts, and arrays or tables nested deeper, are refused; real documents have at most a dozen."""
_LINE = re.compile(r"at line (\d+)")
_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:{_PART}[ \t]*\.[ \t]*){{{DEPTH}}}", re.MULTILINE)
_HALF = re.compile("[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")


class Unparsable(ValueError):
    """A text that no parser should be given, or that means nothing; `line` is 1-based, None when it is not known."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.line = line


def toml(text: str) -> dict[str, Any]:
    """A TOML 1.0 document. Raises ValueError: tomllib's own for what is no TOML, Unparsable for what is too much."""
    import tomllib

    if found := _DOTTED.search(text):
        why = f"a key has more than {DEPTH} parts"
        raise Unparsable(why, text.count("\n", 0, found.end()) + 1)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise Unparsable(_DEEP) from None
    except ValueError:
        raise Unparsable(_ENDLESS, _endless_line(text)) from None


def toml_line(error: ValueError, text: str) -> int | None:
    """The line that an error of `toml` is about."""
    if isinstance(error, Unparsable):
        return error.line
    found = _LINE.search(str(error))
    return int(found[1]) if found else text.count("\n") + 1 if "end of document" in str(error) else None


def json(text: str | bytes, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """A JSON document (RFC 8259); `hook` makes a table of its pairs.

    Raises ValueError: json's own for what is no JSON, UnicodeDecodeError, Unparsable for what is too much or means nothing.
    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        value = _json.loads(text, object_pairs_hook=hook, parse_constant=_constant)
    except (_json.JSONDecodeError, Unparsable):
        raise
    except RecursionError:
        raise Unparsable(_DEEP) from None
    except ValueError as error:
        if "integer string conversion" not in str(error):
            raise  # it is `hook`'s own
        raise Unparsable(_ENDLESS, _endless_line(text)) from None
    if (found := _ESCAPED_HALF.search(text)) and _HALF.search(_json.dumps(value, ensure_ascii=False)):
        why = "it holds half of a character (a lone surrogate)"
        raise Unparsable(why, text.count("\n", 0, found.start()) + 1)
    return value


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A hook for `json` that refuses a table in which a member is there twice: readers differ about which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        message = "a member is there twice"
        raise Unparsable(message)
    return found


_DEEP = "nested too deeply"
_ENDLESS = "a number has too many digits"


def _constant(name: str) -> Any:
    why = f"{name} is no JSON"
    raise Unparsable(why)


def _endless_line(text: str) -> int | None:
    found = re.search(r"[0-9_]{4301}", text)
    return text.count("\n", 0, found.start()) + 1 if found else None
