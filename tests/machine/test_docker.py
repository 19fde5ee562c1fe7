"""`stager up` and its sisters with a real container engine, a real Vagrant, and the stack's own box."""

from __future__ import annotations

import contextlib
import json
import os
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
from command import PROGRAM, free_port
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
    port = free_port()
    up = cleaned.stager("up", app, "--eject", "--port", port, "--like", "heroku", "--json", "-q").good().document
    assert (up["url"], up["vagrantfile"]) == (f"http://127.0.0.1:{port}", str(app / "Vagrantfile"))
    assert "hello" in get(up["url"])
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
def watching(bench: Bench, app: Path, log: Path) -> Iterator[tuple[str, Path]]:
    """`stager up --dev` in the background: the app's address, and what it tells."""
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
        assert process.wait(20) == 0
    except BaseException as failed:
        failed.add_note(log.read_text()[-3000:])
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


# --- what goes wrong -------------------------------------------------------------------------------------------


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """An app that needs nothing."""
    app = tmp_path / "plain"
    app.mkdir()
    (app / "Procfile").write_text("web: perl -MIO::Socket::INET -e '1 while sleep 1'\n")
    return app


def test_a_port_in_use_is_said_before_anything_is_made(cleaned: Bench, plain: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = cleaned.stager("up", plain, "--port", port, "-q")
    assert (done.code, done.err) == (
        70,
        f"stager: port {port} is in use\n  Choose another with --port, or end what listens there.\n",
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
