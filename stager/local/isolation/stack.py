"""`stager run --in stack`: a droplet in its stack's root filesystem, by bubblewrap, without a daemon or a virtual machine.

The app folder is the droplet unpacked for this one run: the app may write there as it may on Cloud Foundry, and it goes
with the run. Everything else is read-only or in memory. With root, the run is first given to the user 2000 of the host, in a
mount namespace that has the folders where that user can reach them, so that nothing inside is the host's root in any sense;
another user's sandbox is that user's, seen as 2000 from inside.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...files import programs
from ...files.temporary import folder as scratch
from ...files.temporary import tidy
from ...sandbox import entering, groups
from ...sandbox.namespaces import Sandbox, top
from ...stacks.sandbox import program
from .. import running
from ..errors import CannotIsolate
from . import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...droplet.reader import DropletFile
    from ...sandbox.entering import PlacedSandbox
    from ...sandbox.groups import ControlGroups
    from ...sandbox.roots import RootFolder
    from .environment import RunOptions

_PURPOSE = "run a droplet in its stack"
_USER = 2000
"""Who runs it when root starts it."""


def run(droplet: DropletFile, root: RootFolder, how: RunOptions) -> int:
    """Run a droplet's process in a root filesystem in the foreground; its exit status (128 + n for signal n).

    Signals, output and readiness are as with `running.run`. Raises LaunchFailed, PortTaken, ProgramMissing, CannotIsolate,
    CannotWrite, UsageError; leaves nothing behind.
    """
    command = environment.supervised(environment.command(droplet, how.process, how.shell))
    port = running.chosen_port(how.port) if how.network else how.port or 8080
    with ExitStack() as opened:
        opened.enter_context(running.stoppable())
        user = _USER if os.geteuid() == 0 else 0
        app = opened.enter_context(_app(droplet, user))
        group = opened.enter_context(_limited(how.memory))
        env = environment.environment(root.env, port, how.env)
        placed = entering.placed(_sandbox(root.path, app, droplet, env, how), group.members, user, _PURPOSE)
        status = _run(placed, command, port, how)
        if group.killed and how.tell:
            how.tell(f"a process was ended: the run needed more than {how.memory} bytes of memory")
    return status


def _sandbox(root: str, app: str, droplet: DropletFile, env: dict[str, str], how: RunOptions) -> Sandbox:
    return Sandbox(
        root, top(root), ((app, environment.APP),), ((os.path.abspath(droplet.path), environment.DROPLET),),
        entering.data(root, environment.HOSTNAME, how.network),
        ((environment.VCAP, environment.APP),), tuple(sorted(env.items())), environment.APP, environment.HOSTNAME,
        environment.UID, environment.GID, how.network, first=True,
    )  # fmt: skip


@contextmanager
def _limited(memory: int) -> Iterator[ControlGroups]:
    """A control group for so many bytes of memory, 0 for none. Raises UsageError where this user may make none."""
    with groups.limited(memory) as made:
        if memory and not made.limits:
            tried = "; ".join(made.tried) or "none is mounted"
            what = f"--memory needs a control group, which cannot be made here ({tried})"
            raise UsageError(what, "Run as root, or use --in docker, whose engine limits memory.")
        yield made


@contextmanager
def _app(droplet: DropletFile, user: int) -> Iterator[str]:
    """The droplet unpacked for this run; belongs to the user it will run as."""
    with scratch("app") as folder:
        running.unpack(droplet.path, folder)
        app = os.path.join(folder, "app")
        try:
            if user:
                entering.hand_over(app, user)
        except OSError as error:
            raise CannotIsolate(f"files cannot be given to the user {user}: {error.strerror}") from None
        yield app


def _run(placed: PlacedSandbox, command: Sequence[str], port: int, how: RunOptions) -> int:
    bwrap = program("bwrap", _PURPOSE)
    _check(placed, bwrap)
    inside = _Inside()
    with ExitStack() as opened:
        told, writer = os.pipe()
        opened.callback(os.close, told)
        opened.enter_context(running.forwarding(inside.signal))
        with entering.described(placed.sandbox) as (described, handed):
            words = (*placed.before, bwrap, "--args", str(described), "--info-fd", str(writer), "--", *command)
            try:
                child = entering.started(words, (*handed, writer))
            finally:
                os.close(writer)
        opened.callback(_end, child)
        inside.begins(child, told)
        tidy()
        if how.ready and how.network:
            threading.Thread(target=running.watch, args=(child, port, how.ready, how.astray), daemon=True).start()
        status = child.wait()
        return 128 - status if status < 0 else status


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the sandbox if it is still there: everything inside goes with bwrap."""
    if child.poll() is None:
        programs.signal_group(child.pid, signal.SIGKILL)
        child.wait()


def _check(placed: PlacedSandbox, bwrap: str) -> None:
    status, said = entering.tried(placed, bwrap)
    if status:
        foreign = "Exec format error" in said
        hint = "This machine cannot run that architecture's programs: use one that can." if foreign else ""
        raise CannotIsolate(entering.refusal(status, said), hint)


class _Inside:
    """The processes of the app, as the host knows them: all descend from the sandbox's first one, which must outlive them.

    Signals that come before are kept for them.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._first = 0
        self._waiting: list[int] = []

    def begins(self, child: subprocess.Popen[bytes], told: int) -> None:
        """Take the started bwrap, and what it tells of itself: one JSON document, in parts."""
        said = b""
        while not self._first and (part := os.read(told, 4096)):
            said += part
            with suppress(ValueError, KeyError):
                self._first = int(json.loads(said)["child-pid"])
        self._child = child
        while self._waiting:
            self.signal(self._waiting.pop(0))

    def signal(self, number: int) -> None:
        """Send a signal to all of the app, and to the first process, which outlives the others to tell how the app ended.

        SIGKILL is for the others alone; the sandbox goes with them when that takes long, and before there is an app.
        """
        if self._child is None:
            self._waiting.append(number)
        elif not self._first or not running.catches(self._first, signal.SIGTERM):
            programs.signal_group(self._child.pid, signal.SIGKILL)
        elif number != signal.SIGKILL:
            programs.signal_group(self._first, number)
            _send([row for row in running.below(self._first) if row.group != self._first], number)
        else:
            _send(running.below(self._first), number)
            timer = threading.Timer(running.LAST, _end, (self._child,))
            timer.daemon = True
            timer.start()


def _send(processes: Iterable[running.Listed], number: int) -> None:
    for one in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(one.pid, number)
