"""The `Digest` value, hashing of streams, and canonical JSON: how everything in stager is named.

Light on purpose (warm path): only `hashlib` and `json`.
"""

from __future__ import annotations

import hashlib
import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128, "sha1": 40}
"""Accepted algorithms and the length of their hex form. sha1 appears only in old npm locks."""


class Digest(str):
    """`algorithm:hex`, checked when made; a `str`, so it prints, sorts and serialises as itself.

    Raises ValueError for an unknown algorithm or a malformed hex part (lower case, exact length).
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        algorithm, _, value = text.partition(":")
        if len(value) != ALGORITHMS.get(algorithm, -1) or value.strip("0123456789abcdef"):
            raise ValueError(f"not a digest: {text!r}")
        return super().__new__(cls, text)

    @property
    def algorithm(self) -> str:
        """`sha256`, `sha384`, `sha512` or `sha1`."""
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        """The lower-case hexadecimal part."""
        return self.partition(":")[2]


def sha256(data: bytes) -> Digest:
    """The SHA-256 digest of bytes in memory."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def sha256_chunks(chunks: Iterable[bytes]) -> Digest:
    """The SHA-256 digest of a stream."""
    state = hashlib.sha256()
    for chunk in chunks:
        state.update(chunk)
    return Digest("sha256:" + state.hexdigest())


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8, one final newline: equal values give equal bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def key_of(*parts: object) -> str:
    """A memo key: the hex SHA-256 of the parts' canonical JSON."""
    return hashlib.sha256(canonical_json(parts)).hexdigest()
