"""What building a root needs beside its definition and lock, and files that cannot be left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import CannotWrite
from ..model import Event
from ..store.disk import CREATE, forget, why

if TYPE_CHECKING:
    from ..model import Progress
    from ..net.indexes import Indexes
    from ..store import Store


@dataclass(frozen=True, slots=True)
class Making:
    """The store, where to fetch packages from, who is told, and who may stop it."""

    store: Store
    indexes: Indexes
    offline: bool = False
    jobs: int = 8
    progress: Progress | None = None
    cancel: threading.Event | None = None

    def tell(self, what: str, done: int, total: int) -> None:
        """Report progress."""
        if self.progress:
            self.progress(Event("assemble", what, done, total))


@contextmanager
def temporary(store: Store) -> Iterator[int]:
    """A file of the store's file system that has no name: it is gone with its descriptor. Raises CannotWrite."""
    path = store.temp()
    try:
        fd = os.open(path, CREATE, 0o600)
    except OSError as error:
        raise CannotWrite(store.root, why(error)) from None
    forget(path)
    try:
        yield fd
    finally:
        os.close(fd)
