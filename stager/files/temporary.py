"""Temporary folders and files: made where the machine keeps such (`TMPDIR`), told as CannotWrite when that cannot be done.

A folder `stager-<purpose>-<16 hex digits>` goes with its owner: at the end of the block, or, when that was killed, with
the next owner of one. It is locked (flock(2)) as long as its owner lives, and only folders of exactly such a name, of this
user, that nobody holds are ever removed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from ..errors import CannotWrite
from . import writing

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
_NAME = re.compile(r"stager-[a-z]+-[0-9a-f]{16}")
_PATIENCE = 1.0
"""Seconds that the end of a block waits for what others left to be removed; what is left then is the next one's."""


@contextmanager
def folder(purpose: str, place: str = "") -> Iterator[str]:
    """A new folder for this user alone, below `place` if given, removed at the end.

    Raises CannotWrite, also when the room in it runs out.
    """
    place = place or above()
    made, lock = _made(purpose, place)
    try:
        yield made
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise CannotWrite(_named(error, made), error.strerror or "") from error
        raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)
        tidy(place).join(_PATIENCE)


def _made(purpose: str, place: str) -> tuple[str, int]:
    while True:
        try:
            made = os.path.join(os.path.realpath(place), f"stager-{purpose}-{os.urandom(8).hex()}")
            os.mkdir(made, 0o700)
            lock = writing.hold_folder(made)
        except OSError as error:
            raise CannotWrite(place, error.strerror or str(error)) from None
        if lock >= 0:
            return made, lock


def tidy(place: str = "") -> threading.Thread:
    """Begin to remove the folders of owners that were killed, in a thread that holds nobody up."""
    thread = threading.Thread(target=_tidy, args=(place or above(),), daemon=True)
    thread.start()
    return thread


def _tidy(place: str) -> None:
    try:
        names = os.listdir(place)
    except OSError:
        return
    for name in names:
        if _NAME.fullmatch(name):
            writing.remove_left(os.path.join(place, name))


@contextmanager
def file(place: str | None = None) -> Iterator[IO[bytes]]:
    """A new file without a name, below `place` if given. Raises CannotWrite, also when the room for it runs out."""
    try:
        made = tempfile.TemporaryFile(dir=place)  # noqa: SIM115 - closed below
    except OSError as error:
        raise CannotWrite(place or above(), error.strerror or str(error)) from None
    with made:
        try:
            yield made
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise CannotWrite(_named(error, place or above()), error.strerror or "") from error
            raise


def above() -> str:
    """The folder that temporary folders are made in. Raises CannotWrite when no folder can be written to."""
    try:
        return tempfile.gettempdir()
    except OSError as error:
        raise CannotWrite("TMPDIR", error.strerror or str(error)) from None


def _named(error: OSError, otherwise: str) -> str:
    return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else otherwise
