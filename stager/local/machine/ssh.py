"""The running machine, reached with ssh: commands, their input and output, and one connection for many of them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from shlex import quote
from typing import IO, Any

from ...files import programs, temporary
from ...files.errors import ProgramMissing
from ...text.telling import telling
from ..errors import MachineFailed, NoMachine

AS = "/usr/lib/stager/as"
LAUNCH = "/app/.stager/bin/launch"
_LIMIT = 120.0
_KEPT = ("HostName", "User", "Port", "IdentityFile", "ProxyCommand")
LOST = 255
"""ssh's own exit status when there is no connection."""


def config(text: str) -> bytes:
    """An ssh configuration from what `vagrant ssh-config` prints: only how to reach the machine, and no questions asked."""
    found = dict(re.findall(r"^ +(\w+) (.+)$", text, re.MULTILINE))
    lines = ["Host machine", *(f"  {key} {found[key]}" for key in _KEPT if key in found)]
    lines += [
        "  BatchMode yes",
        "  ConnectTimeout 10",
        "  ServerAliveInterval 5",
        "  ServerAliveCountMax 3",
        "  IdentitiesOnly yes",
        "  LogLevel ERROR",
        "  PasswordAuthentication no",
        "  StrictHostKeyChecking no",
        "  UserKnownHostsFile /dev/null",
    ]
    return ("\n".join(lines) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Guest:
    """How to run something in the machine. `options` are ssh's."""

    file: str
    options: tuple[str, ...] = ()

    def command(self, words: Sequence[str], *, tty: bool = False, root: bool = True) -> list[str]:
        """The host's command that runs `words` in the machine, as root by default."""
        program = programs.find("ssh")
        if not program:
            raise ProgramMissing("ssh", "reach the machine", "openssh-client")
        remote = " ".join(quote(word) for word in (["sudo", "-n", *words] if root else words))
        return [program, "-F", self.file, *self.options, *(["-t"] if tty else []), "machine", "--", remote]

    def run(
        self, words: Sequence[str], given: bytes | IO[bytes] = b"", limit: float = _LIMIT
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end; its input are bytes, or an open file from where it stands.

        Raises MachineFailed when it is not done in `limit` seconds.
        """
        source: dict[str, Any] = {"input": given} if isinstance(given, bytes) else {"stdin": given}
        try:
            return subprocess.run(self.command(words), **source, capture_output=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            raise MachineFailed(f"{words[0]} in the machine was not done after {limit:g} s", [], left=True) from None

    def ask(self, words: Sequence[str], given: bytes = b"", limit: float = _LIMIT) -> str:
        """What it prints. Raises MachineFailed, with its own error lines, when it does not succeed."""
        done = self.run(words, given, limit)
        if done.returncode == LOST:
            raise NoMachine("does not answer")
        if done.returncode:
            raise MachineFailed(f"{words[0]} in the machine failed", _tail(done.stderr or done.stdout), left=True)
        return done.stdout.decode("utf-8", "replace")

    def in_app(self, words: Sequence[str], *, tty: bool = False) -> list[str]:
        """The host's command that runs `words` as the app's processes run: as vcap, in /app, in their environment."""
        return self.command([AS, "run.1", LAUNCH, "--", *words], tty=tty)


def _tail(data: bytes) -> list[str]:
    return telling(data.decode("utf-8", "replace").splitlines(), 8)


@contextmanager
def connected(file: str) -> Iterator[Guest]:
    """A guest that keeps one connection for all commands; closed at the end."""
    with temporary.folder("ssh") as folder:  # a socket's path has room for 107 bytes
        options = ("-o", f"ControlPath={folder}/s", "-o", "ControlMaster=auto", "-o", "ControlPersist=60")
        guest = Guest(file, options)
        try:
            yield guest
        finally:
            if os.path.exists(f"{folder}/s"):
                leave = [*guest.command(["true"])[:-3], "-O", "exit", "machine"]
                subprocess.run(leave, capture_output=True, timeout=10, check=False)
