"""A whole file that somebody named: its bytes in parts, its digest, and where two of them differ."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ..digest import Digest
from ..errors import Unreadable
from . import regular

_BUFFER = 1 << 18


def parts(path: str, hint: str = "Check its name and permissions.") -> Iterator[bytes]:
    """A file's bytes. Raises Unreadable."""
    try:
        with regular.opened(path) as file:
            while part := file.read(_BUFFER):
                yield part
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), hint) from None


def digest_of(path: str) -> Digest:
    """The SHA-256 of a whole file. Raises Unreadable."""
    try:
        with regular.opened(path) as file:
            return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), "Check its name and permissions.") from None


def first_difference(one: Iterator[bytes], other: Iterator[bytes]) -> int | None:
    """The first byte at which two streams differ, which may be the length of the shorter one; None when they are equal."""
    at, a, b = 0, b"", b""
    while True:
        a, b = a or _next(one), b or _next(other)
        count = min(len(a), len(b))
        if not count:
            return at if a or b else None
        if a[:count] != b[:count]:
            return at + next(i for i in range(count) if a[i] != b[i])
        at, a, b = at + count, a[count:], b[count:]


def _next(parts: Iterator[bytes]) -> bytes:
    return next((part for part in parts if part), b"")
