"""Who may use a store, and who may clean it: shared leases, one lock for cleaning, and exclusive names.

`flock` on files of the store, so the kernel gives back what a killed process held. A lease costs two locks: the
turnstile (`gc.turn`), which somebody who waits to clean holds, so that newcomers queue behind it, and the lock proper.
On the warm path; imports nothing heavy.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from _thread import allocate_lock

from ..errors import Cancelled, CannotWrite
from .disk import READ_ONLY, unwritable, why
from .errors import StoreBusy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LEASE_WAIT = 60.0
"""Seconds a staging waits for a running `cache gc` before it gives up."""
GC_WAIT = 20.0
"""Seconds `cache gc` waits for running stagings; shorter than LEASE_WAIT, so that neither can wait for ever."""


class Lease:
    """One process's share in not being cleaned, counted: `with lease:` may be nested and used by many threads."""

    __slots__ = ("_count", "_descriptor", "_mutex", "_root")

    def __init__(self, root: str) -> None:
        self._root = root
        self._mutex = allocate_lock()
        self._count = 0
        self._descriptor = -1

    @property
    def held(self) -> bool:
        """Whether this process holds the lease through this object."""
        return self._count > 0

    def __enter__(self) -> None:
        with self._mutex:
            if not self._count:
                self._descriptor = self._shared()
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._mutex:
            self._count -= 1
            if not self._count and self._descriptor >= 0:
                # Closing, not LOCK_UN: a forked child shares the lock and must not take it from its parent.
                os.close(self._descriptor)
                self._descriptor = -1

    def _shared(self) -> int:
        turn = lock_file(self._root, "gc.turn", shared=True)
        if turn < 0:
            return -1
        try:
            return self._behind_the_turnstile(turn)
        finally:
            os.close(turn)

    def _behind_the_turnstile(self, turn: int) -> int:
        import fcntl

        reason = "the store is being cleaned by another stager"
        wait_for(turn, fcntl.LOCK_SH, LEASE_WAIT, self._root, reason)
        lock = lock_file(self._root, "gc.lock", shared=True)
        if lock < 0:
            return -1
        try:
            wait_for(lock, fcntl.LOCK_SH, LEASE_WAIT, self._root, reason)
        except BaseException:
            os.close(lock)
            raise
        return lock


class Exclusive:
    """A `with` block for one thread of one process at a time, per name.

    On Linux a name is one byte, found by its hash, of a single lock file: open file description locks (fcntl(2)) need
    no file of their own, which is what makes locking hundreds of small artifacts cheap. Elsewhere each name has a file
    in the folder `locks`, until the next `gc`; no holder can meet that, because every holder also holds the lease.
    """

    __slots__ = ("_cancel", "_descriptor", "_lease", "_name", "_root")

    def __init__(self, root: str, name: str, lease: Lease, cancel: Callable[[], bool] | None) -> None:
        self._root = root
        self._name = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        self._lease = lease
        self._cancel = cancel
        self._descriptor = -1

    def __enter__(self) -> None:
        import fcntl

        self._lease.__enter__()
        try:
            single = hasattr(fcntl, "F_OFD_SETLK") and hasattr(fcntl, "F_SETPIPE_SZ")  # the latter: Linux alone
            self._descriptor = lock_file(self._root, "locks/names" if single else f"locks/{self._name}")
            if self._descriptor < 0:
                raise CannotWrite(self._root, os.strerror(errno.EROFS))
            self._wait(self._byte if single else self._file)
        except BaseException:
            self.__exit__()
            raise

    def _wait(self, take: Callable[[], object]) -> None:
        pause = 0.001
        while True:
            try:
                take()
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise CannotWrite(self._root, f"files cannot be locked here: {why(error)}") from None
            else:
                return
            if self._cancel is not None and self._cancel():
                raise Cancelled
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _byte(self) -> None:
        import fcntl
        import struct

        start = int(self._name[:15], 16)  # 60 bits: two names in use at once do not share a byte by chance
        # struct flock of Linux: type, whence, start, length, process (0 for locks of this kind)
        fcntl.fcntl(
            self._descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
        )

    def _file(self) -> None:
        import fcntl

        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __exit__(self, *_: object) -> None:
        try:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
        finally:
            self._lease.__exit__()


def lock_file(root: str, name: str, *, shared: bool = False) -> int:
    """Open a lock file; -1 when the store is on a read-only file system, where this user cannot clean either.

    A `shared` lock needs no writing, so that a store that may only be read is held as any other; where the file is missing
    then, nobody has ever cleaned, and -1 is the answer, too.
    """
    path = f"{root}/v1/{name}"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in READ_ONLY and shared:
            return _for_reading(path)
        if error.errno == errno.EROFS:
            return -1
        raise unwritable(path, error) from None


def _for_reading(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise unwritable(path, error) from None


def wait_for(descriptor: int, mode: int, seconds: float, root: str, reason: str) -> None:
    """Take a `flock` within so many seconds. Raises StoreBusy, and CannotWrite where files cannot be locked."""
    import fcntl

    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise CannotWrite(root, f"files cannot be locked here: {why(error)}") from None
        if time.monotonic() >= deadline:
            raise StoreBusy(root, reason)
        time.sleep(0.02)
