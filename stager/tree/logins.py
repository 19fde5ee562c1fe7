"""Logins in files that belong to the app, such as a password in an index's URL: they go into the droplet, so people are told.

Only files are read whose names say that they may hold one (see `droplet.remarks`), and only when their bytes are new. What
is found is a line and a kind, never the secret itself. Files that are nothing but
credentials are left out instead (see `ignore`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_LONGEST_LINE = 4096
_MOST = 3
"""Lines that are named for one file."""

_REFERENCE = re.compile(rb"\$\{[^}{$\n]{0,200}\}|\{\{[^}{\n]{0,200}\}\}|\$\([^)($\n]{0,200}\)")
"""`${TOKEN}` and the like name a secret and hold none."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How text in UTF-16 begins, which PowerShell's `>` writes and pip reads."""
_QUERY = re.compile(
    rb"(?i)[?&][\w-]{0,40}(?:token|api[_-]?key|secret|passw(?:or)?d|signature|\bsig)=([^\s\"'`<>&]{8,512})"
)
"""A login in an address's query; what stands before it must be an address."""
_LONGEST_URL = 2048
_URL = re.compile(rb"://([^/\s\"'`@<>]{1,512})@")
_SHAPE = re.compile(
    rb"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{60,}|glpat-[0-9A-Za-z_-]{20}|npm_[0-9A-Za-z]{36}"
    rb"|pypi-AgE[0-9A-Za-z_-]{50,}|xox[abprs]-[0-9A-Za-z-]{20,}|sk_live_[0-9A-Za-z]{20,}|SG\.[0-9A-Za-z_-]{20,}\.[0-9A-Za-z_-]{20,})"
)
"""How the tokens of large services begin."""
_WORD = re.compile(
    rb"(?i)(?:_auth(?:token)?|npmauth(?:token|ident)|passw(?:or)?d|passphrase|secret(?:[_-]?key)?(?:[_-]?base)?|api[_-]?key|access[_-]?key"
    rb"|private[_-]?key|client[_-]?secret|credentials?|(?:auth|access|api|refresh|bearer|private|deploy)[_-]?token|_token\b|\btoken)"
    rb"[\"']?\s{0,8}(?:=>|:=|[=:])\s{0,8}[\"']?([^\s\"',;}\])#<>]{4,})"
)
_ELEMENT = re.compile(
    rb"(?i)<(?:password|passphrase|secret|token|apikey)>\s*([^<\s$][^<\s]{2,})|password\"\s+value=\"([^\"%$]{3,})\""
)
_EMPTY = re.compile(
    rb"(?i)^(?:[$%&*{<(!]|null\b|none\b|true\b|false\b|undefined\b|\*+$|x{3,}|env[.(\[]|var\.|data\.|local\.|process\.env|os\.|getenv"
    rb"|environ|config|required|optional|string|str\b|file[:(]|ref\+|vault[:.]|secrets?[.\[]|\.\.\.|changeme|change-me|example)"
)


def search(data: bytes, kind: str) -> list[list[object]]:
    """[line, what it holds] for the lines of a file with a login, in order; `kind` as `remarks.wanted` says. Plain JSON."""
    if kind == "users":
        return list(_users(data))
    if data.startswith(_UTF_16):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    plain = _REFERENCE.sub(b"", data)
    found = set(_lines(plain, (match for match in _URL.finditer(plain) if _is_login(plain, match))))
    found |= set(_lines(plain, (match for match in _QUERY.finditer(plain) if _is_query(plain, match))))
    found |= set(_lines(plain, _SHAPE.finditer(plain)))
    if kind == "word":
        found |= {number for number, line in enumerate(plain.split(b"\n"), 1) if _says(line[:_LONGEST_LINE])}
    return [[number, "a login"] for number in sorted(found)]


def _lines(text: bytes, matches: Iterable[re.Match[bytes]]) -> Iterator[int]:
    """The lines, from 1, on which the matches begin."""
    line, at = 1, 0
    for match in matches:
        line, at = line + text.count(b"\n", at, match.start()), match.start()
        yield line


def _is_login(text: bytes, match: re.Match[bytes]) -> bool:
    """Whether what stands before an `@` is more than a user's name: `git@`, `user@` and `:@` are none."""
    user, colon, password = match[1].partition(b":")
    secret = password if colon else user if len(user) >= 16 else b""
    before = text[max(0, match.start() - 16) : match.start()].lower()
    return bool(secret) and not (before.endswith(b"ssh") and not colon) and not _EMPTY.match(secret)


def _is_query(text: bytes, match: re.Match[bytes]) -> bool:
    before = text[max(0, match.start() - _LONGEST_URL) : match.start()].split()
    return bool(before) and b"://" in before[-1] and not _EMPTY.match(match[1])


def _says(line: bytes) -> bool:
    stripped = line.lstrip()
    if stripped.startswith((b"#", b"//", b";", b"<!--", b"--")):
        return False
    words = (match[1] for match in _WORD.finditer(line))
    elements = (match[1] or match[2] for match in _ELEMENT.finditer(line))
    return any(not _EMPTY.match(value) for group in (words, elements) for value in group)


_HASH = re.compile(rb"\$(?:apr1|1|2[abxy]|5|6|y|gy|7)\$\S+|\{S?SHA\}\S+|[./0-9A-Za-z]{13}")
"""What nginx knows itself, or hands to the C library's crypt(3) on the stacks there are (libxcrypt)."""


def _users(data: bytes) -> Iterator[list[object]]:
    """The lines of a Staticfile.auth that say a password openly, and those that let nobody in."""
    for number, line in enumerate(data.split(b"\n"), 1):
        name, colon, value = line.strip().partition(b":")
        if not name or name.startswith(b"#"):
            continue
        if value.startswith(b"{PLAIN}"):
            yield [number, "a readable password"]
        elif not colon or not _HASH.fullmatch(value.partition(b":")[0]):
            yield [number, "a line that lets nobody in, since its hash is none that nginx can check"]


def sentences(path: str, found: list[list[object]]) -> list[str]:
    """The notes for people on what was found in a file."""
    notes = []
    for what in dict.fromkeys(str(one[1]) for one in found):
        lines = [str(number) for number, kind in found if kind == what]
        where = ", ".join(lines[:_MOST]) + (f" and {len(lines) - _MOST} more" if len(lines) > _MOST else "")
        goes = "" if what.startswith("a line") else ", which goes into the droplet"
        hint = (
            "make it with 'htpasswd -m'"
            if path.lower() == "staticfile.auth"
            else "keep it in the environment or in your own settings"
        )
        notes.append(f"{path}:{where}: {what}{goes}; {hint}, or name the file in .stagerignore")
    return notes
