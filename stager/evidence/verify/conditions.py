"""What is changed around a second staging, so that a droplet which depends on it shows.

Each condition is one way in which two machines differ. It says what it is here and what it is there, or why this machine
cannot change it: a condition that has no effect is not counted as tried. All that can be changed are changed at once, so
a verification costs one staging.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import UsageError
from ...files import programs
from ...sandbox.inside import CLOCK
from ...text.typed import whole

_SECONDS = 20.0
"""How long a helper program may take to answer."""
_TRIES = 3
_STRANGER = 23456
"""A user id that owns nothing."""
HOST = "stager-verify-host"
DAYS = 400
SEED = "4242"


@dataclass(frozen=True, slots=True)
class Here:
    """This machine, as the caller sees it. `python` runs stager; `pythons` are others to be used if they can be."""

    environ: Mapping[str, str]
    home: str
    python: str
    pythons: tuple[str, ...] = ()

    def program(self, name: str) -> str:
        """Where a program is; empty when it is not on the path."""
        return programs.find(name, self.environ)


@dataclass(frozen=True, slots=True)
class ChangedCondition:
    """A changed condition: what it is `here`, what it is `there`, and what brings it about.

    `variables` are set in the environment (None removes one); `wrapper` is put before the command; `traces` are texts that
    show up in a file when the condition reaches it.
    """

    name: str
    here: str
    there: str
    variables: Mapping[str, str | None] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    umask: int = -1
    user: int = -1
    jobs: int = 0
    python: str = ""
    program: str = ""
    traces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotTried:
    """A condition that was not changed, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class ChosenConditions:
    """Every condition, as it is or is not changed this time."""

    changes: tuple[ChangedCondition, ...]
    not_tried: tuple[NotTried, ...]

    def of(self, name: str) -> ChangedCondition | None:
        """The change of this name, None when it is not tried."""
        return next((one for one in self.changes if one.name == name), None)

    def without(self, name: str, why: str) -> ChosenConditions:
        """These, but for one that turned out not to work."""
        kept = tuple(one for one in self.changes if one.name != name)
        return ChosenConditions(kept, (*self.not_tried, NotTried(name, why)))


# --- the conditions --------------------------------------------------------------------------------------------


def _store(_: Here, scratch: str) -> ChangedCondition | str:
    place = os.path.join(scratch, "store")
    return ChangedCondition("store", "the store", "a new one with the pinned artifacts alone", traces=(place,))


def _path(_: Here, scratch: str) -> ChangedCondition | str:
    return ChangedCondition("path", "the source's folder", "a copy in a deeper one", traces=(scratch,))


def _home(here: Here, scratch: str) -> ChangedCondition | str:
    place = os.path.join(scratch, "home")
    names = {"XDG_CACHE_HOME": ".cache", "XDG_CONFIG_HOME": ".config", "XDG_DATA_HOME": ".local/share"}
    variables: dict[str, str | None] = {"HOME": place, "TMPDIR": os.path.join(scratch, "temporary")}
    variables |= {name: os.path.join(place, below) for name, below in names.items()}
    if "PYTHONUSERBASE" not in here.environ:  # stager itself may be installed there
        variables["PYTHONUSERBASE"] = os.path.join(here.home, ".local")
    return ChangedCondition("home", here.home, place, variables, traces=(place,))


def _user(here: Here, _: str) -> ChangedCondition | str:
    if os.geteuid() == 0:
        program = here.program("setpriv")
        if not program:
            return "setpriv (util-linux) is not installed"
        rights = "+dac_override,+dac_read_search"  # so that it reaches stager wherever that is installed
        owner = (f"--reuid={_STRANGER}", f"--regid={_STRANGER}", "--clear-groups")
        wrapper = (program, *owner, f"--inh-caps={rights}", f"--ambient-caps={rights}")
        if not _works([*wrapper, "true"]):
            return "this root may not become another user"
        return ChangedCondition("user", "uid 0", f"uid {_STRANGER}", wrapper=wrapper, user=_STRANGER)
    program = here.program("unshare")
    space = (program, "--user", "--map-root-user")
    if not program or not _works([*space, "true"]):
        return "only root, or a user who may make user namespaces, can stage as another user"
    return ChangedCondition("user", f"uid {os.geteuid()}", "uid 0 of a namespace", wrapper=space)


def _umask(_: Here, __: str) -> ChangedCondition | str:
    here = _current_umask()
    there = 0o077 if here != 0o077 else 0o002
    return ChangedCondition("umask", f"{here:03o}" if here >= 0 else "unknown", f"{there:03o}", umask=there)


def _current_umask() -> int:
    """The umask, without setting it even for a moment; -1 where the system does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return next((int(line.split()[1], 8) for line in file if line.startswith("Umask:")), -1)
    except (OSError, ValueError):
        return -1


def _time_zone(here: Here, _: str) -> ChangedCondition | str:
    there = "Asia/Kathmandu" if os.path.exists("/usr/share/zoneinfo/Asia/Kathmandu") else "XXX-05:45"
    if here.environ.get("TZ") == there:
        there = "YYY+11:15"
    return ChangedCondition(
        "time zone", here.environ.get("TZ") or "the system's", there, {"TZ": there}, traces=(there,)
    )


def _locale(here: Here, _: str) -> ChangedCondition | str:
    now = here.environ.get("LC_ALL") or here.environ.get("LANG") or "C"
    found = _other_locales(here, now)
    if found:
        return ChangedCondition("locale", now, found[0], {"LC_ALL": found[0], "LANG": found[0], "LANGUAGE": None})
    ascii_only = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "tr", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    if here.environ.get("PYTHONUTF8") == "0" and now in ("C", "POSIX"):
        return "no other locale is installed"
    return ChangedCondition("locale", now, "C, in ASCII", dict(ascii_only))


def _other_locales(here: Here, now: str) -> list[str]:
    """Installed locales of another language, those first whose rules differ most from English ones."""
    program = here.program("locale")
    names = _output([program, "-a"]).split() if program else []
    own = now.partition("_")[0]
    others = [name for name in names if "_" in name and name.partition("_")[0] != own]
    return sorted(others, key=lambda name: (not name.startswith(("tr_", "et_", "cs_")), name))


def _clock(here: Here, _: str) -> ChangedCondition | str:
    program = here.program("faketime")
    if not program:
        return "faketime is not installed"
    probe = [program, "-m", "-f", f"+{DAYS}d", "sh", "-c", 'echo "$LD_PRELOAD"; date +%s']
    # It fails where one that was killed left shared memory under the same process id; the next try has another one.
    answer = next((said for _ in range(_TRIES) if (said := _output(probe, here.environ))), "")
    library, _, seconds = answer.strip().partition("\n")
    real = _output(["date", "+%s"], here.environ).strip()
    if not (library and (whole(seconds) or 0) - (whole(real) or 0) > 86400):
        return "faketime has no effect here"
    variables: dict[str, str | None] = {
        "LD_PRELOAD": library,
        "FAKETIME": f"+{DAYS}d",
        **dict(CLOCK),
    }
    return ChangedCondition("clock", "now", f"{DAYS} days from now", variables)


def _hash_seed(here: Here, _: str) -> ChangedCondition | str:
    now = here.environ.get("PYTHONHASHSEED", "random")
    there = SEED if now != SEED else "2424"
    return ChangedCondition("hash seed", now, there, {"PYTHONHASHSEED": there})


def _file_order(here: Here, _: str) -> ChangedCondition | str:
    program = here.program("disorderfs")
    if program and here.program("fusermount") and os.path.exists("/dev/fuse"):
        return ChangedCondition(
            "file order", "the folder's", "shuffled by disorderfs at every reading", program=program
        )
    return ChangedCondition("file order", "the folder's", "files created in the opposite order")


def _file_times(_: Here, __: str) -> ChangedCondition | str:
    return ChangedCondition("file times", "those of the source", "2001-02-03, and modes cut by the other umask")


def _threads(_: Here, __: str) -> ChangedCondition | str:
    count = os.cpu_count() or 1
    return ChangedCondition("threads", str(count), str(count + 1), {"PYTHON_CPU_COUNT": str(count + 1)}, jobs=count + 1)


def _host_name(here: Here, _: str) -> ChangedCondition | str:
    program = here.program("unshare")
    if not program or not here.program("hostname"):
        return "unshare or hostname is not installed"
    space = ("--uts",) if os.geteuid() == 0 else ("--user", "--map-root-user", "--uts")
    wrapper = (program, *space, "sh", "-c", f'hostname {HOST} && exec "$@"', "sh")
    if _output([*wrapper, "hostname"]).strip() != HOST:
        return "this user may not change the host name, even in a namespace"
    return ChangedCondition("host name", "the host's", HOST, wrapper=wrapper, traces=(HOST,))


def _environment(here: Here, _: str) -> ChangedCondition | str:
    variables: dict[str, str | None] = {
        "SOURCE_DATE_EPOCH": "1234567890",
        "STAGER_VERIFY": "another environment",
        "TERM": "dumb",
        "COLUMNS": "33",
        "PATH": here.environ.get("PATH", os.defpath) + ":/nonexistent",
        "USER": "stager-verify-user",
        "LOGNAME": "stager-verify-user",
        "CI": None if "CI" in here.environ else "true",
    }
    what = "other values for SOURCE_DATE_EPOCH, PATH, USER, TERM, CI"
    return ChangedCondition(
        "environment", "as it is", what, variables, traces=("stager-verify-user", "another environment")
    )


def _python(here: Here, _: str) -> ChangedCondition | str:
    from ... import __version__

    minors = [minor for minor in range(11, 20) if minor != sys.version_info.minor]
    found_here = [here.program(f"python3.{minor}") for minor in minors]
    candidates = here.pythons or tuple(path for path in found_here if path and not _is_script(path))
    for candidate in candidates:
        found = _probe(candidate)
        if found and found[1] == __version__:
            own = ".".join(map(str, sys.version_info[:3]))
            return ChangedCondition("python", own, found[0], python=candidate)
    refused = [os.path.basename(candidate) for candidate in candidates]
    if refused:
        return f"{', '.join(refused)}: no stager {__version__} is installed for it"
    return "there is no other Python"


def _is_script(path: str) -> bool:
    """Whether a program is a version manager's shim, which takes a second to say that there is nothing behind it."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True


def _probe(python: str) -> tuple[str, str] | None:
    """The version of an interpreter and of the stager it has; None when it cannot run stager."""
    code = "import sys, deflate, stager; print(*sys.version_info[:3], sep='.', end=' '); print(stager.__version__)"
    version, _, stager = _output([python, "-B", "-c", code]).strip().partition(" ")
    return (version, stager) if version and stager else None


CONDITIONS: dict[str, tuple[str, Callable[[Here, str], ChangedCondition | str]]] = {
    "store": ("a second store, with nothing but the pinned artifacts", _store),
    "path": ("the source in another folder, at another depth", _path),
    "home": ("another home folder, and other folders for temporary and cached files", _home),
    "host name": ("another host name", _host_name),
    "user": ("another user", _user),
    "umask": ("another umask", _umask),
    "time zone": ("another time zone", _time_zone),
    "locale": ("another locale", _locale),
    "clock": ("another year", _clock),
    "hash seed": ("another seed for Python's hashes", _hash_seed),
    "file order": ("folders that list their entries in another order", _file_order),
    "file times": ("other modification times and modes of the source's files", _file_times),
    "threads": ("another number of threads", _threads),
    "environment": ("other variables", _environment),
    "python": ("another version of Python", _python),
}
"""Every condition, with what it means; wrappers are nested in this order."""
ALWAYS = ("store", "path")
"""What staging again means; these cannot be left out."""


def choose(here: Here, scratch: str, skip: Iterable[str] = (), only: Sequence[str] = ()) -> ChosenConditions:
    """Decide each condition: changed, or why not. `scratch` is the folder that the second staging works in.

    Raises UsageError for a name in `skip` or `only` that is no condition.
    """
    skipped = set(known(skip))
    if only:
        skipped |= set(CONDITIONS) - set(known(only))
    changes, not_tried = [], []
    for name, (_, decide) in CONDITIONS.items():
        if name in skipped and name not in ALWAYS:
            not_tried.append(NotTried(name, "left out as asked"))
            continue
        found = decide(here, scratch)
        if isinstance(found, str):
            not_tried.append(NotTried(name, found))
        else:
            changes.append(found)
    return ChosenConditions(tuple(changes), tuple(not_tried))


def known(names: Iterable[str]) -> list[str]:
    """The conditions that people name. Raises UsageError for a name of none."""
    found = [name.strip().replace("-", " ").lower() for name in names]
    for name in found:
        if name not in CONDITIONS:
            message = f"there is no condition {name!r}"
            raise UsageError(message, f"Conditions: {', '.join(CONDITIONS)}.")
    return found


# --- asking programs -------------------------------------------------------------------------------------------


def _works(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _output(command: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """What a program prints; empty when it cannot be run or fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env=None if environ is None else dict(environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
