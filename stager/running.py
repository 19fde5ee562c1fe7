"""Running a droplet on this host: unpack it, launch one process in a clean environment, stream, forward signals, clean up.

The unpacked bytes are those of the droplet file, read by the same safe reader as any foreign archive. Nothing of the
caller's environment reaches the process but what is passed in.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from .archive import Archive, content_bytes, content_chunks, read_tar
from .droplets import launch_facts
from .errors import BadArchive, CannotWrite, LaunchFailed, PortTaken

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_GRACE = 10.0
"""Seconds a process has after a polite signal before it is killed."""
_SCRATCH = "stager-app-"
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unpack(droplet: str, into: str) -> dict[str, Any]:
    """Unpack a droplet file below the folder `into`; the contents of its `launch.json`.

    Raises BadArchive or UnsafeEntry for a file that is no droplet, CannotWrite when there is no room.
    """
    with read_tar(droplet, os.path.basename(droplet), "gz") as archive:
        try:
            for member in archive.members:
                _place(os.path.join(into, member.name), member)
        except OSError as error:
            raise CannotWrite(into, error.strerror or str(error)) from None
        return droplet_facts(archive, droplet)


def droplet_facts(archive: Archive, droplet: str) -> dict[str, Any]:
    """The contents of a droplet's `launch.json`. Raises BadArchive for an archive that is no droplet."""
    name = os.path.basename(droplet)
    launch = archive.get("app/.stager/launch.json")
    if launch is None or launch.is_link:
        raise BadArchive(name, "is no droplet: it has no app/.stager/launch.json")
    return launch_facts(content_bytes(launch.content), name)


def _place(path: str, member: Any) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if member.is_link:
        os.symlink(member.target, path)
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o775 if member.executable else 0o664)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o775 if member.executable else 0o664)  # whatever the umask is
        for part in content_chunks(member.content):
            file.write(part)


def check_host(facts: Mapping[str, Any], again: str = "") -> None:
    """Raise LaunchFailed when this host cannot run the droplet: other machine, other system, or too old a glibc.

    `again` is the command that was typed; the error says how to give it so that the droplet runs all the same.
    """
    if platform.system() != "Linux":
        raise LaunchFailed("", f"droplets run on Linux, this is {platform.system()}", _elsewhere(again, "docker"))
    machine = _MACHINES.get(platform.machine(), platform.machine())
    if facts.get("architecture", machine) != machine:
        why = f"the droplet is for {facts['architecture']}, this host is {machine}"
        hint = f"{_elsewhere(again, 'docker', 'stack')} Both need that architecture emulated here (qemu-user-static)."
        raise LaunchFailed("", why, hint)
    needed, have = _version(str(facts.get("glibc", "0.0"))), _version(platform.libc_ver()[1] or "0.0")
    if needed > have and needed > (0, 0):
        text = f"it needs glibc {needed[0]}.{needed[1]}, this host has {have[0]}.{have[1]}"
        hint = f"{_elsewhere(again, 'stack', 'docker')} It was staged for {facts['stack']}."
        raise LaunchFailed("", text, hint)


def _elsewhere(again: str, *places: str) -> str:
    commands = " or ".join(f"'{again or 'stager run droplet.tgz'} --in {place}'" for place in places)
    return f"Run it in its own stack instead: {commands}."


def _version(text: str) -> tuple[int, int]:
    parts = [*text.split("."), "0"][:2]
    return (int(parts[0]), int(parts[1])) if all(part.isdigit() for part in parts) else (0, 0)


def free_port() -> int:
    """A TCP port that was free on the loopback address a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def chosen_port(port: int) -> int:
    """The port, or a free one for 0. Raises PortTaken when somebody listens on it."""
    if not port:
        return free_port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a moment ago is free
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104  nothing listens; a listener on any address is to be found
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(port) from None
    return port


@contextmanager
def scratch() -> Iterator[str]:
    """A temporary folder for one run, removed at the end; first, those of runs that were killed. Raises CannotWrite."""
    above = tempfile.gettempdir()
    for name in os.listdir(above):
        if name.startswith(_SCRATCH):
            _tidy(os.path.join(above, name))
    folder, lock = _new(above)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _new(above: str) -> tuple[str, int]:
    """A new folder and the descriptor that locks it; it gets its name only once it is locked."""
    try:
        made = tempfile.mkdtemp(prefix="stager-new-", dir=above)
        lock = _lock(made)
        folder = os.path.join(above, _SCRATCH + os.path.basename(made).removeprefix("stager-new-"))
        os.rename(made, folder)
    except OSError as error:
        raise CannotWrite(above, error.strerror or str(error)) from None
    return folder, lock


def _tidy(folder: str) -> None:
    """Remove the folder of a run that is no more."""
    try:
        lock = _lock(folder)
    except OSError:  # somebody's that runs, another user's, or nothing of ours
        return
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _lock(folder: str) -> int:
    """Lock a folder of this user's for as long as the descriptor is open. OSError when somebody holds it."""
    import fcntl

    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "is another user's", folder)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


@contextmanager
def unpacked(droplet: str, again: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """A temporary folder with the droplet unpacked: (its app folder, its launch facts). Removed at the end."""
    with scratch() as folder:
        facts = unpack(droplet, folder)
        check_host(facts, again)
        os.mkdir(os.path.join(folder, "tmp"), 0o700) if not os.path.isdir(os.path.join(folder, "tmp")) else None
        yield os.path.join(folder, "app"), facts


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
    again: str = "",
) -> int:
    """Launch a process type of a droplet in the foreground; its exit status (128 + n for signal n).

    Its output is this process's output. SIGINT and SIGTERM are passed on to its whole process group. `shell` is a command
    to be run in the process's place; `ready(port)` is called once something listens on the port; `again` is for
    `check_host`. Raises LaunchFailed when the host cannot run it or there is no such type, and PortTaken.
    """
    with stoppable(), unpacked(droplet, again) as (app, facts):
        if process not in facts["processes"] and not shell:
            known = ", ".join(sorted(facts["processes"])) or "none"
            raise LaunchFailed(
                process, f"the droplet has no such process type; it has: {known}", "Choose one of these."
            )
        port = chosen_port(port)
        command = [os.path.join(app, ".stager/bin/launch"), *(("--", "/bin/sh", "-c", shell) if shell else (process,))]
        own = environment(app, port, extra or {})
        with _group() as (started, send), forwarding(send):
            started.append(
                subprocess.Popen(command, cwd=app, env=own, stdin=subprocess.DEVNULL, start_new_session=True)
            )
            send(0)
            if ready is not None:
                threading.Thread(target=watch, args=(started[0], port, ready), daemon=True).start()
            status = started[0].wait()
        return 128 - status if status < 0 else status


@contextmanager
def _group() -> Iterator[tuple[list[subprocess.Popen[bytes]], Callable[[int], None]]]:
    """A place for a process and what sends signals to its group, also those that came before it; ends the group at last."""
    started: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []

    def send(number: int) -> None:
        waiting.append(number)
        while started and waiting:
            signal_group(started[0].pid, waiting.pop(0))

    try:
        yield started, send
    finally:
        for child in started:
            _end_group(child.pid)


def watch(child: subprocess.Popen[bytes], port: int, ready: Callable[[int], None]) -> None:
    """Call `ready(port)` once something listens on the port, unless the child ends before."""
    while child.poll() is None:
        if listens(port):
            ready(port)
            return
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
    """In this block pass interrupting signals on by `send`; SIGKILL follows when the block does not end in time."""
    timers = []

    def forward(number: int, _frame: object) -> None:
        send(number)
        timers.append(threading.Timer(_GRACE, send, (signal.SIGKILL,)))
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


def signal_group(group: int, number: int) -> None:
    """Send a signal to a process group that may be gone."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def _end_group(group: int) -> None:
    """End whatever the process left running in its group."""
    signal_group(group, signal.SIGTERM)
    signal_group(group, signal.SIGKILL)
