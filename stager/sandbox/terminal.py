"""A terminal for what runs in a sandbox: one of its own, whose bytes are carried to and from this process's.

It is no terminal of the host: what runs inside can put nothing into the input of whoever started it (TIOCSTI).
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_TICK = 0.2
"""Seconds between two looks at whether it has ended."""


def is_there() -> bool:
    """Whether this process has a terminal to read from and to write to."""
    return os.isatty(0) and os.isatty(1)


def carried(start: Callable[[int], subprocess.Popen[bytes]]) -> int:
    """Start something on a terminal of its own (its descriptor is given) and carry until it ends: its return code."""
    ours, theirs = pty.openpty()
    try:
        _resize(ours)
        try:
            child = start(theirs)
        finally:
            os.close(theirs)
        try:
            with _raw(), _resizing(ours):
                _carry(ours, child)
            return child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
    finally:
        os.close(ours)


def _carry(ours: int, child: subprocess.Popen[bytes]) -> None:
    """Until it has ended and nothing more comes."""
    sources = [0, ours]
    while True:
        ready = select.select(sources, [], [], _TICK)[0]
        if ours in ready:
            said = b""
            with suppress(OSError):  # EIO: nobody has the other end any more (pty(7))
                said = os.read(ours, 1 << 16)
            if not said:
                return
            _write(1, said)
        if 0 in ready:
            typed = os.read(0, 1 << 12)
            if typed:
                _write(ours, typed)
            else:
                sources.remove(0)
        if not ready and child.poll() is not None:
            return


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _raw() -> Iterator[None]:
    """This process's terminal passes everything on, Ctrl-C too, and is given back as it was."""
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)


@contextmanager
def _resizing(ours: int) -> Iterator[None]:
    before = signal.signal(signal.SIGWINCH, lambda *_: _resize(ours))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _resize(ours: int) -> None:
    size = struct.pack("HHHH", 24, 80, 0, 0)
    with suppress(OSError):
        size = fcntl.ioctl(1, termios.TIOCGWINSZ, size)
    fcntl.ioctl(ours, termios.TIOCSWINSZ, size)
