"""A limit of memory for everything a run starts: a control group of its own, removed with it (cgroups(7), version 2 and 1)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ...errors import UsageError

_WAIT = 5.0
"""Seconds in which the group's last processes are gone after a run, or it stays behind."""


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """A control group: a process that writes its id into `members` is in it, and so is all it starts."""

    path: str

    @property
    def members(self) -> str:
        """The file that takes process ids."""
        return f"{self.path}/cgroup.procs"

    @property
    def killed(self) -> int:
        """How many of its processes the kernel has ended for want of memory."""
        for name in ("memory.events", "memory.oom_control"):
            with suppress(OSError), open(f"{self.path}/{name}", encoding="ascii") as file:
                rows = dict(line.split()[:2] for line in file)
                return int(rows.get("oom_kill", 0))
        return 0


@contextmanager
def limited(count: int) -> Iterator[ControlGroup | None]:
    """A group whose processes may use `count` bytes of memory together, and no swap; None when `count` is 0.

    Raises UsageError where this user may make no group.
    """
    if not count:
        yield None
        return
    path = _make(count)
    try:
        yield ControlGroup(path)
    finally:
        _remove(path)


def _make(count: int) -> str:
    tried = []
    for parent, limits in _places():
        _tidy(parent)
        path = f"{parent}/stager-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            os.mkdir(path)
        except OSError as error:
            tried.append(f"{parent}: {error.strerror}")
            continue
        try:
            _limit(path, limits, count)
        except OSError as error:
            os.rmdir(path)
            tried.append(f"{parent}: {error.strerror}")
        else:
            return path
    what = f"--memory needs a control group, which cannot be made here ({'; '.join(tried) or 'none is mounted'})"
    raise UsageError(what, "Run as root, or use --in docker, whose engine limits memory.")


def _tidy(parent: str) -> None:
    """Remove the groups of runs that were killed: those that are empty, and whose maker is gone."""
    with suppress(OSError):
        for name in os.listdir(parent):
            head, _, rest = name.partition("-")
            maker = rest.partition("-")[0]
            if head == "stager" and maker.isdigit() and not os.path.exists(f"/proc/{maker}"):
                with suppress(OSError):
                    os.rmdir(f"{parent}/{name}")


def _limit(path: str, limits: tuple[str, ...], count: int) -> None:
    for place, name in enumerate(limits):
        value = 0 if name == "memory.swap.max" else count
        try:
            with open(f"{path}/{name}", "w", encoding="ascii") as file:
                file.write(str(value))
        except FileNotFoundError:
            if place == 0:  # the limit itself; that of swap is there only where swap is counted
                raise


def _places() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The groups of memory that this process is in, as folders, each with the names of its limits."""
    mounts = {kind: place for place, kind in _mounts()}
    with suppress(OSError), open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if "memory" in controllers.split(",") and "v1" in mounts:
                yield mounts["v1"] + path.rstrip("/"), ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            elif not controllers and "v2" in mounts:
                yield mounts["v2"] + path.rstrip("/"), ("memory.max", "memory.swap.max")


def _mounts() -> Iterator[tuple[str, str]]:
    with suppress(OSError), open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, place, kind, options, *_ = line.split(" ")
            if kind == "cgroup2":
                yield place, "v2"
            elif kind == "cgroup" and "memory" in options.split(","):
                yield place, "v1"


def _remove(path: str) -> None:
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        else:
            return
