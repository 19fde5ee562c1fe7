"""Proving a blob when it is used: by its name, or by the digest that something else pins it by."""

from __future__ import annotations

import hashlib
import os

from . import disk
from .errors import StoreCorrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from . import Store

_BUFFER = 1 << 20


class Proof:
    """A `with` block that gives a descriptor of a blob whose bytes were hashed just now.

    What is read through the descriptor are the bytes that were hashed: a file that is given the blob's name meanwhile
    is another one, and bytes that are changed in place are noticed when the block ends. Whatever went wrong inside the
    block is then blamed on them. `pin` is the digest that the bytes must have; whoever gives one decides what becomes of
    a blob with others. Without, it is the blob's own name, and a damaged one is set aside, so that it is made again.
    Raises StoreCorrupt, also for a blob that is missing, and CannotRead.
    """

    __slots__ = ("_descriptor", "_hex", "_pin", "_stamp", "_store")

    def __init__(self, store: Store, hex: str, pin: str = "") -> None:  # noqa: A002
        self._store = store
        self._hex = hex
        self._pin = pin
        self._descriptor = -1
        self._stamp = (0, 0, 0)

    def __enter__(self) -> int:
        self._descriptor = self._store.open(self._hex)
        try:
            self._stamp = self._changing()
            why = self._fault()
        except BaseException:
            os.close(self._descriptor)
            raise
        if why:
            os.close(self._descriptor)
            if not self._pin:
                self._store.set_aside(self._hex)
            raise StoreCorrupt(f"sha256:{self._hex}", why)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        try:
            # The stamp of an untouched blob also moves when it is marked as used or set aside: the bytes decide.
            changed = self._changing() != self._stamp and self._fault()
        finally:
            os.close(self._descriptor)
        if changed:
            raise StoreCorrupt(f"sha256:{self._hex}", "changed while it was read") from None

    def _changing(self) -> tuple[int, int, int]:
        found = os.fstat(self._descriptor)
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _fault(self) -> str:
        """What is wrong with the bytes; empty when nothing is."""
        algorithm, _, wanted = (self._pin or f"sha256:{self._hex}").partition(":")
        try:
            if disk.hash_of(self._descriptor, algorithm) == wanted:
                return ""
            own = algorithm == "sha256" or disk.hash_of(self._descriptor) != self._hex
        except OSError as error:
            return f"cannot be read: {disk.why(error)}"
        return "its bytes do not match its name" if own else f"is not the file that is pinned as {self._pin}"


def parts(store: Store, hex: str) -> Iterator[bytes]:  # noqa: A002
    """A blob's bytes in parts, hashed while they are read.

    Raises StoreCorrupt, for wrong bytes behind the last part; the blob has been set aside then, so that it is made again.
    """
    state, descriptor = hashlib.sha256(), store.open(hex)
    try:
        while part := _read(descriptor, hex):
            state.update(part)
            yield part
    finally:
        os.close(descriptor)
    if state.hexdigest() != hex:
        store.set_aside(hex)
        raise StoreCorrupt(f"sha256:{hex}")


def _read(descriptor: int, hex: str) -> bytes:  # noqa: A002
    try:
        return os.read(descriptor, _BUFFER)
    except OSError as error:
        raise StoreCorrupt(f"sha256:{hex}", f"cannot be read: {disk.why(error)}") from None
