"""The lines that the machine's processes wrote, which it keeps as JSON objects."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .checking import ProcessRow
from .ssh import Guest

_FOLDER = "/var/log/stager"
FEW = 10
"""How many of the last lines tell why a process ended."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: `time` is UTC as RFC 3339 writes it, `instance` counts from 1, and is 0 for a service."""

    time: str
    process: str
    instance: int
    message: str

    def text(self) -> str:
        """For people."""
        name = f"{self.process}.{self.instance}" if self.instance else self.process
        return f"{self.time[:23]} {name} | {self.message}"

    def as_json(self) -> str:
        """One JSON object, as it is kept."""
        return json.dumps(
            {"instance": self.instance, "message": self.message, "process": self.process, "time": self.time},
            ensure_ascii=False, separators=(",", ":"),
        )  # fmt: skip


def parse(text: str) -> LogLine | None:
    """The line that a JSON object stands for; None for anything else, such as one that is still being written."""
    try:
        row = json.loads(text)
        return LogLine(str(row["time"]), str(row["process"]), int(row["instance"]), str(row["message"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def last(guest: Guest, count: int, process: str = "") -> list[LogLine]:
    """The last lines of all processes, or of one type or instance, by time. Raises MachineFailed."""
    text = guest.ask(
        ["/bin/sh", "-c", f"for f in {_pattern(process)}; do [ ! -e $f ] || tail -n {int(count)} $f; done"]
    )
    found = [line for line in map(parse, text.splitlines()) if line is not None]
    return sorted(found, key=lambda line: line.time)[-count:] if count else []


def of_crashes(guest: Guest, rows: Iterable[ProcessRow]) -> list[str]:
    """The last lines of the processes that crash, for people. Raises MachineFailed."""
    return [line.text() for row in rows if row.crashes for line in last(guest, FEW, row.name)]


def follow(guest: Guest, process: str = "") -> Iterator[LogLine]:
    """Lines as they are written, until the machine goes or the caller stops."""
    command = guest.command(["/bin/sh", "-c", f"exec tail -q -n 0 -F {_pattern(process)} 2>/dev/null"])
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
    ) as tail:
        try:
            assert tail.stdout is not None
            for text in tail.stdout:
                line = parse(text)
                if line is not None:
                    yield line
        finally:
            tail.terminate()


def known(names: Sequence[str], process: str) -> bool:
    """Whether a process type or instance is among these names."""
    return any(process in (name, name.rpartition(".")[0]) for name in names)


def _pattern(process: str) -> str:
    if not process:
        return f"{_FOLDER}/*.log"
    return (
        f"{_FOLDER}/{process}.log {_FOLDER}/{process}.[0-9]*.log" if "." not in process else f"{_FOLDER}/{process}.log"
    )
