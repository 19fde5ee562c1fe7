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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from shutil import which
from typing import TYPE_CHECKING

from ...files import programs
from ...files.errors import ProgramMissing
from ...files.temporary import folder as scratch
from ...files.temporary import tidy
from ...store.disk import write
from .. import running
from ..errors import CannotIsolate
from . import environment, memory, sandbox
from .sandbox import Sandbox, Top

if TYPE_CHECKING:
    from ...droplet.reader import DropletFile
    from .environment import RunOptions
    from .roots import RootFolder

_BWRAP = "run a droplet in its stack"
_JOIN = '[ -z "$1" ] || echo $$ >"$1"; shift; exec "$@"'
"""The first argument is a control group's list of processes, or empty."""
_VIEW = """\
set -eu
mount -t tmpfs -o mode=0755,size=64k tmpfs "$1"
mkdir "$1/root" "$1/app"
: >"$1/droplet"
mount --bind "$2" "$1/root"
mount --bind "$3" "$1/app"
mount --bind "$4" "$1/droplet"
group=$5
shift 5
[ -z "$group" ] || echo $$ >"$group"
exec "$@"
"""
"""Where to put the view, the root, the app, the droplet, a control group or nothing; then the command."""
_VIEWS = ("/mnt", "/media", "/srv", "/opt")
_USER = 2000


def run(droplet: DropletFile, root: RootFolder, how: RunOptions) -> int:
    """Run a droplet's process in a root filesystem in the foreground; its exit status (128 + n for signal n).

    Signals, output and readiness are as with `running.run`. Raises LaunchFailed, PortTaken, ProgramMissing, CannotIsolate,
    CannotWrite, UsageError; leaves nothing behind.
    """
    command = environment.supervised(environment.command(droplet, how.process, how.shell))
    port = running.chosen_port(how.port) if how.network else how.port or 8080
    with ExitStack() as opened:
        opened.enter_context(running.stoppable())
        app = opened.enter_context(_app(droplet))
        group = opened.enter_context(memory.limited(how.memory))
        env = environment.environment(root.env, port, how.env)
        made = Sandbox(
            root.path, top(root.path), app, ((os.path.abspath(droplet.path), environment.DROPLET),),
            tuple(_data(root.path, how.network)), tuple(sorted(env.items())), how.network,
        )  # fmt: skip
        status = _run(_placed(made, os.geteuid() == 0, group.members if group else ""), command, port, how)
        if group and group.killed and how.tell:
            how.tell(f"a process was ended: the run needed more than {how.memory} bytes of memory")
    return status


def top(folder: str) -> tuple[Top, ...]:
    """What is in a root's first folder, in the order of its bytes."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    return tuple(Top(entry.name, os.readlink(entry.path) if entry.is_symlink() else "") for entry in entries)


@contextmanager
def _app(droplet: DropletFile) -> Iterator[str]:
    """The droplet unpacked for this run; belongs to the user it will run as."""
    with scratch("app") as folder:
        running.unpack(droplet.path, folder)
        app = os.path.join(folder, "app")
        if os.geteuid() == 0:
            try:
                _hand_over(app)
            except OSError as error:
                raise CannotIsolate(f"files cannot be given to the user {_USER}: {error.strerror}") from None
        yield app


def _hand_over(folder: str) -> None:
    os.chown(folder, _USER, _USER, follow_symlinks=False)
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                _hand_over(entry.path)
            else:
                os.chown(entry.path, _USER, _USER, follow_symlinks=False)


# --- the command -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlacedSandbox:
    """A sandbox as bwrap will see it, and the command that must go before bwrap."""

    sandbox: Sandbox
    before: tuple[str, ...]


def _placed(made: Sandbox, root: bool, group: str) -> PlacedSandbox:
    """With root: everything below one folder of a mount namespace, as the user 2000. Else as it is."""
    if not root:
        return PlacedSandbox(made, (_program("sh"), "-c", _JOIN, "stager", group))
    (droplet, inside), *_ = made.files
    sources = [os.path.realpath(path) for path in (made.root, made.app, droplet)]
    view = next((place for place in _VIEWS if _free(place, sources)), "")
    if not view:
        raise CannotIsolate(f"none of {', '.join(_VIEWS)} is there and free of what is needed", "Make the folder /mnt.")
    before = (
        *(_program("unshare"), "--mount", "--propagation", "private", "--"),
        *(_program("sh"), "-c", _VIEW, "stager", view, *sources, group),
        *(_program("setpriv"), "--reuid", str(_USER), "--regid", str(_USER), "--clear-groups", "--inh-caps=-all", "--"),
    )
    return PlacedSandbox(
        replace(made, root=f"{view}/root", app=f"{view}/app", files=((f"{view}/droplet", inside),)), before
    )


def _free(place: str, sources: Sequence[str]) -> bool:
    return os.path.isdir(place) and not any(source.startswith(place + "/") or source == place for source in sources)


def _program(name: str) -> str:
    found = which(name, path=programs.PATH)
    if not found:
        raise ProgramMissing(name, _BWRAP, {"bwrap": "bubblewrap", "sh": "dash"}.get(name, "util-linux"))
    return found


def _run(placed: PlacedSandbox, command: Sequence[str], port: int, how: RunOptions) -> int:
    bwrap = _program("bwrap")
    _check(placed, bwrap)
    inside = _Inside()
    with ExitStack() as opened:
        told, writer = os.pipe()
        opened.callback(os.close, told)
        opened.enter_context(running.forwarding(inside.signal))
        with _descriptors(placed.sandbox) as (described, handed):
            words = (*placed.before, bwrap, "--args", str(described), "--info-fd", str(writer), "--", *command)
            try:
                child = _started(words, (*handed, writer))
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


def _started(words: Sequence[str], handed: tuple[int, ...], out: int | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        words, cwd="/", env={"PATH": programs.PATH, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, stdout=out,
        stderr=subprocess.STDOUT if out else None, pass_fds=handed, start_new_session=True,
    )  # fmt: skip


def _check(placed: PlacedSandbox, bwrap: str) -> None:
    """Make the very same sandbox for a command that does nothing, to tell what is wrong with it from what the app says."""
    with _descriptors(placed.sandbox) as (described, handed):
        words = (*placed.before, bwrap, "--args", str(described), "--", "/bin/sh", "-c", ":")
        child = _started(words, handed, subprocess.PIPE)
        said = child.communicate()[0].decode("utf-8", "replace").strip()
    if child.returncode:
        last = (said.splitlines() or [f"exit status {child.returncode}"])[-1][:300]
        if "Exec format error" in last:
            raise CannotIsolate(last, "This machine cannot run that architecture's programs: use one that can.")
        raise CannotIsolate(last)


@contextmanager
def _descriptors(made: Sandbox) -> Iterator[tuple[int, tuple[int, ...]]]:
    """bwrap's arguments and the files it is to make, in memory: (the arguments' descriptor, all of them)."""
    fds: list[int] = []
    try:
        for _, content in made.data:
            fds.append(_file(content))
        words = sandbox.arguments(made, fds)
        fds.append(_file(b"".join(os.fsencode(word) + b"\0" for word in words)))
        yield fds[-1], tuple(fds)
    finally:
        for fd in fds:
            os.close(fd)


def _file(content: bytes) -> int:
    fd = os.memfd_create("stager")
    write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _data(root: str, network: bool) -> Iterator[tuple[str, bytes]]:
    """The names of machines and who knows more of them, where the root has a place for that: nothing can grow there."""
    for path, content in (("etc/hosts", sandbox.HOSTS), ("etc/resolv.conf", _resolvers() if network else b"")):
        if os.path.isfile(f"{root}/{path}") and not os.path.islink(f"{root}/{path}"):
            yield f"/{path}", content


def _resolvers() -> bytes:
    with suppress(OSError), open("/etc/resolv.conf", "rb") as file:
        return file.read(1 << 16)
    return b""


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
