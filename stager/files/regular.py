"""Opening a file that somebody else named: only a regular one is opened, and no more is read than it may hold.

A FIFO in a file's place would be waited for, for ever; a device may act when it is opened, or never end. So the kind is
looked at first, then the file is opened without waiting and without following a link put there in between, and its
kind is looked at again. Errors are `OSError`s whose `strerror` is a phrase for people, so that whoever knows
what the file is for says it in an error of its own. On the warm path.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import FileIO

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
"""Flags for opening a folder."""
_HANDED = ("/dev/fd/", "/proc/self/fd/")
"""Where a shell names what it handed over (`<(command)`); who types that wants it waited for. `/dev/null` is an empty file."""
_CHUNK = 1 << 16
_KINDS = {
    stat.S_IFIFO: "it is a FIFO",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
    stat.S_IFLNK: "it is a symbolic link",
}


def descriptor(path: str, *, follow: bool = True) -> int:
    """An open descriptor of the regular file `path`. Raises OSError for what is none, or not there.

    `follow` is for a file that the user names, which may be a symbolic link; a file of an app's folder may not.
    """
    try:
        _check(os.stat(path, follow_symlinks=follow), path)
        fd = os.open(path, _FLAGS if follow else _FLAGS | os.O_NOFOLLOW)
    except ValueError as error:  # a NUL, or a lone surrogate
        raise OSError(errno.EINVAL, str(error)) from None
    try:
        _check(os.fstat(fd), path)
    except OSError:
        os.close(fd)
        raise
    return fd


def opened(path: str, *, follow: bool = True) -> FileIO:
    """The regular file `path`, unbuffered, to be closed by the caller. Raises OSError."""
    return os.fdopen(descriptor(path, follow=follow), "rb", buffering=0)


def read(path: str, limit: int, *, follow: bool = True) -> bytes:
    """The bytes of the regular file `path`, or of what the user's shell handed over.

    Raises OSError, also for more than `limit` bytes.
    """
    handed = follow and (path == "/dev/stdin" or path.startswith(_HANDED) or os.path.realpath(path) == os.devnull)
    with open(path, "rb") if handed else opened(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size + 1  # a read sets aside as much memory as it is asked for
        parts, left = [], limit + 1
        while left and (part := file.read(min(left, max(size, _CHUNK)))):
            parts.append(part)
            left -= len(part)
    if not left:
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes", path)
    return b"".join(parts)


def _check(found: os.stat_result, path: str) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
    raise OSError(errno.EINVAL, f"{_KINDS.get(stat.S_IFMT(found.st_mode), 'it is special')}, not a regular file", path)
