"""How long to be patient with servers, and trying again what may pass.

Everything ends: a connection, each request with its body, and all tries of one thing together. A server that asks for more
patience than there is (Retry-After) is not obeyed; what it asked for is in the error.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from ..errors import Cancelled

T = TypeVar("T")
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for servers, in seconds."""

    connect: float = 10.0
    """For a connection: name lookup and all the addresses of a name together."""
    read: float = 30.0
    """Between two arrivals of bytes."""
    waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Before each new try; their number is the number of retries in a row without progress."""
    longest_wait: float = 60.0
    """The longest Retry-After that is honoured."""
    grace: float = 60.0
    """For one request from the first look at its host to the last byte, redirects included, besides what `slowest` gives."""
    slowest: int = 16 * 1024
    """Bytes a second, sent or received, below which a server counts as hung."""
    enough: float = 120.0
    """For all tries of one thing together, as long as they bring nothing."""

    def pause(self, failures: int, asked: float | None) -> float:
        """Seconds before the next try: the schedule's, or what the server asked for when that is more."""
        planned = self.waits[min(failures, len(self.waits)) - 1] if self.waits else 0.0
        return max(asked or 0.0, planned)


class Again(Exception):
    """A failure that may pass. `wait` is what the server asked for, in seconds."""

    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.wait = wait


class Tries:
    """The tries of one thing: how many have failed in a row, and when patience is at its end."""

    def __init__(self, patience: Patience, stopping: Callable[[], bool]) -> None:
        self._patience = patience
        self._stopping = stopping
        self.progress()

    def progress(self) -> None:
        """Begin anew: something was gained."""
        self._failures = 0
        self._until = time.monotonic() + self._patience.enough

    def anew(self) -> None:
        """Try another way: as often as before, but not longer."""
        self._failures = 0

    @property
    def left(self) -> float:
        """Seconds that are left for all further tries."""
        return max(0.0, self._until - time.monotonic())

    def another(self, problem: Again) -> str:
        """Wait before another try; or, at once, why there is none. Raises Cancelled."""
        self._failures += 1
        pause = self._patience.pause(self._failures, problem.wait)
        if problem.wait is not None and (problem.wait > self._patience.longest_wait or pause >= self.left):
            return f"{problem.cause} and asks to wait {problem.wait:.0f} seconds"
        if self._failures > len(self._patience.waits) or pause >= self.left:
            return problem.cause
        sleep(pause, self._stopping)
        return ""


def sleep(seconds: float, stopping: Callable[[], bool]) -> None:
    """Wait, but not longer than the caller wants to. Raises Cancelled."""
    until = time.monotonic() + seconds
    while True:
        if stopping():
            raise Cancelled
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, 0.1))


def within(limit: float, act: Callable[[], T]) -> T:
    """What `act` returns, done in a thread that is left behind when it takes longer than `limit` seconds: for another
    package's connections, which nobody here can end. Raises TimeoutError, and what `act` raises."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(act())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True, name="stager-within")
    thread.start()
    thread.join(limit)
    for error in errors:
        raise error
    if not results:
        raise TimeoutError(f"no answer within {limit:g} seconds")
    return results[0]


def again(status: int, headers: Mapping[str, str], url: str) -> Again | None:
    """What a status says about trying again; None when that would not help."""
    if status not in _AGAIN:
        return None
    return Again(f"{host_of(url)} answered {status}", seconds(headers.get("Retry-After"), headers.get("Date")))


def seconds(retry_after: str | None, now: str | None) -> float | None:
    """Retry-After (RFC 9110 §10.2.3): seconds, or a date, which is compared with the server's own clock. None when it is
    neither, or when the server does not tell its time."""
    text = (retry_after or "").strip(" \t")
    if re.fullmatch("[0-9]+", text):
        return float(text[-15:]) if not text[:-15].strip("0") else 1e15
    then, asked = date(text), date(now or "")
    return None if then is None or asked is None else max(0.0, then - asked)


def date(text: str) -> float | None:
    """An HTTP date (RFC 9110 §5.6.7) in seconds since 1970; None for anything else."""
    from calendar import timegm
    from email.utils import parsedate_tz

    try:
        found = parsedate_tz(text) if text.isascii() else None
        return float(timegm(found[:6]) - (found[9] or 0)) if found else None
    except (ValueError, TypeError, IndexError, OverflowError):  # the library's own, for numbers that are no date
        return None


def number(text: str | None) -> int | None:
    """A count in a header (RFC 9110 §8.6): ASCII digits, at most eighteen; None for anything else."""
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text) else None


def host_of(url: str) -> str:
    """A URL's host for people."""
    try:
        return urlsplit(url).hostname or "the server"
    except ValueError:
        return "the server"
