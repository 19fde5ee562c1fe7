"""Running a build: its root and the droplet around it are laid out, its command runs in a sandbox, its log is kept.

A build that runs for the first time runs twice, in surroundings that differ in all that may (`compare`).
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Required, TypedDict, Unpack

from .. import bases, sandbox
from ..droplet import assembly, unpacking
from ..droplet.built import log_path as log_path
from ..errors import Cancelled, CannotWrite, StagerError
from ..files import below, writing
from ..files.temporary import above
from ..files.temporary import file as temporary_file
from ..files.temporary import folder as scratch
from ..formats import tar
from ..formats.archive import HeldArchive, read_tar
from ..model import ARTIFACT
from ..planning import lockfile, surroundings
from ..planning.detection import appconfig
from ..sandbox.job import APP, HOME, Job, Limits, Surroundings
from ..store.errors import StoreCorrupt
from . import compare, machines, roots
from .compare import FIRST, SECOND, Content, content
from .errors import BuildFailed, BuildTooBig
from .outputs import Left
from .recipes import PROVIDED

if TYPE_CHECKING:
    from ..bases import Ready
    from ..droplet.incremental import Folder
    from ..formats.archive import Member
    from ..model import Build, Plan
    from ..records import Base
    from ..sandbox.job import Ended
    from ..sandbox.roots import RootFolder
    from ..settings import Settings

_WORDS = {
    "time": "it took more than {0.seconds:.0f} seconds",
    "memory": "it needed more than {0.memory} bytes of memory",
    "processes": "it had more than {0.processes} processes",
    "output": "it wrote more than {0.output} bytes",
    "files": "it made more than {0.files} files",
}
_MEMORY, _ROOM = "/dev/shm", 1 << 30  # noqa: S108
"""A file system in memory, and the bytes that a build may need there beside what is laid out."""
_PROCESSORS, _BESIDE = 2, 6 << 30
"""Processors and bytes of free memory from which on two runs go beside each other."""
_APART, _TICK = 2.1, 0.05
"""Seconds between the beginnings of two runs, and between two looks at the time: the times of files that are made are never
another clock's, and archives keep them to two seconds."""
_LATE, _LONGER = 60.0, 10.0
"""Seconds, and times the first run, that a second one may go on after it before its clock is held to be the reason."""
_KNOWN = {"stager-build-": "embedded path"}
"""Texts of a run's folder outside."""
_SHELL = 'export HOME=$0; cd -- "$1" || exit; shift; exec /bin/sh -c "$1"'
"""HOME was the app's folder, as at run time; a build may write to its own, which is thrown away."""


_INTERACTIVE = "PS1='\\w \\$ ' exec bash --norc -i"


class LaidOut(TypedDict, total=False):
    """What the app's and artifacts' builds say differently."""

    fill: Required[Callable[[str, bool], None]]
    env: Required[Mapping[str, str]]
    inputs: Sequence[tuple[str, str]]
    provided: Mapping[str, bytes] | None
    folder: str
    fake_clock: bool
    limits: Limits | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a build runs: the root, and the droplet around it as members to be laid out."""

    root: RootFolder
    members: Sequence[Member]
    kept: str = ""
    """The folder for its first run, when that is to be left."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks of builds by hand: to run though they are remembered (`again`), to leave their folders (`keep`).

    They are those in `names`, or all. `until` is the last build that is of interest; empty for all of them.
    """

    names: frozenset[str] = frozenset()
    again: bool = False
    keep: bool = False
    until: str = ""

    def runs(self, build: Build) -> bool:
        """Whether a build is to run even when it is remembered."""
        return (self.again or self.keep) and (not self.names or build.name in self.names)

    def keeps(self, build: Build) -> bool:
        """Whether a build's folder is to be left."""
        return self.keep and (not self.names or build.name in self.names)


NOTHING_ASKED = Asked()


@contextmanager
def place(
    plan: Plan,
    build: Build,
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready],
    asked: Asked = NOTHING_ASKED,
) -> Iterator[Place]:
    """The root of a build, made unless it is there, and the droplet around it; `ready` are the built artifacts.

    An error inside says (`kept` in its data) where the folder is that was to be left.
    """
    machines.check(build.name, plan.architecture)
    root = roots.made(surroundings.root_of(plan, build), plan.architecture, roots.making(settings))
    around = lockfile.locked(surroundings.plan_of(plan, build))
    base = bases.recalled(around, settings.store) or bases.make(around, folder, settings, ready)
    with temporary_file() as plain:
        _inflated(base, settings, plain)
        with read_tar(HeldArchive(plain.fileno(), above()), build.name, "") as archive:
            kept = _lasting(build.name) if asked.keeps(build) else ""
            try:
                yield Place(root, archive.members, kept)
            except StagerError as error:
                error.data.update({"kept": kept} if kept else {})
                raise


def _inflated(base: Base, settings: Settings, into: IO[bytes]) -> None:
    """Write the tar of a base, without the app's own layer. Raises Damaged for a piece that is gone or rotten, Cancelled."""
    for piece in base.pieces()[:-1]:
        decoder = zlib.decompressobj(-15)
        try:
            for part in settings.store.parts(piece.blob):
                into.write(decoder.decompress(part))
        except (StoreCorrupt, zlib.error):
            raise assembly.Damaged(piece.blob) from None
        if settings.stop():
            raise Cancelled
    into.write(tar.END)
    into.flush()


def _lasting(name: str) -> str:
    """A new folder that nobody removes. Raises CannotWrite."""
    try:
        return os.path.realpath(tempfile.mkdtemp(prefix=f"build-{name}-", dir=above()))
    except OSError as error:
        raise CannotWrite(above(), error.strerror or str(error)) from None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a build: the folders that were `/app` and `/tmp`, and how it ended."""

    app: str
    temporary: str
    ended: Ended


@contextmanager
def laid_out(
    where: Place,
    command: str,
    around: Surroundings,
    settings: Settings,
    log: str,
    *,
    fill: Callable[[str, bool], None],
    env: Mapping[str, str],
    inputs: Sequence[tuple[str, str]] = (),
    provided: Mapping[str, bytes] | None = None,
    folder: str = APP,
    fake_clock: bool = True,
    limits: Limits | None = None,
) -> Iterator[Job]:
    """A build as it is to run in these surroundings; `fill(app, reverse)` lays the app's files over what is there."""
    with ExitStack() as opened:
        outside = where.kept
        if around != FIRST or not outside:
            outside = opened.enter_context(scratch("build", _elsewhere(where.members, around)))
        if around.reverse:  # another path, and a deeper one
            outside = os.path.join(outside, "elsewhere", "deeper")
        app, temporary = os.path.join(outside, "app"), os.path.join(outside, "tmp")
        os.makedirs(temporary)
        for path, data in (provided or {}).items():
            with below.writing(outside, f"provided/{path}", 0o644) as file:
                file.write(data)
        if provided:
            inputs = (*inputs, (os.path.join(outside, "provided"), PROVIDED))
        unpacking.place(where.members[::-1] if around.reverse else where.members, outside)
        os.makedirs(app, exist_ok=True)
        for place in (app, temporary):
            os.chmod(place, 0o755)  # noqa: S103  whatever the umask is; they are below a folder of this user alone
        fill(app, around.reverse)
        writing.folder_above(log)
        job = Job(
            command=(f"{APP}/.stager/bin/launch", "--", "/bin/sh", "-c", _SHELL, HOME, folder, command),
            root=where.root, app=app, scratch=temporary, log=log, inputs=tuple(inputs), env=tuple(sorted(env.items())),
            limits=limits or Limits(), surroundings=around, fake_clock=fake_clock,
            engine=settings.engine,
        )  # fmt: skip
        yield job


@contextmanager
def once(
    build: Build,
    where: Place,
    command: str,
    around: Surroundings,
    settings: Settings,
    log: str,
    *,
    stop: Callable[[], bool] | None = None,
    **more: Unpack[LaidOut],
) -> Iterator[Run]:
    """Run a build's command in these surroundings. Raises BuildFailed, BuildTooBig, Cancelled, NoSandbox."""
    with laid_out(where, command, around, settings, log, **more) as job:
        ended = sandbox.run(
            job, stop=stop or settings.stop, tell=lambda line: settings.tell("build", f"{build.name}: {line}")
        )
        check(build, ended, job.limits, log)
        yield Run(job.app, job.scratch, ended)


def by_hand(where: Place, settings: Settings, **more: Unpack[LaidOut]) -> int:
    """A shell where a build's command would run, on this process's terminal: its exit status. Raises NoSandbox."""
    with laid_out(where, _INTERACTIVE, FIRST, settings, os.devnull, **more) as job:
        return sandbox.shell(job)


Attempt = Callable[[Surroundings, str, Callable[[], bool]], AbstractContextManager[Left]]
"""Runs a build in these surroundings, with this log, until it is to stop; gives what it left, as long as it is there."""


@contextmanager
def compared(build: Build, key: str, attempt: Attempt, settings: Settings) -> Iterator[Left]:
    """What a build leaves, after it has left the same in other surroundings, unless the app asks for one run.

    Raises BuildDiffers, with the cause, and what `attempt` raises.
    """
    log = log_path(settings.store, key)
    settings.tell("build", build.name)
    with ExitStack() as opened:
        if not build.twice:
            yield opened.enter_context(attempt(FIRST, log, settings.stop))
            return
        first, second = _both(build, attempt, log, settings, opened)

        def again(around: Surroundings, path: str) -> Content:
            settings.tell("build", f"{build.name}, again to see why {path} differs")
            try:
                with attempt(around, f"{log}.3", settings.stop) as left:
                    return content(left, path)
            except (BuildFailed, BuildTooBig):
                if around == FIRST:
                    raise
                return content(first, path)  # it does not stand this by itself, which tells nothing of the difference

        compare.same(build.name, first, second, again, _KNOWN)
        yield first


def _both(build: Build, attempt: Attempt, log: str, settings: Settings, opened: ExitStack) -> tuple[Left, Left]:
    """Both runs, beside each other where the machine has the room.

    libfaketime has programs fail that wait by the machine's own clock (clock_nanosleep(2), as Python's `time.sleep`), and
    others wait for ever. So a second run that fails, or takes much longer than the first, is done again by that clock.
    """
    began, ended, over = time.monotonic(), threading.Event(), list[float]()
    others = opened.enter_context(ExitStack())

    def stop() -> bool:
        return ended.is_set() or settings.stop()

    def late() -> bool:
        return stop() or (bool(over) and time.monotonic() - over[0] > _LATE + _LONGER * (over[0] - began))

    def second() -> Left:
        while time.monotonic() < began + _APART:
            if stop():
                raise Cancelled
            time.sleep(_TICK)
        try:
            return others.enter_context(attempt(SECOND, f"{log}.2", late))
        except (BuildFailed, BuildTooBig, Cancelled):
            if stop():
                raise
        settings.tell("build", f"{build.name}, again in other surroundings, by the machine's own clock")
        return others.enter_context(attempt(replace(SECOND, later=0), f"{log}.2", stop))

    if (os.cpu_count() or 1) < _PROCESSORS or _free_memory() < _BESIDE:
        first = opened.enter_context(attempt(FIRST, log, stop))
        over.append(time.monotonic())
        settings.tell("build", f"{build.name}, again in other surroundings")
        return first, second()
    with ThreadPoolExecutor(1, "build") as pool:
        future = pool.submit(second)
        try:
            first = opened.enter_context(attempt(FIRST, log, stop))
        except BaseException:
            ended.set()
            raise
        over.append(time.monotonic())
        return first, future.result()


def _elsewhere(members: Sequence[Member], around: Surroundings) -> str:
    """A file system in memory, for it is quick; empty where there is not enough room.

    It gives the names in a folder in the order in which they came, reversed: ext4 and others have an order of their own, which
    is the same in any two folders of one disk. So it is there for the other surroundings first.
    """
    size = sum(member.size for member in members)
    needed = _ROOM + 3 * size if around.reverse else _BESIDE + 6 * size
    try:
        there = os.statvfs(_MEMORY)
    except OSError:
        return ""
    return _MEMORY if min(there.f_bavail * there.f_frsize, _free_memory()) > needed else ""


def _free_memory() -> int:
    """Bytes that can be had without swapping (proc_meminfo(5)); 0 when nobody knows."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            rows = dict(line.split(":") for line in file)
        return int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, LookupError, ValueError):
        return 0


def check(build: Build, ended: Ended, limits: Limits, log: str) -> None:
    """Raise for a run that did not end well."""
    if ended.ended_by:
        raise BuildTooBig(build.name, _WORDS[ended.ended_by].format(limits), log)
    if ended.status:
        raise BuildFailed(
            build.name, f"ended with exit status {ended.status}", ended.last, log, way_out=_way_out(build)
        )


def _way_out(build: Build) -> str:
    """What an author can do about a build that stager plans; one's own has its line in `stager.yml` anyway."""
    if build.kind == ARTIFACT or build.reason.file == appconfig.NAME:
        return ""
    env, off = f"builds: {{{build.name}: {{env: {{NAME: value}}}}}}", f"builds: {{{build.name}: no}}"
    return f"Where it lacks a variable, write '{env}' in {appconfig.NAME}; to go without it, '{off}'."
