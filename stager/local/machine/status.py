"""`stager status` and `stager check`: what there is, without changing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...droplet import incremental
from ...errors import StagerError, Unreadable
from ..errors import BadMachine, NoMachine
from ..health import UNKNOWN, HealthVerdict
from . import checking, driving, logs
from . import state as folder
from .checking import ProcessRow
from .driving import Context
from .ssh import connected
from .state import State


@dataclass(frozen=True, slots=True)
class Status:
    """A machine at this moment. `machine` is Vagrant's word, `changed` whether the folder has changed since it was staged."""

    machine: str
    state: State | None = None
    rows: tuple[ProcessRow, ...] = ()
    verdict: HealthVerdict | None = None
    changed: bool = False
    log: tuple[str, ...] = ()
    """The last lines of what crashes."""

    @property
    def crashes(self) -> bool:
        """Whether a process is started and ends again and again."""
        return any(row.crashes for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        if self.state is None:
            return {"machine": self.machine}
        return {
            "machine": self.machine,
            "provider": self.state.provider,
            "stack": self.state.stack,
            "url": self.state.url,
            "droplet": self.state.droplet,
            "changed": self.changed,
            "processes": [row.as_json() for row in self.rows],
            "health": self.verdict.as_json() if self.verdict else None,
            "log": list(self.log),
        }

    def lines(self) -> list[str]:
        """For people."""
        if self.state is None:
            return [f"machine   {self.machine.replace('_', ' ')}"]
        found = [f"machine   {self.machine.replace('_', ' ')}, {self.state.stack} with {self.state.provider}"]
        found += [f"url       {self.state.url}"] if self.state.url else []
        found.append(f"droplet   {self.state.droplet}" + (", the folder has changed since" if self.changed else ""))
        for row in self.rows:
            again = f", ended {row.ends} times" if row.ends else ""
            crashes = ": it crashes" if row.crashes else ""
            found.append(f"  {row.name:<14} {row.state} for {row.seconds} s{again}{crashes}")
        found += [f"health    {self.verdict.text}"] if self.verdict else []
        return [*found, *(f"    {line}" for line in self.log)]


def status(app: str, context: Context) -> Status:
    """What the app's machine does. Raises BadMachine, and what reading the folder raises."""
    where = folder.place(app)
    try:
        state = folder.load(where)
    except NoMachine:
        return Status("not_created")
    machine = driving.machine_state(where, state, context)
    tree = incremental.Folder.read(where.app, context.settings.store).tree
    changed = str(tree.digest) != state.source
    if machine != "running":
        return Status(machine, state, changed=changed)
    with connected(where.file("ssh_config")) as guest:
        try:
            rows = tuple(checking.rows(guest))
            log = tuple(logs.of_crashes(guest, rows))
        except StagerError as error:
            return Status(machine, state, (), HealthVerdict(UNKNOWN, error.message), changed)
        return Status(machine, state, rows, checking.verdict(state, guest, 10.0, 0.0, rows), changed, log)


def check(app: str, limit: float, slow: float) -> HealthVerdict:
    """The app's health; UNKNOWN without a machine. Raises nothing: a monitoring system reads the verdict."""
    try:
        where = folder.place(app)
        state = folder.load(where)
    except (NoMachine, BadMachine, Unreadable) as error:
        return HealthVerdict(UNKNOWN, error.message)
    with connected(where.file("ssh_config")) as guest:
        return checking.verdict(state, guest, limit, slow)
