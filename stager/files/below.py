"""Files below a folder that others have filled: no link on the way is followed, nor one at the end.

Whoever may write in a folder can put links there that lead anywhere. So every part of a path is opened by itself, from the
folder on (openat(2), O_NOFOLLOW). Paths are relative, in UTF-8 whatever the locale.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def encoded(path: str) -> bytes:
    """A path as the kernel takes it."""
    return path.encode("utf-8", "surrogateescape")


@contextmanager
def folder(root: str, path: str, *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder `path` below `root`; with `make`, what is missing of it is made.

    Raises OSError for what is missing, and for what is no folder, such as a link.
    """
    held = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for part in encoded(path).split(b"/") if path else ():
            made = make and _make(part, held)
            inner = open_folder(part, held)
            if made:
                os.fchmod(inner, 0o755)  # whatever the umask is
            os.close(held)
            held = inner
        yield held
    finally:
        os.close(held)


def _make(name: bytes, above: int) -> bool:
    """Make a folder; False when there is something of its name."""
    try:
        os.mkdir(name, 0o755, dir_fd=above)
    except FileExistsError:
        return False
    return True


def open_folder(name: bytes, above: int) -> int:
    """A descriptor of the folder `name` in the folder `above`. Raises OSError for a link and for what is no folder."""
    return os.open(name, _FOLDER, dir_fd=above)


def open_file(name: bytes, above: int) -> int:
    """A descriptor of the file `name` in the folder `above`, for reading. Raises OSError for a link."""
    return os.open(name, _FILE, dir_fd=above)


def reading(root: str, path: str) -> BinaryIO:
    """The open file `path` below `root`. Raises OSError for what is missing, a link, or below one."""
    above, _, name = path.rpartition("/")
    with folder(root, above) as fd:
        return os.fdopen(open_file(encoded(name), fd), "rb", buffering=0)


def writing(root: str, path: str, mode: int, *, instead: bool = False) -> BinaryIO:
    """A new file `path` below `root`, with this mode whatever the umask, and the folders above it; `instead` of what is there.

    Raises OSError for what is there, and for a link on the way.
    """
    above, _, name = path.rpartition("/")
    with folder(root, above, make=True) as fd:
        if instead:
            with suppress(FileNotFoundError):
                os.unlink(encoded(name), dir_fd=fd)
        made = os.open(
            encoded(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd
        )
        os.fchmod(made, mode)
        return os.fdopen(made, "wb")


def link(root: str, path: str, target: str) -> None:
    """A new link `path` below `root`, and the folders above it. Raises OSError as `writing` does."""
    above, _, name = path.rpartition("/")
    with folder(root, above, make=True) as fd:
        os.symlink(encoded(target), encoded(name), dir_fd=fd)
