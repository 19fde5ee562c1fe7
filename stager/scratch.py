"""Temporary folders that go with their owner: at the end of the block, or, when that was killed, with the next that looks.

A folder `stager-<purpose>-<16 hex digits>` below the system's place for such things is locked (flock(2)) as long as its
owner lives. Only folders of exactly such a name, of this user, that nobody holds are ever removed.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from . import temporary, writing
from .errors import CannotWrite

_NAME = re.compile(r"stager-[a-z]+-[0-9a-f]{16}")
_PATIENCE = 1.0
"""Seconds that the end of a block waits for what others left to be removed; what is left then is the next one's."""


@contextmanager
def scratch(purpose: str, above: str = "") -> Iterator[str]:
    """A new folder below `above` (or where the system wants such), removed at the block's end. Raises CannotWrite."""
    above = above or temporary.above()
    folder, lock = _made(purpose, above)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        tidy(above).join(_PATIENCE)


def _made(purpose: str, above: str) -> tuple[str, int]:
    while True:
        try:
            folder = os.path.join(above, f"stager-{purpose}-{os.urandom(8).hex()}")
            os.mkdir(folder, 0o700)
            lock = writing.hold_folder(folder)
        except OSError as error:
            raise CannotWrite(above, error.strerror or str(error)) from None
        if lock >= 0:
            return folder, lock


def tidy(above: str = "") -> threading.Thread:
    """Begin to remove the folders of owners that were killed, in a thread that holds nobody up."""
    thread = threading.Thread(target=_tidy, args=(above or temporary.above(),), daemon=True)
    thread.start()
    return thread


def _tidy(above: str) -> None:
    try:
        names = os.listdir(above)
    except OSError:
        return
    for name in names:
        if _NAME.fullmatch(name):
            writing.remove_left(os.path.join(above, name))
