"""What runs in a sandbox, what it may use, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .roots import RootFolder

APP, TMP, HOME = "/app", "/tmp", "/tmp/home"  # noqa: S108  the sandbox's own
HOSTNAME, NAME, ID = "build", "build", 1000
"""Of the machine, and of its only user."""
USERS, FEW = range(70_000, 100_000), range(65_520, 65_534)
"""Users of the host that are nobody's: above what accounts and services get, below what /etc/subuid gives away (login.defs(5),
Debian Policy §9.2.2, systemd's UIDS-GIDS); and those where a machine, as a container often is, has 65,536 users in all."""
FIXED = (
    ("CI", "1"),
    ("HOME", HOME),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("LOGNAME", NAME),
    ("NO_COLOR", "1"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("PYTHONHASHSEED", "0"),
    ("SOURCE_DATE_EPOCH", "315532801"),
    ("TZ", "UTC"),
    ("USER", NAME),
)
"""The variables of every job; its own `env` comes on top. The time is that of a droplet's files (`formats.tar.MTIME`)."""
TIME, MEMORY, PROCESSES, OUTPUT, FILES = "time", "memory", "processes", "output", "files"
"""What a job can be ended by."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may use: bytes of memory, processes and threads, seconds, bytes and number of files that it leaves."""

    memory: int = 4 << 30
    processes: int = 2048
    seconds: float = 3600.0
    output: int = 8 << 30
    files: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What may be different each time without the result being another."""

    umask: int = 0o022
    processors: int = 0
    """How many it sees; 0 for all of them."""
    later: int = 0
    """Seconds that its clock is ahead, where the machine has libfaketime."""
    reverse: bool = False
    """Whether files were laid out in reverse order; for who lays them out."""
    older: int = 0
    """Seconds by which what was laid out is older; for who lays it out."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command and all it is given.

    `app` is the folder that is `/app` and `scratch` the one that is `/tmp`, both for writing and with no hard link to
    anything elsewhere: root gives both to the host's user. `inputs` are (path of the host, path inside), for reading. What it
    says goes to the file `log`. `fake_clock`: whether its clock may be another one, which some programs do not stand.
    `engine` is the environment that names a container engine (`DOCKER_HOST` …), for machines without namespaces.
    """

    command: tuple[str, ...]
    root: RootFolder
    app: str
    scratch: str
    log: str
    inputs: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    folder: str = APP
    limits: Limits = Limits()
    surroundings: Surroundings = Surroundings()
    network: bool = False
    fake_clock: bool = True
    engine: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended: its exit status (128 + n for signal n), how long it took, the last lines of what it said.

    `ended_by` is empty when it ended by itself, else the limit that it met: `time`, `memory`, `processes`, `output`, `files`.
    `clocked`: its clock was another one.
    """

    status: int
    seconds: float
    ended_by: str = ""
    last: tuple[str, ...] = ()
    clocked: bool = False
