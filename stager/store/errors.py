"""Errors of the store."""

from __future__ import annotations

from ..errors import IntegrityError, TargetError


class DigestMismatch(IntegrityError):
    """Something fetched or stored does not have the digest it was pinned by."""

    code = "DigestMismatch"

    def __init__(self, what: str, expected: str, got: str, hint: str = "") -> None:
        super().__init__(
            f"{what}: expected {expected}, got {got}",
            hint or "Do not use it. Find out who changed it; if the new bytes are right, make the lock again.",
            expected=expected,
            got=got,
        )


class StoreCorrupt(IntegrityError):
    """A blob in the store is damaged.

    `what` names it, `path` says where it lies.
    """

    code = "StoreCorrupt"

    def __init__(
        self, digest: str, why: str = "its bytes do not match its name", what: str = "", path: str = "", hint: str = ""
    ) -> None:
        super().__init__(
            f"{what or 'the store'}'s blob {digest}: {why}",
            hint or "Run 'stager cache verify' to remove what is damaged.",
            where=path,
        )
        self.digest = digest
        self.why = why


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


class StoreUnsafe(IntegrityError):
    """A folder of the store that somebody else could write to, or that is not what it must be."""

    code = "StoreUnsafe"

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"the store's folder {why}",
            "Remove it if it is not yours, correct its owner and mode (0700), or set STAGER_CACHE_DIR to another place.",
            where=path,
        )


class CannotRead(TargetError):
    """A file of stager's own store that cannot be read."""

    code = "CannotRead"

    def __init__(self, path: str, cause: str) -> None:
        super().__init__(
            f"cannot be read: {cause}",
            "Correct its permissions (or the limit of open files), or choose another store with STAGER_CACHE_DIR.",
            where=path,
        )


class StoreBusy(TargetError):
    """The store is being cleaned, or cannot be cleaned because stagings are using it."""

    code = "StoreBusy"
    retryable = True

    def __init__(self, root: str, why: str) -> None:
        super().__init__(why, "Wait for the other stager to finish, then run the same command again.", where=root)
