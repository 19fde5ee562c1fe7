"""Running a job: the ways to a sandbox in their order, its limits, its end. Nothing of it is left but what it was to write."""

from __future__ import annotations

import errno
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from glob import glob

from ..errors import Cancelled, CannotWrite, UsageError
from ..files import programs
from ..files.errors import NoSandbox, ProgramMissing
from ..files.temporary import folder as temporary
from ..files.writing import never
from ..stacks.sandbox import program
from ..store import disk
from . import container, entering, groups, leftovers, remedies
from .entering import PlacedSandbox
from .errors import EngineFailed
from .groups import ControlGroups
from .inside import CLOCK, become, sandbox
from .job import FEW, FILES, HOME, MEMORY, OUTPUT, PROCESSES, TIME, TMP, USERS, Ended, Job, Limits
from .leftovers import Amount
from .roots import RootFolder
from .saying import Saying

PURPOSE = "run a build"
_TICK = 0.05
"""Seconds between two looks at what runs."""
_SOON, _SHARE = 0.5, 40
"""What was written is counted after so many seconds at the earliest, and in one part of so many of the time."""
_PATIENCE = 5.0
"""Seconds that the kernel may take to end what was killed."""
_CLOCK = "/run/clock.so"
_CLOCKS = "/usr/lib/*/faketime/libfaketimeMT.so.1"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to a sandbox: its name, the host's user to become first (0 for nobody else), in a user namespace or not."""

    name: str
    user: int
    owned: bool


def ways(root: bool, user: int, borrowed: bool) -> tuple[Way, ...]:
    """The ways that bubblewrap has, the best first. Root is `borrowed` where it is nobody's but a user namespace's."""
    own = Way("in a user namespace", 0, True)
    if not root:
        return (own,)
    other = Way(f"as user {user}, in a user namespace", user, True)
    return (other, own if borrowed else Way("with root, without a user namespace", user, False))


def _ways() -> Iterator[Way]:
    """The ways of this machine; their user is this job's alone for as long as they are gone through."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        rows = [line.split() for line in file]
    known = max(int(first) + int(count) for first, _, count in rows)
    with nobody(USERS if known > USERS.stop else FEW) as user:
        yield from ways(os.geteuid() == 0, user, rows != [["0", "0", "4294967295"]])


@contextmanager
def nobody(users: Sequence[int]) -> Iterator[int]:
    """One of these users who runs nothing: what is counted for a user, or is a user's own, is then no other job's.

    He is kept by an abstract name (unix(7)), which the kernel frees with the process that has it.
    """
    for user in secrets.SystemRandom().sample(users, min(len(users), 99)):
        with socket.socket(socket.AF_UNIX) as held:
            try:
                held.bind(f"\0stager-user-{user}")
            except OSError:
                continue
            if not groups.tasks_of(user):
                yield user
                return
    yield secrets.choice(users)


def run(job: Job, *, stop: Callable[[], bool], tell: Callable[[str], None]) -> Ended:
    """Run a job to its end, or to a limit's. `stop` is asked often; `tell` gets some of the lines that are said.

    Afterwards nothing of it runs, and all it wrote can be read and removed. Raises Cancelled when it was to stop, NoSandbox
    with what to do when this machine gives none, ProgramMissing, CannotWrite.
    """
    attempts: list[tuple[str, str]] = []
    try:
        program("bwrap", PURPOSE)
        for way in _ways():
            ended, said = _attempt(job, way, stop, tell)
            if ended:
                return ended
            attempts.append((way.name, said))
    except ProgramMissing as missing:
        if job.engine is None:
            raise
        attempts.append(("with bubblewrap", missing.message))
    if job.engine is not None:
        try:
            return container.run(job, job.engine, stop=stop, tell=tell)
        except (EngineFailed, UsageError) as error:
            attempts.append(("in a container", error.message))
    raise NoSandbox(PURPOSE, attempts, remedies.remedy(attempts))


def possible() -> tuple[str, tuple[tuple[str, str], ...]]:
    """The way in which this machine gives a sandbox, empty for none; and what the system said to those that failed.

    Tried with this machine's own programs in it. Raises ProgramMissing, CannotWrite.
    """
    attempts: list[tuple[str, str]] = []
    program("bwrap", PURPOSE)
    with temporary("sandbox") as place:
        job = Job(
            ("true",), RootFolder("/"), f"{place}/app", f"{place}/scratch", f"{place}/log", limits=Limits(seconds=15)
        )
        for way in _ways():
            for folder in (job.app, job.scratch):
                os.makedirs(folder, exist_ok=True)
            ended, said = _attempt(job, way, never, lambda _: None)
            if ended and not ended.status:
                return way.name, tuple(attempts)
            attempts.append((way.name, said or f"exit status {ended.status if ended else 1}"))
    return "", tuple(attempts)


def _attempt(job: Job, way: Way, stop: Callable[[], bool], tell: Callable[[str], None]) -> tuple[Ended | None, str]:
    """How the job ended; or None and why there was no sandbox this way."""
    limits = job.limits
    if why := _given(job, way):
        return None, why
    try:
        with groups.limited(limits.memory, limits.processes) as group:
            if len(group.limits) < 2:
                why = "; ".join(group.tried) or "none is mounted"
                tell(f"memory and processes are only counted now and then: no control group can be made here ({why})")
            placed, clocked = _placed(job, way, group)
            ended, said = _Running(job, group, way, stop, tell).run(placed, (*_inside(way, clocked), *job.command))
            return ended and replace(ended, clocked=clocked is not job), said
    except BaseException:
        with suppress(OSError):
            _settle(job)
        raise


def shell(job: Job) -> int:
    """Run a job on this process's terminal, with nobody who waits for it or listens: its exit status.

    Afterwards nothing of it runs, and all it wrote can be read and removed. Raises NoSandbox, ProgramMissing, CannotWrite.
    """
    attempts: list[tuple[str, str]] = []
    bwrap = program("bwrap", PURPOSE)
    for way in _ways():
        if why := _given(job, way):
            attempts.append((way.name, why))
            continue
        with groups.limited(job.limits.memory, job.limits.processes) as group:
            placed, _ = _placed(job, way, group)
            status, said = entering.tried(placed, bwrap)
            if not status:
                command = (*_inside(way, job), "setsid", "--ctty", "--wait", *job.command)
                try:
                    return _on_terminal(placed, (*_before(job, group, way), *placed.before, bwrap), command)
                finally:
                    _settle(job)
        attempts.append((way.name, entering.refusal(status, said)))
    raise NoSandbox(PURPOSE, attempts, remedies.remedy(attempts))


def _on_terminal(placed: PlacedSandbox, before: Sequence[str], command: Sequence[str]) -> int:
    from . import terminal

    with entering.described(placed.sandbox) as (arguments, handed):
        words = (*before, "--args", str(arguments), "--", *command)
        status = terminal.carried(lambda theirs: entering.started(words, handed, theirs, 0o022, theirs))
    return 128 - status if status < 0 else status


def _inside(way: Way, job: Job) -> tuple[str, ...]:
    return () if way.owned else become(job, way.user)


def _given(job: Job, way: Way) -> str:
    """Give the job's folders to whom it runs as: nothing, or why that cannot be. Raises CannotWrite."""
    try:
        os.makedirs(job.scratch + HOME.removeprefix(TMP), 0o755, exist_ok=True)
        if way.user:
            for folder in (job.app, job.scratch):
                entering.hand_over(folder, way.user)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EINVAL):
            return f"files cannot be given to the user {way.user}: {error.strerror}"
        raise CannotWrite(job.app, disk.why(error)) from None
    return ""


def _settle(job: Job) -> Amount:
    """What has been written, made fit to be removed. Raises OSError."""
    amount = Amount()
    for folder in (job.app, job.scratch):
        leftovers.settle(folder, amount)
    return amount


def _placed(job: Job, way: Way, group: ControlGroups) -> tuple[PlacedSandbox, Job]:
    """The job's sandbox, and the job: with another clock where it may have one and the root's programs stand it."""
    user, bare = (way.user, 0) if way.owned else (0, way.user)
    if job.surroundings.later and job.fake_clock:
        clock = (("LD_PRELOAD", _CLOCK), ("FAKETIME", f"+{job.surroundings.later}s"), *CLOCK)
        for library in sorted(glob(_CLOCKS)):
            clocked = replace(job, inputs=(*job.inputs, (library, _CLOCK)), env=(*job.env, *clock))
            placed = entering.placed(sandbox(clocked, bare), group.members, user, PURPOSE)
            if entering.tried(placed, program("bwrap", PURPOSE)) == (0, ""):
                return placed, clocked
    return entering.placed(sandbox(job, bare), group.members, user, PURPOSE), job


def _before(job: Job, group: ControlGroups, way: Way) -> tuple[str, ...]:
    """What goes before everything: limits that a process hands down (getrlimit(2)), and which processors it may use."""
    import resource

    most = {"fsize": job.limits.output, "core": 0}
    if "pids" not in group.limits:
        most["nproc"] = (
            groups.tasks_of(way.user or os.getuid()) + job.limits.processes
        )  # others of this user count, too
    if "memory" not in group.limits:
        most["data"] = job.limits.memory
    for name, value in most.items():
        highest = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[1]
        most[name] = value if highest == resource.RLIM_INFINITY else min(value, highest)
    words = (program("prlimit", PURPOSE), *(f"--{name}={value}" for name, value in most.items()), "--")
    few, allowed = job.surroundings.processors, sorted(os.sched_getaffinity(0))
    if not 0 < few < len(allowed):
        return words
    return (program("taskset", PURPOSE), "--cpu-list", ",".join(map(str, allowed[:few])), *words)


class _Running:
    """One bubblewrap with a job in it."""

    def __init__(
        self, job: Job, group: ControlGroups, way: Way, stop: Callable[[], bool], tell: Callable[[str], None]
    ) -> None:
        """Raises CannotWrite when the log cannot be made."""
        self._job, self._group, self._way, self._stop = job, group, way, stop
        self._told, self._teller = os.pipe()
        self._heard, self._first = b"", 0
        self._code: int | None = None
        self._due, self._before = time.monotonic() + _SOON, self._used()
        self._taken, self._device = self._before, os.stat(job.scratch).st_dev
        self._saying = Saying(job.log, tell)

    def run(self, placed: PlacedSandbox, command: Sequence[str]) -> tuple[Ended | None, str]:
        """How it ended; or None and what was said when there was no sandbox."""
        began = time.monotonic()
        ended_by = ""
        try:
            child = self._started(placed, command)
            try:
                ended_by = self._wait(child, began)
            finally:
                self._end(child)
        finally:
            self._saying.close()
            os.close(self._told)
        seconds, last = time.monotonic() - began, self._saying.last
        written = _settle(self._job)
        ended_by = ended_by or self._met() or self._over(written)
        if not ended_by and self._code is None and child.returncode > 0:
            return None, entering.refusal(child.returncode, "\n".join(last))
        status = child.returncode if self._code is None else self._code
        return Ended(128 - status if status < 0 else status, seconds, ended_by, last), ""

    def _started(self, placed: PlacedSandbox, command: Sequence[str]) -> subprocess.Popen[bytes]:
        bwrap = program("bwrap", PURPOSE)
        try:
            with entering.described(placed.sandbox) as (arguments, handed):
                own = ("--args", str(arguments), "--json-status-fd", str(self._teller), "--")
                words = (*_before(self._job, self._group, self._way), *placed.before, bwrap, *own, *command)
                out, umask = self._saying.pipe, self._job.surroundings.umask
                return entering.started(words, (*handed, self._teller), out, umask)
        finally:
            os.close(self._teller)
            self._saying.start()

    def _wait(self, child: subprocess.Popen[bytes], began: float) -> str:
        """Until it has ended, or what it met. Raises Cancelled."""
        with ExitStack() as opened:
            handle = os.pidfd_open(child.pid)  # a wait with a limit sleeps, which fails under another clock
            opened.callback(os.close, handle)
            return self._met_while(child, handle, began)

    def _met_while(self, child: subprocess.Popen[bytes], handle: int, began: float) -> str:
        while True:
            if _readable(handle, _TICK):
                child.wait()
                return ""
            self._hear()
            if self._stop():
                raise Cancelled
            if time.monotonic() - began > self._job.limits.seconds:
                return TIME
            if met := self._met() or self._used_up() or self._written():
                return met

    def _met(self) -> str:
        """The limit that is reached, of those that others keep; or nothing."""
        if self._group.killed:
            return MEMORY
        if self._group.refused:
            return PROCESSES
        return OUTPUT if self._saying.too_much else ""

    def _used_up(self) -> str:
        """Memory and processes where no control group counts them."""
        if self._group.limits == {"memory", "pids"} or not self._first:
            return ""
        memory, processes = groups.used(self._first, self._job.limits.memory)
        if "memory" not in self._group.limits and memory > self._job.limits.memory:
            return MEMORY
        return PROCESSES if "pids" not in self._group.limits and processes > self._job.limits.processes * 0.9 else ""

    def _written(self) -> str:
        """Whether there is too much in its folders: looked at now and then, and when the disk fills quickly."""
        now, used = time.monotonic(), self._used()
        limits = self._job.limits
        if now < self._due and used - self._taken < limits.output // 8:
            return ""
        amount = Amount()
        for folder in (self._job.app, self._job.scratch):
            leftovers.measure(folder, amount, limits.files)
        amount.size += leftovers.nameless(groups.family(self._first), self._device)
        took = time.monotonic() - now
        self._due, self._taken = now + max(_SOON, _SHARE * took), used
        if amount.hidden and used - self._before > limits.output:
            return OUTPUT
        return self._over(amount)

    def _over(self, amount: Amount) -> str:
        if amount.size >= self._job.limits.output:
            return OUTPUT
        return FILES if amount.deep or amount.count > self._job.limits.files else ""

    def _used(self) -> int:
        """Bytes that are taken where it writes."""
        with suppress(OSError):
            facts = os.statvfs(self._job.scratch)
            return (facts.f_blocks - facts.f_bfree) * facts.f_frsize
        return 0

    def _hear(self) -> None:
        """What bwrap tells of itself: lines of JSON, one with the first process inside, one with how the command ended."""
        while _readable(self._told, 0) and (part := os.read(self._told, 4096)):
            self._heard += part
        for line in self._heard.splitlines():
            with suppress(ValueError):
                found = json.loads(line)
                self._first = int(found.get("child-pid", self._first))
                self._code = found.get("exit-code", self._code)

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """End what still runs, and wait until everything inside has gone: the first process is the last to go."""
        if child.poll() is None:
            programs.signal_group(child.pid, signal.SIGKILL)
            child.wait()
        self._hear()
        with suppress(OSError):
            first = os.pidfd_open(self._first)
            _readable(first, _PATIENCE)
            os.close(first)


def _readable(descriptor: int, seconds: float) -> bool:
    """Whether there is something to read, or is within so many seconds."""
    looked = select.poll()
    looked.register(descriptor, select.POLLIN)
    return bool(looked.poll(seconds * 1000))
