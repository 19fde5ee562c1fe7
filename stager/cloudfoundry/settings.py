"""What every call needs besides its own arguments, and how long things may take."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ..indexes import Indexes
from ..model import Progress
from .login import Login


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long to wait, in seconds."""

    connect: float = 10.0
    read: float = 60.0
    """Between two arrivals of bytes, and for an answer to begin."""
    waits: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    """Before each new try; their number is the number of retries."""
    longest_wait: float = 120.0
    """What a server's Retry-After is cut to."""
    polls: tuple[float, ...] = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0, 5.0)
    """Between looks at something that takes its time; the last one repeats."""
    job: float = 900.0
    """For a job, an upload's processing and a copy, each."""

    def pause(self, failures: int, asked: float | None) -> float:
        """Seconds before the next try: what the server asked for, or the schedule's."""
        planned = self.waits[min(failures, len(self.waits)) - 1]
        return planned if asked is None else min(max(asked, planned), self.longest_wait)


@dataclass(frozen=True, slots=True)
class Settings:
    """A login, the machine's proxies and certificates, patience, and how to report and stop."""

    login: Login
    network: Indexes = field(default_factory=Indexes)
    waiting: Waiting = field(default_factory=Waiting)
    progress: Progress | None = None
    cancel: threading.Event | None = None
