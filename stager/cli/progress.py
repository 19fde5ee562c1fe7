"""Progress for people: bars on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

import atexit
import threading
from importlib.util import find_spec
from time import monotonic
from typing import Any, TextIO

from ..model import Event, Progress
from ..names import printable
from ..text.wording import size_text

_LABELS = {
    "plan": "planning",
    "lock": "locking",
    "fetch": "fetching",
    "assemble": "assembling",
    "export": "exporting",
    "push": "pushing",
    "pull": "pulling",
    "verify": "verifying",
    "build": "building",
}
_PACE, _WIDTH = 10.0, 100
"""Seconds between two lines of a build that are shown in a log, and how much of a line is."""
_BYTES = ("push", "pull")
"""Verbs whose numbers are bytes; those of a fetch are, too, file by file, and beside them the files are counted."""


def reporter(stream: TextIO, *, sources: bool = False) -> Progress:
    """A progress callback that writes to `stream`: a bar on a terminal where rich is installed, else a line a verb.

    With `sources`, lines that say of each file and page where it came from.
    """
    if sources or not stream.isatty() or find_spec("rich") is None:
        return _Lines(stream, sources).tell
    bars = _Bars(stream)
    atexit.register(bars.close)  # an error may end the work anywhere; the terminal must not stay without its cursor
    return bars.tell


class _Lines:
    """One line when a verb begins, so that a log shows where time goes without growing; if asked for, one a source."""

    def __init__(self, stream: TextIO, sources: bool) -> None:
        self._stream = stream
        self._sources = sources
        self._seen: set[str] = set()
        self._begun, self._due = 0.0, 0.0
        self._lock = threading.Lock()

    def tell(self, event: Event) -> None:
        with self._lock:
            if event.verb == "build" and not event.total:
                self._build(event.what)
            elif event.verb not in self._seen:
                self._seen.add(event.verb)
                self._stream.write(f"stager: {_LABELS.get(event.verb, event.verb)} …\n")
            if self._sources and event.source:
                self._stream.write(printable(f"  {event.what} from {event.source}") + "\n")
            self._stream.flush()

    def _build(self, what: str) -> None:
        """A line when a build begins, and now and then one with what it said last and for how long it has run."""
        name, _, said = what.partition(": ")
        now = monotonic()
        if name not in self._seen:
            self._seen.add(name)
            self._begun, self._due = now, now + _PACE
            self._stream.write(printable(f"stager: building {name} …") + "\n")
        if said and now >= self._due:
            self._due = now + _PACE
            self._stream.write(printable(f"  {now - self._begun:.0f} s: {said[:_WIDTH]}") + "\n")


class _Bars:
    """A bar a verb. The bytes of a fetch are summed over its files, which report one by one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._live: Any = None
        self._tasks: dict[str, Any] = {}
        self._arrived: dict[str, int] = {}
        self._files = (0, 0)
        self._building = ""

    def tell(self, event: Event) -> None:
        with self._lock:
            if self._live is None:
                self._live = self._start()
            task = self._tasks.get(event.verb)
            if task is None:
                task = self._tasks[event.verb] = self._live.add_task(
                    _LABELS.get(event.verb, event.verb), total=None, what=""
                )
            done, total, what = self._state(event)
            if event.verb == "build" and not event.total and (name := what.partition(": ")[0]) != self._building:
                self._building = name
                self._live.reset(task)
            self._live.update(task, completed=done, total=total or None, what=what)
            if event.verb not in ("plan", "fetch") and done and done == total:
                self._stop()

    def close(self) -> None:
        """Give the terminal back, wherever the work has stopped."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._tasks.clear()
            self._arrived.clear()
            self._files = (0, 0)

    def _state(self, event: Event) -> tuple[int, int, str]:
        """How far a verb is, of how much (0: unknown), and that in words.

        Not every lock says how large its files are, so a fetch is measured by their number.
        """
        if event.verb == "fetch":
            if event.what:
                self._arrived[event.what] = event.done
            else:
                self._files = (event.done, event.total)
            done, total = self._files
            return done, total, f"{f'{done:,} of {total:,}, ' if total else ''}{size_text(sum(self._arrived.values()))}"
        if event.verb not in _BYTES:
            return event.done, event.total, printable(event.what[:_WIDTH])
        size = f"{size_text(event.done)} of {size_text(event.total)}" if event.total > 1 else ""
        return event.done, event.total, printable(", ".join(filter(None, (event.what, size))))

    def _start(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:>11}"),
            BarColumn(),
            TextColumn("{task.fields[what]}", markup=False),
            TimeElapsedColumn(),
        )
        live = Progress(*columns, console=Console(file=self._stream), transient=True)
        live.start()
        return live
