"""What every call needs besides its own arguments, and how long things may take."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ...model import Progress
from ...net.indexes import Indexes
from ...net.patience import Patience
from .login import CfLogin


@dataclass(frozen=True, slots=True)
class CfWaiting(Patience):
    """How long to wait, in seconds."""

    read: float = 60.0
    waits: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    longest_wait: float = 120.0
    grace: float = 120.0
    enough: float = 240.0
    polls: tuple[float, ...] = (0.3, 0.5, 0.8, 1.2, 2.0, 3.0, 5.0)
    """Between looks at something that takes its time; the last one repeats."""
    job: float = 900.0
    """For a job, an upload's processing and a copy, each."""


@dataclass(frozen=True, slots=True)
class CfSettings:
    """A login, the machine's proxies and certificates, patience, and how to report and stop."""

    login: CfLogin
    network: Indexes = field(default_factory=Indexes)
    waiting: CfWaiting = field(default_factory=CfWaiting)
    progress: Progress | None = None
    cancel: threading.Event | None = None
