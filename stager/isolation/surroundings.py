"""What a droplet's process finds around it, the same in every root filesystem: where things are, who it is, its variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..droplets import DropletFile
from ..errors import LaunchFailed

APP = "/app"
"""Where the droplet's app folder is; `/home/vcap/app` leads there, as on Cloud Foundry `/app` leads to that."""
DROPLET = "/run/stager/droplet.tgz"
"""The droplet file itself, for reading, so that its digest can be computed inside."""
LAUNCH = f"{APP}/.stager/bin/launch"
UID, GID = 2000, 0
"""`vcap`, with the group to which a droplet's files belong."""
HOSTNAME = "stager"
ENVIRONMENT = (("LANG", "C.UTF-8"), ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
"""What a root filesystem says of itself when nobody else does."""


@dataclass(frozen=True, slots=True)
class How:
    """How to run: the process type or a shell command, the port (0: a free one), variables, network, bytes of memory."""

    process: str = "web"
    shell: str = ""
    port: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    network: bool = True
    memory: int = 0
    ready: Callable[[int], None] | None = None
    """Called with the port once something listens there; never without a network, which has no port to ask."""
    tell: Callable[[str], None] | None = None


def environment(root: Sequence[tuple[str, str]], port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process, as an image of the droplet sets them: the root's, the app's home, the port, and `extra`."""
    return {**dict(ENVIRONMENT), **dict(root), "HOME": APP, "PORT": str(port), **extra}


_SUPERVISE = """\
told=
trap told=1 HUP INT TERM
exec 3>&2 2>/dev/null
"$@" 2>&3 3>&-
status=$?
[ "$told" ] || kill -TERM -1
tenths=100
while [ $tenths -gt 0 ]; do
  others=
  for one in /proc/[0-9]*; do
    case $one in /proc/1|/proc/$$) ;; *) others=$one ;; esac
  done
  [ "$others" ] || break
  tenths=$((tenths - 1))
  sleep 0.1
done
exit $status
"""
"""Runs a command and, when that has ended, lets what it left have the grace of a run: its end would end all the others.

The shell tells of nothing by itself; the command has its standard error. What signals the command gets, this gets, too."""


def supervised(words: Sequence[str]) -> tuple[str, ...]:
    """The command with what waits for all that it started; for a namespace of processes that ends with its first."""
    return ("/bin/sh", "-c", _SUPERVISE, "stager", *words)


def command(droplet: DropletFile, process: str, shell: str = "") -> tuple[str, ...]:
    """What starts a process type, or a shell command in its place. Raises LaunchFailed when there is no such type."""
    if shell:
        return supervised((LAUNCH, "--", "/bin/sh", "-c", shell))
    known = droplet.facts["processes"]
    if process not in known:
        why = f"the droplet has no such process type; it has: {', '.join(sorted(known)) or 'none'}"
        raise LaunchFailed(process, why, "Choose one of these.")
    return supervised((LAUNCH, process))
