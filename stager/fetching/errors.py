"""Errors of fetching artifacts."""

from __future__ import annotations

from ..errors import TargetError
from ..store.errors import StoreCorrupt


class DamagedArtifact(StoreCorrupt):
    """The stored bytes of an artifact are not those that it is pinned by.

    `name` is the artifact's.
    """

    code = "DamagedArtifact"

    def __init__(self, name: str, error: StoreCorrupt, path: str) -> None:
        super().__init__(
            error.digest,
            error.why,
            name,
            path,
            "Run the same command with a connection, without --offline: it is fetched again. "
            "'stager cache verify' finds everything that is damaged, and sets it aside.",
        )


class TooLarge(TargetError):
    """A result over a platform's limit."""

    code = "TooLarge"

    def __init__(self, what: str, limit: int, size: int, hint: str = "") -> None:
        super().__init__(f"{what} is {size} bytes; the limit is {limit}", hint or "Leave files out with .stagerignore.")
