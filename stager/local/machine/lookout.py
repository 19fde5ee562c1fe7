"""What dev mode says of processes that end by themselves: once when one does, once when it crashes, once when it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from ..errors import MachineFailed, NotReady
from . import checking, logs
from .checking import ProcessRow
from .ssh import Guest

PAUSE = 1.0
"""Seconds between two looks at the processes."""


class Lookout:
    """Looks at the machine's processes now and then; `tell` gets what is new of them."""

    def __init__(self, guest: Guest, tell: Callable[[str], None]) -> None:
        self._guest, self._tell = guest, tell
        self._next = 0.0
        self._ends: dict[str, int] | None = None
        self._ended: dict[str, ProcessRow] = {}
        """Those that have ended, and have not gone on since."""

    def anew(self) -> None:
        """The processes were started anew: what they did before is of no interest."""
        self._ends, self._ended, self._next = {}, {}, 0.0

    def look(self) -> None:
        """Look, unless that was a moment ago. Raises NoMachine when the machine is gone."""
        if time.monotonic() < self._next:
            return
        with suppress(MachineFailed):
            rows = checking.rows(self._guest)
            if self._ends is None:
                self._ends = {row.name: row.ends for row in rows if not row.crashes}
            for row in rows:
                self._compare(row, self._ends.get(row.name, 0))
            self._ends = {row.name: row.ends for row in rows}
        self._next = time.monotonic() + PAUSE

    def _compare(self, row: ProcessRow, before: int) -> None:
        known = self._ended.get(row.name)
        if row.steady:
            if known:
                self._tell(f"{row.name} runs again")
            self._ended.pop(row.name, None)
        elif row.crashes and not (known and known.crashes):
            self._say(row, checking.crash(row))
        elif row.ends > before and not known:
            self._say(row, f"{row.name} has ended, and is started again")

    def _say(self, row: ProcessRow, text: str) -> None:
        self._ended[row.name] = row
        self._tell("\n".join([f"{text}:", *(f"    {line}" for line in self._log(row.name))]))

    def _log(self, name: str) -> list[str]:
        return [line.text() for line in logs.last(self._guest, logs.FEW, name)]

    def check(self) -> None:
        """Raise NotReady when a process crashes, as far as was seen."""
        crashing = [row for row in self._ended.values() if row.crashes]
        if crashing:
            lines: list[str] = []
            with suppress(MachineFailed):
                lines = [line for row in crashing for line in self._log(row.name)]
            raise NotReady(", ".join(checking.crash(row) for row in crashing), lines)
