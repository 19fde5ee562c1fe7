"""Why two contents of one file differ: a path, a time, a random value, an order, bytecode, or simply another input.

Only what differs is looked at, never the rest of the file. `known` maps texts of the machine that staged again (its
paths, its host name, its user) to the condition they belong to: where one of them shows, the cause is certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from ..text.wording import shown

_PATH = re.compile(r"(?<![\w:/.$}~@-])(?:/[\w.+@%-]+){2,}/?|\b[A-Za-z]:\\(?:[\w.+ -]+\\)+[\w.+ -]*")
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = re.compile(
    r"(?<!\d)(?:19|20)\d\d-[01]\d-[0-3]\d(?:[T ][0-2]\d:[0-5]\d(?::[0-6]\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\d)"
    rf"|\b{_MONTH}\w* +[0-3]?\d,? +(?:[0-2]\d:[0-5]\d(?::[0-6]\d)? +)?(?:\w+ +)?(?:19|20)\d\d\b"  # ctime, date
    rf"|\b[0-3]?\d[ -]{_MONTH}\w*[ -](?:19|20)\d\d(?: +[0-2]\d:[0-5]\d(?::[0-6]\d)?)?"  # RFC 5322
    r"|(?<![\w.])[01]?\d/[0-3]?\d/(?:19|20)\d\d(?!\w)"
    r"|(?<![\w.])(?:19|20)\d{6}T?[0-2]\d[0-5]\d[0-6]\dZ?(?!\w)"
    r"|(?<!\d)[0-2]\d:[0-5]\d:[0-6]\d(?!\d)"
    r"|(?<![\w.])1\d{9}(?:\.\d+)?(?![\w.])|(?<![\w.])1\d{12}(?!\w)|(?<![\w.])1\d{15}(?!\w)|(?<![\w.])1\d{18}(?!\w)"  # epoch
)
_RANDOM = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"  # UUID
    r"|(?<![\w])(?:0x)?[0-9a-fA-F]{8,}(?!\w)"
    r"|(?<![\w/+])(?=[\w/+-]*\d)(?=[\w/+-]*[a-z])(?=[\w/+-]*[A-Z])[\w/+-]{12,}={0,2}(?![\w/+])"  # base 64 and its relatives
    r"|(?<![\w.])\d?\.\d{9,}(?!\w)|(?<![\w.])\d{12,}(?!\w)"
)
_SYSTEM = re.compile(r"/(?:bin|sbin|lib\w*|usr|etc|dev|proc|sys|app)/")
"""Paths that are the same everywhere: they say nothing of where something was built."""
_FIRST, _LAST = 946_684_800, 2_524_608_000
"""Between these two seconds (the years 2000 and 2050) a number may be meant as a time."""
_LOOK = 50
"""So many differing lines are looked at."""


@dataclass(frozen=True, slots=True)
class Why:
    """The cause in a word, a sentence, the place inside the file, and the two values there."""

    cause: str
    what: str
    place: str = ""
    droplet: str = ""
    rebuilt: str = ""


def explain(path: str, droplet: bytes, rebuilt: bytes, known: Mapping[str, str], *, verbatim: bool = False) -> Why:
    """Why a file's content in the droplet is not the rebuilt one.

    `verbatim` says that the file is copied as it is from the source or a pinned artifact: then nothing but the input
    can be the cause.
    """
    if path.endswith(".pyc") and not verbatim:
        return _bytecode(droplet, rebuilt)
    if not verbatim:
        text = _text(droplet), _text(rebuilt)
        if text[0] is not None and text[1] is not None:
            found = _of_text(text[0], text[1], known)
        else:
            found = _of_bytes(droplet, rebuilt, known)
        if found:
            return found
    return _other(droplet, rebuilt)


def _other(droplet: bytes, rebuilt: bytes) -> Why:
    if len(droplet) != len(rebuilt):
        what = f"the content differs: {len(droplet)} bytes instead of {len(rebuilt)}"
    else:
        what = "the content differs"
    at = difference(droplet, rebuilt)
    return Why("different input", what, f"byte {at}", _excerpt(droplet, at), _excerpt(rebuilt, at))


def difference(one: bytes, other: bytes) -> int:
    """The first byte at which two contents differ, or the length of the shorter one."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # the longest common prefix by halves: each step compares one slice
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def _excerpt(data: bytes, at: int) -> str:
    part = data[at : at + 24]
    text = _text(part)
    return shown(text) if text is not None else part.hex(" ", 4)


def _text(data: bytes) -> str | None:
    try:
        return None if b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None


# --- bytecode --------------------------------------------------------------------------------------------------


def _bytecode(droplet: bytes, rebuilt: bytes) -> Why:
    """A compiled Python module: magic number, flags, then time and size, or a hash of the source (PEP 552)."""
    parts = [(data[:4], data[4:8], data[8:16], data[16:]) for data in (droplet, rebuilt)]
    for number, (place, what) in enumerate(
        (
            ("magic number", "bytecode of another Python"),
            ("flags", "bytecode that is checked in another way"),
            ("source stamp", "bytecode stamped with another time, size or hash of its source"),
            ("code", "bytecode compiled in another way, or with another path in it"),
        )
    ):
        if parts[0][number] != parts[1][number]:
            return Why("bytecode", what, place, parts[0][number][:16].hex(), parts[1][number][:16].hex())
    return Why("bytecode", "bytecode that differs")


# --- text ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two lines that stand in the same place, and which characters of each differ."""

    line: int
    a: str
    b: str
    a_span: tuple[int, int]
    b_span: tuple[int, int]


def _of_text(a: str, b: str, known: Mapping[str, str]) -> Why | None:
    lines = a.splitlines(), b.splitlines()
    if lines[0] != lines[1] and sorted(lines[0]) == sorted(lines[1]):
        at = next(i for i, (x, y) in enumerate(zip(*lines, strict=True)) if x != y)
        return Why(
            "order", "the same lines in another order", f"line {at + 1}", shown(lines[0][at]), shown(lines[1][at])
        )
    found = [_of_pair(pair, known) for pair in islice(_pairs(*lines), _LOOK)]
    causes = [why for why in found if why]
    return causes[0] if 2 * len(causes) > len(found) else None  # most lines without a cause: another text


def _pairs(a: list[str], b: list[str]) -> Iterator[_Pair]:
    """The lines that differ, side by side; where one side has more, the rest stand beside nothing."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    one, other = a[start : len(a) - end], b[start : len(b) - end]
    for number in range(max(len(one), len(other))):
        x = one[number] if number < len(one) else ""
        y = other[number] if number < len(other) else ""
        if x != y:
            yield _pair(start + number + 1, x, y)


def _pair(line: int, x: str, y: str) -> _Pair:
    start = 0
    while start < min(len(x), len(y)) and x[start] == y[start]:
        start += 1
    end = 0
    while end < min(len(x), len(y)) - start and x[-1 - end] == y[-1 - end]:
        end += 1
    return _Pair(line, x, y, (start, len(x) - end), (start, len(y) - end))


def _of_pair(pair: _Pair, known: Mapping[str, str]) -> Why | None:
    def why(cause: str, what: str, a: str, b: str) -> Why:
        return Why(cause, what, f"line {pair.line}", shown(a), shown(b))

    for text, condition in known.items():
        if text and (text in pair.b) != (text in pair.a):
            what = f"it holds the {condition} of where it was built"
            return why(_known_cause(condition), what, pair.a[slice(*_wide(pair.a_span))], text)
    words = re.split(r"[\s,;:]+", pair.a), re.split(r"[\s,;:]+", pair.b)
    if len(words[0]) > 1 and words[0] != words[1] and sorted(words[0]) == sorted(words[1]):
        return why("order", "the same words in another order", pair.a, pair.b)
    for cause, what, pattern in (
        ("timestamp", "it holds a time", _TIME),
        ("embedded path", "it holds an absolute path", _PATH),
        ("random value", "it holds a value that looks random", _RANDOM),
    ):
        found = _touching(pattern, pair.a, pair.a_span), _touching(pattern, pair.b, pair.b_span)
        if found[0] != found[1] and not (cause == "embedded path" and all(map(_everywhere, found))):
            return why(cause, what, *found)
    return None


def _everywhere(path: str) -> bool:
    return not path or _SYSTEM.match(path) is not None


def _wide(span: tuple[int, int]) -> tuple[int, int]:
    return max(0, span[0] - 20), span[1] + 20


def _known_cause(condition: str) -> str:
    return "embedded path" if condition in ("path", "home", "store") else "environment"


def _touching(pattern: re.Pattern[str], line: str, span: tuple[int, int]) -> str:
    """The first match in a line that covers part of what differs; the line is cut, so that its length costs nothing."""
    start, end = max(0, span[0] - 200), span[1] + 200
    for match in pattern.finditer(line[: start + 4096], start):
        if match.start() > end:
            break
        if match.end() > span[0] and match.start() < max(span[1], span[0] + 1) and match.end() > match.start():
            return match[0]
    return ""


# --- bytes -----------------------------------------------------------------------------------------------------


def _of_bytes(a: bytes, b: bytes, known: Mapping[str, str]) -> Why | None:
    start = difference(a, b)
    place = f"byte {start}"
    for text, condition in known.items():
        if text and (text.encode() in b) != (text.encode() in a):
            return Why(
                _known_cause(condition), f"it holds the {condition} of where it was built", place, "", shown(text)
            )
    if len(a) == len(b) and (found := _binary_time(a, b, start)):
        return found
    pair = _pair(0, _strings(a, start), _strings(b, start))
    found = _of_pair(pair, {}) if pair.a != pair.b else None
    if found:
        return Why(found.cause, found.what, place, found.droplet, found.rebuilt)
    end = _last(a, b)
    if len(a) == len(b) and end - start >= 8 and _noise(a[start:end]) and _noise(b[start:end]):
        what = f"{end - start} bytes that look random"
        return Why("random value", what, place, a[start : start + 16].hex(), b[start : start + 16].hex())
    return None


def _last(a: bytes, b: bytes) -> int:
    """Where the common end of two contents of one length begins."""
    return len(a) - difference(a[::-1], b[::-1])


def _noise(data: bytes) -> bool:
    """Whether bytes could be random: many different ones, and not text."""
    part = data[:256]
    printable = sum(32 <= byte < 127 for byte in part)
    return len(set(part)) >= min(len(part), 64) * 0.6 and printable < len(part) * 0.8


def _binary_time(a: bytes, b: bytes, start: int) -> Why | None:
    """A four-byte number that both times is a plausible second, and is all that differs."""
    if _last(a, b) - start > 4:
        return None
    for at in range(max(0, start - 3), start + 1):
        for order in ("little", "big"):
            values = [int.from_bytes(data[at : at + 4], order) for data in (a, b)]
            if all(_FIRST < value < _LAST for value in values) and at + 4 >= _last(a, b):
                return Why("timestamp", "it holds a time in seconds", f"byte {at}", *map(str, values))
    return None


def _strings(data: bytes, at: int) -> str:
    """The run of printable characters around a byte, at most 400 of them."""
    start = end = at
    while start > max(0, at - 200) and 32 <= data[start - 1] < 127:
        start -= 1
    while end < min(len(data), at + 200) and 32 <= data[end] < 127:
        end += 1
    return data[start:end].decode("ascii")
