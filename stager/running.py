"""Running a droplet on this host: unpack it, launch one process in a clean environment, stream, forward signals, clean up.

The unpacked bytes are those of the droplet file, read by the same safe reader as any foreign archive. Nothing of the
caller's environment reaches the process but what is passed in.
"""

from __future__ import annotations

import json
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
from contextlib import contextmanager
from typing import Any

from .archive import Archive, content_bytes, content_chunks, read_tar
from .errors import BadArchive, CannotWrite, LaunchFailed

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_GRACE = 10.0
"""Seconds a process has after a polite signal before it is killed."""


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
    try:
        facts = json.loads(content_bytes(launch.content))
        if isinstance(facts["processes"], dict) and isinstance(facts["stack"], str):
            return dict(facts)
    except (ValueError, KeyError, TypeError):
        pass
    raise BadArchive(name, "its launch.json is not what stager writes")


def _place(path: str, member: Any) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if member.is_link:
        os.symlink(member.target, path)
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o775 if member.executable else 0o664)
    with os.fdopen(handle, "wb") as file:
        for part in content_chunks(member.content):
            file.write(part)


def check_host(facts: Mapping[str, Any]) -> None:
    """Raise LaunchFailed when this host cannot run the droplet: other machine, other system, or too old a glibc."""
    where = "Run it in its own stack instead: on the platform, in a container of that stack, or in a box."
    if platform.system() != "Linux":
        raise LaunchFailed("", f"droplets run on Linux, this is {platform.system()}", where)
    machine = _MACHINES.get(platform.machine(), platform.machine())
    if facts.get("architecture", machine) != machine:
        raise LaunchFailed("", f"the droplet is for {facts['architecture']}, this host is {machine}", where)
    needed, have = _version(str(facts.get("glibc", "0.0"))), _version(platform.libc_ver()[1] or "0.0")
    if needed > have and needed > (0, 0):
        text = f"it needs glibc {needed[0]}.{needed[1]}, this host has {have[0]}.{have[1]}"
        raise LaunchFailed("", text, f"{where} It was staged for {facts['stack']}.")


def _version(text: str) -> tuple[int, int]:
    parts = [*text.split("."), "0"][:2]
    return (int(parts[0]), int(parts[1])) if all(part.isdigit() for part in parts) else (0, 0)


def free_port() -> int:
    """A TCP port that was free on the loopback address a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def unpacked(droplet: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A temporary folder with the droplet unpacked: (its app folder, its launch facts). Removed at the end."""
    folder = tempfile.mkdtemp(prefix="stager-run-")
    try:
        facts = unpack(droplet, folder)
        check_host(facts)
        os.mkdir(os.path.join(folder, "tmp"), 0o700) if not os.path.isdir(os.path.join(folder, "tmp")) else None
        yield os.path.join(folder, "app"), facts
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    ready: Callable[[int], None] | None = None,
) -> int:
    """Launch a process type of a droplet in the foreground; its exit status (128 + n for signal n).

    Its output is this process's output. SIGINT and SIGTERM are passed on to its whole process group. `ready(port)` is
    called once something listens on the port. Raises LaunchFailed when the host cannot run it or there is no such type.
    """
    with unpacked(droplet) as (app, facts):
        if process not in facts["processes"]:
            known = ", ".join(sorted(facts["processes"])) or "none"
            raise LaunchFailed(
                process, f"the droplet has no such process type; it has: {known}", "Choose one of these."
            )
        port = port or free_port()
        command = [os.path.join(app, ".stager/bin/launch"), process]
        child = subprocess.Popen(
            command, cwd=app, env=environment(app, port, extra or {}), stdin=subprocess.DEVNULL, start_new_session=True
        )
        if ready is not None:
            threading.Thread(target=_watch, args=(child, port, ready), daemon=True).start()
        with _forwarding(child):
            status = child.wait()
        _end_group(child.pid)
        return 128 - status if status < 0 else status


def _watch(child: subprocess.Popen[bytes], port: int, ready: Callable[[int], None]) -> None:
    while child.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                ready(port)
                return
        time.sleep(0.05)


@contextmanager
def _forwarding(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass interrupting signals on to the child's process group; kill the group when it does not end in time."""

    def forward(number: int, _frame: object) -> None:
        _signal(child.pid, number)
        timer = threading.Timer(_GRACE, _signal, (child.pid, signal.SIGKILL))
        timer.daemon = True
        timer.start()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, forward) for number in numbers} if main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def _end_group(group: int) -> None:
    """End whatever the process left running in its group."""
    _signal(group, signal.SIGTERM)
    _signal(group, signal.SIGKILL)
