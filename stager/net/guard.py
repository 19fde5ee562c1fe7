"""Ends exchanges that take too long, or that nobody wants any more, by shutting their sockets down.

A time-out of a socket is about one arrival of bytes; a server that sends one now and then would hold a thread for ever.
The watching thread lives only while there is something to watch.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

_TICK = 0.1


@dataclass(slots=True)
class Watched:
    """An exchange under way: when it must be over, its connection once it has one, and why it was ended."""

    deadline: float
    slowest: int
    connection: Any = None
    ended: str = ""

    def moved(self, count: int) -> None:
        """Bytes went one way or the other; they give more time."""
        self.deadline += count / self.slowest


class Guard:
    """Watches the exchanges of one client. Safe to share between threads."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._mutex = threading.Lock()
        self._watched: list[Watched] = []
        self._here = threading.local()
        self._running = False

    @contextmanager
    def watch(self, seconds: float, slowest: int) -> Iterator[Watched]:
        """Give this thread's exchange that many seconds, and one more for each `slowest` bytes that move."""
        one, outer = Watched(time.monotonic() + seconds, slowest), getattr(self._here, "one", None)
        self._here.one = one
        with self._mutex:
            self._watched.append(one)
            start, self._running = not self._running, True
        if start:
            threading.Thread(target=self._run, daemon=True, name="stager-net-guard").start()
        try:
            yield one
        finally:
            self._here.one = outer
            with self._mutex:
                self._watched.remove(one)

    @property
    def here(self) -> Watched | None:
        """This thread's exchange."""
        return getattr(self._here, "one", None)

    def using(self, connection: Any) -> None:
        """Note the connection that this thread's exchange goes over."""
        one = self.here
        if one is not None:
            one.connection = connection

    def _run(self) -> None:
        while True:
            time.sleep(_TICK)
            now, stop = time.monotonic(), self._stopping()
            with self._mutex:
                if not self._watched:
                    self._running = False
                    return
                due = [one for one in self._watched if stop or now > one.deadline]
                for one in due:
                    one.ended = "stopped" if stop else "late"
                    _shut(one.connection)


def _shut(connection: Any) -> None:
    """End a connection so that its thread wakes; TLS is not said goodbye to, that could wait for the server.

    A connection has a handle of its socket from before it is connected: during a TLS handshake nothing else does.
    """
    for found in (getattr(connection, "handle", None), getattr(connection, "sock", None)):
        if found is not None:
            with suppress(OSError, ValueError):
                socket.socket.shutdown(found, socket.SHUT_RDWR)
