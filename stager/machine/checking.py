"""Looking at the machine: the states of its processes, and whether the app is healthy."""

from __future__ import annotations

import time
from dataclasses import dataclass
from shlex import quote

from .. import health
from ..checked import whole
from ..detection.appconfig import Health
from ..errors import MachineFailed, StagerError
from ..health import CRITICAL, OK, UNKNOWN, Verdict
from .environment import FIRST_PORT
from .folder import State
from .guest import LOST, Guest
from .ports import HOST

_STATES = ["/usr/lib/stager/states"]


@dataclass(frozen=True, slots=True)
class Row:
    """A process or service: its `state` (run, down, finish), the `seconds` in it, how often it `ends` since it was set up."""

    name: str
    state: str
    seconds: int
    pid: int
    ends: int

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {"name": self.name, "state": self.state, "seconds": self.seconds, "pid": self.pid, "ends": self.ends}


def rows(guest: Guest) -> list[Row]:
    """Everything the machine's supervisor keeps. Raises MachineFailed when the machine does not answer."""
    return parse(guest.ask(_STATES))


def parse(text: str) -> list[Row]:
    """The rows that the script `states` prints. Raises MachineFailed for anything else."""
    found = []
    for line in text.splitlines():
        parts = line.split()
        numbers = [number for part in parts[2:] if (number := whole(part)) is not None]
        if len(parts) != 5 or len(numbers) != 3:
            raise MachineFailed("asking for the processes' states", [line[:200]], left=True)
        found.append(Row(parts[0], parts[1], *numbers))
    return found


def probe(state: State, guest: Guest, limit: float = 10.0, slow: float = 0.0) -> Verdict:
    """Ask the app once. Without a web process and a command, every process must run, for a second at least."""
    check = state.health
    if check.command:  # ssh joins its words with spaces, and a shell in the machine takes them apart again
        prefix = guest.in_app(["/bin/sh", "-c"])
        return health.probe(Health(command=quote(check.command)), HOST, state.port, prefix, limit, slow)
    if state.url and check.path:
        return health.probe(check, HOST, state.port, (), limit, slow)
    return _listens(guest, limit) if state.url else _runs(guest)


def _listens(guest: Guest, limit: float) -> Verdict:
    """Asked inside the machine: what forwards the port out here accepts connections whether or not anybody listens."""
    began = time.monotonic()
    done = guest.run(["bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{FIRST_PORT}"], limit=limit + 10)
    seconds = time.monotonic() - began
    if done.returncode == 0:
        return Verdict(OK, f"port {FIRST_PORT} in the machine accepts connections", seconds)
    if done.returncode == LOST:
        return Verdict(UNKNOWN, "the machine does not answer", seconds)
    return Verdict(CRITICAL, f"nothing listens on port {FIRST_PORT} in the machine", seconds)


def _runs(guest: Guest) -> Verdict:
    began = time.monotonic()
    down = [row.name for row in rows(guest) if row.state != "run" or row.seconds < 1]
    seconds = time.monotonic() - began
    if down:
        return Verdict(CRITICAL, f"not running: {', '.join(down)}", seconds)
    return Verdict(OK, "all processes run", seconds)


def verdict(state: State, guest: Guest, limit: float, slow: float) -> Verdict:
    """The answer for a monitoring system: as `probe`, and UNKNOWN when the machine cannot be asked."""
    try:
        return probe(state, guest, limit, slow)
    except StagerError as error:
        return Verdict(UNKNOWN, error.message)


def health_of(own: Health, said: bool, app: str) -> Health:
    """The check in force: `stager.yml`'s when it has one, else what the app's platform manifest says of `web`."""
    from ..cloudfoundry import manifest

    path = "" if said else manifest.find(app)
    if not path:
        return own
    try:
        processes = manifest.load(path)[0].processes()
    except (StagerError, IndexError):
        return own  # a manifest with variables that only a push is given
    return health.from_manifest({key: value.raw for key, value in processes["web"].items()})
