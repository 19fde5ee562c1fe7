"""Running a build: its root and the droplet around it are laid out, its command runs in a sandbox, its log is kept.

A build that runs for the first time runs twice, in surroundings that differ in all that may (`compare`).
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import IO, TYPE_CHECKING, Required, TypedDict, Unpack

import deflate

from .. import bases, sandbox
from ..droplet import assembly, unpacking
from ..droplet.built import log_path as log_path
from ..errors import Cancelled, CannotWrite, StagerError
from ..files import below, writing
from ..files.temporary import above
from ..files.temporary import file as temporary_file
from ..files.temporary import folder as scratch
from ..formats import codec, tar
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
    from ..records import Base, Piece
    from ..sandbox.job import Ended
    from ..sandbox.roots import RootFolder
    from ..settings import Settings
    from ..store import Store

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
_APART, _TICK = 2.1, 0.02
"""Seconds between the beginnings of two commands, and between two looks at the time: the times of files that are made are
never another clock's, and archives keep them to two seconds."""
_LONG = 20.0
"""Seconds that a build takes for which that is always waited, as it is little beside them."""
_AT_ONCE, _THREADS = 256 << 20, 4
"""Bytes of a piece that are held in memory, and how many pieces are inflated beside one another."""
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


def _nothing(*_: object) -> None:
    """For who need not be told."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One run of a build: its surroundings and its log; whether it is to stop is asked often.

    `begin` is called when all is laid out, right before the command, and `done` with how that ended, when it ended well.
    """

    around: Surroundings
    log: str
    stop: Callable[[], bool]
    begin: Callable[[], None] = _nothing
    done: Callable[[Ended], None] = _nothing


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
    root, base = _made(plan, build, folder, settings, ready)
    with temporary_file() as plain:
        _inflated(base, settings, plain)
        with read_tar(HeldArchive(plain.fileno(), above()), build.name, "") as archive:
            kept = _lasting(build.name) if asked.keeps(build) else ""
            try:
                yield Place(root, archive.members, kept)
            except StagerError as error:
                error.data.update({"kept": kept} if kept else {})
                raise


def _made(
    plan: Plan, build: Build, folder: Folder, settings: Settings, ready: Mapping[str, Ready]
) -> tuple[RootFolder, Base]:
    """The root of a build and the base of the droplet around it, beside each other where they have to be made."""
    around = lockfile.locked(surroundings.plan_of(plan, build))
    failed = threading.Event()
    making = replace(roots.making(settings), cancel=failed)
    with ThreadPoolExecutor(1, "root") as pool:
        root = pool.submit(roots.made, surroundings.root_of(plan, build), plan.architecture, making)
        try:
            base = bases.recalled(around, settings.store) or bases.make(around, folder, settings, ready)
            while not wait([root], _TICK).done:
                if settings.stop():
                    raise Cancelled
        except BaseException:
            failed.set()
            raise
        return root.result(), base


def _inflated(base: Base, settings: Settings, into: IO[bytes]) -> None:
    """Write the tar of a base, without the app's own layer. Raises Damaged for a piece that is gone or rotten, Cancelled."""
    pieces = base.pieces()[:-1]
    ends = list(accumulate(piece.length for piece in pieces))
    rows = sorted(zip(pieces, ends, strict=True), key=lambda row: -row[0].length)

    def inflate(row: tuple[Piece, int]) -> None:
        piece, end = row
        if settings.stop():
            raise Cancelled
        place = end - piece.length
        try:
            for part in _parts(piece, settings.store):
                place += _write(into.fileno(), part, place)
        except (StoreCorrupt, zlib.error, deflate.DeflateError):
            raise assembly.Damaged(piece.blob) from None

    with ThreadPoolExecutor(_THREADS, "inflate") as pool:
        list(pool.map(inflate, rows))
    into.seek(0, os.SEEK_END)
    into.write(tar.END)
    into.flush()


def _parts(piece: Piece, store: Store) -> Iterator[bytes | bytearray]:
    """What a piece inflates to: at once where it is not large, which takes half the time."""
    if piece.length > _AT_ONCE:
        yield from map(zlib.decompressobj(-15).decompress, store.parts(piece.blob))
    else:
        yield deflate.deflate_decompress(b"".join(store.parts(piece.blob)) + codec.FINAL, piece.length)


def _write(descriptor: int, data: bytes | bytearray, place: int) -> int:
    """Write all of it at a place of a file, however short the single writes are; its length. Raises OSError."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], place + done)
    return done


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
        if around != FIRST or not outside or os.listdir(outside):  # looking for a cause runs the first one again
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
        if around.older:
            _age(outside, around.older)
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
    turn: Turn,
    settings: Settings,
    **more: Unpack[LaidOut],
) -> Iterator[Run]:
    """Run a build's command. Raises BuildFailed, BuildTooBig, Cancelled, NoSandbox."""
    with laid_out(where, command, turn.around, settings, turn.log, **more) as job:
        turn.begin()
        ended = sandbox.run(job, stop=turn.stop, tell=lambda line: settings.tell("build", f"{build.name}: {line}"))
        check(build, ended, job.limits, turn.log)
        turn.done(ended)
        yield Run(job.app, job.scratch, ended)


def by_hand(where: Place, settings: Settings, **more: Unpack[LaidOut]) -> int:
    """A shell where a build's command would run, on this process's terminal: its exit status. Raises NoSandbox."""
    with laid_out(where, _INTERACTIVE, FIRST, settings, os.devnull, **more) as job:
        return sandbox.shell(job)


Attempt = Callable[[Turn], AbstractContextManager[Left]]
"""Runs a build in its turn; gives what it left, as long as it is there."""


@contextmanager
def compared(
    build: Build, key: str, attempt: Attempt, settings: Settings, definition: str = ""
) -> Iterator[tuple[Left, float]]:
    """What a build leaves, after it has left the same in other surroundings, unless the app asks for one run; and how many
    seconds it took.

    `definition` is a digest over what is to run, without that on which it runs: once this has left the same in two runs that
    began at different times, they begin at once. Raises BuildDiffers, with the cause, and what `attempt` raises.
    """
    log = log_path(settings.store, key)
    settings.tell("build", build.name)
    with ExitStack() as opened:
        known = settings.store.recall("apart", definition) if definition else None
        runs = _Runs(build, attempt, log, settings, _APART if known is None or known > _LONG else 0.0)
        if not build.twice:
            first = opened.enter_context(runs.first())
            yield first, runs.seconds
            return
        others = opened.enter_context(ExitStack())
        first, second = runs.both(opened, others)

        def again(around: Surroundings, path: str) -> Content:
            settings.tell("build", f"{build.name}, again to see why {path} differs")
            try:
                with attempt(Turn(around, f"{log}.3", settings.stop)) as left:
                    return content(left, path)
            except (BuildFailed, BuildTooBig):
                if around == FIRST:
                    raise
                return content(first, path)  # it does not stand this by itself, which tells nothing of the difference

        compare.same(build.name, first, second, again, _KNOWN)
        if definition and runs.told:
            settings.store.remember("apart", definition, runs.seconds)
        with ThreadPoolExecutor(1, "remove") as pool:
            pool.submit(others.close)
            yield first, runs.seconds


class _Runs:
    """The first run, or both, beside each other where the machine has the room.

    libfaketime has programs fail that wait by the machine's own clock (clock_nanosleep(2), as Python's `time.sleep`), and
    others wait for ever. So a second run that fails, or takes much longer than the first, is done again by that clock.
    """

    def __init__(self, build: Build, attempt: Attempt, log: str, settings: Settings, apart: float) -> None:
        self._build, self._attempt, self._log, self._settings, self._apart = build, attempt, log, settings, apart
        self._began, self._over, self._failed = 0.0, 0.0, threading.Event()
        self.seconds = 0.0
        """How long the first one took."""
        self.told = False
        """Whether the second one tells all of the clock that can be told: it waited, and had another."""

    def both(self, opened: ExitStack, others: ExitStack) -> tuple[Left, Left]:
        """What both have left, as long as `opened` and `others` are open."""
        if (os.cpu_count() or 1) < _PROCESSORS or _free_memory() < _BESIDE:
            first = opened.enter_context(self.first())
            self._settings.tell("build", f"{self._build.name}, again in other surroundings")
            return first, self._second(others)
        with ThreadPoolExecutor(1, "build") as pool:
            future = pool.submit(self._second, others)
            try:
                return opened.enter_context(self.first()), future.result()
            except BaseException:
                self._failed.set()
                raise

    def first(self) -> AbstractContextManager[Left]:
        """The first run."""

        def begin() -> None:
            self._began = time.monotonic()

        def done(ended: Ended) -> None:
            self.seconds, self._over = ended.seconds, time.monotonic()

        return self._attempt(Turn(FIRST, self._log, self._stop, begin, done))

    def _second(self, others: ExitStack) -> Left:
        def begin(apart: float) -> None:
            while not self._began or time.monotonic() < self._began + apart:
                if self._stop():
                    raise Cancelled
                time.sleep(_TICK)

        def done(ended: Ended) -> None:
            self.told = ended.clocked and bool(self._apart)

        turn = Turn(SECOND, f"{self._log}.2", self._late, lambda: begin(self._apart), done)
        try:
            return others.enter_context(self._attempt(turn))
        except (BuildFailed, BuildTooBig, Cancelled):
            if self._stop():
                raise
        self._settings.tell("build", f"{self._build.name}, again in other surroundings, by the machine's own clock")
        own = replace(turn, around=replace(SECOND, later=0), stop=self._stop, begin=lambda: begin(_APART))
        return others.enter_context(self._attempt(own))

    def _stop(self) -> bool:
        return self._failed.is_set() or self._settings.stop()

    def _late(self) -> bool:
        late = self._over and time.monotonic() - self._over > _LATE + _LONGER * (self._over - self._began)
        return self._stop() or bool(late)


def _age(folder: str, seconds: int) -> None:
    """Make a folder and all that is in it older. Raises CannotWrite."""
    todo = [folder]
    try:
        while todo:
            above = todo.pop()
            with os.scandir(above) as found:
                for entry in found:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        _make_older(entry.path, entry.stat(follow_symlinks=False), seconds)
            _make_older(above, os.stat(above), seconds)
    except OSError as error:
        raise CannotWrite(folder, error.strerror or str(error)) from None


def _make_older(path: str, facts: os.stat_result, seconds: int) -> None:
    time = facts.st_mtime_ns - seconds * 10**9
    os.utime(path, ns=(time, time), follow_symlinks=False)


def _elsewhere(members: Sequence[Member], around: Surroundings) -> str:
    """A file system in memory, for it is quick; empty where there is not enough room, or nothing in it may be run.

    It gives the names in a folder in the order in which they came, reversed: ext4 and others have an order of their own, which
    is the same in any two folders of one disk. So it is there for the other surroundings first.
    """
    size = sum(member.size for member in members)
    needed = _ROOM + 3 * size if around.reverse else _BESIDE + 6 * size
    try:
        there = os.statvfs(_MEMORY)
    except OSError:
        return ""
    if there.f_flag & os.ST_NOEXEC:  # as on hardened hosts; a mount of a folder of it is so, too
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
            build.name,
            f"ended with exit status {ended.status}",
            ended.last,
            log,
            way_out=_without_network(ended.last) or _way_out(build),
        )


_UNREACHED = re.compile(
    r"(?:EAI_AGAIN|ENOTFOUND|ould not resolve host:?|unable to resolve host address|host=)"
    r"\s*['\"‘]?(?P<host>[\w-]+(?:\.[\w-]+)+)"
)
"""What Node.js, curl, git, wget and Python's urllib3 say of a name that they cannot look up."""


def _without_network(last: Iterable[str]) -> str:
    """What an author can do about a build that wants something of another machine."""
    found = next((match for line in last if (match := _UNREACHED.search(line))), None)
    if found is None:
        return ""
    what = "Have in the app what it would fetch there"
    if found["host"].startswith("fonts."):
        what = "Have the fonts' files in the app, or in a package that it depends on, and name them there"
    return f"It wants {found['host']}, and no build has a network. {what}."


def _way_out(build: Build) -> str:
    """What an author can do about a build that stager plans; one's own has its line in `stager.yml` anyway."""
    if build.kind == ARTIFACT or build.reason.file == appconfig.NAME:
        return ""
    env, off = f"builds: {{{build.name}: {{env: {{NAME: value}}}}}}", f"builds: {{{build.name}: no}}"
    return f"Where it lacks a variable, write '{env}' in {appconfig.NAME}; to go without it, '{off}'."
