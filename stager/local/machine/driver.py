"""Vagrant, driven through python-vagrant, in one place: with deadlines, an end on request, and its own words on failure.

python-vagrant runs commands without a limit and throws their messages away; everything it offers comes down to three methods,
which are overridden here. A command runs in a session of its own, so that all it started ends with it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...files import programs
from ...files.errors import ProgramMissing
from ..errors import MachineFailed, Refused

if TYPE_CHECKING:
    from .state import MachinePlace

LIMITS = {"docker": 600.0}
"""Seconds that bringing a machine up may take, by provider."""
_LIMIT = 1800.0
_SHORT = 180.0
_TAIL = 60
_GRACE = 5.0
_NOISE = re.compile(r"^(==> [\w-]+: |    [\w-]+: )+")
_EMPTY = re.compile(
    r"(from )?/\S+\.rb:\d+|Traceback|\d+: from |Command: |Stdout: |A Docker command executed by Vagrant|"
    r"The command run along with the output|below\.$|Run 'docker \S+ --help'|The SSH command responded with|Vagrant assumes"
)
_CHECKSUM = re.compile(r"checksum of the downloaded box did not match|[Cc]hecksum.*did(?:n't| not) match")
_BAR = re.compile(r"(\x1b\[[0-9;]*[A-Za-z]|\s)*(Progress: \d+%.*)?$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Interrupted(Exception):
    """A step of Vagrant ended because this process was asked to stop."""


def make(
    where: MachinePlace,
    provider: str,
    environ: Mapping[str, str],
    variables: Mapping[str, str],
    tell: Callable[[str], None],
) -> Any:
    """A driver for the app's machine. `variables` go to the Vagrantfile, `tell` gets each line of output.

    Raises UsageError without python-vagrant, ProgramMissing without Vagrant.
    """
    try:
        import vagrant
    except ImportError:
        raise UsageError("machines need python-vagrant", "Install stager with its extra: stager[vagrant].") from None
    program = programs.find("vagrant", environ)
    if not program:
        raise ProgramMissing("vagrant", "bring up machines", "vagrant")

    class Driver(vagrant.Vagrant):
        """python-vagrant with its one way of running commands replaced."""

        def _call_vagrant_command(self, args: Sequence[str | None]) -> None:
            run([program, *_said(args)], self.root, self.env, _limit(args, provider), tell)

        def _run_vagrant_command(self, args: Sequence[str | None]) -> str:
            return run([program, *_said(args)], self.root, self.env, _SHORT, None)

        def _stream_vagrant_command(self, args: Sequence[str | None]) -> Iterator[str]:
            yield from run([program, *_said(args)], self.root, self.env, _limit(args, provider), tell).splitlines()

    driver: Any = Driver(root=where.folder)  # type: ignore[no-untyped-call]
    driver.env = _environment(where, provider, environ, variables)
    return driver


def _said(args: Sequence[str | None]) -> list[str]:
    """python-vagrant leaves None where an argument is not given."""
    return [arg for arg in args if arg is not None]


def _limit(args: Sequence[str | None], provider: str) -> float:
    return LIMITS.get(provider, _LIMIT) if args and args[0] in ("up", "provision", "reload", "box") else _SHORT


def _environment(
    where: MachinePlace, provider: str, environ: Mapping[str, str], variables: Mapping[str, str]
) -> dict[str, str]:
    root = where.app if where.is_ejected() else where.folder
    own = {
        "VAGRANT_CWD": root,
        "VAGRANT_DOTFILE_PATH": where.file("vagrant"),
        "VAGRANT_DEFAULT_PROVIDER": provider,
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "VAGRANT_BOX_UPDATE_CHECK_DISABLE": "1",
        "VAGRANT_NO_COLOR": "1",
        "VAGRANT_NO_PARALLEL": "1",
        "LC_ALL": "C.UTF-8",
    }
    kept = {name: value for name, value in environ.items() if name not in ("VAGRANT_VAGRANTFILE", "VAGRANT_LOG")}
    return {**kept, **own, **variables}


def run(
    command: Sequence[str], folder: str, env: Mapping[str, str], limit: float, tell: Callable[[str], None] | None
) -> str:
    """Run a command to its end; its standard output.

    Raises MachineFailed with its last lines when it fails or is not done in `limit` seconds, Refused for a box with another
    checksum. Whatever ends this early, Ctrl-C included, ends the command with all it started.
    """
    process = subprocess.Popen(
        command, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    said: deque[str] = deque(maxlen=_TAIL)
    out: list[str] = []
    readers = [
        threading.Thread(target=_listen, args=(process.stdout, [out.append, said.append, tell]), daemon=True),
        threading.Thread(target=_listen, args=(process.stderr, [said.append, tell]), daemon=True),
    ]
    for reader in readers:
        reader.start()
    step = f"vagrant {command[1]}" if len(command) > 1 else command[0]
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        raise MachineFailed(f"{step} was not done after {limit:g} s", words(said)) from None
    finally:
        _end(process)
        for reader in readers:
            reader.join(2)
    if process.returncode:
        raise failure(step, list(said))
    return "\n".join(out) + "\n"


def _listen(stream: Any, sinks: Sequence[Callable[[str], object] | None]) -> None:
    for line in stream:
        text = _COLOUR.sub("", line.rstrip())
        if _BAR.match(text):
            continue
        for sink in sinks:
            if sink is not None:
                sink(text)


def _end(process: subprocess.Popen[str]) -> None:
    """End the command and everything in its session, politely first."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        end = time.monotonic() + _GRACE
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
    _signal(process.pid, signal.SIGKILL) if process.poll() is None else None
    process.wait()


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def failure(step: str, said: Sequence[str]) -> MachineFailed | Refused:
    """The error for a command that failed, from what it said."""
    text = "\n".join(said)
    if _CHECKSUM.search(text):
        return Refused("the box", "; ".join(line for line in words(said) if "hecksum" in line or ":" in line)[:600])
    refused = re.search(r"stager: refused: (.*)", text)
    if refused:
        return Refused("the droplet", refused[1])
    return MachineFailed(f"{step} failed", words(said))


def words(said: Sequence[str], count: int = 8) -> list[str]:
    """The last lines that say something, without Vagrant's prefixes and Ruby's back-traces."""
    lines = [_NOISE.sub("", line).strip() for line in said]
    kept = [line for line in lines if line and not _EMPTY.match(line)]
    told = next((place for place, line in enumerate(kept) if line.startswith("Stderr: ")), 0)
    return [line.removeprefix("Stderr: ")[:400] for line in kept[told:][-count:]]
