"""PAX extended headers (POSIX.1-2001, pax(1)), read strictly.

Tar readers have been attacked where one skips a malformed or unknown record that another obeys (CVE-2025-62518), so a
record here is either understood, known to be harmless, or the end of the archive.
"""

from __future__ import annotations

import re

from ..errors import BadArchive

_MEANT = frozenset({b"path", b"linkpath", b"size"})
_NUMBERS = {
    b"mtime": re.compile(rb"-?\d+(\.\d*)?"),
    b"atime": re.compile(rb"-?\d+(\.\d*)?"),
    b"ctime": re.compile(rb"-?\d+(\.\d*)?"),
    b"uid": re.compile(rb"-?\d+"),
    b"gid": re.compile(rb"-?\d+"),
    b"size": re.compile(rb"\d{1,19}"),
}
_IGNORED = frozenset({b"uname", b"gname", b"comment", b"charset", *_NUMBERS})
_VENDOR = re.compile(rb"[A-Za-z][A-Za-z0-9_-]*\.[ -~]+")
_NOT_HARMLESS = (b"GNU.", b"SUN.", b"SCHILY.realsize", b"SCHILY.offset", b"SCHILY.filetype", b"SCHILY.volhdr")
"""Vendor records that change which bytes are the member's: sparse files in three dialects, volumes."""
_UTF8 = b"ISO-IR 10646 2000 UTF-8"


def read_pax(label: str, payload: bytes, everywhere: bool) -> dict[bytes, bytes]:
    """The records that matter: `path`, `linkpath`, `size`. `everywhere`: a global header, which may hold none of them.

    Raises BadArchive for anything malformed, given twice, or unknown.
    """
    found: dict[bytes, bytes] = {}
    seen: set[bytes] = set()
    at = 0
    while at < len(payload):
        key, value, at = _record(label, payload, at)
        if key in seen:
            raise BadArchive(label, f"has an extended header that gives {_show(key)} twice")
        seen.add(key)
        _check(label, key, value, everywhere)
        if key in _MEANT:
            found[key] = value
    return found


def _record(label: str, payload: bytes, at: int) -> tuple[bytes, bytes, int]:
    space = payload.find(b" ", at, at + 9)
    digits = payload[at:space] if space > at else b""
    if not digits.isdigit() or digits.startswith(b"0"):
        raise BadArchive(label, "has a malformed extended header")
    end = at + int(digits)
    key, equals, value = payload[space + 1 : end - 1].partition(b"=")
    if end > len(payload) or payload[end - 1 : end] != b"\n" or end - 1 <= space or not key or not equals:
        raise BadArchive(label, "has a malformed extended header")
    return key, value, end


def _check(label: str, key: bytes, value: bytes, everywhere: bool) -> None:
    if everywhere and key in _MEANT:
        raise BadArchive(label, f"has a global header that gives {_show(key)} to every member")
    number = _NUMBERS.get(key)
    if (number and not number.fullmatch(value)) or (key in _MEANT and not value):
        raise BadArchive(label, f"has an extended header with the malformed {_show(key)}={_show(value)}")
    if key in _MEANT or key in _IGNORED or (key == b"hdrcharset" and value == _UTF8):
        return
    if not _VENDOR.fullmatch(key) or key.startswith(_NOT_HARMLESS):
        raise BadArchive(label, f"has an extended header with {_show(key)}, which stager does not obey")


def _show(raw: bytes) -> str:
    return raw[:80].decode("utf-8", "backslashreplace")
