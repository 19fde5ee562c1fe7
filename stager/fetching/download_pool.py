"""The threads that fetch: who takes which artifact, what is told, and how everybody stops."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..ecosystems import repository
from ..errors import BadLock, Cancelled, FetchError
from ..model import Event
from ..net.errors import Gone, NotFound
from ..net.patience import Patience, Tries, host_of
from ..net.session import Session
from ..store.disk import forget
from ..store.errors import DigestMismatch
from ..store.stored import resolve
from .downloading import Download, worst
from .locating import gone, locate

if TYPE_CHECKING:
    from ..model import Artifact, Progress
    from ..net.indexes import Indexes
    from ..store import Store
    from .repositories import Clone
    from .web import Web

_FAREWELL = 0.3
"""Seconds in which threads that are told to stop usually do; those that hang in the system are left behind."""


class Crew:
    """One call of `fetch`."""

    def __init__(
        self,
        missing: Sequence[Artifact],
        store: Store,
        indexes: Indexes,
        jobs: int,
        hints: Mapping[str, str],
        progress: Progress | None,
        cancel: threading.Event | None,
        ready: Callable[[Artifact, str], None] | None,
        patience: Patience | None,
    ) -> None:
        self._store = store
        self._indexes = indexes
        self._hints = hints
        self._progress = progress
        self._cancel = cancel
        self._ready = ready
        self._patience = patience or Patience()
        self._todo = deque(_groups(missing))
        self._total = len(self._todo)
        self._jobs = max(1, min(jobs, self._total))
        self._stop = threading.Event()
        self._session = Session(indexes, self._patience, stopping=self._stopping, jobs=self._jobs)
        self._results: queue.SimpleQueue[tuple[str, str] | BaseException] = queue.SimpleQueue()
        self._active: dict[int, Download | Clone] = {}
        self._web: Web | None = None
        self._mutex = threading.Lock()

    def work(self) -> dict[str, str]:
        """Fetch everything; the first failure stops the rest. Raises as `fetching.fetch`."""
        # Daemons, because a thread that hangs in a name lookup must not hold up the end of the process.
        threads = [threading.Thread(target=self._thread, daemon=True, name="fetch") for _ in range(self._jobs)]
        self._tell("", 0, self._total)
        for thread in threads:
            thread.start()
        try:
            return self._collect()
        finally:
            self._dismiss(threads)

    def _collect(self) -> dict[str, str]:
        done: dict[str, str] = {}
        while len(done) < self._total:
            if self._stopping():
                raise Cancelled
            try:
                result = self._results.get(timeout=0.05)
            except queue.Empty:
                continue
            if isinstance(result, BaseException):
                raise result
            done[result[0]] = result[1]
            self._tell("", len(done), self._total)
        return done

    def _dismiss(self, threads: Sequence[threading.Thread]) -> None:
        self._stop.set()
        until = time.monotonic() + _FAREWELL
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        for download in list(self._active.values()):
            if download.temporary:
                forget(download.temporary)
        self._session.close()

    def _stopping(self) -> bool:
        return self._stop.is_set() or (self._cancel is not None and self._cancel.is_set())

    def _tell(self, what: str, done: int, total: int, source: str = "") -> None:
        if self._progress:
            self._progress(Event("fetch", what, done, total, source))

    # --- in the threads --------------------------------------------------------------------------------------

    def _thread(self) -> None:
        try:
            while not self._stopping():
                try:
                    group = self._todo.popleft()
                except IndexError:
                    return
                name = self._obtain(group)
                for artifact in group:
                    if self._ready and not self._stopping():
                        self._ready(artifact, name)
                self._results.put((str(group[0].digest), name))
        except BaseException as error:
            self._results.put(error)

    def _obtain(self, group: Sequence[Artifact]) -> str:
        """One download per artifact on this machine: whoever comes second finds it done."""
        digest = group[0].digest
        with self._store.exclusive(f"artifact {digest}", self._stopping):
            found = resolve(self._store, group[:1])
            return found.get(digest) or self._from_anywhere(group)

    def _from_anywhere(self, group: Sequence[Artifact]) -> str:
        problems: list[FetchError | DigestMismatch] = []
        tries = Tries(self._patience, self._stopping)
        for artifact in group:
            urls = locate(artifact, self._indexes, self._pages, self._hints)
            while True:
                try:
                    url = next(urls, "")
                    if not url or not tries.left:
                        break
                    return self._from_one(artifact, url, tries)
                except (FetchError, DigestMismatch) as problem:
                    problems.append(problem)
        first = group[0]
        if not problems or all(isinstance(problem, NotFound) for problem in problems):
            raise Gone(first.name, gone(first))
        raise worst(problems)

    def _from_one(self, artifact: Artifact, url: str, tries: Tries) -> str:
        tell = partial(self._tell_bytes, artifact)
        download = _way(url)(artifact, self._store, self._indexes, self._session, tries, self._stopping, tell)
        me = threading.get_ident()
        self._active[me] = download
        try:
            name = download.from_(url)
        finally:
            self._active.pop(me, None)
        size = download.received
        self._tell(artifact.name, size, size, host_of(url))
        return name

    def _tell_bytes(self, artifact: Artifact, done: int) -> None:
        self._tell(artifact.name, done, artifact.size or 0)

    def _pages(self) -> Web:
        """The index pages, made when the first one is needed, since HTTP comes with them."""
        with self._mutex:
            if self._web is None:
                from .web import Web

                self._web = Web(self._indexes, self._store, patience=self._patience, stopping=self._stopping)
        return self._web


def _way(url: str) -> type[Download | Clone]:
    """How a URL is fetched."""
    if not repository.is_from(url):
        return Download
    from .repositories import Clone  # here, since few apps have one

    return Clone


def _groups(missing: Sequence[Artifact]) -> list[list[Artifact]]:
    """Artifacts by digest, the biggest first so that none of them is waited for alone in the end."""
    groups: dict[str, list[Artifact]] = {}
    for artifact in missing:
        groups.setdefault(artifact.digest, []).append(artifact)
    return sorted(
        (_sized(group) for group in groups.values()), key=lambda group: (-(group[0].size or 0), group[0].digest)
    )


def _sized(group: list[Artifact]) -> list[Artifact]:
    """Those that state a size first. Raises BadLock when they state different ones."""
    if len({artifact.size for artifact in group if artifact.size is not None}) > 1:
        raise BadLock("stager.lock", f"{group[0].name} is listed with two different sizes")
    return sorted(group, key=lambda artifact: artifact.size is None)
