"""Staging again from nothing but the source and the lock, in a process of its own, under changed conditions.

The second staging shares only the pinned artifacts with the first: their bytes are read, compared with the lock's digests
and copied into a new store. Pieces, memos and whatever else the first store remembers are not used. The child is the
ordinary `stager stage --offline --locked`, so that the command itself is what is verified.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ... import staging
from ...builds import roots
from ...builds.roots import lend, making
from ...droplet import incremental
from ...droplet.incremental import Folder
from ...errors import Cancelled, CannotWrite, LockMissing, Unreadable
from ...files import temporary
from ...formats.codec import CODEC
from ...model import Artifact, Plan
from ...planning import lockfile
from ...planning.surroundings import used_roots
from ...settings import Settings
from ...store import Store
from ...store.errors import DigestMismatch
from ...text import resources
from ...text.wording import shown
from ..errors import CannotRebuild
from .conditions import ChosenConditions, Here, choose
from .copying import copied

_GRACE = 10.0
"""Seconds that the child has to clean up before it is killed."""
_TYPED = (2, 20, 30, 40, 50, 60)
"""Exit codes of errors that another try would give again."""
_PACKAGE = os.path.dirname(resources.PACKAGE)


@dataclass(frozen=True, slots=True)
class Restaged:
    """A second staging: the droplet file `path` (inside the scratch folder), the plan, and what was changed.

    `traces` maps texts of where it ran to conditions.
    """

    path: str
    plan: Plan
    chosen: ChosenConditions
    notes: tuple[str, ...] = ()

    @property
    def traces(self) -> dict[str, str]:
        """Text → condition: what shows in a file when a condition reached it. Longer texts come first."""
        found = {text: change.name for change in self.chosen.changes for text in change.traces}
        return dict(sorted(found.items(), key=lambda item: (-len(item[0]), item[0])))


@contextlib.contextmanager
def restaged(
    source: str, droplet: str, settings: Settings, here: Here, *, skip: Sequence[str] = (), only: Sequence[str] = ()
) -> Iterator[Restaged]:
    """Stage the folder `source` again; what was made exists until the `with` block ends, and nothing after it.

    The source is read anew: nothing that the store remembers of it says what it is. The plan of the file `droplet` is used
    when the source has no `stager.lock`. Raises LockMissing, what fetching missing artifacts raises, CannotRebuild and the
    child's own errors.
    """
    with contextlib.ExitStack() as stack:
        scratch = _scratch(stack)
        folder = Folder.read(source, stop=settings.stop, printed=settings.printed)
        plan, notes = _plan(folder, droplet)
        with ThreadPoolExecutor(4, "verify") as pool:
            deciding = pool.submit(choose, here, scratch, skip, only)
            settings.tell("assemble", "looking for the pinned artifacts", 0, 4)
            blobs = _fetched(plan, folder, settings)
            settings.tell("assemble", "checking the pinned artifacts", 1, 4)
            second_store(plan, blobs, settings, scratch, pool)
            chosen = deciding.result()
        copy, chosen = copied(folder, plan, scratch, chosen, stack)
        settings.tell("assemble", f"staging again, {len(chosen.changes)} conditions changed", 2, 4)
        path, chosen = _staged(copy, scratch, chosen, here, settings.stop)
        yield Restaged(path, plan, chosen, notes)


def _scratch(stack: contextlib.ExitStack) -> str:
    scratch = stack.enter_context(temporary.folder("verify"))
    stack.callback(_remove, scratch)
    for name in ("home", "temporary", "elsewhere", "out", "store"):
        os.mkdir(os.path.join(scratch, name), 0o700)
    return scratch


def _remove(scratch: str) -> None:
    """Remove everything, read-only folders included."""
    for place, _, _ in os.walk(scratch):
        with contextlib.suppress(OSError):
            os.chmod(place, 0o700)
    shutil.rmtree(scratch, ignore_errors=True)


# --- what is staged --------------------------------------------------------------------------------------------


def _plan(folder: Folder, droplet: str) -> tuple[Plan, tuple[str, ...]]:
    """The source's lock for the droplet's stack; the plan that the droplet carries, when the source has no lock at all.

    Raises LockMissing, BadLock, CannotRebuild.
    """
    carried = _carried(droplet) if droplet else None
    own = folder.lock_bytes()
    folder = folder.aim(*incremental.pinned(carried or b""))
    data = folder.lock_bytes()
    notes: tuple[str, ...] = ()
    if data is None:
        data = carried if own is None else None
        if data is None:
            raise LockMissing(folder.lock.name, folder.lock.command)
        notes = ("the source has no stager.lock; the plan that the droplet carries was used",)
    plan = lockfile.loads(data.replace(b"\r\n", b"\n"), folder.lock.name).plan
    if plan.codec != CODEC:
        why = f"the lock asks for the codec {plan.codec}, and this stager has {CODEC}"
        raise CannotRebuild(why, "Verify with the version of stager that made the droplet.")
    return plan, notes


def _carried(droplet: str) -> bytes | None:
    from ..diff import read
    from .fields import look
    from .where import LOCK

    try:
        return look(read(droplet, "as far as possible"), set(), {LOCK}).contents.get(LOCK)
    except Unreadable:
        return None


def _fetched(plan: Plan, folder: Folder, settings: Settings) -> dict[str, str]:
    """Digest → blob of every artifact; those that the first store does not have are fetched into it."""
    staging.take_in(plan, folder.tree, settings.store)
    return staging.fetch(plan, settings, roots.needed(plan), tree=folder.tree, prove=True)


def second_store(
    plan: Plan, blobs: Mapping[str, str], settings: Settings, scratch: str, pool: ThreadPoolExecutor
) -> Store:
    """A new store with the artifacts alone, each copied after its bytes were found to have the lock's digest; and the roots
    that something is built in."""
    first, second = settings.store, Store(os.path.join(scratch, "store"))
    with first.lease(), second.lease():
        unique = {artifact.digest: artifact for artifact in roots.needed(plan)}
        for _ in pool.map(lambda one: _carry_over(one, blobs[one.digest], first, second), unique.values()):
            pass
        for root in used_roots(plan):
            lend(root, plan.architecture, making(settings), second)
    return second


def _carry_over(artifact: Artifact, blob: str, first: Store, second: Store) -> None:
    states = {name: hashlib.new(name, usedforsecurity=False) for name in {"sha256", artifact.digest.algorithm}}
    source = first.open(blob)
    target = second.path(blob)
    try:
        with open(target, "xb", buffering=0) as file:
            while part := os.read(source, 1 << 20):
                for state in states.values():
                    state.update(part)
                file.write(part)
    except FileExistsError:
        return  # one file under two digests
    except OSError as error:
        raise CannotWrite(target, error.strerror or str(error)) from None
    finally:
        os.close(source)
    os.chmod(target, 0o444)
    got = states[artifact.digest.algorithm].hexdigest()
    if got != artifact.digest.hex or states["sha256"].hexdigest() != blob:
        raise DigestMismatch(artifact.name, artifact.digest, f"{artifact.digest.algorithm}:{got}")
    if artifact.digest.algorithm != "sha256":
        second.remember("artifact", artifact.digest, blob)


# --- the child -------------------------------------------------------------------------------------------------


def _staged(
    copy: str, scratch: str, chosen: ChosenConditions, here: Here, stop: Callable[[], bool]
) -> tuple[str, ChosenConditions]:
    """Run the child. What libfaketime breaks (it lets some waits fail) is no fault of the droplet: then once without."""
    try:
        return _run(copy, scratch, chosen, here, stop), chosen
    except CannotRebuild as error:
        if chosen.of("clock") is None or error.exit_code in _TYPED:
            raise
        why = f"staging failed under faketime: {error.message}"
        chosen = chosen.without("clock", shown(why))
        return _run(copy, scratch, chosen, here, stop), chosen


def _run(copy: str, scratch: str, chosen: ChosenConditions, here: Here, stop: Callable[[], bool]) -> str:
    """Run `stager stage` on the copy; the droplet file. Raises CannotRebuild with what it said when it failed."""
    out = os.path.join(scratch, "out", "droplet.tgz")
    jobs = max(change.jobs for change in chosen.changes)
    command = [*_command(chosen, here), "-m", "stager", "stage", copy, "-o", out]
    command += ["--cache-dir", os.path.join(scratch, "store"), "--offline", "--locked", "-q"]
    command += ["--jobs", str(jobs)] if jobs else []
    with temporary.file() as said:
        try:
            child = subprocess.Popen(
                command,
                cwd=os.path.join(scratch, "elsewhere"),
                env=_environment(chosen, here),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                umask=max(change.umask for change in chosen.changes),
                start_new_session=True,  # a Ctrl-C is for us; we tell the child
            )
        except OSError as error:
            raise CannotRebuild(error.strerror or str(error)) from None
        code = _wait(child, stop)
        if code:
            said.seek(0)
            raise _failure(code, said.read(1 << 20).decode("utf-8", "replace"))
    return out


def _command(chosen: ChosenConditions, here: Here) -> list[str]:
    """What the conditions put before the arguments: wrappers, then the interpreter."""
    python = next((change.python for change in chosen.changes if change.python), here.python)
    return [*(word for change in chosen.changes for word in change.wrapper), python]


def _environment(chosen: ChosenConditions, here: Here) -> dict[str, str]:
    """The caller's environment as the conditions change it. Nothing may be written beside stager's own modules."""
    environment = dict(here.environ)
    if chosen.of("python") is None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (here.environ.get("PYTHONPATH", ""), _PACKAGE)))
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    for change in chosen.changes:
        for name, value in change.variables.items():
            environment.pop(name, None)
            if value is not None:
                environment[name] = value
    return environment


def _wait(child: subprocess.Popen[bytes], stop: Callable[[], bool]) -> int:
    """Wait for the child; when we are to stop, it is told to, and in the end made to. Raises Cancelled."""
    try:
        while not _ended(child, 0.2):
            if stop():
                raise Cancelled
        return child.wait()
    finally:
        _end(child)


def _ended(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the child ended within that time; where the kernel tells, without delay."""
    if not hasattr(os, "pidfd_open"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
        return child.poll() is not None
    handle = os.pidfd_open(child.pid)
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    try:
        child.send_signal(signal.SIGINT)
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    except BaseException:  # Ctrl-C again, while it was cleaning up
        child.kill()
        child.wait()
        raise


def _failure(code: int, said: str) -> CannotRebuild:
    """What the child said last: its error's line, and the hint below it."""
    head, mark, tail = said.rpartition("stager: ")
    lines = [line.strip() for line in (tail if mark else head or said).splitlines() if line.strip()]
    why = lines[0] if mark and lines else (lines[-1] if lines else f"it ended with {code}")
    hint = lines[1] if mark and len(lines) > 1 else ""
    return CannotRebuild(shown(why, 500), shown(hint, 500), code if 0 < code < 128 else CannotRebuild.exit_code)
