"""The content-addressed store: blobs named by their SHA-256, memos that may vanish, leases that hold off cleaning.

    <root>/v1/blobs/sha256/<hex>   immutable and read-only; `sha256sum` checks it
    <root>/v1/memo/<hex>.json      results that may be deleted at any time
    <root>/v1/tmp, trash, locks    unfinished, damaged, and one file per exclusive name

A blob is whole and true, or absent, for any number of processes, for SIGKILL at any instruction and for a full disk:
its bytes are written under a temporary name, synced, and only then given their name by one rename, whose folder is
synced before anybody hears of it. What is about to be used is never unlinked: writers and stagings hold a lease, and
cleaning waits for it. This module is on the warm path and imports nothing heavy; `upkeep` holds what is seldom needed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat

from ..errors import CannotWrite
from ..names import place_fault
from . import disk
from .disk import CREATE, READ, forget, unwritable, why
from .errors import CannotRead, DigestMismatch, StoreCorrupt
from .locks import GC_WAIT, Exclusive, Lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet
    from typing import Any, Self

    from ..model import Progress
    from .proof import Proof

_FOLDERS = ("v1", "v1/blobs", "v1/blobs/sha256", "v1/memo", "v1/tmp", "v1/trash", "v1/locks")


class Store:
    """The store at `root`, which is made on the first write. Safe to share between threads and processes."""

    __slots__ = ("_boot", "_checked", "_lease", "_made", "_rooted", "root")

    def __init__(self, root: str) -> None:
        if bad := place_fault(root):
            raise CannotRead(root, f"its path {bad}")
        self.root = root
        self._boot = ""
        self._checked = False
        self._made = False
        self._rooted = False
        self._lease = Lease(root)

    # --- blobs -----------------------------------------------------------------------------------------------

    def path(self, hex: str) -> str:  # noqa: A002
        """Where the blob with this SHA-256 is, or would be."""
        if len(hex) != 64 or hex.strip("0123456789abcdef"):
            raise ValueError(f"not a SHA-256: {hex!r}")
        return f"{self.root}/v1/blobs/sha256/{hex}"

    def has(self, hex: str) -> bool:  # noqa: A002
        """Whether the blob is there, marking it as used. Anything but a regular file is none: it will be replaced."""
        self._check()
        path = self.path(hex)
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise CannotRead(path, why(error)) from None
        if not stat.S_ISREG(found.st_mode):
            return False
        disk.touch(path, found)
        return True

    def open(self, hex: str) -> int:  # noqa: A002
        """A read-only descriptor of the blob, whose bytes are not looked at: see `prove` and `parts`.

        Raises StoreCorrupt when it is missing, no regular file or not to be opened, CannotRead when that is not its fault.
        """
        self._check()
        path = self.path(hex)
        try:
            descriptor = os.open(path, READ)
        except FileNotFoundError:
            raise StoreCorrupt(f"sha256:{hex}", "is missing") from None
        except OSError as error:
            if error.errno in disk.DAMAGE and os.path.lexists(path):
                fault = (
                    f"cannot be read: {why(error)}" if stat.S_ISREG(os.lstat(path).st_mode) else "is not a regular file"
                )
                raise StoreCorrupt(f"sha256:{hex}", fault) from None
            raise CannotRead(path, why(error)) from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise StoreCorrupt(f"sha256:{hex}", "is not a regular file")
        disk.touch(descriptor, found)
        return descriptor

    def names(self) -> list[str]:
        """The names of all blobs, in order."""
        self._check()
        try:
            found = os.listdir(f"{self.root}/v1/blobs/sha256")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CannotRead(self.root, why(error)) from None
        return sorted(name for name in found if len(name) == 64 and not name.strip("0123456789abcdef"))

    def prove(self, hex: str, pin: str = "") -> Proof:  # noqa: A002
        """A `with` block that gives a descriptor of the blob, hashed just now; see `proof.Proof`."""
        from .proof import Proof

        return Proof(self, hex, pin)

    def parts(self, hex: str) -> Iterator[bytes]:  # noqa: A002
        """The blob's bytes in parts, hashed while they are read; see `proof.parts`."""
        from .proof import parts

        return parts(self, hex)

    def writer(self, *, durable: bool = True, size: int | None = None) -> BlobWriter:
        """Begin a new blob; use it in a `with` block. `size` reserves that many bytes, so a full disk shows early.

        With `durable` false nothing is synced: right for pieces, which can be made again and are checked on every use.
        Raises CannotWrite.
        """
        return BlobWriter(self, durable, size)

    def put(self, data: bytes, *, durable: bool = True) -> str:
        """Store bytes and return their SHA-256. Raises CannotWrite."""
        with self.writer(durable=durable) as writer:
            writer.write(data)
            return writer.commit()

    def adopt(self, path: str, hex: str, *, durable: bool = True) -> None:  # noqa: A002
        """Give a finished file, made at a `temp` path, its name; `hex` was computed while it was written."""
        with self.lease():
            try:
                descriptor = os.open(path, READ)
            except OSError as error:
                raise CannotWrite(path, why(error)) from None
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise CannotWrite(path, "it is not a regular file")
                self._publish(descriptor, path, hex, durable)
            except OSError as error:
                raise unwritable(self.root, error) from None
            finally:
                os.close(descriptor)

    def temp(self, suffix: str = "") -> str:
        """A fresh path on the store's file system for something unfinished; hold a `lease` while it is in use."""
        self._make()
        if not self._boot:
            self._boot = disk.boot_id()
        return f"{self.root}/v1/tmp/{self._boot}-{os.getpid()}-{os.urandom(8).hex()}{suffix}"

    def _publish(self, descriptor: int, path: str, hex: str, durable: bool) -> None:  # noqa: A002
        """Rename a finished temporary file to its blob name, in the order that survives a power cut."""
        os.fchmod(descriptor, 0o444)
        if not durable:
            self._name(path, hex, replace=not self._intact(hex))
            return
        disk.sync(descriptor)
        self._root_folders()
        self._name(path, hex, replace=True)  # the new bytes are known to be right, so this also heals damage
        disk.sync_folder(f"{self.root}/v1/blobs/sha256")

    def _name(self, path: str, hex: str, *, replace: bool) -> None:  # noqa: A002
        final = self.path(hex)
        if not replace:
            os.unlink(path)
        elif os.path.lexists(final):
            with self.exclusive(f"blob {hex}"):  # see `set_aside`
                if os.path.isdir(final) and not os.path.islink(final):
                    self.discard(final)
                os.rename(path, final)
        else:
            os.rename(path, final)

    def _intact(self, hex: str) -> bool:  # noqa: A002
        """Whether the blob is there and true; a durable one must not be replaced by bytes that are not yet synced."""
        try:
            descriptor = os.open(self.path(hex), READ)
        except OSError:
            return False
        try:
            return stat.S_ISREG(os.fstat(descriptor).st_mode) and disk.hash_of(descriptor) == hex
        except OSError:  # a bad disk
            return False
        finally:
            os.close(descriptor)

    def set_aside(self, hex: str) -> None:  # noqa: A002
        """Take a damaged blob out of the way, so that it is fetched or made again; a whole one stays.

        Several stagings may find the same damage: the bytes are looked at once more, while nobody can give the name to
        others, so that what one of them has healed is not taken from it. Where nothing can be moved it stays.
        """
        try:
            with self.exclusive(f"blob {hex}"):
                if os.path.lexists(self.path(hex)) and not self._intact(hex):
                    self.discard(self.path(hex))
        except (OSError, CannotWrite):
            return

    def discard(self, path: str) -> None:
        """Move something damaged out of the way; those who have it open keep it. OSError when it cannot be moved."""
        target = f"{self.root}/v1/trash/{os.path.basename(path)}-{os.urandom(4).hex()}"
        try:
            os.rename(path, target)
        except PermissionError:
            if os.path.islink(path) or not os.path.isdir(path):
                raise
            os.chmod(path, 0o700)  # a folder must be writable to be moved
            os.rename(path, target)

    # --- memos -----------------------------------------------------------------------------------------------

    def recall(self, kind: str, key: str) -> Any | None:
        """What `remember` kept under this kind and key; None when there is nothing, or nothing whole."""
        self._check()
        try:
            descriptor = os.open(self._memo(kind, key), READ)
        except OSError:
            return None
        try:
            disk.touch(descriptor, os.fstat(descriptor))
            return _unseal(disk.read(descriptor), kind, key)
        except (OSError, ValueError, RecursionError):
            return None
        finally:
            os.close(descriptor)

    def remember(self, kind: str, key: str, value: Any) -> None:
        """Keep a JSON value until somebody deletes it. Disposable: when it cannot be written, only speed is lost."""
        try:
            path = self.temp()
        except CannotWrite:
            if self._read_only():
                return
            raise
        try:
            descriptor = os.open(path, CREATE, 0o600)
            try:
                _seal(descriptor, kind, key, value)
            finally:
                os.close(descriptor)
            final = self._memo(kind, key)
            try:
                os.rename(path, final)
            except IsADirectoryError:
                self.discard(final)
                os.rename(path, final)
        except OSError:
            forget(path)

    def _memo(self, kind: str, key: str) -> str:
        name = hashlib.sha256(f"{kind}\0{key}".encode("utf-8", "surrogatepass")).hexdigest()
        return f"{self.root}/v1/memo/{name}.json"

    # --- locks -----------------------------------------------------------------------------------------------

    def lease(self) -> Lease:
        """A `with` block during which `gc` and `verify` remove nothing. Raises StoreBusy when gc runs for too long.

        A store that may only be read is held as it is: what it lacks is told when it is needed.
        """
        try:
            self._make()
        except CannotWrite:
            if not self._read_only():
                raise
        return self._lease

    def exclusive(self, name: str, cancel: Callable[[], bool] | None = None) -> Exclusive:
        """A `with` block that one thread of one process at a time can be in, per name. Raises Cancelled."""
        return Exclusive(self.root, name, self.lease(), cancel)

    # --- folders ---------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Refuse, once per object, a store that somebody else could have prepared."""
        if self._checked:
            return
        for name in _FOLDERS:
            disk.inspect(f"{self.root}/{name}")
        self._checked = True

    def _make(self) -> None:
        if self._made:
            return
        self._check()  # before anything is made through somebody's link
        try:
            os.makedirs(self.root, 0o700, exist_ok=True)
            for name in _FOLDERS:
                disk.mkdir(f"{self.root}/{name}")
        except OSError as error:
            raise unwritable(self.root, error) from None
        self._made = True

    def _read_only(self) -> bool:
        """Whether there is a store that this process may not write into."""
        there = f"{self.root}/v1"
        return os.path.isdir(there) and not os.access(there, os.W_OK)

    def _root_folders(self) -> None:
        """Sync the folders above the blobs once per object: a blob must not be lost with its parent's entry."""
        if self._rooted:
            return
        for name in ("/v1/blobs", "/v1", ""):
            disk.sync_folder(self.root + name)
        disk.sync_parents(self.root)
        self._rooted = True

    # --- upkeep ----------------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """Counts and bytes of what is in the store; see `upkeep.info`."""
        from . import upkeep

        return upkeep.info(self)

    def verify(self, progress: Progress | None = None, subset: str | None = None) -> dict[str, Any]:
        """Read every blob and set aside what is damaged; see `upkeep.verify`."""
        from . import upkeep

        return upkeep.verify(self, progress, subset)

    def gc(
        self,
        max_bytes: int | None = None,
        keep: AbstractSet[str] = frozenset(),
        dry_run: bool = False,
        wait: float = GC_WAIT,
    ) -> dict[str, Any]:
        """Sweep leftovers and remove what was used least recently; see `upkeep.gc`."""
        from . import upkeep

        return upkeep.gc(self, max_bytes, keep, dry_run, wait)


class BlobWriter:
    """A blob in the making: hashed while it is written, and gone without a trace unless it is committed."""

    __slots__ = ("_descriptor", "_durable", "_hash", "_lease", "_reserved", "_store", "path", "size")

    def __init__(self, store: Store, durable: bool, size: int | None) -> None:
        self._store = store
        self._durable = durable
        self._reserved = 0
        self.size = 0
        """Bytes written so far."""
        self._hash = hashlib.sha256()
        self._lease = store.lease()
        self._lease.__enter__()
        try:
            self.path = store.temp()
            self._descriptor = os.open(self.path, CREATE, 0o600)
        except OSError as error:
            self._lease.__exit__()
            raise unwritable(store.root, error) from None
        except BaseException:
            self._lease.__exit__()
            raise
        if size:
            self._reserve(size)

    def _reserve(self, size: int) -> None:
        if not hasattr(os, "posix_fallocate"):
            return
        try:
            os.posix_fallocate(self._descriptor, 0, size)
            self._reserved = size
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                self.abort()
                raise CannotWrite(self._store.root, why(error)) from None

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes. Raises CannotWrite, after which the writer is of no more use."""
        try:
            disk.write(self._descriptor, data)
        except OSError as error:
            self.abort()
            raise CannotWrite(self._store.root, why(error)) from None
        self._hash.update(data)
        self.size += len(data)

    def restart(self) -> None:
        """Forget everything written so far."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        except OSError as error:
            self.abort()
            raise CannotWrite(self._store.root, why(error)) from None
        self._hash, self.size, self._reserved = hashlib.sha256(), 0, 0

    def hexdigest(self) -> str:
        """The SHA-256 of what has been written so far."""
        return self._hash.hexdigest()

    def commit(self, expect: str | None = None) -> str:
        """Give the blob its name and return it. Raises DigestMismatch when it is not `expect`, and CannotWrite."""
        found = self.hexdigest()
        if expect is not None and found != expect:
            self.abort()
            raise DigestMismatch("a blob", f"sha256:{expect}", f"sha256:{found}")
        try:
            if self._reserved > self.size:
                os.ftruncate(self._descriptor, self.size)
            self._store._publish(self._descriptor, self.path, found, self._durable)
        except OSError as error:
            self.abort()
            raise CannotWrite(self._store.root, why(error)) from None
        except BaseException:
            self.abort()
            raise
        self._close()
        return found

    def abort(self) -> None:
        """Remove what was written; harmless when it is done already."""
        if self._descriptor >= 0:
            forget(self.path)
            self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
        self._lease.__exit__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()


def _seal(descriptor: int, kind: str, key: str, value: Any) -> None:
    """Write a JSON array of the checksum and [kind, key, value], so that a torn or rotten memo shows itself."""
    state = hashlib.sha256()
    disk.write(descriptor, b'["' + bytes(64) + b'",\n')
    for part in _parts([kind, key, value]):
        state.update(part)
        disk.write(descriptor, part)
    disk.write(descriptor, b"]\n")
    os.pwrite(descriptor, state.hexdigest().encode(), 2)


_PART = 1 << 20
"""Characters of a memo that are encoded and written at once."""


def _parts(value: list[Any]) -> Iterator[bytes]:
    """The JSON text of [kind, key, value], large tables and lists in parts: a memo of 200,000 files has 40 MB."""
    held: list[str] = []
    size = 0
    for text in _texts(value, 4):
        held.append(text)
        size += len(text)
        if size > _PART:
            yield "".join(held).encode("utf-8", "surrogatepass")
            held, size = [], 0
    yield "".join(held).encode("utf-8", "surrogatepass")


def _texts(value: Any, depth: int) -> Iterator[str]:
    whole = not depth or not value or not isinstance(value, (dict, list))
    if whole or (isinstance(value, dict) and not all(isinstance(name, str) for name in value)):
        yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    elif isinstance(value, list):
        opening = "["
        for one in value:
            yield opening
            yield from _texts(one, depth - 1)
            opening = ","
        yield "]"
    else:
        opening = "{"
        for name, one in value.items():
            yield f"{opening}{json.dumps(name, ensure_ascii=False)}:"
            yield from _texts(one, depth - 1)
            opening = ","
        yield "}"


def _unseal(data: bytes, kind: str, key: str) -> Any:
    """What was sealed. A memo of 200,000 files has 40 MB: no copy of it is held longer than it is needed."""
    body = memoryview(data)[69:-2]
    if data[2:66] != hashlib.sha256(body).hexdigest().encode():
        return None
    text = str(body, "utf-8", "surrogatepass")  # a folder's name may be any bytes
    del data, body
    found_kind, found_key, value = json.loads(text)
    return value if (found_kind, found_key) == (kind, key) else None
