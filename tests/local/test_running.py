"""Running on the host: a clean place and environment, ports, commands in a process's place, and what killed runs left."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from command import PROGRAM, stager
from isolated import MISSES, STAYS
from small_droplets import small_droplet

from stager.files import temporary as temporary_folders
from stager.files import writing
from stager.local import running
from stager.local.errors import LaunchFailed, PortTaken


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_droplet(tmp_path_factory.mktemp("running"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process and those it starts make temporary folders."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


def test_a_command_in_the_processs_place(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    command = "pwd; echo $HOME; ls -A; echo $COLOUR; exit 9"
    done = stager("run", droplet, "--command", command, "--env", "COLOUR=blue", store=tmp_path / "store", SECRET="x")
    where, home, *rest = done.out.splitlines()
    assert (done.code, where) == (9, home)
    assert where.startswith(str(temporary))
    assert rest == [".stager", "Procfile", "serve", "blue"]
    seen = stager("run", droplet, "--command", "env", store=tmp_path / "store", SECRET="x").good().out.splitlines()
    names = {line.partition("=")[0] for line in seen} - {"PWD", "OLDPWD", "SHLVL", "_"}
    assert names == {"HOME", "LANG", "PATH", "PORT", "TMPDIR"}
    assert list(temporary.iterdir()) == []


def test_modes_do_not_depend_on_the_umask(droplet: Path, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        running.unpack(str(droplet), str(tmp_path))
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / "app" / name).stat().st_mode) for name in ("Procfile", "serve")}
    assert modes == {"Procfile": 0o664, "serve": 0o775}


def test_ports(droplet: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        assert running.listens(port)
        with pytest.raises(PortTaken, match=f"port {port} of this machine is taken"):
            running.chosen_port(port)
        assert running.chosen_port(0) not in (0, port)
    assert not running.listens(port)
    assert running.chosen_port(port) == port


def test_no_such_process(droplet: Path, temporary: Path) -> None:
    with pytest.raises(LaunchFailed, match="it has: web, worker"):
        running.run(str(droplet), "clock")
    assert list(temporary.iterdir()) == []


def test_what_killed_runs_left_is_removed(droplet: Path, temporary: Path) -> None:
    abandoned, held, foreign = (temporary / f"stager-app-{number:016x}" for number in range(3))
    (abandoned / "app").mkdir(parents=True)
    held.mkdir()
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    foreign.symlink_to(elsewhere)
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert running.run(str(droplet), shell="true") == 0
    os.close(lock)
    assert {path.name for path in temporary.iterdir()} == {"elsewhere", held.name, foreign.name}


def test_what_killed_runs_left_delays_no_start(droplet: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing it may take a minute."""
    free = threading.Event()
    monkeypatch.setattr(writing, "remove_left", lambda _: free.wait(60))
    (temporary / f"stager-app-{1:016x}").mkdir()
    began = time.monotonic()
    assert running.run(str(droplet), shell="exit 3") == 3
    assert time.monotonic() - began < 10
    free.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_leaves_nothing(
    droplet: Path, tmp_path: Path, temporary: Path, number: signal.Signals
) -> None:
    command = [
        *PROGRAM,
        "run",
        str(droplet),
        "--command",
        "echo up; exec sleep 60",
        "--cache-dir",
        str(tmp_path / "store"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 128 + number
    assert time.monotonic() - began < 5
    assert list(temporary.iterdir()) == []


def test_a_signal_while_it_unpacks(temporary: Path) -> None:
    """SIGTERM then leaves by every `finally`, as Ctrl-C does."""

    def interrupted() -> None:
        with running.stoppable(), temporary_folders.folder("app"):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(temporary.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


# --- ending ----------------------------------------------------------------------------------------------------

DRAINING = "(trap 'sleep 0.8; echo bye; exit' TERM INT; echo up; while :; do sleep 0.05; done) & wait"
"""The first process ends with the signal, as shells do; its child finishes what it does, as servers do."""


def started(droplet: Path, place: Path, command: str, grace: float = 10.0) -> subprocess.Popen[str]:
    """`stager run --command`, with a grace that is short enough to wait for."""
    modules = "import sys; from stager import cli; from stager.local import running; "
    code = f"{modules}running.GRACE = {grace}; sys.exit(cli.main())"
    words = ["run", str(droplet), "--command", command, "--cache-dir", str(place / "store")]
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True)


def told(process: subprocess.Popen[str], *numbers: int) -> tuple[int, str, float]:
    """Its exit status, what it wrote and the seconds that it took to end, after it has said that it is up."""
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    began = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.2)
    with process:
        text = process.stdout.read()
    return process.wait(30), text, time.monotonic() - began


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_all_processes_have_the_grace_not_only_the_first(
    droplet: Path, tmp_path: Path, temporary: Path, number: signal.Signals
) -> None:
    ignored = DRAINING.replace("TERM INT", "TERM HUP") if number == signal.SIGHUP else DRAINING
    if (
        number == signal.SIGINT
    ):  # a shell starts what is in the background with Ctrl-C ignored, and then it cannot be trapped
        ignored = (
            "perl -e '$SIG{INT} = sub { sleep 1; print qq(bye\n); exit }; $| = 1; print qq(up\n); sleep 1 while 1'"
        )
    status, text, seconds = told(started(droplet, tmp_path, ignored), number)
    assert (text, status in (0, 128 + number), seconds < 8) == ("bye\n", True, True), (text, status, seconds)
    assert list(temporary.iterdir()) == []


def test_the_status_is_the_first_processs(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    status, text, _ = told(started(droplet, tmp_path, f"trap 'exit 5' TERM; {DRAINING}"), signal.SIGTERM)
    assert (status, text) == (5, "bye\n")


def test_what_the_first_process_leaves_is_told_to_end(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    command = DRAINING.replace("& wait", "& sleep 0.5; exit 4")
    status, text, _ = told(started(droplet, tmp_path, command))
    assert (status, text) == (4, "bye\n")


def test_what_misses_the_signal_is_told_again(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    status, text, seconds = told(started(droplet, tmp_path, MISSES), signal.SIGTERM)
    assert (status, text, seconds < 8) == (5, "", True), seconds


def test_what_a_draining_process_starts_is_left_to_it(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    draining = DRAINING.replace("sleep 0.8;", "(sleep 0.8 && echo done) & sleep 0.8 && wait;")
    status, text, _ = told(started(droplet, tmp_path, draining), signal.SIGTERM)
    assert (status, text) == (143, "done\nbye\n")


def test_after_the_grace_all_are_killed(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    command = "trap '' TERM; echo up; sleep 40 & sleep 40; echo late"
    status, text, seconds = told(started(droplet, tmp_path, command, 1.0), signal.SIGTERM)
    assert (status, text, 0.9 < seconds < 8) == (137, "", True), seconds


def test_what_outlives_the_first_process_and_the_grace_is_killed(
    droplet: Path, tmp_path: Path, temporary: Path
) -> None:
    command = "(trap '' TERM; echo up; sleep 40; echo late) & wait"
    status, text, seconds = told(started(droplet, tmp_path, command, 1.0), signal.SIGTERM)
    assert (status, text, 0.9 < seconds < 8) == (143, "", True), seconds


def test_the_first_process_is_not_ended_by_what_it_leaves(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    status, _, seconds = told(started(droplet, tmp_path, STAYS, 1.0), signal.SIGTERM)
    assert (status, 0.9 < seconds < 8) == (5, True), seconds


def test_a_second_interrupt_kills_at_once(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    command = "trap '' TERM INT; echo up; sleep 40; echo late"
    status, text, seconds = told(started(droplet, tmp_path, command), signal.SIGINT, signal.SIGINT)
    assert (status, text, seconds < 5) == (137, "", True), seconds


def test_a_signal_that_comes_twice_is_passed_on_once(droplet: Path, tmp_path: Path, temporary: Path) -> None:
    """timeout(1) sends it to the command and to its group."""
    command = "trap 'echo got it' TERM; echo up; for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done"
    status, text, _ = told(started(droplet, tmp_path, command), signal.SIGTERM, signal.SIGTERM)
    assert (status, text) == (0, "got it\n")
