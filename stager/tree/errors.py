"""Errors of an app's files."""

from __future__ import annotations

from ..errors import SourceError


class UnsafePath(SourceError):
    """A name or link in the app that would lead outside the app, or that no tar can hold."""

    code = "UnsafePath"

    def __init__(self, path: str, why: str, hint: str = "Rename or remove it, or add it to .stagerignore.") -> None:
        super().__init__(why, hint, where=path)


class AppTooLarge(SourceError):
    """A file of the app, or all its files together, beyond what a droplet takes; found by its size, before a byte is read."""

    code = "AppTooLarge"

    def __init__(self, path: str, size: int, limit: int, *, together: bool = False) -> None:
        what = f"with it the app has {size:,}" if together else f"it has {size:,}"
        hint = "Add it to .stagerignore, and fetch such data when the app starts or mount it."
        super().__init__(f"{what} bytes; the most is {limit:,}", hint, where=path, size=size, limit=limit)
