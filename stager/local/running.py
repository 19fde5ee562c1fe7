"""Running a droplet on this host: unpack it, launch one process in a clean environment, stream, forward signals, clean up.

The unpacked bytes are those of the droplet file, read by the same safe reader as any foreign archive. Nothing of the
caller's environment reaches the process but what is passed in.
"""

from __future__ import annotations

import errno
import os
import platform
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from ..droplet import mistaken, unpacking
from ..droplet.errors import NotADroplet
from ..droplet.launch import LaunchInfo
from ..droplet.reader import launch_info
from ..errors import StagerError
from ..files.programs import PATH, signal_group
from ..files.temporary import folder, tidy
from ..formats.archive import Archive, content_bytes, read_tar
from ..text.typed import whole
from .errors import LaunchFailed, PortForbidden, PortTaken
from .listening import Astray, by

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
GRACE = 10.0
"""Seconds that all processes have after a polite signal before they are killed, as on Cloud Foundry."""
LAST = 1.0
"""Seconds that a sandbox's first process has to end when all others have been killed."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unpack(droplet: str, into: str) -> LaunchInfo:
    """Unpack a droplet file below the folder `into`; the contents of its `launch.json`.

    Raises NoDroplet, NotADroplet, BadArchive or UnsafeEntry for a file that is no droplet, CannotWrite when there is no room.
    """
    mistaken.check_droplet(droplet)
    with read_tar(droplet, os.path.basename(droplet), "gz") as archive:
        unpacking.place(archive.members, into)
        return droplet_launch(archive, droplet)


def droplet_launch(archive: Archive, droplet: str) -> LaunchInfo:
    """What a droplet's `launch.json` says. Raises BadArchive for an archive that is no droplet."""
    name = os.path.basename(droplet)
    launch = archive.get("app/.stager/launch.json")
    if launch is None or launch.is_link:
        raise NotADroplet(name, "it has no app/.stager/launch.json")
    return launch_info(content_bytes(launch.content), name)


def check_host(launch: LaunchInfo, again: str = "") -> None:
    """Raise LaunchFailed when this host cannot run the droplet: other machine, other system, or too old a glibc.

    `again` is the command that was typed; the error says how to give it so that the droplet runs all the same.
    """
    if platform.system() != "Linux":
        raise LaunchFailed("", f"droplets run on Linux, this is {platform.system()}", _elsewhere(again, "docker"))
    machine = _MACHINES.get(platform.machine(), platform.machine())
    if launch.architecture != machine:
        why = f"the droplet is for {launch.architecture}, this host is {machine}"
        hint = f"{_elsewhere(again, 'docker', 'stack')} Both need that architecture emulated here (qemu-user-static)."
        raise LaunchFailed("", why, hint)
    needed, have = launch.glibc, _version(platform.libc_ver()[1] or "0.0")
    if needed > have and needed > (0, 0):
        text = f"it needs glibc {needed[0]}.{needed[1]}, this host has {have[0]}.{have[1]}"
        hint = f"{_elsewhere(again, 'stack', 'docker')} It was staged for {launch.stack}."
        raise LaunchFailed("", text, hint)


def _elsewhere(again: str, *places: str) -> str:
    commands = " or ".join(f"'{again or 'stager run droplet.tgz'} --in {place}'" for place in places)
    return f"Run it in its own stack instead: {commands}."


def _version(text: str) -> tuple[int, int]:
    parts = [*text.split("."), "0"][:2]
    return whole(parts[0]) or 0, whole(parts[1]) or 0


def free_port() -> int:
    """A TCP port that was free on the loopback address a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def chosen_port(
    port: int,
    *,
    host: str = "0.0.0.0",  # noqa: S104  nothing listens; a listener on any address is to be found
    by_user: bool = True,
    taken: Callable[[int], StagerError] = PortTaken,
) -> int:
    """The port, or a free one for 0. Raises what `taken` gives when somebody listens on it at this address of the host,
    PortForbidden when none may `by_user`."""
    if not port:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a moment ago is free
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise taken(port) from None
            if by_user and error.errno in (errno.EACCES, errno.EPERM):
                raise PortForbidden(port) from None
    return port


@contextmanager
def unpacked(droplet: str, again: str = "") -> Iterator[tuple[str, LaunchInfo]]:
    """A temporary folder with the droplet unpacked: (its app folder, its `launch.json`). Removed at the end."""
    with folder("app") as place:
        launch = unpack(droplet, place)
        check_host(launch, again)
        os.mkdir(os.path.join(place, "tmp"), 0o700) if not os.path.isdir(os.path.join(place, "tmp")) else None
        yield os.path.join(place, "app"), launch


def environment(app: str, port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The clean environment of a process: a plain PATH, the port, a UTF-8 locale, a TMPDIR of its own, and `extra`."""
    own = {"HOME": app, "LANG": "C.UTF-8", "PATH": PATH, "PORT": str(port), "TMPDIR": os.path.join(app, "..", "tmp")}
    own["TMPDIR"] = os.path.normpath(own["TMPDIR"])
    return {**own, **extra}


def run(
    droplet: str,
    process: str = "web",
    *,
    port: int = 0,
    extra: Mapping[str, str] | None = None,
    shell: str = "",
    ready: Callable[[int], None] | None = None,
    astray: Callable[[list[int]], None] | None = None,
    again: str = "",
) -> int:
    """Launch a process type of a droplet in the foreground; its exit status (128 + n for signal n).

    Its output is this process's output. SIGINT and SIGTERM are passed on to its whole process group, all of which has
    `GRACE` to end. `shell` is a command to be run in the process's place; `ready(port)` is called once something listens on
    the port, `astray(ports)` when it listens on others instead; `again` is for `check_host`. Raises LaunchFailed when the
    host cannot run it or there is no such type, and PortTaken.
    """
    with stoppable(), unpacked(droplet, again) as (app, launch):
        if process not in launch.processes and not shell:
            known = ", ".join(sorted(launch.processes)) or "none"
            raise LaunchFailed(
                process, f"the droplet has no such process type; it has: {known}", "Choose one of these."
            )
        port = chosen_port(port)
        command = [os.path.join(app, ".stager/bin/launch"), *(("--", "/bin/sh", "-c", shell) if shell else (process,))]
        group = ProcessGroup()
        with forwarding(group.send):
            child = group.start(command, app, environment(app, port, extra or {}))
            tidy()  # what killed runs left must hold up nobody's start
            if ready is not None:
                threading.Thread(target=watch, args=(child, port, ready, astray), daemon=True).start()
            status = group.wait()
        return 128 - status if status < 0 else status


class ProcessGroup:
    """A process, and what it starts, as one process group. Signals that come before the process are kept for it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: list[int] = []
        self._told = False

    def start(self, command: Sequence[str], folder: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start the process in a session of its own, without input."""
        self._child = subprocess.Popen(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._pass_on()
        return self._child

    def send(self, number: int) -> None:
        """Send a signal to all of the group, as platforms do that stop an app."""
        self._waiting.append(number)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._child and self._waiting:
            self._told = True
            signal_group(self._child.pid, self._waiting.pop(0))

    def wait(self) -> int:
        """The process's exit status, once all of its group has ended: what it leaves is told to end and has the grace."""
        if self._child is None:
            return 0
        status = self._child.wait()
        if not self._told:
            signal_group(self._child.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while (left := _members(self._child.pid)) and time.monotonic() < deadline:
            _tell_again(left)
            time.sleep(0.02)
        if left:
            signal_group(self._child.pid, signal.SIGKILL)
        return status


def _members(group: int) -> list[Listed]:
    """The processes of a group that have not ended. One that has, and that nobody waits for, stays listed."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return []
    except PermissionError:
        pass
    return [row for row in listed() if row.group == group and row.state not in "ZX"]


def _tell_again(members: Sequence[Listed]) -> None:
    """Send SIGTERM to what nobody of the group waits for and would not have outlived it: it has missed the signal.

    That happens to a process that is forked at that moment: it takes its parent's handler for its own until it executes a
    program.
    """
    known = {row.pid for row in members}
    for row in members:
        if row.parent not in known and not catches(row.pid, signal.SIGTERM):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(row.pid, signal.SIGTERM)


class Listed(NamedTuple):
    """A process as the kernel lists it (proc_pid_stat(5))."""

    pid: int
    state: str
    parent: int
    group: int


def listed() -> Iterator[Listed]:
    """Every process."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent, group, *_ = file.read().rpartition(b")")[2].split()
                yield Listed(int(name), state.decode(), int(parent), int(group))


def below(first: int) -> list[Listed]:
    """Every process that descends from one. Not every kernel lists a process's children."""
    rows = list(listed())
    found, above = [], {first}
    while above:
        children = [row for row in rows if row.parent in above]
        found += children
        above = {row.pid for row in children}
    return found


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal (`SigCgt` of proc_pid_status(5)). Of one that is gone: no."""
    with suppress(OSError, ValueError), open(f"/proc/{pid}/status", "rb") as file:
        caught = next((line for line in file if line.startswith(b"SigCgt:")), b"SigCgt: 0")
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
    return False


def watch(
    child: subprocess.Popen[bytes],
    port: int,
    ready: Callable[[int], None],
    astray: Callable[[list[int]], None] | None = None,
) -> None:
    """Call `ready(port)` once something listens on the port, unless the child ends before.

    `astray` is told of other ports that the child listens on instead; of none where it has the port on another address alone.
    """
    elsewhere = None
    if tell := astray:
        elsewhere = Astray(lambda: by(child.pid), lambda ports: tell([] if port in ports else ports))
    while child.poll() is None:
        if listens(port):
            ready(port)
            return
        if elsewhere:
            elsewhere.check()
        time.sleep(0.05)


def listens(port: int) -> bool:
    """Whether somebody listens on a port of the loopback address."""
    with suppress(OSError), connection(port):
        return True
    return False


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    """A connection to a port of the loopback address that gives up after half a second. Raises OSError."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        probe.connect(("127.0.0.1", port))
        yield probe


# --- signals ---------------------------------------------------------------------------------------------------


@contextmanager
def stoppable() -> Iterator[None]:
    """In this block SIGTERM and SIGHUP interrupt as Ctrl-C does, so that it is left through every `finally`."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with _handled(stop, (signal.SIGTERM, signal.SIGHUP)):
        yield


@contextmanager
def forwarding(send: Callable[[int], None]) -> Iterator[None]:
    """In this block pass ending signals on by `send`, each once; SIGKILL follows when the block does not end in time.

    Ctrl-C after any of them means at once.
    """
    timers: list[threading.Timer] = []
    told: set[int] = set()

    def forward(number: int, _frame: object) -> None:
        if told and number == signal.SIGINT:
            send(signal.SIGKILL)
        if number in told:  # timeout(1) sends it twice
            return
        told.add(number)
        send(number)
        timers.append(threading.Timer(GRACE, send, (signal.SIGKILL,)))
        timers[-1].daemon = True
        timers[-1].start()

    try:
        with _handled(forward, _ENDING):
            yield
    finally:
        for timer in timers:
            timer.cancel()


@contextmanager
def _handled(handler: Callable[[int, Any], None], numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Only the main thread may set handlers; elsewhere signals are its caller's."""
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in numbers} if main else {}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
