"""Looking at the machine: the states of its processes, and whether the app is healthy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from shlex import quote

from ...errors import StagerError
from ...planning.detection.appconfig import Health
from ...text.typed import whole
from .. import health
from ..errors import BadMachine
from ..health import CRITICAL, OK, UNKNOWN, WARNING, HealthVerdict
from .environment import FIRST_PORT
from .ports import HOST
from .ssh import LOST, Guest
from .state import State

_STATES = ["/usr/lib/stager/states"]
_STEADY, _AGAIN = 2, 5
"""Seconds that a process must have run, and how many for each time that it has ended in the last minute."""


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process or service: its `state` (run, down, finish), the `seconds` in it, how often it `ends` since it was set up.

    `recent` is how often it has ended in the last minute.
    """

    name: str
    state: str
    seconds: int
    pid: int
    ends: int
    recent: int

    @property
    def steady(self) -> bool:
        """Whether it is to be expected that it goes on: the more often it has ended, the longer it must have run since."""
        return self.state == "run" and self.seconds >= max(_STEADY, _AGAIN * self.recent)

    @property
    def crashes(self) -> bool:
        """Whether it is started and ends again and again."""
        return self.recent > 1 and not self.steady

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        told = {"name": self.name, "state": self.state, "seconds": self.seconds, "pid": self.pid, "ends": self.ends}
        return {**told, "crashes": self.crashes}


def rows(guest: Guest) -> list[ProcessRow]:
    """Everything the machine's supervisor keeps. Raises MachineFailed or NoMachine when it does not answer, and BadMachine."""
    return parse(guest.ask(_STATES))


def parse(text: str) -> list[ProcessRow]:
    """The rows that the script `states` prints. Raises BadMachine for anything else."""
    found = []
    for line in text.splitlines():
        parts = line.split()
        numbers = [number for part in parts[2:] if (number := whole(part)) is not None]
        if len(parts) != 6 or len(numbers) != 4:
            hint = "Run 'stager up', which sets the machine up again: it seems to be another version of stager's."
            raise BadMachine(_STATES[0], f"tells of the processes what cannot be read: {line[:200]!r}", hint)
        found.append(ProcessRow(parts[0], parts[1], *numbers))
    return found


def probe(state: State, guest: Guest, limit: float = 10.0, slow: float = 0.0) -> HealthVerdict:
    """Ask the app once. Without a web process and a command, every process must run."""
    check = state.health
    if check.command:  # ssh joins its words with spaces, and a shell in the machine takes them apart again
        prefix = guest.in_app(["/bin/sh", "-c"])
        return health.probe(Health(command=quote(check.command)), HOST, state.port, prefix, limit, slow)
    if state.url and check.path:
        return health.probe(check, HOST, state.port, (), limit, slow)
    return _listens(guest, limit) if state.url else _runs(rows(guest))


def _listens(guest: Guest, limit: float) -> HealthVerdict:
    """Asked inside the machine: what forwards the port out here accepts connections whether or not anybody listens."""
    began = time.monotonic()
    done = guest.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{FIRST_PORT}"], limit=limit + 10)
    seconds = time.monotonic() - began
    if done.returncode == 0:
        return HealthVerdict(OK, f"port {FIRST_PORT} in the machine accepts connections", seconds)
    if done.returncode == LOST:
        return HealthVerdict(UNKNOWN, "the machine does not answer", seconds)
    return HealthVerdict(CRITICAL, f"nothing listens on port {FIRST_PORT} in the machine", seconds)


def _runs(found: Sequence[ProcessRow]) -> HealthVerdict:
    down = [row.name for row in found if row.state != "run"]
    return (
        HealthVerdict(CRITICAL, f"not running: {', '.join(down)}") if down else HealthVerdict(OK, "all processes run")
    )


def ready(state: State, guest: Guest) -> HealthVerdict:
    """Whether the app has come up: it is well, and every one of its processes seems to go on."""
    found = probe(state, guest)
    if found.status not in (OK, WARNING):
        return found
    short = [row for row in rows(guest) if not row.steady]
    words = [f"{row.name} has ended {_times(row.ends)}" if row.ends else f"{row.name} has just begun" for row in short]
    return HealthVerdict(CRITICAL, f"{found.text}, but {', '.join(words)}", found.seconds) if short else found


def verdict(
    state: State, guest: Guest, limit: float, slow: float, known: Sequence[ProcessRow] | None = None
) -> HealthVerdict:
    """The answer for a monitoring system: as `probe`, but never good while a process is seen to crash.

    UNKNOWN when the machine cannot be asked. `known` are its rows when they are at hand.
    """
    try:
        found = probe(state, guest, limit, slow)
    except StagerError as error:
        return HealthVerdict(UNKNOWN, error.message)
    told: list[str] = []
    with suppress(StagerError):
        told = [crash(row) for row in (rows(guest) if known is None else known) if row.crashes]
    return HealthVerdict(CRITICAL, f"{', '.join(told)}; {found.text}", found.seconds) if told else found


def crash(row: ProcessRow) -> str:
    """What to say of a process that crashes."""
    return f"{row.name} crashes: it has ended {_times(row.recent)} in the last minute"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def health_of(own: Health, said: bool, app: str) -> Health:
    """The check in force: `stager.yml`'s when it has one, else what the app's platform manifest says of `web`."""
    from ...targets.cloudfoundry import manifest

    path = "" if said else manifest.find(app)
    if not path:
        return own
    try:
        processes = manifest.load(path)[0].processes()
    except (StagerError, IndexError):
        return own  # a manifest with variables that only a push is given
    return health.from_manifest({key: value.raw for key, value in processes["web"].items()})
