"""What stager's store asks of the file system: whole writes, syncs in order, and folders nobody else can write to.

On the warm path; imports nothing heavy.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time

from ..errors import CannotWrite
from .errors import CannotRead, StoreUnsafe

CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""How an unfinished file is opened: it is new and ours, whatever lies at its path."""
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""How a file is opened that may be anything: not through a link, and a FIFO must not hold us up."""
DAMAGE = frozenset({
    errno.EACCES, errno.EPERM, errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV, errno.EISDIR, errno.EIO,
    getattr(errno, "EUCLEAN", errno.EIO), getattr(errno, "EBADMSG", errno.EIO), getattr(errno, "ESTALE", errno.EIO),
})  # fmt: skip
"""How the system says that it is this one file that cannot be opened or read, not that it lacks something itself."""
READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""How the system says that nothing may be written here."""
DAY = 86400.0


def hash_of(descriptor: int, algorithm: str = "sha256") -> str:
    """The hash of an open file from its start, read 1 MiB at a time. OSError when it cannot be read."""
    state, offset = hashlib.new(algorithm, usedforsecurity=False), 0
    while chunk := os.pread(descriptor, 1 << 20, offset):
        state.update(chunk)
        offset += len(chunk)
    return state.hexdigest()


def boot_id() -> str:
    """What this machine calls the time since it was started, so that leftovers of earlier boots can be told apart."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip().replace("-", "")
    except OSError:
        return "unknown"


def why(error: OSError) -> str:
    """What the system says is wrong, without the path."""
    return error.strerror or type(error).__name__


def unwritable(place: str, error: OSError) -> CannotWrite:
    """What the system's refusal to write into a store means for people."""
    hint = (
        "The store is read-only and lacks what this needs: make it writable, or choose another with STAGER_CACHE_DIR."
    )
    return CannotWrite(place, why(error), hint if error.errno in READ_ONLY else "")


def touch(place: str | int, found: os.stat_result) -> None:
    """Mark as used, at most once a day: `gc` removes what was not, and a warm restage should write nothing."""
    if time.time() - found.st_mtime > DAY:
        try:
            os.utime(place)
        except OSError:
            return


def read(descriptor: int) -> bytes:
    """All of an open file, in one piece of memory. OSError when it cannot be read, or is a folder."""
    chunks, size = [], os.fstat(descriptor).st_size + 1
    while chunk := os.read(descriptor, size):
        chunks.append(chunk)
        size = 1 << 20
    return b"".join(chunks)


def write(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of it, however short the single writes are."""
    done = os.write(descriptor, data)
    while done < len(data):
        done += os.write(descriptor, memoryview(data)[done:])


def forget(path: str) -> None:
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except OSError:
        return


def sync(descriptor: int) -> None:
    """Return when a file's bytes have reached the medium."""
    import fcntl

    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync alone leaves the bytes in the drive's own cache
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_folder(path: str) -> None:
    """Return when a folder's entries have reached the medium."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_parents(path: str) -> None:
    """Sync the folders above one, as far as they are ours to open and on the same file system."""
    device = os.stat(path).st_dev
    parent = os.path.dirname(os.path.realpath(path))
    while os.stat(parent).st_dev == device:
        try:
            sync_folder(parent)
        except OSError:
            return
        if parent == "/":
            return
        parent = os.path.dirname(parent)


def mkdir(path: str) -> None:
    """Make a folder for this user alone, unless there is one."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return


def inspect(path: str) -> None:
    """Refuse a folder that is a link, no folder, somebody else's, or open to others for writing."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise CannotRead(path, why(error)) from None
    if not stat.S_ISDIR(found.st_mode):
        raise StoreUnsafe(path, "is a symbolic link" if stat.S_ISLNK(found.st_mode) else "is not a folder")
    if found.st_uid not in (0, os.geteuid()):
        raise StoreUnsafe(path, f"belongs to user {found.st_uid}")
    if found.st_mode & 0o022:
        raise StoreUnsafe(path, "may be written by other users")
