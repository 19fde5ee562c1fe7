"""`stager status` and `stager check`: what there is, without changing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import restage
from ..errors import BadMachine, NoMachine, StagerError
from ..health import UNKNOWN, Verdict
from . import checking, folder, handle
from .checking import Row
from .folder import State
from .handle import Context


@dataclass(frozen=True, slots=True)
class Status:
    """A machine at this moment. `machine` is Vagrant's word, `changed` whether the folder has changed since it was staged."""

    machine: str
    state: State | None = None
    rows: tuple[Row, ...] = ()
    verdict: Verdict | None = None
    changed: bool = False

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
            found.append(f"  {row.name:<14} {row.state} for {row.seconds} s{again}")
        return [*found, f"health    {self.verdict.text}"] if self.verdict else found


def status(app: str, context: Context) -> Status:
    """What the app's machine does. Raises BadMachine, and what reading the folder raises."""
    where = folder.place(app)
    try:
        state = folder.load(where)
    except NoMachine:
        return Status("not_created")
    machine = handle.machine_state(where, state, context)
    tree = restage.Folder(where.app, context.settings.store).tree
    changed = str(tree.digest) != state.source
    if machine != "running":
        return Status(machine, state, changed=changed)
    guest = handle.reach(where)
    try:
        rows = tuple(checking.rows(guest))
    except StagerError as error:
        return Status(machine, state, (), Verdict(UNKNOWN, error.message), changed)
    return Status(machine, state, rows, checking.verdict(state, guest, 10.0, 0.0), changed)


def check(app: str, limit: float, slow: float) -> Verdict:
    """The app's health; UNKNOWN without a machine. Raises nothing: a monitoring system reads the verdict."""
    where = folder.place(app)
    try:
        state = folder.load(where)
    except (NoMachine, BadMachine) as error:
        return Verdict(UNKNOWN, error.message)
    return checking.verdict(state, handle.reach(where), limit, slow)
