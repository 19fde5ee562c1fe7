"""What a job says: into its log, the last lines of it into memory, now and then one to whoever listens."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable

from ..errors import CannotWrite
from ..store import disk

MOST = 64 << 20
"""Bytes of a log; who says more is ended."""
_KEPT, _LINE = 60, 4096
"""How many of the last lines are kept, and how many bytes of each."""
_PATIENCE = 5.0
"""Seconds in which the last words are read."""
_PACE = 0.1
"""Seconds between two lines that are told."""


_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|\x1b[@-Z\\^_]|\r")
"""Control sequences of terminals (ECMA-48 §5.4, and xterm's operating system commands); the log has them as they came."""


def without_controls(text: str) -> str:
    """What was said, without what only a terminal understands."""
    return _CONTROLS.sub("", text)


class Saying:
    """Reads a pipe to its end in a thread, so that whoever writes into it is never held up."""

    def __init__(self, log: str, tell: Callable[[str], None]) -> None:
        """Raises CannotWrite when the log cannot be made."""
        try:
            self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise CannotWrite(log, disk.why(error)) from None
        self._path, self._tell, self._told = log, tell, 0.0
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._failed: OSError | None = None
        self._size, self._begun = 0, b""
        self._reader, self.pipe = os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        """Begin to read; our own end for writing is closed, others have theirs."""
        os.close(self.pipe)
        self._thread.start()

    @property
    def too_much(self) -> bool:
        """Whether more was said than a log may hold."""
        return self._size > MOST

    @property
    def last(self) -> tuple[str, ...]:
        """The last lines."""
        return tuple(self._lines)

    def close(self) -> None:
        """Wait for the end of what is said, when all have gone who could say more. Raises CannotWrite.

        The files are closed by who reads: were somebody's end to stay open, nothing would be written into another's file.
        """
        if self._thread.ident is None:
            self.start()
        self._thread.join(_PATIENCE)
        if self._failed:
            raise CannotWrite(self._path, disk.why(self._failed))

    def _read(self) -> None:
        while part := os.read(self._reader, 1 << 16):
            room = MOST - self._size
            self._size += len(part)
            try:
                if room > 0 and not self._failed:
                    disk.write(self._log, part[:room])
            except OSError as error:
                self._failed = error
            *whole, self._begun = (self._begun + part).split(b"\n")
            for line in whole:
                self._line(line)
            self._begun = self._begun[-_LINE:]
        if self._begun:
            self._line(self._begun)
        os.close(self._reader)
        os.close(self._log)

    def _line(self, line: bytes) -> None:
        text = without_controls(line[-_LINE:].decode("utf-8", "replace")).rstrip()
        self._lines.append(text)
        if text and time.monotonic() - self._told >= _PACE:
            self._told = time.monotonic()
            self._tell(text)
