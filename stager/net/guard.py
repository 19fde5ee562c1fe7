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
from dataclasses import dataclass, field

_TICK = 0.1


@dataclass(slots=True)
class Watched:
    """An exchange under way: when it must be over, its socket once it has one, and why it was ended."""

    deadline: float
    slowest: int
    ended: str = ""
    _handle: socket.socket | None = None
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, found: socket.socket) -> None:
        """Note the socket that it goes over, by a handle of its own: a library lets go of its one during a TLS handshake, and
        when an answer's end is the connection's."""
        self.release()
        self._handle = socket.fromfd(found.fileno(), found.family, found.type, found.proto)

    def release(self) -> None:
        """Let go of the socket."""
        with self._mutex:
            handle, self._handle = self._handle, None
            if handle is not None:
                handle.close()

    def end(self, why: str) -> None:
        """Shut the socket so that its thread wakes; TLS is not said goodbye to, that could wait for the server."""
        self.ended = self.ended or why
        with self._mutex, suppress(OSError, ValueError):
            if self._handle is not None:
                self._handle.shutdown(socket.SHUT_RDWR)

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
            one.release()

    def using(self, found: socket.socket | None) -> None:
        """Note the socket that this thread's exchange goes over."""
        one = getattr(self._here, "one", None)
        if one is not None and found is not None:
            one.hold(found)

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
                    one.end("stopped" if stop else "late")
