"""What a droplet's process finds around it, the same in every root filesystem: where things are, who it is, its variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ...droplet.reader import DropletFile
from ..errors import LaunchFailed

APP = "/app"
"""Where the droplet's app folder is."""
VCAP = "/home/vcap/app"
"""It leads there, as on Cloud Foundry `/app` leads to that."""
DROPLET = "/run/stager/droplet.tgz"
"""The droplet file itself, for reading, so that its digest can be computed inside."""
LAUNCH = f"{APP}/.stager/bin/launch"
UID, GID = 2000, 0
"""`vcap`, with the group to which a droplet's files belong."""
HOSTNAME = "stager"
ENVIRONMENT = (("LANG", "C.UTF-8"), ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
"""What a root filesystem says of itself when nobody else does."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run: the process type or a shell command, the port (0: a free one), variables, network, bytes of memory."""

    process: str = "web"
    shell: str = ""
    port: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    network: bool = True
    memory: int = 0
    ready: Callable[[int], None] | None = None
    """Called with the port once something listens there; never without a network, which has no port to ask."""
    astray: Callable[[list[int]], None] | None = None
    """Called with other ports when the process listens on these instead."""
    tell: Callable[[str], None] | None = None


def environment(root: Sequence[tuple[str, str]], port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process, as an image of the droplet sets them: the root's, the app's home, the port, and `extra`."""
    return {**dict(ENVIRONMENT), **dict(root), "HOME": APP, "PORT": str(port), **extra}


SUPERVISE = """\
told=
trap told=1 HUP INT TERM
others() {
  found=1
  for one in /proc/[0-9]*; do
    [ "$one" != /proc/$$ ] || continue
    found=0 parent= caught=
    while read -r name value _; do
      case $name in PPid:) parent=$value ;; SigCgt:) caught=$value; break ;; esac
    done <"$one/status"
    case $parent:$caught in $$:*[012389ab]???) kill -TERM "${one#/proc/}" ;; esac
  done
  return $found
}
exec 3>&2 2>/dev/null
"$@" 2>&3 3>&-
status=$?
[ "$told" ] || kill -TERM -1
tenths=100
while others && [ $tenths -gt 0 ]; do
  tenths=$((tenths - 1))
  sleep 0.1
done
exit $status
"""
"""Runs a command, as process 1, and when that has ended lets what it left have the grace of a run: its end would end all.

The shell tells of nothing by itself; the command has its standard error. What signals the command gets, this gets, too. What
nobody waits for any more and would not have outlived SIGTERM has missed it, as a process does that is forked at that moment
and takes its parent's handler for its own until it executes a program: it is told again. (`SigCgt` of proc_pid_status(5) has
the bit 14 for a handler of SIGTERM.) As process 1 it gets no signal that is sent to all, SIGKILL least: so what is killed
after the grace does not decide the exit status of a command that had ended before."""


def supervised(words: Sequence[str]) -> tuple[str, ...]:
    """The command with what waits for all that it started; to be process 1 of its namespace, which ends with it."""
    return ("/bin/sh", "-c", SUPERVISE, "stager", *words)


def command(droplet: DropletFile, process: str, shell: str = "") -> tuple[str, ...]:
    """What starts a process type, or a shell command in its place. Raises LaunchFailed when there is no such type."""
    if shell:
        return (LAUNCH, "--", "/bin/sh", "-c", shell)
    known = droplet.launch.processes
    if process not in known:
        why = f"the droplet has no such process type; it has: {', '.join(sorted(known)) or 'none'}"
        raise LaunchFailed(process, why, "Choose one of these.")
    return (LAUNCH, process)
