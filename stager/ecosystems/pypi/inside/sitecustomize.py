"""Folders are listed in order, whatever the file system's is: what a build writes may depend on it."""

from __future__ import annotations

import os
from typing import Any

_listdir, _scandir = os.listdir, os.scandir


def listdir(path: Any = ".") -> list[Any]:
    """As `os.listdir`, sorted."""
    return sorted(_listdir(path))


class scandir:  # noqa: N801  it takes that function's place
    """As `os.scandir`, sorted by name."""

    def __init__(self, path: Any = ".") -> None:
        with _scandir(path) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name))

    def __iter__(self) -> scandir:
        return self

    def __next__(self) -> os.DirEntry[Any]:
        return next(self._entries)

    def __enter__(self) -> scandir:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give no more."""
        self._entries = iter(())


os.listdir, os.scandir = listdir, scandir  # type: ignore[assignment]
