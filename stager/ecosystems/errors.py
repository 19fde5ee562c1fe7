"""Errors of packages: their locks, archives and what they need."""

from __future__ import annotations

from ..errors import IntegrityError, SourceError


class LockFailed(SourceError):
    """An ecosystem's resolver could not make a lock file."""

    code = "LockFailed"

    def __init__(self, lock: str, why: str, hint: str) -> None:
        super().__init__(f"{lock} could not be made: {why}", hint, where=lock)


class Mislabelled(IntegrityError):
    """An archive that calls itself another package than the plan asks for.

    `file` is the file inside that says so.
    """

    code = "Mislabelled"

    def __init__(self, archive: str, file: str, found: str, asked: str) -> None:
        super().__init__(
            f"{archive}: {file} says {found[:200]}, but {asked[:200]} was asked for",
            "Do not use it. Find out who put this archive in the other's place; if the pin is wrong, make the lock again.",
            archive=archive,
            found=found,
            asked=asked,
        )


class BadSignature(IntegrityError):
    """An index without a valid signature by one of the keys it must be signed by."""

    code = "BadSignature"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"{what} is not signed by its archive's keys: {why}",
            "Do not use this mirror until that is explained. If the archive has new keys, a newer stager has them.",
        )
