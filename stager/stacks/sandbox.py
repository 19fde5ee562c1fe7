"""Namespaces in which a root filesystem is made: no network, an own host name, and files in memory that end with them.

Everything happens in a tmpfs that only the processes inside can see, so that a failure, a Ctrl-C or a kill leaves nothing
behind, neither files nor mounts; paths inside are always the same, wherever the store is. With root the namespaces are made
directly, without it inside a user namespace with the ids that /etc/subuid gives the user (unshare(1), newuidmap(1)).
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from shutil import which

from ..errors import Cancelled, CannotWrite
from ..files import temporary
from ..files.errors import NoSandbox, ProgramMissing
from ..text.telling import telling
from .errors import NoRoom, StackFailed

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs of the system are looked for; never in the user's own PATH."""
_SPACES = ("--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child")
_USER = ("--user", "--map-root-user", "--map-auto")
_PROBE = "hostname localhost && mount -t tmpfs -o size=1m tmpfs /tmp && chown 1:1 /tmp"
_PREPARE = """\
set -eu
umask 022
hostname localhost
mount -t tmpfs -o mode=0755,size="$1"k tmpfs /tmp
mkdir /tmp/in /tmp/work
mount --no-canonicalize --bind . /tmp/in
[ ! -d /etc/apt ] || { mount -t tmpfs tmpfs /etc/apt; mkdir /etc/apt/apt.conf.d; }
cd /tmp
export TMPDIR=/tmp/work
shift
"""
"""The first argument is the size of the file system in memory, in KiB. `/etc/apt` is hidden: it is the host's own."""
_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "bwrap": "bubblewrap",
    "sh": "dash",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
    "tar": "tar",
}
_TAIL = 60
"""How many lines are kept of what a step says."""
_PATIENCE = 20.0
"""Seconds that trying out namespaces may take."""
MARGIN = 64 << 20
"""Bytes of memory that the machine keeps for itself beside what a step takes."""


def program(name: str, purpose: str) -> str:
    """The path of a program of the system. Raises ProgramMissing."""
    found = which(name, path=PATH)
    if not found:
        raise ProgramMissing(name, purpose, _PACKAGES.get(name, "util-linux"))
    return found


def spaces(purpose: str) -> tuple[str, ...]:
    """The command that enters namespaces in which a root can be made: found out by trying.

    Raises ProgramMissing, and NoSandbox with what the system said to each attempt.
    """
    unshare, guard = program("unshare", purpose), program("setpriv", purpose)
    attempts = []
    for how, extra in (("with root", ()), ("in a user namespace", _USER)):
        if how == "with root" and os.geteuid() != 0:
            continue
        command = (guard, "--pdeathsig", "KILL", unshare, *extra, *_SPACES)
        said = _refusal((*command, "/bin/sh", "-c", _PROBE))
        if not said:
            return command
        attempts.append((how, said))
    raise NoSandbox(purpose, attempts)


def _refusal(command: Sequence[str]) -> str:
    """What a command says when it fails; empty when it succeeds.

    unshare(1) can leave a helper behind that waits for ever with our end of a pipe; hence a file, and the whole group's end.
    """
    with temporary.file() as said:
        process = subprocess.Popen(
            command, env={"PATH": PATH, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        lines = said.read(1 << 16).decode("utf-8", "replace").strip().splitlines()
    return "" if code == 0 else (lines or [f"exit status {code}"])[-1]


def run(
    stack: str,
    step: str,
    script: str,
    arguments: Sequence[str],
    *,
    folder: str,
    out: int,
    room: int,
    source: int = subprocess.DEVNULL,
    env: Iterable[tuple[str, str]] = (),
    tell: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
) -> None:
    """Run a shell script in namespaces: its arguments follow `$0`, `folder` is at `/tmp/in`, `/tmp/work` is for its files.

    Standard output goes to the descriptor `out`, standard input comes from `source`; `room` is how many bytes the file
    system in memory may take. `tell` is called with each line of standard error, from another thread. Raises
    StackFailed with the last of those lines, CannotWrite when the disk is full, NoRoom, Cancelled, NoSandbox.
    """
    check_memory(f"{step} of {stack}", room)
    command = [*spaces(f"make {stack}"), "/bin/sh", "-c", _PREPARE + script, "stager", str(room // 1024), *arguments]
    variables = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **dict(env)}
    process = subprocess.Popen(
        command, cwd=folder, env=variables, stdin=source, stdout=out, stderr=subprocess.PIPE, umask=0o022,
        start_new_session=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    said: deque[str] = deque(maxlen=_TAIL)
    reader = threading.Thread(target=_listen, args=(process, said, tell), daemon=True)
    reader.start()
    try:
        _wait(process, cancel)
    finally:
        if process.poll() is None:
            process.kill()  # and with it, by --kill-child, everything inside the namespaces
            process.wait()
        reader.join(5)
    if process.returncode:
        raise _failure(stack, step, list(said), process.returncode)


def _wait(process: subprocess.Popen[str], cancel: threading.Event | None) -> None:
    while True:
        try:
            process.wait(0.1)
            return
        except subprocess.TimeoutExpired:
            if cancel is not None and cancel.is_set():
                raise Cancelled from None


def _listen(process: subprocess.Popen[str], said: deque[str], tell: Callable[[str], None] | None) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line.rstrip())
        if tell:
            tell(line.rstrip())


def _failure(stack: str, step: str, said: list[str], code: int) -> StackFailed | CannotWrite:
    text = "\n".join(line for line in said if line)
    if os.strerror(errno.ENOSPC) in text or os.strerror(errno.EDQUOT) in text:
        return CannotWrite(f"the root filesystem of {stack}", os.strerror(errno.ENOSPC))
    hint = ""
    if "binfmt" in text or "Exec format error" in text:
        hint = "This machine cannot run that architecture's programs: install qemu-user-static and binfmt-support."
    lines = [line[:240] for line in said if line and not line.startswith(("I: ", "W: ", "E: mmdebstrap failed"))]
    return StackFailed(stack, step, "; ".join(telling(lines)) or f"exit status {code}", hint)


def check_memory(what: str, room: int) -> None:
    """Raise NoRoom when the machine has less memory free than `room` bytes and some to spare."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = re.search(r"^MemAvailable:\s+(\d+) kB", file.read(), re.MULTILINE)
    except OSError:
        return
    if found and int(found[1]) * 1024 < room + MARGIN:
        raise NoRoom(what, room + MARGIN, int(found[1]) * 1024, "memory")
