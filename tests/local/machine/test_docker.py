"""`stager up` and its sisters with a real container engine, a real Vagrant, and the stack's own box."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apps_fixture import materialise
from command import PROGRAM, Done, free_port, stager
from engine import private_engine
from machine_bench import Bench, bridge, need_vagrant

pytestmark = [pytest.mark.tools, pytest.mark.network, pytest.mark.slow]


def get(url: str) -> str:
    """The body at an address; empty while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except (OSError, urllib.error.HTTPError):
        return ""


def within(seconds: float, check: Callable[[], bool]) -> float:
    """How long it took until the check was true; fails when that is too long."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def cleaned(bench: Bench) -> Iterator[Bench]:
    """The bench, with nothing left by this test."""
    yield bench
    for container in bench.containers():
        container.remove(force=True)


def test_a_python_app_with_postgresql_and_redis_lives_its_whole_life(cleaned: Bench, shop: Path) -> None:
    with drain(cleaned.gateway) as (port, received):
        address = f"syslog://{cleaned.gateway}:{port}"
        up = cleaned.stager("up", shop, "--scale", "worker=2", "--drain", address, "--json", "-q").good().document
        assert up["processes"] == {"web.1": 8080, "worker.1": 8180, "worker.2": 8181}
        assert (up["provider"], up["created"], up["health"]["status"]) == ("docker", True, "OK")
        assert get(up["url"]) == "postgresql 1 redis 1"
        assert within(10, lambda: any(b" worker 2 - - tick" in data for data in received)) < 10
    assert received[0].startswith(b"<14>1 20")

    inside = cleaned.stager("ssh", "--dir", shop, "--", "cat", "/etc/stager/droplet").good().out.strip()
    assert f"sha256:{inside}" == up["droplet"]
    assert (shop / ".stager/.gitignore").read_text() == "*\n"

    failed = cleaned.stager("ssh", "--dir", shop, "--", "sh", "-c", 'echo "$PORT $HOME $(id -un)"; exit 7')
    assert (failed.code, failed.out) == (7, "8080 /app vcap\n")
    text = "echo $HOME | cat; [[ $USER == v* ]] && echo 'a  b' && exit 3"  # one text is for a shell
    shell = cleaned.stager("ssh", "--dir", shop, "--", text)
    assert (shell.code, shell.out) == (3, "/app\na  b\n")
    assert cleaned.stager("ssh", "--dir", shop, "--", "echo", "$HOME", "|", "cat").good().out == "$HOME | cat\n"
    bound = json.loads(cleaned.stager("ssh", "--dir", shop, "--", "printenv", "VCAP_SERVICES").good().out)
    assert {name: bound[name][0]["credentials"]["port"] for name in bound} == {"postgresql": 5432, "redis": 6379}

    before = state_of(cleaned, shop, "web.1")
    kill = f"kill -9 {before['pid']}"
    cleaned.stager("ssh", "--dir", shop, "--", "sh", "-c", kill).good()
    within(15, lambda: get(up["url"]).startswith("postgresql"))
    after = state_of(cleaned, shop, "web.1")
    assert after["pid"] != before["pid"]
    assert (before["ends"], after["ends"]) == (0, 1)

    lines = [json.loads(line) for line in cleaned.stager("logs", shop, "-p", "web", "--json").good().out.splitlines()]
    assert "stager: ended by signal 9" in [line["message"] for line in lines]
    assert {(line["process"], line["instance"]) for line in lines} == {("web", 1)}
    assert cleaned.stager("check", shop).out.startswith("STAGER OK - GET /health answered 200 OK | time=")

    cleaned.stager("halt", shop, "-q").good()
    down = cleaned.stager("check", shop)
    assert (down.code, down.out[:15]) == (2, "STAGER CRITICAL")
    assert cleaned.stager("status", shop, "--json").document["machine"] == "stopped"
    again = cleaned.stager("up", shop, "--json", "-q").good().document
    assert (again["created"], again["changed"], again["url"]) == (False, False, up["url"])
    visits = int(get(again["url"]).split()[1])
    assert visits > 2  # the data has outlived the halt

    cleaned.stager("destroy", shop, "-q").good()
    assert cleaned.containers() == []
    assert not (shop / ".stager").exists()
    assert cleaned.stager("check", shop).code == 3


def state_of(bench: Bench, app: Path, name: str) -> dict[str, Any]:
    found = bench.stager("status", app, "--json").good().document
    row: dict[str, Any] = next(row for row in found["processes"] if row["name"] == name)
    return row


@contextlib.contextmanager
def drain(address: str) -> Iterator[tuple[int, list[bytes]]]:
    """A syslog server on UDP: its port, and what it has received."""
    received: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 0))
        server.settimeout(0.2)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    received.append(server.recv(65536))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield server.getsockname()[1], received
        finally:
            over.set()
            thread.join()


def test_a_node_app_answers_through_an_ejected_vagrantfile(cleaned: Bench, tmp_path: Path) -> None:
    app = materialise("express-npm-v3", tmp_path)
    build = "{run: cp package.json made.txt, inputs: [package.json], outputs: [made.txt]}"
    (app / "stager.yml").write_text(f"build: [{build}]\n")
    port = free_port()
    up = cleaned.stager("up", app, "--eject", "--port", port, "--like", "heroku", "--json", "-q").good().document
    assert (up["url"], up["vagrantfile"]) == (f"http://127.0.0.1:{port}", str(app / "Vagrantfile"))
    assert "hello" in get(up["url"])
    made = cleaned.stager("ssh", "--dir", app, "--", "cat", "made.txt").good().out
    assert made == (app / "package.json").read_text()
    assert cleaned.stager("ssh", "--dir", app, "--", "printenv", "DYNO").good().out == "run.1\n"

    own = (app / "Vagrantfile").read_text() + "# mine\n"
    (app / "Vagrantfile").write_text(own)
    assert cleaned.stager("status", app, "--json").good().document["changed"] is True  # it is a file of the app
    provisioned = cleaned.stager("provision", app, "--json", "-q").good().document
    assert provisioned["changed"] is True
    assert cleaned.stager("provision", app, "--json", "-q").good().document["changed"] is False
    assert (app / "Vagrantfile").read_text() == own
    cleaned.stager("destroy", app, "-q").good()
    assert cleaned.containers() == []


def test_dev_mode_shows_an_edit_and_swaps_a_dependency(cleaned: Bench, shop: Path, tmp_path: Path) -> None:
    (shop / "stager.yml").unlink()
    (shop / "Procfile").write_text("web: python app.py\n")
    (shop / "app.py").write_text(INSTALLED)
    with watching(cleaned, shop, tmp_path / "log") as (url, log):
        assert get(url).startswith("first: ")
        assert {"pg8000", "redis"} < set(get(url).split())
        (shop / "app.py").write_text(INSTALLED.replace("first", "second"))
        assert within(3, lambda: get(url).startswith("second:")) < 3
        (shop / "app.py").write_text(INSTALLED.replace("first", "third!"))  # of the same size as before
        assert within(3, lambda: get(url).startswith("third!:")) < 3

        pins = (shop / "requirements.txt").read_text()
        (shop / "requirements.txt").write_text("".join(pins.partition("redis==")[::2][:1]))
        within(15, lambda: "redis" not in (get(url) or "redis"))  # it is started anew when its packages were swapped
        within(5, lambda: "pg8000" in get(url))
        (shop / "requirements.txt").write_text("pg8000 = 1\n")
        within(10, lambda: "is not a requirement" in log.read_text())
        within(5, lambda: get(url).startswith("third!:"))  # what cannot be staged changes nothing
        (shop / "requirements.txt").write_text(pins)
        within(15, lambda: "redis" in get(url))
        (shop / "extra").mkdir()
        (shop / "extra/file.txt").write_text("x")
        within(3, lambda: log.read_text().count("1 files changed") == 3)
    assert cleaned.stager("ssh", "--dir", shop, "--", "cat", "extra/file.txt").good().out == "x"
    (shop / "extra/file.txt").unlink()
    (shop / "extra").rmdir()
    assert cleaned.stager("provision", shop, "--json", "-q").good().document["changed"] is True
    listed = cleaned.stager("ssh", "--dir", shop, "--", "ls").good().out.split()
    assert set(listed) - {"__pycache__"} == {"Procfile", "app.py", "requirements.txt"}
    cleaned.stager("destroy", shop, "-q").good()


INSTALLED = """\
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        names = sorted({each.metadata["Name"] for each in distributions()})
        self.wfile.write(("first: " + " ".join(names)).encode())


ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


@contextlib.contextmanager
def watching(bench: Bench, app: Path, log: Path, code: int = 0) -> Iterator[tuple[str, Path]]:
    """`stager up --dev` in the background: the app's address, and what it tells. It ends with `code`."""
    command = [*PROGRAM, "up", str(app), "--dev", "--json", "-q"]
    environment = {**os.environ, "STAGER_CACHE_DIR": str(bench.store), **bench.variables}
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        within(10, lambda: "watching" in log.read_text())
        yield json.loads(line)["url"], log
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == code
    except BaseException as failed:
        failed.add_note(log.read_text()[-3000:])
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def test_a_machine_that_runs_the_droplet_already_is_left_alone(cleaned: Bench, plain: Path, tmp_path: Path) -> None:
    """By `up` as by `provision`; and what is only looked at does not wait for Vagrant, which takes seconds to start."""
    cleaned.stager("up", plain, "-q").good()
    called = counted(tmp_path)
    path = f"{called.parent}{os.pathsep}{os.environ['PATH']}"

    def told(*words: object) -> Done:
        return stager(*words, store=cleaned.store, cwd=None, PATH=path, **cleaned.variables)

    before = pids(told("status", plain, "--json"))
    assert len(before) == 2
    for command in ("up", "provision"):
        assert told(command, plain, "--json", "-q").good().document["changed"] is False
        assert pids(told("status", plain, "--json")) == before, command
    told("check", plain).good()
    told("logs", plain).good()
    assert not called.exists()

    told("up", plain, "-q", "--env", "COLOUR=blue").good()
    changed = pids(told("status", plain, "--json"))
    assert not set(changed) & set(before)
    assert told("ssh", "--dir", plain, "--", "printenv", "COLOUR").good().out == "blue\n"
    (plain / "more").write_text("x")
    assert told("up", plain, "--json", "-q").good().document["changed"] is True
    assert not set(pids(told("status", plain, "--json"))) & set(changed)
    (plain / "more").unlink()
    told("up", plain, "-q").good()

    told("halt", plain, "-q").good()
    lines = len(called.read_text().splitlines())
    assert lines > 2
    told("halt", plain, "-q").good()
    assert told("status", plain, "--json").good().document["machine"] == "stopped"
    assert len(called.read_text().splitlines()) == lines
    assert told("up", plain, "--json", "-q").good().document["changed"] is False
    assert called.read_text().splitlines()[lines:] == ["up --provider=docker"]  # started, and not set up again
    assert len(pids(told("status", plain, "--json"))) == 2
    told("destroy", plain, "-q").good()


def counted(place: Path) -> Path:
    """A file that gets a line for each start of Vagrant, whose folder has to be first on the path."""
    folder = place / "counting"
    folder.mkdir()
    program = folder / "vagrant"
    program.write_text(f'#!/bin/sh\necho "$*" >>{folder}/calls\nexec {shutil.which("vagrant")} "$@"\n')
    program.chmod(0o755)
    return folder / "calls"


def pids(status: Done) -> list[int]:
    return [row["pid"] for row in status.good().document["processes"]]


def test_a_process_that_crashes_beside_one_that_answers_is_said(cleaned: Bench, plain: Path) -> None:
    """Whoever asks only for the port does not see it."""
    procfile = (plain / "Procfile").read_text()
    (plain / "Procfile").write_text(procfile + "clock: echo no database; exit 3\n")
    done = cleaned.stager("up", plain, "--json", "-q")
    assert (done.code, done.document["error"]["code"]) == (70, "NotReady")
    assert "clock.1 has ended" in done.document["error"]["message"]
    assert "clock.1 | no database" in done.document["error"]["hint"]
    assert "clock.1 | stager: ended with exit status 3" in done.document["error"]["hint"]
    for command in ("status", "check", "provision", "up"):
        done = cleaned.stager(command, plain)
        assert done.code == {"check": 2}.get(command, 70), done
        said = done.out + done.err
        assert "clock.1 crashes" in said or "clock.1 has ended" in said
        assert "no database" in said or command == "check"
    status = cleaned.stager("status", plain, "--json")
    crashes = {row["name"]: row["crashes"] for row in status.document["processes"]}
    assert (status.code, crashes) == (70, {"web.1": False, "worker.1": False, "clock.1": True})
    assert cleaned.stager("logs", plain, "-p", "clock", "-n", "1").good().out
    (plain / "Procfile").write_text(procfile)
    cleaned.stager("provision", plain, "-q").good()
    assert cleaned.stager("status", plain).good().out.count("run for") == 2
    cleaned.stager("check", plain).good()
    cleaned.stager("destroy", plain, "-q").good()


def test_dev_mode_says_that_an_edit_makes_the_app_crash(cleaned: Bench, plain: Path, tmp_path: Path) -> None:
    good = "sleep 1000\n"
    (plain / "work.sh").write_text(good)
    (plain / "Procfile").write_text((plain / "Procfile").read_text() + "clock: sh work.sh\n")
    with watching(cleaned, plain, tmp_path / "log", 0) as (_, log):
        (plain / "work.sh").write_text("echo no database; exit 3\n")
        within(15, lambda: "clock.1 crashes: it has ended" in log.read_text())
        assert "clock.1 | no database" in log.read_text()
        assert "clock.1 | stager: ended with exit status 3" in log.read_text()
        (plain / "work.sh").write_text(good)
        within(5, lambda: log.read_text().count("1 files changed") == 2)
        within(15, lambda: cleaned.stager("status", plain).code == 0)
    with watching(cleaned, plain, tmp_path / "log", 70) as (_, log):
        (plain / "work.sh").write_text("exit 4\n")
        within(15, lambda: "clock.1 crashes: it has ended" in log.read_text())
    assert "stager: the app is not ready: clock.1 crashes" in log.read_text()
    cleaned.stager("destroy", plain, "-q").good()


# --- what goes wrong -------------------------------------------------------------------------------------------


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """An app that needs nothing but what its stack has."""
    app = tmp_path / "plain"
    app.mkdir()
    (app / "Procfile").write_text(f"web: perl -MIO::Socket::INET -e '{LISTENS}'\nworker: sleep 100000\n")
    return app


LISTENS = (
    "$s = IO::Socket::INET->new(Listen => 5, LocalPort => $ENV{PORT}, ReuseAddr => 1); close $c while $c = $s->accept"
)


def test_a_port_in_use_is_said_before_anything_is_made(cleaned: Bench, plain: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = cleaned.stager("up", plain, "--port", port, "-q")
    assert (done.code, done.err) == (
        70,
        f"stager: port {port} is in use [PortInUse]\n  Choose another with --port, or end what listens there.\n",
    )
    assert not (plain / ".stager").exists()
    assert cleaned.containers() == []


def test_an_app_that_never_listens_is_not_ready_and_shows_its_log(cleaned: Bench, plain: Path) -> None:
    (plain / "Procfile").write_text("web: echo here I fail; exit 3\n")
    (plain / "stager.yml").write_text("health: {timeout: 30}\n")
    done = cleaned.stager("up", plain, "-q", "--json")
    assert (done.code, done.document["error"]["code"]) == (70, "NotReady")
    assert "here I fail" in done.err
    assert "ended with exit status 3" in done.err
    cleaned.stager("destroy", plain, "-q").good()


@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_machine_that_dies_midway_leaves_nothing(cleaned: Bench, plain: Path, how: str) -> None:
    command = [*PROGRAM, "up", str(plain), "--json"]
    environment = {**os.environ, "STAGER_CACHE_DIR": str(cleaned.store), **cleaned.variables}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Machine booted" in line:
                break
        if how == "killed":
            cleaned.containers()[0].kill()
        else:
            process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    error = json.loads(out)["error"]
    assert error["code"] == ("MachineFailed" if how == "killed" else "Cancelled")
    assert process.returncode == (70 if how == "killed" else 130)
    assert cleaned.containers() == []
    assert not (plain / ".stager").exists()


def test_an_engine_that_dies_midway_is_said_and_can_be_cleaned_up_later(
    plain: Path, shared_store: Path, tmp_path: Path
) -> None:
    need_vagrant()
    with bridge() as (name, gateway):
        with private_engine(f"--bridge={name}") as engine:
            bench = Bench(engine, gateway, shared_store, tmp_path / "vagrant-home")
            environment = {**os.environ, "STAGER_CACHE_DIR": str(bench.store), **bench.variables}
            pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            with subprocess.Popen(
                [*PROGRAM, "up", str(plain), "--json"], env=environment, text=True, **pipes
            ) as process:
                assert process.stderr is not None
                for line in process.stderr:
                    if "Machine booted" in line:
                        break
                os.kill(int((engine.folder / "pid").read_text()), signal.SIGKILL)
                out, _ = process.communicate(timeout=120)
        assert process.returncode == 70
        error = json.loads(out)["error"]
        assert error["code"] == "MachineFailed"
        assert "stager destroy" in error["hint"]


def test_a_full_disk_is_said_and_leaves_nothing(cleaned: Bench, plain: Path) -> None:
    (plain / ".stager").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(plain / ".stager")], check=True)
    try:
        (plain / "large").write_bytes(os.urandom(200_000))
        done = cleaned.stager("up", plain, "-q", "--json")
        assert (done.code, done.document["error"]["code"]) == (70, "CannotWrite")
        assert "No space left on device" in done.document["error"]["message"]
        assert not (plain / ".stager/machine").exists()
    finally:
        subprocess.run(["umount", str(plain / ".stager")], check=True)
    assert cleaned.containers() == []


def test_a_changed_droplet_is_refused_inside_the_machine(cleaned: Bench, plain: Path) -> None:
    (plain / "Procfile").write_text("worker: sleep 1000\n")
    cleaned.stager("up", plain, "-q").good()
    droplet = plain / ".stager/machine/droplet.tgz"
    droplet.write_bytes(droplet.read_bytes()[:-1] + b"x")
    command = ["vagrant", "provision"]
    environment = {**os.environ, **cleaned.variables, "VAGRANT_CWD": str(droplet.parent)}
    environment["VAGRANT_DOTFILE_PATH"] = str(droplet.parent / "vagrant")
    (droplet.parent / "guest.tar").chmod(0o600)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert "stager: refused: the droplet's sha256 is" in done.stdout + done.stderr
    assert cleaned.stager("status", plain, "--json").good().document["processes"][0]["state"] == "run"
    cleaned.stager("destroy", plain, "-q").good()
