"""Work on many items with a few threads, of which the first failure stops all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ....errors import StagerError

T = TypeVar("T")


class Stopped(StagerError):
    """Ends one piece of work because another has failed; the caller gets that one's error."""

    def __init__(self) -> None:
        super().__init__("stopped")


class Several(Generic[T]):
    """`work` done on every item, in their order, by at most `jobs` threads of which the caller's is one."""

    def __init__(self, items: Iterable[T], jobs: int, work: Callable[[T], None]) -> None:
        self._left = list(items)[::-1]
        self._work = work
        self._count = max(1, min(jobs, len(self._left)))
        self._mutex = threading.Lock()
        self._failed: list[BaseException] = []

    def run(self) -> None:
        """Do it. Raises the first failure, after all threads have ended; Ctrl-C at once, for its caller to stop them."""
        threads = [threading.Thread(target=self._take, daemon=True) for _ in range(self._count - 1)]
        for thread in threads:
            thread.start()
        self._take()
        if any(isinstance(error, KeyboardInterrupt) for error in self._failed):
            raise KeyboardInterrupt
        for thread in threads:
            thread.join()
        if self._failed:
            raise self._failed[0]

    def keep_going(self) -> None:
        """For the work to call now and then: raises Stopped once another item has failed."""
        if self._failed:
            raise Stopped

    def _take(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._work(item)
            except BaseException as error:  # handed to the caller's thread, whatever it is
                with self._mutex:
                    self._failed.append(error)

    def _next(self) -> T | None:
        with self._mutex:
            return None if self._failed or not self._left else self._left.pop()
