"""Names: which of them a droplet can hold, and how anybody's text is shown to people. On the warm path.

One rule for every name, wherever it comes from: the app's folder, an archive's member, a lock, a generated file, a link.
"""

from __future__ import annotations

LONGEST_PART = 255
LONGEST_PATH = 4096
"""Bytes of UTF-8; what Linux allows for a name and for a path."""
WHITEOUT = ".wh."
"""How the name begins by which a layer of an image removes what lies below it (OCI image specification, "Whiteouts")."""
_TURNING = frozenset(
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufffe\uffff"
)
_UNSEEN = (
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""What cannot be seen or changes how its neighbours are seen: controls, marks of direction, joiners, undecodable bytes.

A fixed list and not `str.isprintable`, whose answer grows with Python's tables.
"""


def characters_fault(text: str) -> str:
    """What is wrong with the characters of a name or a link's target, as a predicate, or an empty string."""
    if text.isprintable():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if any(sign < " " or "\x7f" <= sign <= "\x9f" for sign in text):
        return "has a control character"
    return "" if _TURNING.isdisjoint(text) else "has a character that turns the direction of text, or is none"


def place_fault(path: str) -> str:
    """What is wrong with the path of a folder on this machine, as a predicate, or an empty string: any bytes but NUL."""
    try:
        path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "holds half of a character (a lone surrogate)"
    return "has a NUL character" if "\0" in path else ""


def fault(part: str) -> str:
    """What is wrong with one part of a path, as a predicate of "its name", or an empty string."""
    if part.startswith(WHITEOUT):
        return f"begins with {WHITEOUT!r}, by which image layers remove files"
    if part.isascii() and part.isprintable() and len(part) <= LONGEST_PART:
        return ""
    wrong = characters_fault(part)
    return wrong or (f"is longer than {LONGEST_PART} bytes" if len(part.encode()) > LONGEST_PART else "")


def path_fault(path: str) -> str:
    """The same for all parts of a relative path, and for its length as a whole."""
    if path.isascii() and path.isprintable() and "/." not in f"/{path}" and len(path) <= LONGEST_PART:
        return ""
    wrong = next(filter(None, map(fault, path.split("/"))), "")
    return wrong or (f"is longer than {LONGEST_PATH} bytes" if len(path.encode()) > LONGEST_PATH else "")


def printable(text: str) -> str:
    """Text of others as one line for people: what cannot be seen, turns the line or moves the cursor is spelled out."""
    if text.isascii() and text.isprintable():
        return text
    import re

    return re.sub(_UNSEEN, lambda found: _spelled(found[0]), text)


def _spelled(sign: str) -> str:
    if "\udc80" <= sign <= "\udcff":  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return sign.encode("unicode_escape", "surrogatepass").decode()


def printable_lines(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def visible_json(text: str) -> str:
    """A JSON document that says the same, with what `printable` spells out as JSON's own escapes."""
    if text.isascii() and "\x7f" not in text:
        return text
    import re

    return re.sub(_UNSEEN.replace("\x00-\x1f", ""), lambda found: _json_escape(ord(found[0])), text)


def _json_escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD7C0 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
