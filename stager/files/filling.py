"""A folder as an output: filled beside its place and renamed once it is whole, as `writing` does it with files."""

from __future__ import annotations

import errno
import os
import stat

from ..errors import CannotWrite
from . import writing


class FolderOutput(writing.Whole):
    """A folder being filled: `with FolderOutput(path) as part:` gives the one to fill, which becomes `path` at the end.

    A folder that is there is replaced when it is empty or holds the file `marker`; else CannotWrite says `otherwise`.
    Raises CannotWrite.
    """

    __slots__ = ("_marker", "_otherwise")

    def __init__(self, path: str, marker: str = "", otherwise: str = "something is there already") -> None:
        super().__init__(path)
        self._marker, self._otherwise = marker, otherwise

    def __enter__(self) -> str:
        self._place, found = writing.followed(self.path.rstrip("/") or self.path)
        self._check(found)
        folder, name = os.path.split(self._place)
        try:
            writing.sweep_beside(folder, name)
            while not self._part:
                part = os.path.join(folder, writing.part_name(name))
                os.mkdir(part)
                self.handle = writing.hold_folder(part)
                self._part = part if self.handle >= 0 else ""
        except OSError as error:
            raise writing.refused(self.path, self._place, error) from None
        return self._part

    def _check(self, found: os.stat_result | None) -> None:
        if found is None and not self._place.startswith("/dev/fd/"):
            return
        if found is None or not stat.S_ISDIR(found.st_mode):
            raise CannotWrite(self.path, self._otherwise, "A folder is to be written: choose another place.")
        here, there = os.path.realpath("."), os.path.realpath(self._place)
        if f"{here}/".startswith(f"{there.rstrip('/')}/"):
            raise CannotWrite(self.path, "it is the current folder, or above it", "Name a new folder in it.")
        if os.listdir(self._place) and not os.path.isfile(os.path.join(self._place, self._marker or ".")):
            raise CannotWrite(self.path, self._otherwise, writing.ELSEWHERE)

    def _publish(self) -> None:
        """Give the part its name. A folder cannot be renamed over a full one, so that steps aside first, as a part."""
        aside = os.path.join(os.path.dirname(self._place), writing.part_name(os.path.basename(self._place)))
        try:
            os.rename(self._part, self._place)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            self._swap(aside)
        self._part = ""

    def _swap(self, aside: str) -> None:
        old = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            writing.hold(old, self._place)
            os.rename(self._place, aside)
            try:
                os.rename(self._part, self._place)
            except OSError:
                os.rename(aside, self._place)
                raise
            writing.remove(aside)
        finally:
            os.close(old)
