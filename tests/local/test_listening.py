"""An app that listens on a port of its own: `run` says so, once, and says nothing of one that listens where it should."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import PROGRAM
from small_droplets import small_droplet

from stager.local import listening, running

OWN_PORT = """\
import os, socket, sys, time
mine = socket.create_server(("127.0.0.1", 0))
print(mine.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def listener(code: str = OWN_PORT) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that listens on a port that it has chosen, and which one that is."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.stdin.close()


def test_the_ports_of_a_process_and_its_children_are_found() -> None:
    child = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {OWN_PORT!r}]))"
    for code in (OWN_PORT, child, OWN_PORT.replace('("127.0.0.1", 0)', '("::1", 0), family=socket.AF_INET6')):
        with listener(code) as (process, port):
            assert listening.by(process.pid) == [port]
    with socket.create_server(("127.0.0.1", 0)):  # this process's is not the child's
        quiet = OWN_PORT.replace("socket.create_server(", "socket.socket(); mine.bind(")
        with listener(quiet) as (process, _):
            assert listening.by(process.pid) == []


def test_a_table_of_the_kernel_is_read_by_its_columns() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  2000        0 4711 1 0 100 0 0 10 0\n"
        "   1: 0100007F:0BB8 0100007F:D431 01 00000000:00000000 00:00000000 00000000  2000        0 4712 1 0 20 4 30 10 -1\n"
    )
    assert listening.ports(table.splitlines()) == {"4711": 3000}


def test_watching_tells_of_another_port_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "PATIENCE", 0.0)
    told: list[list[int]] = []
    heard, ready = threading.Event(), threading.Event()

    def astray(ports: list[int]) -> None:
        told.append(ports)
        heard.set()

    port = running.free_port()
    with listener() as (process, own):
        watcher = threading.Thread(target=running.watch, args=(process, port, lambda _: ready.set(), astray))
        watcher.start()
        assert heard.wait(30)
        with socket.create_server(("127.0.0.1", port)):
            assert ready.wait(30)
        watcher.join(30)
    assert told == [[own]]


def test_watching_tells_of_the_right_port_on_an_address_that_nobody_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "PATIENCE", 0.0)
    told: list[list[int]] = []
    with listener(OWN_PORT.replace('("127.0.0.1", 0)', '("::1", 0), family=socket.AF_INET6')) as (process, own):

        def astray(ports: list[int]) -> None:
            told.append(ports)
            process.kill()

        running.watch(process, own, lambda _: None, astray)  # type: ignore[arg-type]
    assert told == [[]]


SERVER = """\
#!/usr/bin/perl
use strict; use IO::Socket::INET;
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5) or die $!;
$| = 1; print $listen->sockport, "\\n";
while (my $client = $listen->accept) { close $client; }
"""


def test_run_says_that_an_app_has_a_port_of_its_own(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path, {"serve": SERVER})
    words = [*PROGRAM, "run", str(droplet), "--cache-dir", str(tmp_path / "store")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        port = int(process.stdout.readline())
        said = next(line for line in process.stderr if "listens on" in line)
        process.terminate()
        process.communicate(timeout=30)
    advice = "where platforms send requests: have it read PORT from its environment"
    assert said.strip() == f"web listens on port {port}, not on $PORT, {advice}"
