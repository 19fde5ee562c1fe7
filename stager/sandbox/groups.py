"""Limits of memory and processes for everything that is started: control groups of its own (cgroups(7), versions 2 and 1)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_WAIT = 5.0
"""Seconds in which a group's last processes are gone after a run, or it stays behind."""
_FILES = {
    ("memory", 1): ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    ("memory", 2): ("memory.max", "memory.swap.max"),
    ("pids", 1): ("pids.max",),
    ("pids", 2): ("pids.max",),
}
"""For each controller, in each version, the file of its limit; then that of swap, which is only where swap is counted."""


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The groups of something that runs: a process that writes its id into each of `members` is in them with all it starts.

    `limits` are the controllers that keep what was asked (`memory`, `pids`), `tried` says why another could not be had.
    """

    paths: tuple[str, ...] = ()
    limits: frozenset[str] = frozenset()
    tried: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[str, ...]:
        """The files that take process ids."""
        return tuple(f"{path}/cgroup.procs" for path in self.paths)

    @property
    def killed(self) -> int:
        """How many of the processes the kernel has ended for want of memory."""
        return self._count("oom_kill", "memory.events", "memory.oom_control")

    @property
    def refused(self) -> int:
        """How often no process or thread could be started, since there were as many as may be."""
        return self._count("max", "pids.events")

    def _count(self, name: str, *files: str) -> int:
        for path in (f"{path}/{file}" for path in self.paths for file in files):
            with suppress(OSError), open(path, encoding="ascii") as file:
                return int(dict(line.split()[:2] for line in file).get(name, 0))
        return 0


@contextmanager
def limited(memory: int = 0, processes: int = 0) -> Iterator[ControlGroups]:
    """Groups whose processes may use `memory` bytes together, and no swap, and be `processes`; 0 is no limit.

    What this user may not limit is left out of the result's `limits`; nobody is stopped by that here.
    """
    wanted = {name: count for name, count in (("memory", memory), ("pids", processes)) if count}
    made: list[str] = []
    limits: set[str] = set()
    tried: list[str] = []
    try:
        for parent, version, controllers in _places():
            mine = {(name, version): wanted[name] for name in controllers & wanted.keys() - limits}
            if not mine:
                continue
            _tidy(parent)
            try:
                made.append(_make(parent, mine))
            except OSError as error:
                tried.append(f"{parent}: {error.strerror}")
            else:
                limits |= {name for name, _ in mine}
        yield ControlGroups(tuple(made), frozenset(limits), tuple(tried))
    finally:
        for path in made:
            _remove(path)


def _make(parent: str, limits: Mapping[tuple[str, int], int]) -> str:
    path = f"{parent}/stager-{os.getpid()}-{os.urandom(4).hex()}"
    os.mkdir(path)
    try:
        for key, count in limits.items():
            _limit(path, _FILES[key], count)
    except OSError:
        os.rmdir(path)
        raise
    return path


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


def _places() -> Iterator[tuple[str, int, frozenset[str]]]:
    found = []
    for name in ("cgroup", "mounts"):
        try:
            with open(f"/proc/self/{name}", encoding="utf-8", errors="surrogateescape") as file:
                found.append(file.read())
        except OSError:
            return
    yield from places(*found)


def places(own: str, mounts: str) -> Iterator[tuple[str, int, frozenset[str]]]:
    """Where groups may be made, by this process's groups and the mounts (cgroups(7)): a folder, its version, its controllers.

    In version 2 a group that has processes has no groups with limits below it, so those above it are named as well: root may
    make one there. The nearest comes first.
    """
    rows = map(str.split, mounts.splitlines())
    kinds = [(place, kind, frozenset(options.split(","))) for _, place, kind, options, *_ in rows]
    for line in own.splitlines():
        _, named, path = line.split(":", 2)
        controllers = frozenset(named.split(","))
        for place, kind, options in kinds:
            if named and kind == "cgroup" and controllers & options:
                yield place + path.rstrip("/"), 1, controllers
                break
            if not named and kind == "cgroup2":
                parts = path.strip("/").split("/") if path != "/" else []
                for cut in range(len(parts), -1, -1):
                    yield "/".join((place, *parts[:cut])), 2, frozenset({"memory", "pids"})
                break


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


def used(first: int, most: int) -> tuple[int, int]:
    """(bytes of memory, processes and threads) of a process and all that descend from it, as they are now.

    What several have in common is counted for each, until that comes to more than `most`; then each has its share of it.
    """
    found = family(first)
    memory = sum(one for one, _ in found.values())
    threads = sum(one for _, one in found.values())
    return memory if memory <= most else sum(_share(process, one) for process, (one, _) in found.items()), threads


def tasks_of(user: int) -> int:
    """How many processes and threads a user of this machine has (getrlimit(2), RLIMIT_NPROC)."""
    found = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == user:
                    found += len(os.listdir(f"/proc/{name}/task"))
    return found


def family(first: int) -> dict[int, tuple[int, int]]:
    """A process and all that descend from it: its id → bytes of memory, threads (proc_pid_stat(5))."""
    rows: dict[int, tuple[int, int]] = {}
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                below.setdefault(int(fields[1]), []).append(int(name))
                rows[int(name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), int(fields[17])
    found = [first] if first in rows else []
    for one in found:
        found += below.get(one, [])
    return {one: rows[one] for one in found}


def _share(process: int, otherwise: int) -> int:
    with suppress(OSError), open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
        return next((int(line.split()[1]) << 10 for line in file if line.startswith("Pss:")), otherwise)
    return otherwise
