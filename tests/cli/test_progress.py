"""Progress: a bar with sizes on a terminal, one line a verb elsewhere."""

from __future__ import annotations

import io
import os
import pty
import re
import select

import pytest

from stager.cli.progress import reporter
from stager.model import Event

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


def test_a_log_gets_a_line_a_build_and_what_it_said_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("stager.cli.progress.monotonic", lambda: now[0])
    stream = io.StringIO()
    tell = reporter(stream)
    for seconds, what in (
        (0, "own"),
        (1, "own: one"),
        (11, "own: two"),
        (12, "own: three"),
        (22, "own: four"),
        (23, "later"),
    ):
        now[0] = 100.0 + seconds
        tell(Event("build", what))
    assert stream.getvalue() == ("stager: building own …\n  11 s: two\n  22 s: four\nstager: building later …\n")


def test_sources_are_told_when_they_are_asked_for() -> None:
    stream = io.StringIO()
    tell = reporter(stream, sources=True)
    for event in (
        Event("plan", "flask", source="index.example"),
        EVENTS[1],
        Event("fetch", "a@1\x1b", 9, 9, "b.example"),
    ):
        tell(event)
    assert stream.getvalue() == (
        "stager: planning …\n  flask from index.example\nstager: fetching …\n  a@1\\x1b from b.example\n"
    )


def test_a_terminal_gets_bars_with_sizes_that_vanish_at_the_end() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        tell = reporter(stream)
        for event in EVENTS[:5]:
            tell(event)
        shown = seen(ours, "MB")
        assert "fetching" in shown
        assert "1 of 2, 3.0 MB" in shown
        for event in EVENTS[5:]:
            tell(event)
        assert SHOW_CURSOR in seen(ours, SHOW_CURSOR)
    os.close(ours)


SHOW_CURSOR = "\x1b[?25h"


def seen(terminal: int, text: str) -> str:
    """What a terminal is told until this text is there: it arrives in parts."""
    shown = ""
    while text not in shown and select.select([terminal], [], [], 5)[0]:
        shown += os.read(terminal, 1 << 16).decode(errors="replace")
    return shown


SAID = {
    "files whose sizes no lock states": (
        [Event("fetch", "", 0, 1213), Event("fetch", "a@1", 72_000_000, 0), Event("fetch", "b@1", 700_000, 0),
         Event("fetch", "", 812, 1213)],
        "812 of 1,213, 72.7 MB",
    ),
    "nothing yet": ([Event("fetch", "", 0, 3)], "0 of 3, 0 B"),
    "little": ([Event("fetch", "", 0, 3), Event("fetch", "a@1", 1_500, 0)], "0 of 3, 1.5 kB"),
    "a file told twice": ([Event("fetch", "a@1", 10, 0), Event("fetch", "a@1", 2_000_000, 0)], "2.0 MB"),
    "a push, of all its blobs": (
        [Event("push", "0 of 2 blobs", 1_000_000, 4_000_000), Event("push", "1 of 2 blobs", 3_000_000, 4_000_000)],
        "1 of 2 blobs, 3.0 MB of 4.0 MB",
    ),
    "a push of nothing": ([Event("push", "unchanged", 0, 1)], "unchanged"),
    "pieces": ([Event("assemble", "flask@3.1.2", 1, 2)], "flask@3.1.2"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_is_done_is_never_more_than_there_is(name: str) -> None:
    events, said = SAID[name]
    terminal = Terminal()
    tell = reporter(terminal)
    for event in [*events, Event("export", "", 1, 1)]:  # the end of that draws all bars for the last time
        tell(event)
    *_, last = (line for line in terminal.getvalue().splitlines() if f"{said} " in line)
    assert re.search(rf"(?<![\d.,]){re.escape(said)} .*\d:\d\d:\d\d", last)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
