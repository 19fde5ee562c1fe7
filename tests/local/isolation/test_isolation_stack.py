"""`stager run --in stack` with real namespaces: what a process inside can and cannot do, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import PROGRAM, Done, ask, free_port, running, stager
from isolated import LOOK, MISSES, OTHER_USER, STAYS, as_other_user, logged, need_bwrap, small_root
from small_droplets import small_droplet

from stager.digest import sha256

pytestmark = pytest.mark.tools
FORBIDDEN = (
    *("/x", "/usr/x", "/etc/x", "/bin/x", "/dev/x", "/home/x", "/home/vcap/x", "/run/x", "/run/stager/x", "/sys/x"),
    *("/proc/x", "/proc/sys/kernel/hostname", "/run/stager/droplet.tgz"),
)
ALLOWED = ("/app/x", "/tmp/x", "/dev/shm/x")


class Read(subprocess.Popen[str]):
    """A process that is read to its end before its pipes are closed: who writes to a closed one is ended by SIGPIPE."""

    def __exit__(self, kind: type[BaseException] | None, *more: Any) -> None:
        if kind is not None:
            self.kill()
        elif self.stdout is not None and not self.stdout.closed:
            self.communicate(timeout=300)
        super().__exit__(kind, *more)


@dataclass(frozen=True)
class Bench:
    """A droplet whose app looks around, a small root filesystem, a store, a folder for temporary files."""

    droplet: Path
    root: Path
    store: Path
    temporary: Path

    def run(self, *options: object) -> Done:
        return stager("run", self.droplet, *options, store=self.store)

    def inside(self, *options: object) -> Done:
        return self.run("--in", "stack", "--root", self.root, *options)

    def started(self, *options: object) -> subprocess.Popen[str]:
        environment = {**os.environ, "STAGER_CACHE_DIR": str(self.store)}
        words = ["run", self.droplet, "--in", "stack", "--root", self.root, *options]
        command = [*PROGRAM, *map(str, words)]
        return Read(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wrapped(self, before: Sequence[str], *options: object) -> Done:
        """The command behind another, which changes what stager finds."""
        own = ["--in", "stack", "--root", self.root, "--cache-dir", self.store, "--json", *options]
        command = [*before, *PROGRAM, "run", str(self.droplet), *map(str, own)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        return Done(done.returncode, done.stdout, done.stderr)

    def leftovers(self) -> list[str]:
        """What runs that are no more have left: temporary folders, control groups."""
        groups = [path.name for path in Path("/sys/fs/cgroup").glob("**/stager-*-*")]
        dead = [name for name in groups if not Path("/proc", name.split("-")[1]).exists()]
        return sorted(dead + os.listdir(self.temporary))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    need_bwrap()
    place = tmp_path_factory.mktemp("isolation")
    (place / "temporary").mkdir()
    return Bench(small_droplet(place, {"look": LOOK}), small_root(place), place / "store", place / "temporary")


@pytest.fixture
def bench(made: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The bench, with a check that every test leaves nothing."""
    monkeypatch.setenv("TMPDIR", str(made.temporary))
    before = made.leftovers()
    yield made
    assert set(made.leftovers()) <= set(before)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def command_lines() -> Iterator[bytes]:
    """Those of every process of this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes()


# --- what is inside --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outside:
    """What the host has that must not be seen: secrets, a process, listeners; and a file that must not come to be."""

    words: str
    secrets: tuple[str, ...]
    new: str
    udp: socket.socket


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    secrets = (tmp_path / "secret", Path.home() / f".stager-test-{os.getpid()}")
    for secret in secrets:
        secret.write_text("a secret", "utf-8")
        secret.chmod(0o644)
    marker = f"marker{os.getpid()}"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", marker])
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.3)
        unix.bind(f"\0{marker}")
        unix.listen()
        words = {
            "marker": marker, "pid": process.pid, "read": ",".join(("/etc/shadow", *map(str, secrets))),
            "tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1], "abstract": marker,
        }  # fmt: skip
        said = " ".join(f"{name}={value}" for name, value in words.items())
        try:
            yield Outside(said, tuple(map(str, secrets)), str(tmp_path / "new"), udp)
        finally:
            process.kill()
            process.wait()
            secrets[1].unlink()


def table(lines: Sequence[str]) -> dict[str, str]:
    """What the app told."""
    found = {}
    for line in lines:
        name, _, value = line.partition("\t")
        found[name] = value
    return found


def told(found: dict[str, str], verb: str, paths: Sequence[str]) -> dict[str, str]:
    return {path: found[f"{verb} {path}"] for path in paths}


def heard(udp: socket.socket) -> bytes:
    try:
        return udp.recv(100)
    except TimeoutError:
        return b""


def test_the_app_can_see_what_it_looks_for(bench: Bench, outside: Outside) -> None:
    """On the host, that is: a check of what the next tests rest on."""
    found = table(bench.run("--command", f"./look write={outside.new} {outside.words}").good().out.splitlines())
    assert told(found, "read", outside.secrets) == dict.fromkeys(outside.secrets, "yes")
    assert told(found, "write", [outside.new]) == {outside.new: "yes"}
    assert (found["marked"], found["kill"], found["tcp"], found["abstract"]) == ("1", "yes", "yes", "yes")
    assert heard(outside.udp) == b"ping"


@pytest.mark.parametrize("network", [True, False], ids=["network", "no-network"])
def test_what_a_process_can_do_and_see(bench: Bench, outside: Outside, network: bool) -> None:
    forbidden = (*FORBIDDEN, outside.new)
    command = f"./look become=yes write={','.join((*forbidden, *ALLOWED))} {outside.words}"
    done = bench.inside("--command", command, *([] if network else ["--no-network"])).good()
    found = table(done.out.splitlines())
    assert told(found, "write", forbidden) == dict.fromkeys(forbidden, "no")
    assert told(found, "write", ALLOWED) == dict.fromkeys(ALLOWED, "yes")
    unseen = ("/etc/shadow", *outside.secrets)
    assert told(found, "read", unseen) == dict.fromkeys(unseen, "no")
    assert int(found["processes"]) <= 3
    assert (found["marked"], found["kill"]) == ("0", "no")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert found[name] == "0000000000000000"
    assert (found["NoNewPrivs"], found["Uid"], found["Gid"]) == ("1", "2000 2000 2000 2000", "0 0 0 0")
    assert (found["chroot"], found["setuid"], found["hostname"]) == ("no", "no", "stager")
    seen = "yes" if network else "no"
    assert (found["tcp"], found["abstract"], found["loopback"]) == (seen, seen, "yes")
    assert heard(outside.udp) == (b"ping" if network else b"")
    assert network or found["interfaces"] == "lo"


def test_where_things_are(bench: Bench) -> None:
    command = (
        "pwd; echo $HOME $PORT $COLOUR; readlink /home/vcap/app; cat /etc/hosts; readlink /etc/elsewhere; ls -A /app"
    )
    done = bench.inside("--port", 48111, "--env", "COLOUR=deep blue", "--command", command).good()
    assert done.out.splitlines() == [
        *("/app", "/app 48111 deep blue", "/app", "127.0.0.1\tlocalhost", "127.0.1.1\tstager", "::1\tlocalhost"),
        *("/etc/hostname", ".stager", "Procfile", "look", "serve"),
    ]


def test_variables_are_not_seen_among_the_hosts_processes(bench: Bench) -> None:
    """`--env` itself is in stager's own command line, for as long as that runs."""
    with bench.started("--env", "COLOUR=deepblue", "--command", "echo $COLOUR; sleep 60") as process:
        assert first_line(process) == "deepblue\n"
        lines = [line for line in command_lines() if b"bwrap\0" in line]
        process.terminate()
    assert lines
    assert not [line for line in lines if b"deepblue" in line or b"--setenv" in line]


def test_its_bytes_are_those_of_the_droplet(bench: Bench) -> None:
    before = sha256(bench.droplet.read_bytes())
    done = bench.inside("--command", "sha256sum /run/stager/droplet.tgz; echo more >> serve; echo new > new").good()
    assert done.out.split() == [before.partition(":")[2], "/run/stager/droplet.tgz"]
    assert sha256(bench.droplet.read_bytes()) == before
    *names, digest = bench.inside("--command", "ls; sha256sum serve").good().out.splitlines()
    assert names == ["Procfile", "look", "serve"]
    served = (bench.droplet.parent / "app" / "serve").read_bytes()
    assert digest.split()[0] == sha256(served).partition(":")[2]


# --- its life --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_ends_when_told(bench: Bench, tmp_path: Path, number: signal.Signals) -> None:
    options = ("--in", "stack", "--root", str(bench.root), "--env", "COLOUR=blue")
    with running(bench.droplet, tmp_path / "log", *options, store=bench.store) as (port, process):
        code, body = ask(port, "/", process)
        assert (code, body) == (200, "home /app\ncolour blue\ndyno \nuser 2000\n")
        logged(tmp_path / "log", f"web listens on http://127.0.0.1:{port}")
        process.send_signal(number)
        assert process.wait(120) == 128 + number


def test_its_own_end_is_stagers(bench: Bench) -> None:
    assert bench.inside("--command", "exit 7").code == 7
    assert bench.inside("--command", "kill -9 $$").code == 137


def test_a_process_may_end_in_its_own_way(bench: Bench) -> None:
    with bench.started("--command", "sleep 30 & trap 'echo got it; exit 5' TERM; echo up; wait") as process:
        assert first_line(process) == "up\n"
        process.terminate()
        assert first_line(process) == "got it\n"
    assert process.returncode == 5


def test_all_processes_have_the_grace_not_only_the_first(bench: Bench) -> None:
    """The first one, a shell, ends with the signal; its child finishes what it does."""
    draining = "(trap 'sleep 0.8; echo bye; exit' TERM; echo up; while :; do sleep 0.05; done) & wait"
    with bench.started("--command", draining) as process:
        assert first_line(process) == "up\n"
        process.terminate()
        assert first_line(process) == "bye\n"
    assert process.returncode == 143


def test_what_misses_the_signal_is_told_again(bench: Bench) -> None:
    with bench.started("--command", MISSES) as process:
        assert first_line(process) == "up\n"
        began = time.monotonic()
        process.terminate()
    assert (process.returncode, time.monotonic() - began < 10) == (5, True), "it waited for the grace"


def test_after_the_grace_the_first_process_s_status_counts(bench: Bench) -> None:
    with bench.started("--command", STAYS) as process:
        assert first_line(process) == "up\n"
        began = time.monotonic()
        process.terminate()
    assert (process.returncode, 9 < time.monotonic() - began < 50) == (5, True)


def test_what_has_left_the_session_is_told(bench: Bench) -> None:
    daemon = (
        "perl -MPOSIX -e 'fork and exit; POSIX::setsid(); $SIG{TERM} = sub { print qq(bye\\n); exit }; $| = 1; "
        "print qq(up\\n); sleep 1 while 1'"
    )
    with bench.started("--command", f"trap 'exit 5' TERM; {daemon}; while :; do sleep 0.05; done") as process:
        assert first_line(process) == "up\n"
        process.terminate()
        assert first_line(process) == "bye\n"
    assert process.returncode == 5


def test_a_second_interrupt_kills_at_once(bench: Bench) -> None:
    stubborn = "trap 'echo told' INT; trap '' TERM; echo up; while :; do sleep 0.1; done"
    with bench.started("--command", stubborn) as process:
        assert first_line(process) == "up\n"
        began = time.monotonic()
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            assert first_line(process) in ("told\n", "")  # two that come at one moment would be one
        process.wait(300)
    assert (process.returncode, time.monotonic() - began < 10) == (137, True), "it waited for its grace"


def test_killed_it_takes_everything_with_it(bench: Bench) -> None:
    seconds = f"{os.getpid()}.125"
    with bench.started("--memory", "64M", "--command", f"echo up; sleep {seconds}") as process:
        assert first_line(process) == "up\n"
        process.kill()
    deadline = time.monotonic() + 60
    while f"sleep\0{seconds}\0".encode() in command_lines():
        assert time.monotonic() < deadline, "it outlived stager"
        time.sleep(0.05)
    assert len(bench.leftovers()) >= 3  # two folders and a control group, which the next run finds
    bench.inside("--memory", "64M", "--command", "true").good()


def test_a_limit_of_memory(bench: Bench) -> None:
    hungry = "perl -e '$x = chr(65) x 200_000_000; print length $x'"
    assert bench.inside("--command", hungry).good().out == "200000000"
    done = bench.inside("--memory", "64M", "--command", hungry)
    assert (done.code, done.out) == (137, "")
    assert "needed more than 67108864 bytes of memory" in done.err
    assert bench.inside("--memory", "64M", "--command", "echo fits").good().out == "fits\n"


@dataclass(frozen=True)
class Other:
    """What another user of this machine has: a store, and somebody's droplet and root filesystem to read."""

    folder: Path

    def inside(self, command: str, *options: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        here = self.folder
        words = [
            "run",
            here / "droplet.tgz",
            "--cache-dir",
            here / "store",
            "--in",
            "stack",
            "--root",
            here / "root.tar",
        ]
        behind = as_other_user([*words, "--command", command, *options], folder=here, before=before)
        environment = {**os.environ, "TMPDIR": str(here / "store")}
        return subprocess.run(behind, env=environment, capture_output=True, text=True, timeout=300, cwd="/")


@pytest.fixture
def other(bench: Bench, tmp_path: Path) -> Other:
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    place = tmp_path / "other"
    (place / "store").mkdir(parents=True)
    place.chmod(0o755)
    os.chown(place / "store", OTHER_USER, OTHER_USER)
    (place / "droplet.tgz").write_bytes(bench.droplet.read_bytes())
    (place / "root.tar").write_bytes(bench.root.read_bytes())
    return Other(place)


def test_without_root(other: Other) -> None:
    """By somebody who owns nothing on this machine but a store."""
    look = f"./look become=yes write={','.join(FORBIDDEN)} marker=none pid=1 tcp=1 udp=1 abstract=x; ls -ln serve"
    done = other.inside(look)
    assert done.returncode == 0, done.stderr
    *lines, listed = done.stdout.splitlines()
    found = table(lines)
    assert told(found, "write", FORBIDDEN) == dict.fromkeys(FORBIDDEN, "no")
    assert (found["CapEff"], found["Uid"]) == ("0" * 16, "2000 2000 2000 2000")
    assert (found["chroot"], found["setuid"], found["hostname"]) == ("no", "no", "stager")
    assert re.match(r"-rwxrwxr-x +1 2000 +0 ", listed), "the app's files belong to vcap"
    assert (other.folder / "store" / "v1" / "roots").stat().st_uid == OTHER_USER


def test_many_at_once_share_a_root(bench: Bench, tmp_path: Path) -> None:
    """The first of them unpacks it; the others wait for that."""
    other = Bench(bench.droplet, bench.root, tmp_path / "store", bench.temporary)
    runs = [other.started("--command", "echo done") for _ in range(4)]
    assert [process.communicate(timeout=300)[0] for process in runs] == ["done\n"] * 4
    assert len([path for path in (other.store / "v1" / "roots").iterdir() if path.is_dir()]) == 1


def test_without_a_network_nobody_outside_can_ask(bench: Bench) -> None:
    """The process answers all the same: on a loopback of its own."""
    port = free_port()
    ask_it = f"perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(q(127.0.0.1:{port})) ? qq(yes\\n) : qq(no\\n)'"
    script = f"PORT={port} ./serve & sleep 1; {ask_it}; sleep 60"
    with bench.started("--no-network", "--command", script) as process:
        assert first_line(process) == "yes\n"
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
        process.terminate()
        assert "its port cannot be reached from here" in process.communicate()[1]


# --- what goes wrong -------------------------------------------------------------------------------------------


def test_a_port_in_use(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for where in (["--in", "stack", "--root", bench.root], []):
            done = bench.run("--port", port, "--json", *where)
            assert (done.code, done.document["error"]["code"]) == (70, "PortTaken")
            assert done.document["error"]["message"] == f"port {port} of this machine is taken"


def test_no_such_process_and_options_without_a_meaning(bench: Bench) -> None:
    assert bench.inside("--process", "clock", "--json").document["error"]["message"] == (
        "process clock: the droplet has no such process type; it has: web, worker"
    )
    for options in (["--no-network"], ["--memory", "1G"], ["--root", bench.root], ["--in", "stack", "--network", "x"]):
        assert bench.run(*options).code == 2
    assert bench.run("--in", "stack", "--memory", "4K").code == 2


@pytest.mark.parametrize("missing", ["bwrap", "unshare"])
def test_a_program_is_not_installed(bench: Bench, missing: str) -> None:
    """It is hidden from stager by something that cannot be run, in a mount namespace."""
    if os.geteuid() != 0:
        pytest.skip("hiding a program needs root")
    hide = (
        f"""for place in /usr/bin/{missing} /bin/{missing}; do mount --bind /dev/null $place || :; done; exec "$@" """
    )
    found = bench.wrapped(["unshare", "--mount", "sh", "-c", hide, "sh"])
    package = {"bwrap": "bubblewrap", "unshare": "util-linux"}[missing]
    assert found.document["error"]["code"] == "ProgramMissing"
    assert f"apt-get install {package}" in found.document["error"]["hint"]


def test_namespaces_are_forbidden(other: Other) -> None:
    """As where the kernel's limit is 0: the user namespace that this runs in has no room for another."""
    limit = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$@"'
    done = other.inside(
        "true", "--json", before=["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", limit, "sh"]
    )
    found = Done(done.returncode, done.stdout, done.stderr)
    assert (found.code, found.document["error"]["code"]) == (70, "CannotIsolate")
    assert "--in docker" in found.document["error"]["hint"]
    assert sorted(path.name for path in (other.folder / "store").iterdir()) == ["v1"]


def test_a_namespace_that_has_not_our_user(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("a namespace with one user needs root")
    found = bench.wrapped(["unshare", "--user", "--map-root-user"])
    assert (found.code, found.document["error"]["code"]) == (70, "CannotIsolate")


@pytest.mark.parametrize("full", ["store", "temporary"])
def test_a_full_disk(bench: Bench, tmp_path: Path, full: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small disk of one's own needs root")
    script = 'mount -t tmpfs -o size="$1" tmpfs "$2"; place=$2; shift 2; "$@"; code=$?; find "$place" >&2; exit $code'
    size = {"store": "4m", "temporary": "8k"}[full]
    before = ["unshare", "--mount", "env", f"TMPDIR={tmp_path if full == 'temporary' else bench.temporary}"]
    before += ["sh", "-c", script, "sh", size, str(tmp_path)]
    found = bench.wrapped(before, *(["--cache-dir", tmp_path / "store"] if full == "store" else []))
    assert (found.code, found.document["error"]["code"]) == (70, "CannotWrite")
    assert "No space left on device" in found.document["error"]["message"]
    listed = [line.removeprefix(str(tmp_path)) for line in found.err.splitlines() if line.startswith(str(tmp_path))]
    assert listed, "the folder itself is listed"
    assert not [line for line in listed if "stager-" in line or "/v1/tmp/" in line or "/v1/roots/" in line]
