"""Patterns of ignore files, as gitignore(5) has them and as git's own matcher behaves, byte by byte.

A pattern that git's matcher gives up on never matches. Every pattern becomes a regular expression that cannot
backtrack across stars: a star takes the earliest match of what follows it and keeps it, which is always right for globs
and leaves a hostile pattern such as `*a*a*a*a*a*b` linear. Imported only when names have to be decided anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ..errors import BadManifest

LARGEST = 256 * 1024
"""The largest ignore file that is read, in bytes."""

_STAR, _DEEP, _SLASH = b"*", b"**/", b"/"  # tokens; every other token is a regular expression for one byte
_LETTERS = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_SIGNS = bytes(c for c in range(33, 127) if not chr(c).isalnum())
_CLASSES = {
    b"alnum": _LETTERS + _LETTERS.upper() + _DIGITS,
    b"alpha": _LETTERS + _LETTERS.upper(),
    b"blank": b" \t",
    b"cntrl": bytes([*range(32), 127]),
    b"digit": _DIGITS,
    b"graph": bytes(range(33, 127)),
    b"lower": _LETTERS,
    b"print": bytes(range(32, 127)),
    b"punct": _SIGNS,
    b"space": b" \t\n\r",
    b"upper": _LETTERS.upper(),
    b"xdigit": _DIGITS + b"abcdefABCDEF",
}
"""ASCII only, as in git."""


_ONLY_STARS = re.compile(rb"(?:\*\*+/)+\*+")


class _Invalid(Exception):
    """A pattern that git's matcher gives up on."""


def _range_end(pattern: bytes, at: int) -> tuple[int, int]:
    """The byte at `at`, which a backslash may protect, and the index after it."""
    if pattern[at : at + 1] == b"\\":
        at += 1
    if at >= len(pattern):
        raise _Invalid
    return pattern[at], at + 1


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The bracket expression after the `[` before `at`: a regular expression, and the index after its `]`."""
    negated = pattern[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    previous: int | None = None
    first = True
    while first or pattern[at : at + 1] != b"]":
        first = False
        if at >= len(pattern):
            raise _Invalid
        named = _named_class(pattern, at)
        if pattern[at] == 0x2D and previous is not None and pattern[at + 1 : at + 2] not in (b"", b"]"):
            last, at = _range_end(pattern, at + 1)
            members.update(range(previous, last + 1))
            previous = None
        elif named:
            members.update(named[0])
            previous, at = None, named[1]
        else:
            previous, at = _range_end(pattern, at)
            members.add(previous)
    return _byte_class(set(range(256)) - members if negated else members), at + 1


def _named_class(pattern: bytes, at: int) -> tuple[bytes, int] | None:
    """A class such as `[:alpha:]` at `at`: its bytes and the index after it; None when there is none."""
    end = pattern.find(b"]", at + 2)
    if pattern[at : at + 2] != b"[:":
        return None
    if end < 0:
        raise _Invalid
    if end == at + 2 or pattern[end - 1 : end] != b":":
        return None
    members = _CLASSES.get(pattern[at + 2 : end - 1])
    if members is None:
        raise _Invalid
    return members, end + 1


def _byte_class(members: set[int]) -> bytes:
    """A regular expression for one byte of `members`; never a slash."""
    listed = b"".join(b"\\x%02x" % c for c in sorted(members - {0x2F}))
    return b"[" + listed + b"]" if listed else b"(?!)"


def _literal_start(pattern: bytes) -> bytes:
    found = re.match(rb"[^*?\[\\]*", pattern)
    return found.group() if found else b""


def _tokens(pattern: bytes) -> list[bytes]:
    """Split a pattern into regular expressions for single bytes, slashes, stars and `**/`."""
    start = len(_literal_start(pattern))
    out: list[bytes] = []
    at = 0
    while at < len(pattern):
        char = pattern[at : at + 1]
        at += 1
        if char == b"*":
            token, at = _stars(pattern, at - 1, start)
        elif char == b"[":
            token, at = _bracket(pattern, at)
        elif char == b"?":
            token = b"[^/]"
        elif char == b"\\":
            code, at = _range_end(pattern, at - 1)
            token = re.escape(bytes([code]))
        else:
            token = re.escape(char)
        out.append(token)
    return out


def _stars(pattern: bytes, at: int, start: int) -> tuple[bytes, int]:
    """The run of stars at `at`. Two or more between slashes span folders; in git those after a literal start do, too.

    `start` is where the pattern's literal start ends.
    """
    end = at
    while pattern[end : end + 1] == b"*":
        end += 1
    spans = end - at > 1 and (at in (0, start) or pattern[at - 1 : at] == b"/")
    if spans and end == len(pattern):
        return (b".*" if at == start and pattern[:at] and pattern[at - 1] != 0x2F else b"[^/].*"), end
    if spans and pattern[end : end + 1] == b"/":
        return _DEEP, end + 1
    return _STAR, end


def _split(tokens: list[bytes], at: bytes) -> list[list[bytes]]:
    parts: list[list[bytes]] = [[]]
    for token in tokens:
        if token == at:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _component(tokens: list[bytes]) -> bytes:
    """One path component: every star but the last takes the earliest match and never gives it back."""
    parts = [b"".join(part) for part in _split(tokens, _STAR)]
    if len(parts) == 1:
        return parts[0]
    if not any(parts):
        return b"[^/]+"
    return parts[0] + b"".join(b"(?>[^/]*?" + part + b")" for part in parts[1:-1]) + b"[^/]*" + parts[-1]


def translate(pattern: bytes) -> bytes | None:
    """The regular expression of a pattern without negation, leading and trailing slash; None when it never matches."""
    try:
        runs = _split(_tokens(pattern), _DEEP)
    except _Invalid:
        return None
    texts = [b"/".join(_component(part) for part in _split(run, _SLASH)) for run in runs]
    if len(texts) == 1:
        return texts[0]
    middle = b"".join(b"(?>(?:[^/]*/)*?" + text + b")" for text in texts[1:-1])
    regex = texts[0] + middle + b"(?:[^/]*/)*" + texts[-1]
    start = _literal_start(pattern)
    if start[-1:] not in (b"", b"/") and _ONLY_STARS.fullmatch(pattern, len(start)):
        regex += b"|" + re.escape(start)  # git compares the literal start first, and then matches stars with nothing
    return b"(?:" + regex + b")"


class Pattern:
    """One line of an ignore file. `anywhere` patterns have no slash and look at the name alone, in any folder."""

    __slots__ = ("anywhere", "broad", "negated", "regex")

    def __init__(self, line: bytes) -> None:
        self.negated = line.startswith(b"!")
        body = line[self.negated :]
        only_folders = body.endswith(b"/")
        body = body[: len(body) - only_folders]
        self.anywhere = b"/" not in body
        self.broad = not body.rpartition(b"/")[2].strip(b"*")
        """Whether its last part is only stars, so that it names nothing in particular."""
        regex = translate(body.removeprefix(b"/")) if body.strip(b"/") else None
        self.regex = None if regex is None else regex + (b"/" if only_folders else b"/?")


def _line(raw: bytes) -> bytes:
    """A line without its carriage return and without trailing spaces that no backslash protects."""
    raw = raw.removesuffix(b"\r")
    bare = raw.rstrip(b" ")
    escapes = len(bare) - len(bare.rstrip(b"\\"))
    return raw[: len(bare) + 1] if escapes % 2 and len(bare) < len(raw) else bare


class Patterns:
    """An ignore file. Patterns of one sign that follow each other are matched as one expression."""

    __slots__ = ("_any", "_groups", "_patterns")

    def __init__(self, text: bytes, file: str, negation: bool = True) -> None:
        """Raises BadManifest when `text` is larger than `LARGEST` bytes."""
        if len(text) > LARGEST:
            raise BadManifest(
                file, f"an ignore file of more than {LARGEST} bytes", "Ignore whole folders, or use wildcards."
            )
        lines = (_line(raw) for raw in text.removeprefix(b"\xef\xbb\xbf").split(b"\n") if not raw.startswith(b"#"))
        patterns = (Pattern(line) for line in lines if line and (negation or not line.startswith(b"!")))
        self._patterns = [pattern for pattern in patterns if pattern.regex is not None]
        self._groups = list(_grouped(self._patterns))
        self._any = _group(self._patterns)
        """Most names match no pattern at all; this tells so at once."""

    def verdict(self, path: bytes, folder: bool) -> bool | None:
        """True: left out; False: taken in again; None: no pattern speaks of this very path. The last match counts."""
        text = path + b"/" if folder else path
        name = text[path.rfind(b"/") + 1 :]
        if not self._any(name, text):
            return None
        return next((not negated for negated, matches in self._groups if matches(name, text)), None)

    def names(self, path: bytes) -> bool:
        """Whether the last pattern that matches this file (or folder, with a final slash) takes it in by its name."""
        for pattern in reversed(self._patterns):
            text = path[path.rstrip(b"/").rfind(b"/") + 1 :] if pattern.anywhere else path
            if re.fullmatch(pattern.regex or b"", text, re.DOTALL):
                return pattern.negated and not pattern.broad
        return False


_Match = Callable[[bytes, bytes], bool]
"""Of a name and its path, each with a final slash if it is a folder."""


def _grouped(patterns: list[Pattern]) -> Iterator[tuple[bool, _Match]]:
    """(negated, matcher) for each run of patterns of one sign, last run first."""
    rest = list(patterns)
    while rest:
        negated = rest[-1].negated
        run: list[Pattern] = []
        while rest and rest[-1].negated == negated:
            run.append(rest.pop())
        yield negated, _group(run)


def _group(patterns: list[Pattern]) -> _Match:
    """Whether any of the patterns matches."""
    names = _either(p.regex for p in patterns if p.anywhere)
    paths = _either(p.regex for p in patterns if not p.anywhere)
    return lambda name, path: names(name) is not None or paths(path) is not None


def _either(regexes: Iterable[bytes | None]) -> Callable[[bytes], object]:
    return re.compile(b"|".join(r for r in regexes if r is not None) or rb"(?!)", re.DOTALL).fullmatch
