"""`health`: what a check says of a server that answers well, badly, late, or not at all."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from stager.local.health import CRITICAL, OK, UNKNOWN, WARNING, HealthVerdict, from_manifest, probe, wait
from stager.planning.detection.appconfig import Health


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(1)
        if self.path == "/drips":
            for sign in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 400:
                self.wfile.write(bytes([sign]))
                time.sleep(0.02)
        self.send_response({"/broken": 503, "/moved": 302}.get(self.path, 200))
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def closed() -> int:
    with socket.socket() as probe_:
        probe_.bind(("127.0.0.1", 0))
        return int(probe_.getsockname()[1])


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/", OK, "answered 200 OK"),
        ("/moved", OK, "answered 302"),
        ("/broken", CRITICAL, "answered 503 Service Unavailable"),
        ("/slow", CRITICAL, "no answer within 0.3 s"),
        ("/drips", CRITICAL, "no answer within 0.3 s"),
    ],
)
def test_a_path(port: int, path: str, status: int, words: str) -> None:
    found = probe(Health(path), "127.0.0.1", port, limit=0.3)
    assert (found.status, words in found.text) == (status, True), found


def test_late_is_a_warning(port: int) -> None:
    found = probe(Health("/slow"), "127.0.0.1", port, limit=5, slow=0.5)
    assert found.status == WARNING
    assert "only after 1." in found.text


def test_a_port(port: int, silent: int) -> None:
    assert probe(Health(), "127.0.0.1", port).status == OK
    assert probe(Health(), "127.0.0.1", closed()).text.endswith("Connection refused")
    assert probe(Health("/"), "127.0.0.1", silent, limit=0.3).status == CRITICAL


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("echo fine", OK, "ended with 0: fine"),
        ("echo no database >&2; exit 3", CRITICAL, "ended with 3: no database"),
        ("sleep 5", CRITICAL, "did not end within 0.3 s"),
    ],
)
def test_a_command(command: str, status: int, words: str) -> None:
    found = probe(Health(command=command), "", 0, ["/bin/sh", "-c"], limit=0.3)
    assert (found.status, words in found.text) == (status, True), found


def test_a_command_that_cannot_be_run_is_unknown() -> None:
    assert probe(Health(command="x"), "", 0, ["/nonexistent/launch"]).status == UNKNOWN


def test_the_line_is_one_line_with_performance_data() -> None:
    line = HealthVerdict(CRITICAL, "a|b\nc", 0.0123).line()
    assert line == "STAGER CRITICAL - a/b c | time=0.012s;;;0"


def test_waiting_ends_when_it_is_good_when_time_is_over_and_when_nothing_lives() -> None:
    answers = iter([HealthVerdict(CRITICAL, "1"), HealthVerdict(CRITICAL, "2"), HealthVerdict(OK, "3")])
    assert wait(lambda: next(answers), 10, pause=0).text == "3"
    began = time.monotonic()
    assert wait(lambda: HealthVerdict(CRITICAL, "no"), 0.3, pause=0.05).status == CRITICAL
    assert 0.25 < time.monotonic() - began < 5
    assert wait(lambda: HealthVerdict(CRITICAL, "dead"), 60, alive=lambda: False).text == "dead"


@pytest.mark.parametrize(
    ("manifest", "health"),
    [
        ({}, Health()),
        ({"health-check-type": "process"}, Health()),
        ({"health-check-type": "http"}, Health("/")),
        ({"health-check-type": "http", "health-check-http-endpoint": "/up", "timeout": 90}, Health("/up", timeout=90)),
        ({"health-check-http-endpoint": "/up", "timeout": "99999999"}, Health(timeout=3600)),
    ],
)
def test_a_manifest_says_the_same(manifest: dict[str, object], health: Health) -> None:
    assert from_manifest(manifest) == health
