"""Errors of fetching artifacts."""

from __future__ import annotations

from ..errors import AssemblyError, TargetError


class TooLarge(TargetError):
    """A result over a platform's limit."""

    code = "TooLarge"

    def __init__(self, what: str, limit: int, size: int, hint: str = "") -> None:
        super().__init__(f"{what} is {size} bytes; the limit is {limit}", hint or "Leave files out with .stagerignore.")


class UnusableRepository(AssemblyError):
    """A commit whose files alone are not the package: submodules, files that lie elsewhere, a tag in its place."""

    code = "UnusableRepository"

    def __init__(self, what: str, url: str, why: str, hint: str = "") -> None:
        super().__init__(
            f"{what}: {why}",
            hint or "Depend on a published version of it, or on a repository that holds all its files.",
            where=url,
        )
