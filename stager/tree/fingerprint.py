"""Files of a source tree: what is known of each, and hashing one that holds still. On the warm path."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from ..errors import Cancelled, ChangedWhileRead, StagerError, Unreadable
from ..files.writing import never
from .errors import AppTooLarge, UnsafePath
from .heads import FILE_FLAGS, likely

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST = len("sha256:") + 64
"""The length of a digest as text."""
TRIES = 3
LARGEST_FILE, LARGEST_TREE = 2 << 30, 4 << 30
"""Bytes of one file, and of all files together. Checked against the stated size, so that a sparse file costs nothing."""
_CHUNK = 1 << 20
_OWNER_MAY_RUN = 0o100
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO)


class File:
    """A regular file: whether its owner may execute it, its size in bytes, and the digest of its bytes."""

    __slots__ = ("_text", "executable", "size")

    def __init__(self, executable: bool, size: int, digest: str) -> None:
        """`digest` may be any text that ends with it, such as a record (see `walk`), which then is not held twice."""
        self.executable = executable
        self.size = size
        self._text = digest

    @property
    def digest(self) -> str:
        """`sha256:` and the hexadecimal digest of the file's bytes."""
        return self._text[-DIGEST:]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"File(executable={self.executable}, size={self.size}, digest={self.digest!r})"

    def _key(self) -> tuple[bool, int, str]:
        return self.executable, self.size, self.digest


def file_of(status: os.stat_result, digest: str) -> File:
    """The `File` of a status and a digest."""
    return File(status.st_mode & _OWNER_MAY_RUN != 0, status.st_size, digest)


def encoded(path: str) -> bytes:
    """A path as the operating system has it, whatever the locale; surrogates stand for other bytes (PEP 383)."""
    return path.encode("utf-8", "surrogateescape")


def stamp(status: os.stat_result) -> str:
    """What must be equal for a file to be taken as unchanged: inode, size, and both times in nanoseconds."""
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} "


def digest_in(record: str) -> str:
    """The digest in an ignore file's record (see `walk`), or an empty string when it is none."""
    return record[-DIGEST:] if record.startswith(("f+", "fi")) else ""


def failure(path: str, error: OSError) -> StagerError:
    """What an operating system's refusal to show `path` means for the app's author."""
    if error.errno in _GONE:
        return ChangedWhileRead(path)
    if error.errno == errno.ENAMETOOLONG:
        return UnsafePath(path, "its path is too long for this machine")
    return Unreadable(path, error.strerror or str(error))


def fingerprint(
    folder: int,
    name: bytes,
    path: str,
    keep: int = 0,
    stop: Callable[[], bool] = never,
    count: Callable[[str, int], None] | None = None,
) -> tuple[os.stat_result, str, bytes]:
    """The status, the digest and the first `keep` bytes of the file `name` in the open folder `folder`.

    With `count`, what stager wrote is told apart: such a file is not read through, so that it may be replaced meanwhile; the
    digest is empty, and in place of the bytes there is the reason. Any other file's path and size are given to `count`
    before it is read through. Raises ChangedWhileRead when the file does not hold still in `TRIES` attempts or is no
    regular file any more; AppTooLarge before it is read through; Unreadable; Cancelled when `stop` says so.
    """
    if stop():
        raise Cancelled
    try:
        for tried in range(TRIES):
            fd = os.open(name, FILE_FLAGS, dir_fd=folder)
            try:
                before = os.fstat(fd)
                if not stat.S_ISREG(before.st_mode):
                    break
                first = os.read(fd, min(before.st_size, _CHUNK) + 1)
                if count and likely(first) and (reason := _output(first, path)):
                    return before, "", reason.encode()
                if before.st_size > LARGEST_FILE:
                    raise AppTooLarge(path, before.st_size, LARGEST_FILE)
                if count and not tried:
                    count(path, before.st_size)
                size, digest, head = _hash(fd, before.st_size, keep, first, stop)
                after = os.fstat(fd)
            finally:
                os.close(fd)
            if size == before.st_size == after.st_size and _times(before) == _times(after):
                return before, digest, head
    except OSError as error:
        raise failure(path, error) from None
    raise ChangedWhileRead(path)


def same_folder(fd: int, root: int, path: str) -> bool:
    """Whether an open folder is still the one at that path below the open folder `root`, and was not replaced meanwhile."""
    try:
        found = os.stat(encoded(path) or b".", dir_fd=root, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(fd))


def _times(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_ctime_ns


def _hash(fd: int, size: int, keep: int, data: bytes, stop: Callable[[], bool]) -> tuple[int, str, bytes]:
    """The number of bytes read (more than `size` only when the file grew), their digest, and the first of them.

    `data` are those that have been read already.
    """
    head, total = data[:keep], len(data)
    state = hashlib.sha256(data)
    while data and total <= size and size > _CHUNK:
        if stop():
            raise Cancelled
        data = os.read(fd, _CHUNK)
        head += data[: keep - len(head)] if len(head) < keep else b""
        total += len(data)
        state.update(data)
    return total, "sha256:" + state.hexdigest(), head


# --- what stager writes ----------------------------------------------------------------------------------------


def _output(head: bytes, path: str) -> str:
    from .outputs import output

    try:
        return output(head)
    except ImportError as error:  # to guess would be to answer otherwise than other machines do
        why = f"whether stager wrote it cannot be told without Python's module {error.name}"
        raise Unreadable(path, why, "Use a Python that has it.") from None


def unfinished(name: str) -> bool:
    """Whether this is the name of a file or folder that stager was still writing: `….<12 hex digits>.part`."""
    rest, _, last = name.removesuffix(".old").rpartition(".")
    stem, _, random = rest.rpartition(".")
    return last == "part" and len(random) == 12 and not random.strip("0123456789abcdef") and bool(stem)
