"""Running on the host: a clean place and environment, ports, commands in a process's place, and what killed runs left."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import pytest
from command import PROGRAM, stager
from small_droplets import small_droplet

from stager import running
from stager.errors import LaunchFailed, PortTaken


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


def test_what_killed_runs_left_is_removed(temporary: Path) -> None:
    abandoned, held, foreign = (temporary / f"stager-app-{name}" for name in ("abandoned", "held", "link"))
    (abandoned / "app").mkdir(parents=True)
    held.mkdir()
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    foreign.symlink_to(elsewhere)
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with running.scratch() as folder:
        assert sorted(path.name for path in temporary.iterdir()) == sorted(
            ["elsewhere", "stager-app-held", "stager-app-link", os.path.basename(folder)]
        )
        with running.scratch() as second:
            assert os.path.isdir(folder), "one's own is held, too"
            assert second != folder
    os.close(lock)
    assert {path.name for path in temporary.iterdir()} == {"elsewhere", "stager-app-held", "stager-app-link"}


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
        with running.stoppable(), running.scratch():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(temporary.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
