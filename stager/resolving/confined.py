"""A resolver's run: a scratch folder with what it is shown, a cleaned environment, no network but the gate, no home or store.

Where bubblewrap can make namespaces the program sees the system's and its own interpreter's files, for reading, and the
scratch folder, some of whose folders it may write to; elsewhere the rest still holds: no configuration but what is written
here, and no program on its PATH. What would run code of a package or of the app is not run elsewhere.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from shutil import which

from ..ecosystems.errors import LockFailed
from ..ecosystems.record import APP, HOME
from ..errors import Cancelled, CannotWrite
from ..files import limits, regular
from ..files.errors import NoSandbox
from ..files.programs import PATH, signal_group
from ..files.temporary import folder as temporary
from ..net.gate import LAUNCH, Gate
from ..net.indexes import Indexes
from ..text.telling import sentence
from .failures import hint

LIMIT = 900.0
"""Seconds a resolver may take."""
_KEPT = 256 << 10
"""How much of what a program says is kept."""
_LAUNCH = f"""\
import resource
for name, value in (("CORE", 0), ("FSIZE", 1 << 30), ("DATA", 4 << 30), ("NPROC", 4096), ("NOFILE", 4096), ("CPU", 1800)):
    kind = getattr(resource, "RLIMIT_" + name)
    most = resource.getrlimit(kind)[1]
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))
{LAUNCH}
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Bytes of a file and of a process's data, processes of the user in the namespace, open files, seconds of a processor."""
_WRITABLE = (APP, HOME, "cache", "tmp")
"""The scratch folder's folders that a program may write to; what it runs and trusts lies beside them, for reading."""
_TOPS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SYSTEM = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")


@dataclass(frozen=True, slots=True)
class ConfinedRun:
    """How a resolver ended: its exit status, the end of what it said, and what the gate kept it from."""

    code: int
    said: str
    refused: Mapping[str, str]

    def failure(self, lock: str) -> LockFailed:
        """The error for a resolver that failed: where it was kept from going first, then its own words."""
        kept = "; ".join(f"{place} may not be asked: {why}" for place, why in sorted(self.refused.items()))
        words = "; ".join(filter(None, (kept, sentence(self.said.splitlines()))))
        return LockFailed(lock, words or f"exit status {self.code}", hint(lock, self.said, bool(kept)))


class Scratch:
    """A folder for one run. `tell` takes remarks for people, `cancel` ends the run."""

    def __init__(
        self, root: str, indexes: Indexes, tell: Callable[[str], None], cancel: threading.Event | None = None
    ) -> None:
        self.root, self.indexes, self.tell, self._cancel = root, indexes, tell, cancel
        self.python = base_python()
        for name in (*_WRITABLE, "bin"):
            os.mkdir(f"{root}/{name}")
        self.write({"ca.pem": _certificates(indexes)})

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files, by path in the scratch folder. Raises CannotWrite."""
        for name, content in files.items():
            path = os.path.join(self.root, name)
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "xb") as file:
                    file.write(content)
            except OSError as error:
                raise CannotWrite(path, error.strerror or str(error)) from None

    def clear(self) -> None:
        """Take out what was written, for another run. Raises CannotWrite."""
        try:
            for name in (APP, "bin"):
                shutil.rmtree(os.path.join(self.root, name))
                os.mkdir(os.path.join(self.root, name))
        except OSError as error:
            raise CannotWrite(self.root, error.strerror or str(error)) from None

    def read(self, name: str) -> bytes:
        """What the program wrote: a regular file in the app's folder. Raises LockFailed when there is none."""
        try:
            return regular.read(os.path.join(self.root, APP, name), limits.LOCK, follow=False)
        except OSError as error:
            raise LockFailed(name, f"the resolver wrote none: {error.strerror}", hint(name, "", False)) from None

    def run(
        self,
        lock: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        readable: Sequence[str] = (),
        *,
        foreign: bool = False,
    ) -> ConfinedRun:
        """Run a program to its end. `readable` are files and folders it needs besides the system's.

        `foreign` says that it runs code of a package or of the app, which is never done outside a sandbox.

        Raises LockFailed when it takes too long, NoSandbox, Cancelled.
        """
        if os.name != "posix":
            hint = f"Make {lock} with your own tools and commit it."
            raise LockFailed(lock, "a resolver is only run where a process can be confined, on a POSIX system", hint)
        python = base_python()
        words = (python, "-I", "-S", "-c", _LAUNCH, *command)
        before, why = _bubblewrap(self.root, [*readable, sys.base_prefix, python])
        if foreign and not before:
            hint = (
                "Install bubblewrap and allow user namespaces ('stager doctor' tells more), or make the lock elsewhere."
            )
            raise NoSandbox(f"run code of a package for {lock}", [("bubblewrap", why)], hint)
        if not before:
            self.tell("the resolver runs without a sandbox: bubblewrap is not here, or may make no namespaces")
        with Gate(self.indexes) as gate:
            env = {**_environment(self.root), **variables, "STAGER_GATE": gate.variable}
            code, said = _run((*before, *words), f"{self.root}/{APP}", env, gate.descriptor, lock, self._cancel)
            return ConfinedRun(
                code, said.replace(f"{self.root}/{APP}/", "").replace(f"{self.root}/{APP}", "."), dict(gate.refused)
            )


@contextmanager
def scratch(
    indexes: Indexes, tell: Callable[[str], None] = lambda _: None, cancel: threading.Event | None = None
) -> Iterator[Scratch]:
    """A scratch folder, removed at the end."""
    with temporary("lock") as root:
        yield Scratch(os.path.realpath(root), indexes, tell, cancel)


def base_python() -> str:
    """The interpreter that runs stager, outside any virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def _certificates(indexes: Indexes) -> bytes:
    """All certificates that stager itself trusts, in one file."""
    import certifi

    found = []
    for path in dict.fromkeys((*(indexes.ca_files or (certifi.where(),)), *indexes.extra_ca_files)):
        with suppress(OSError), open(path, "rb") as file:
            found.append(file.read())
    return b"\n".join(found)


def _environment(root: str) -> dict[str, str]:
    """Everything a resolver finds in its environment but its own settings; nothing is taken from the caller's."""
    return {
        "PATH": f"{root}/bin",
        "HOME": f"{root}/{HOME}",
        "XDG_CONFIG_HOME": f"{root}/{HOME}/.config",
        "TMPDIR": f"{root}/tmp",  # noqa: S108  its own
        "LC_ALL": "C.UTF-8",
        "NO_PROXY": "",
        "no_proxy": "",
        "SSL_CERT_FILE": f"{root}/ca.pem",
        "NODE_EXTRA_CA_CERTS": f"{root}/ca.pem",
    }


# --- the sandbox -----------------------------------------------------------------------------------------------


def _bubblewrap(root: str, readable: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The command that goes before the program's, found out by trying; empty where there is none that works, and why."""
    program = which("bwrap", path=PATH)
    if not program:
        return (), "it is not installed"
    words = (program, *_spaces(), *_files(root, readable), "--chdir", f"{root}/{APP}", "--")
    try:
        tried = subprocess.run(
            (*words, base_python(), "-I", "-S", "-c", ""), env={"PATH": PATH, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=30, check=False, cwd=root,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), str(error)
    return ((), sentence(tried.stderr.decode("utf-8", "replace").splitlines())) if tried.returncode else (words, "")


def _spaces() -> tuple[str, ...]:
    return (
        *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net"),
        *("--hostname", "stager", "--cap-drop", "ALL", "--new-session", "--die-with-parent"),
    )


def _files(root: str, readable: Sequence[str]) -> tuple[str, ...]:
    """The system's programs and libraries, what else is needed and the scratch folder, for reading; four in it for writing."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in _TOPS:
        if os.path.islink(f"/{name}"):
            words += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]
        elif os.path.isdir(f"/{name}"):
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    for path in _SYSTEM:
        words += ["--ro-bind-try", path, path]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]  # noqa: S108  the sandbox's own
    for path in dict.fromkeys(map(os.path.realpath, readable)):
        if not path.startswith("/usr/") and path.count("/") > 1:  # a folder such as /home or /usr is never let in whole
            words += ["--ro-bind", path, path]
    words += ["--ro-bind", root, root]
    for name in _WRITABLE:
        words += ["--bind", f"{root}/{name}", f"{root}/{name}"]
    return (*words, "--remount-ro", "/")


# --- the program -----------------------------------------------------------------------------------------------


def _run(
    words: Sequence[str], folder: str, env: Mapping[str, str], gate: int, lock: str, cancel: threading.Event | None
) -> tuple[int, str]:
    """(exit status, the end of what was said) of a program that may take LIMIT seconds; then all of it is ended."""
    child = subprocess.Popen(
        words, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        pass_fds=(gate,), start_new_session=True, umask=0o077,
    )  # fmt: skip
    said: list[bytes] = []
    reader = threading.Thread(target=_listen, args=(child, said), daemon=True)
    reader.start()
    try:
        _wait(child, lock, cancel)
    finally:
        signal_group(child.pid, signal.SIGKILL)
        child.wait()
        reader.join(5)
    return child.returncode, b"".join(said).decode("utf-8", "replace")


def _wait(child: subprocess.Popen[bytes], lock: str, cancel: threading.Event | None) -> None:
    until = time.monotonic() + LIMIT
    while True:
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.1)
            return
        if cancel is not None and cancel.is_set():
            raise Cancelled
        if time.monotonic() > until:
            raise LockFailed(
                lock, f"the resolver did not finish within {LIMIT:.0f} seconds", hint(lock, "timed out", False)
            )


def _listen(child: subprocess.Popen[bytes], said: list[bytes]) -> None:
    """Keep the last of what is said, in one piece."""
    assert child.stdout is not None
    while part := child.stdout.read1(64 << 10):  # type: ignore[attr-defined]
        said[:] = [(b"".join(said) + part)[-_KEPT:]]
