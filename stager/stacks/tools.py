"""Programs of the system that make disk images: run in an environment of their own, their failures told plainly."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence

from ..errors import Cancelled, CannotWrite
from ..files.errors import ProgramMissing
from . import sandbox
from .errors import StackFailed

PACKAGES = {
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "grub-mkimage": "grub-common",
    "qemu-img": "qemu-utils",
}
"""Each program's Debian package."""
_VERSIONS = {"mke2fs": "-V", "grub-mkimage": "--version", "qemu-img": "--version"}
_PURPOSE = "make disk images"
_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), os.strerror(errno.EFBIG))


def find(name: str) -> str:
    """The path of one of these programs. Raises ProgramMissing."""
    from shutil import which

    found = which(name, path=sandbox.PATH)
    if not found:
        raise ProgramMissing(name, _PURPOSE, PACKAGES[name])
    return found


def versions() -> tuple[str, ...]:
    """The first line that each program says of its version, in a fixed order. Raises ProgramMissing."""
    found = []
    for name in sorted(PACKAGES):
        path = find(name)
        if name in _VERSIONS:
            done = subprocess.run(
                [path, _VERSIONS[name]], env={"PATH": sandbox.PATH, "LC_ALL": "C"}, capture_output=True, check=False
            )
            found.append((done.stdout or done.stderr).decode("utf-8", "replace").partition("\n")[0].strip())
    return tuple(found)


def run(
    stack: str,
    step: str,
    command: Sequence[str],
    cwd: str,
    *,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
    cancel: threading.Event | None = None,
) -> None:
    """Run a program in `cwd`, without the caller's environment. `quiet`: whatever it says on standard error is a failure.

    Raises StackFailed with what it said, CannotWrite when the disk is full, Cancelled, ProgramMissing.
    """
    variables = {"PATH": sandbox.PATH, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": cwd, "TMPDIR": cwd, **(env or {})}
    errors = os.path.join(cwd, "said")
    with open(errors, "wb") as said:
        process = subprocess.Popen(
            [find(command[0]), *command[1:]], cwd=cwd, env=variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=said, umask=0o077, start_new_session=True,
        )  # fmt: skip
        try:
            _wait(process, cancel)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    with open(errors, encoding="utf-8", errors="replace") as file:
        # e2fsprogs say their version on standard error
        lines = [line.strip() for line in file.read(1 << 20).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("debugfs ", "mke2fs "))]
    if process.returncode or (quiet and lines):
        text = "; ".join(line[:240] for line in lines[:6])
        if any(word in text for word in _FULL):
            raise CannotWrite(cwd, os.strerror(errno.ENOSPC))
        raise StackFailed(stack, step, text or f"{command[0]} ended with {process.returncode}", _HINT)


_HINT = "Check that the disk has room, and that the programs of e2fsprogs, grub-common and qemu-utils work."


def _wait(process: subprocess.Popen[bytes], cancel: threading.Event | None) -> None:
    while True:
        try:
            process.wait(0.1)
            return
        except subprocess.TimeoutExpired:
            if cancel is not None and cancel.is_set():
                raise Cancelled from None
