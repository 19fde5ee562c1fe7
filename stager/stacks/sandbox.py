"""Namespaces in which a root filesystem is made: no network, an own host name, and files in memory that end with them.

Everything happens in a tmpfs that only the processes inside can see, so that a failure, a Ctrl-C or a kill leaves nothing
behind, neither files nor mounts; paths inside are always the same, wherever the store is.

What runs inside is root of a user namespace, since packages' scripts run there: started by the host's root its ids are
nobody's on the host, started by another user those that /etc/subuid gives the user (unshare(1), newuidmap(1)). Only where the
host's root can make no user namespace is it the host's root itself.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from shutil import which
from typing import Any

from ..errors import Cancelled, CannotWrite
from ..files import temporary
from ..files.errors import NoSandbox, ProgramMissing
from ..text.telling import telling
from .errors import NoRoom, StackFailed

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs of the system are looked for; never in the user's own PATH."""
_SPACES = ("--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child")
_USER = ("--user", "--map-root-user", "--map-auto")
_LENT = "0 1879048192 65536\n"
"""Ids inside, on the host, how many: above all that systemd and shadow give away (systemd's UIDS-GIDS, user_namespaces(7))."""
_AWAIT = """\
left=3000
until read -r _ </proc/self/uid_map || [ $left -eq 0 ]; do left=$((left - 1)); sleep 0.01; done
exec setpriv --pdeathsig KILL --reuid 0 --regid 0 --clear-groups --inh-caps=-all "$@"
"""
"""Waits until the ids are there, and not for ever: who gives them may be killed. Then becomes the namespace's root."""
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


@dataclass(frozen=True, slots=True)
class Spaces:
    """How namespaces in which a root can be made are entered: the command, and whether it waits for ids (`_LENT`)."""

    command: tuple[str, ...]
    lent: bool = False

    def start(self, words: Sequence[str], **how: Any) -> subprocess.Popen[Any]:
        """Start a command in them, as `subprocess.Popen` does."""
        guard = (program("setpriv", "enter namespaces"), "--pdeathsig", "KILL")
        if not self.lent:
            return subprocess.Popen((*guard, *self.command, *words), **how)
        first = (*guard, self.command[0], "--user", "--keep-caps", "/bin/sh", "-c", _AWAIT, "stager")
        process = subprocess.Popen((*first, *self.command, *words), **how)
        try:
            ours = os.readlink("/proc/self/ns/user")
            while process.poll() is None and os.readlink(f"/proc/{process.pid}/ns/user") == ours:
                time.sleep(0.002)
            for kind in ("gid", "uid"):
                with open(f"/proc/{process.pid}/{kind}_map", "w", encoding="ascii") as file:
                    file.write(_LENT)
        except OSError:  # it has ended, or may have no such ids: it waits for nothing
            process.kill()
        return process


def spaces(purpose: str) -> Spaces:
    """Namespaces in which a root can be made: found out by trying.

    Raises ProgramMissing, and NoSandbox with what the system said to each attempt.
    """
    unshare = program("unshare", purpose)
    ways = (
        ("with ids of nobody", Spaces((unshare, *_SPACES), lent=True)),
        ("with root", Spaces((unshare, *_SPACES))),
        ("in a user namespace", Spaces((unshare, *_USER, *_SPACES))),
    )
    attempts = []
    for how, found in ways if os.geteuid() == 0 else ways[2:]:
        said = _refusal(found)
        if not said:
            return found
        attempts.append((how, said))
    raise NoSandbox(purpose, attempts)


def _refusal(found: Spaces) -> str:
    """What namespaces say when they cannot be entered; empty when they can.

    unshare(1) can leave a helper behind that waits for ever with our end of a pipe; hence a file, and the whole group's end.
    """
    with temporary.file() as said:
        process = found.start(
            ("/bin/sh", "-c", _PROBE), env={"PATH": PATH, "LC_ALL": "C"}, stdin=subprocess.DEVNULL, stdout=said,
            stderr=said, start_new_session=True,
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
    command = ["/bin/sh", "-c", _PREPARE + script, "stager", str(room // 1024), *arguments]
    _show(folder)
    variables = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **dict(env)}
    process: subprocess.Popen[str] = spaces(f"make {stack}").start(
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


def _show(folder: str) -> None:
    """Let others read what is in a folder: it lies in the store, which they cannot enter but through namespaces."""
    os.chmod(folder, 0o755)  # noqa: S103
    for path in (os.path.join(folder, name) for name in os.listdir(folder)):
        if os.path.isdir(path):
            _show(path)
        elif not os.stat(path).st_mode & 0o004:  # blobs are for all, and shared
            os.chmod(path, 0o644)


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
