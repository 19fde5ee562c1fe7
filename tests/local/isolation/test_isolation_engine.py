"""`stager run --in docker` with a real engine: the container as it is, its end, and what goes wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import PROGRAM, Done, ask, running, stager
from engine import Engine, private_engine
from isolated import MISSES, STAYS, bridge, logged, small_root
from small_droplets import SERVE, small_droplet

from stager.digest import sha256

pytestmark = pytest.mark.tools


@dataclass(frozen=True)
class Bench:
    """A droplet, a small root filesystem, a store, an engine and a network of it."""

    droplet: Path
    root: Path
    store: Path
    engine: Engine
    network: str

    @property
    def options(self) -> tuple[str, ...]:
        return ("--in", "docker", "--root", str(self.root))

    def inside(self, *options: object) -> Done:
        return stager("run", self.droplet, *self.options, *options, store=self.store, DOCKER_HOST=self.engine.host)

    def left(self) -> tuple[list[Any], list[Any]]:
        return self.engine.client.containers.list(all=True), self.engine.client.volumes.list()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    place = tmp_path_factory.mktemp("engine")
    with private_engine() as engine, bridge(engine) as network:
        droplet = small_droplet(place, {"serve": SERVE.replace("127.0.0.1", "0.0.0.0")})
        yield Bench(droplet, small_root(place), place / "store", engine, network)


@pytest.fixture
def bench(made: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The bench, with a check that every test leaves neither a container nor a volume."""
    monkeypatch.setenv("DOCKER_HOST", made.engine.host)
    yield made
    assert made.left() == ([], [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_ends_when_told(bench: Bench, tmp_path: Path, number: signal.Signals) -> None:
    options = (*bench.options, "--network", bench.network, "--env", "COLOUR=blue", "--json")
    with running(bench.droplet, tmp_path / "log", *options, store=bench.store) as (port, process):
        code, body = ask(port, "/", process)
        assert (code, body) == (200, "home /app\ncolour blue\ndyno \nuser 2000\n")
        (container,) = bench.engine.client.containers.list()
        assert container.labels["io.stager.run"] == sha256(bench.droplet.read_bytes())
        assert container.ports == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        logged(tmp_path / "log", f'"url": "http://127.0.0.1:{port}"')
        process.send_signal(number)
        assert process.wait(120) == 128 + number


def told(bench: Bench, command: str, *numbers: int) -> tuple[int, str, float]:
    """The exit status of a command that is signalled when it is up, what else it said, and the seconds it took to end."""
    options = ["--no-network", "--command", command, "--cache-dir", str(bench.store)]
    words = [*PROGRAM, "run", str(bench.droplet), *map(str, bench.options), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        began = time.monotonic()
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.2)
        said = process.stdout.read()
    return process.returncode, said, time.monotonic() - began


def test_all_processes_have_the_grace_not_only_the_first(bench: Bench) -> None:
    """The first one, a shell, ends with the signal; its child finishes what it does."""
    draining = "(trap 'sleep 0.8; echo bye; exit' TERM; echo up; while :; do sleep 0.05; done) & wait"
    assert told(bench, draining, signal.SIGTERM)[:2] == (143, "bye\n")


def test_what_misses_the_signal_is_told_again(bench: Bench) -> None:
    status, said, seconds = told(bench, MISSES, signal.SIGTERM)
    assert (status, said, seconds < 10) == (5, "", True), seconds


def test_after_the_grace_the_first_process_s_status_counts(bench: Bench) -> None:
    status, _, seconds = told(bench, STAYS, signal.SIGTERM)
    assert (status, 9 < seconds < 50) == (5, True), seconds


def test_a_second_interrupt_kills_at_once(bench: Bench) -> None:
    stubborn = "trap '' TERM INT; echo up; sleep 40 & sleep 40"
    status, _, seconds = told(bench, stubborn, signal.SIGINT, signal.SIGINT)
    assert (status, seconds < 10) == (137, True), seconds


def test_the_container_as_it_is(bench: Bench) -> None:
    command = (
        "id -u; id -g; pwd; echo $HOME $PORT; readlink /home/vcap/app; sha256sum /run/stager/droplet.tgz; ls -A; "
        "while read name value; do case $name in Cap*|NoNewPrivs:) echo $name $value; esac; done </proc/self/status; "
        "for path in /x /etc/x /usr/x /app/x /tmp/x; do (echo >$path) 2>/dev/null && echo wrote $path; done; exit 7"
    )
    done = bench.inside("--network", bench.network, "--command", command)
    assert done.code == 7
    assert done.out.splitlines() == [
        *("2000", "0", "/app", "/app 8080", "/app"),
        f"{sha256(bench.droplet.read_bytes()).partition(':')[2]}  /run/stager/droplet.tgz",
        *(".stager", "Procfile", "serve"),
        *(f"Cap{name}: 0000000000000000" for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")),
        *("NoNewPrivs: 1", "wrote /app/x", "wrote /tmp/x"),
    ]


def test_without_a_network(bench: Bench) -> None:
    done = bench.inside("--no-network", "--command", "cat /proc/net/dev").good()
    assert [line.split(":")[0].strip() for line in done.out.splitlines()[2:]] == ["lo"]


def test_a_limit_of_memory(bench: Bench) -> None:
    hungry = "perl -e '$x = chr(65) x 200_000_000; print length $x'"
    assert bench.inside("--no-network", "--command", hungry).good().out == "200000000"
    done = bench.inside("--no-network", "--memory", "64M", "--command", hungry)
    assert (done.code, done.out) == (137, "")
    assert "needs more than 67108864 bytes of memory" in done.err


def test_the_root_is_loaded_once(bench: Bench) -> None:
    for _ in range(2):
        bench.inside("--no-network", "--command", "true").good()
    (image,) = bench.engine.client.images.list()
    assert image.tags[0].startswith("stager-run-given:")
    assert len(image.attrs["RootFS"]["Layers"]) == 2


def test_output_goes_where_it_belongs(bench: Bench) -> None:
    done = bench.inside("--no-network", "--command", "echo to out; echo to err >&2; exit 3")
    assert (done.code, done.out) == (3, "to out\n")
    assert done.err.splitlines()[-1] == "to err"


# --- what goes wrong -------------------------------------------------------------------------------------------


def test_no_engine(bench: Bench) -> None:
    done = stager(
        "run", bench.droplet, *bench.options, "--json", store=bench.store, DOCKER_HOST="unix:///nowhere/docker.sock"
    )
    assert (done.code, done.document["error"]["code"]) == (70, "EngineFailed")
    assert "DOCKER_HOST" in done.document["error"]["hint"]


def test_a_port_in_use_and_a_network_that_is_not_there(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = bench.inside("--network", bench.network, "--port", taken.getsockname()[1], "--json")
        assert (done.code, done.document["error"]["code"]) == (70, "PortTaken")
    done = bench.inside("--network", "nowhere", "--json")
    assert (done.code, done.document["error"]["code"]) == (70, "EngineFailed")
    assert "nowhere" in done.document["error"]["message"]


def test_a_folder_is_no_layer(bench: Bench, tmp_path: Path) -> None:
    done = stager("run", bench.droplet, "--in", "docker", "--root", tmp_path, store=bench.store)
    assert done.code == 2
    assert "Give its tar" in done.err


def test_the_engine_dies_midway(bench: Bench, tmp_path: Path) -> None:
    with private_engine() as engine:
        command = [
            *PROGRAM,
            "run",
            str(bench.droplet),
            *bench.options,
            "--no-network",
            "--command",
            "echo up; sleep 60",
        ]
        environment = {**os.environ, "STAGER_CACHE_DIR": str(bench.store), "DOCKER_HOST": engine.host}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            os.kill(int((engine.folder / "pid").read_text("utf-8")), signal.SIGKILL)
            said = process.communicate(timeout=300)[1]
        assert process.returncode == 70
        assert "the container engine failed" in said
        leftover = [line.split()[0] for line in shims(engine.folder)]
        for process_id in leftover:
            os.kill(int(process_id), signal.SIGKILL)


def shims(folder: Path) -> list[str]:
    """The processes that a daemon which was killed has left: those whose command line names its folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(f"{path.parent.name} {line}")
    return found
