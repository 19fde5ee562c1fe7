"""Progress: a bar with sizes on a terminal, one line a verb elsewhere."""

from __future__ import annotations

import io
import os
import pty
import select

from stager.model import Event
from stager.progress import reporter

EVENTS = [
    Event("plan", "reading locks and indexes"),
    Event("fetch", "flask@3.1.2", 500_000, 1_000_000),
    Event("fetch", "numpy@2.0.0", 2_000_000, 2_000_000),
    Event("fetch", "", 1, 2),
    Event("fetch", "flask@3.1.2", 1_000_000, 1_000_000),
    Event("assemble", "flask@3.1.2", 1, 2),
    Event("assemble", "numpy@2.0.0", 2, 2),
]


def test_a_log_gets_one_line_a_verb() -> None:
    stream = io.StringIO()
    tell = reporter(stream)
    for event in EVENTS:
        tell(event)
    assert stream.getvalue() == "stager: planning …\nstager: fetching …\nstager: assembling …\n"


def test_a_terminal_gets_bars_with_sizes_that_vanish_at_the_end() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        tell = reporter(stream)
        for event in EVENTS[:5]:
            tell(event)
        live = tell.__self__._live  # type: ignore[attr-defined]
        live.refresh()
        shown = ""
        while "MB" not in shown and select.select([ours], [], [], 5)[0]:  # what was written arrives in parts
            shown += os.read(ours, 1 << 16).decode(errors="replace")
        assert "fetching" in shown
        assert "3.0 of 3.0 MB" in shown
        for event in EVENTS[5:]:
            tell(event)
        assert tell.__self__._live is None  # type: ignore[attr-defined]
    os.close(ours)
