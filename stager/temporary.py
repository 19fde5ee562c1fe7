"""Temporary folders and files: made where the machine keeps such (`TMPDIR`), told as CannotWrite when that cannot be done."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from .errors import CannotWrite

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@contextmanager
def folder(prefix: str) -> Iterator[str]:
    """A new folder for this user alone, removed at the end. Raises CannotWrite, also when the room in it runs out."""
    made = new_folder(prefix)
    try:
        yield made
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise CannotWrite(_named(error, made), error.strerror or "") from error
        raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


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


def new_folder(prefix: str) -> str:
    """A new folder for this user alone, which the caller removes. Raises CannotWrite."""
    place = above()
    try:
        return os.path.realpath(tempfile.mkdtemp(prefix=prefix, dir=place))
    except OSError as error:
        raise CannotWrite(place, error.strerror or str(error)) from None


def above() -> str:
    """The folder that temporary folders are made in. Raises CannotWrite when no folder can be written to."""
    try:
        return tempfile.gettempdir()
    except OSError as error:
        raise CannotWrite("TMPDIR", error.strerror or str(error)) from None


def _named(error: OSError, otherwise: str) -> str:
    return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else otherwise
