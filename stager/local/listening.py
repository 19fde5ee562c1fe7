"""Where a process listens, when that is not where it was told to: an app with a port of its own is reached by no platform.

Source: proc_net(5) and proc(5). What may not be looked at counts as nothing: this is for a remark.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

PATIENCE = 2.0
"""Seconds that a process has listened elsewhere before that is told: some open another port before their own."""
_PAUSE = 0.5
_LISTEN = "0A"


class Astray:
    """Tells once where a process listens. `look` gives its ports; `tell` takes them."""

    def __init__(self, look: Callable[[], list[int]], tell: Callable[[list[int]], None]) -> None:
        self._look, self._tell = look, tell
        self._next, self._since, self._told = 0.0, 0.0, False

    def check(self) -> None:
        """To be called again and again while nothing listens where something should."""
        now = time.monotonic()
        if self._told or now < self._next:
            return
        self._next = now + _PAUSE
        ports = self._look()
        self._since = (self._since or now) if ports else 0.0
        if ports and now - self._since >= PATIENCE:
            self._told = True
            self._tell(ports)


def by(process: int) -> list[int]:
    """The TCP ports that a process or one that it has started listens on."""
    sockets: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/{process}/net/{table}", encoding="ascii") as file:
            sockets |= ports(file)
    held = {inode for one in _family(process) for inode in _sockets(one)} if sockets else set()
    return sorted({port for inode, port in sockets.items() if inode in held})


def ports(lines: Iterable[str]) -> dict[str, int]:
    """Inode → port of the sockets that listen, in a table of `/proc/net`."""
    rows = [line.split() for line in lines]
    return {row[9]: int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 9 and row[3] == _LISTEN}


def _family(process: int) -> set[int]:
    """A process and all that descend from it."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    found = {process}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _sockets(process: int) -> set[str]:
    """The inodes of a process's open sockets."""
    found = set[str]()
    with suppress(OSError):
        for name in os.listdir(f"/proc/{process}/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/{process}/fd/{name}")
                found |= {target[8:-1]} if target.startswith("socket:[") else set()
    return found
