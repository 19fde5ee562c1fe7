"""The proxy that resolvers go through: who may use it, what it lets through, and by way of whom."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from servers import Server, serve

from stager.net.gate import LAUNCH, Gate
from stager.net.indexes import Indexes
from stager.net.indexes.origins import Origin


@contextmanager
def opened(indexes: Indexes) -> Iterator[tuple[Gate, int, str]]:
    """A gate, its port, and the password that it wants; the program's side is a process as in a real run."""
    with Gate(indexes) as gate:
        done = subprocess.run(
            [sys.executable, "-I", "-c", LAUNCH + "print(os.environ['HTTPS_PROXY'])"], pass_fds=(gate.descriptor,),
            env={**os.environ, "STAGER_GATE": gate.variable}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        login, _, place = done.stdout.strip().removeprefix("http://").partition("@")
        yield gate, int(place.partition(":")[2]), base64.b64encode(login.encode()).decode()


def said(port: int, request: str, more: bytes = b"") -> bytes:
    """Everything that the gate answers."""
    with socket.create_connection(("127.0.0.1", port), 10) as stream:
        stream.sendall(request.replace("\n", "\r\n").encode("latin-1") + more)
        parts = []
        while part := stream.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def trusting(*urls: str) -> Indexes:
    """Indexes whose operator named these."""
    return Indexes(trusted=frozenset(map(Origin.of, urls)))


def asked(method: str, target: str, secret: str, *fields: str) -> str:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", f"Proxy-Authorization: Basic {secret}", *fields]
    return "\n".join(lines) + "\n\n"


def test_plain_http_goes_to_an_origin_of_the_operator() -> None:
    with (
        Server({"/simple/a/": serve(b"page", "text/html")}) as server,
        opened(trusting(server.url)) as (gate, port, secret),
    ):
        answer = said(
            port, asked("GET", f"{server.url}/simple/a/?q=1", secret, "Connection: keep-alive", "Accept: a/b")
        )
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\npage")
        path, headers = server.seen[0]
        assert path == "/simple/a/?q=1"
        assert headers["Accept"] == "a/b"
        assert headers["Connection"] == "close"
        assert "Proxy-Authorization" not in headers
        assert gate.refused == {}


def test_a_tunnel_carries_bytes_both_ways_and_ends() -> None:
    with Server({"/": serve(b"inside")}) as server:
        place = server.url.removeprefix("http://")
        with opened(trusting(f"https://{place}")) as (_, port, secret):
            answer = said(
                port, asked("CONNECT", place, secret), b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
    assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\ninside")


FORBIDDEN = [
    ("CONNECT", "{host}:{port}"),
    ("CONNECT", "localhost:{port}"),
    ("CONNECT", "[::1]:{port}"),
    ("CONNECT", "[::ffff:127.0.0.1]:{port}"),
    ("CONNECT", "0x7f.1:{port}"),
    ("CONNECT", "2130706433:{port}"),
    ("CONNECT", "127%2e0%2e0%2e1:{port}"),
    ("CONNECT", "user@{host}:{port}"),
    ("CONNECT", "169.254.169.254:80"),
    ("GET", "http://{host}:{port}/"),
    ("GET", "http://public.example/"),
    ("GET", "ftp://{host}:{port}/"),
    ("GET", "file:///etc/passwd"),
    ("GET", "https://{host}:{port}/"),
]


@pytest.mark.parametrize(("method", "target"), FORBIDDEN)
def test_nothing_else_is_reached(method: str, target: str) -> None:
    with Server() as server, opened(Indexes()) as (gate, port, secret):
        host, _, at = server.url.removeprefix("http://").partition(":")
        answer = said(port, asked(method, target.format(host=host, port=at), secret))
        assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert server.seen == []
        assert len(gate.refused) == 1


def test_a_name_is_judged_by_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def lies(host: str, port: int, *more: int) -> object:
        return real("127.0.0.1" if host == "index.example" else host, port, *more)

    monkeypatch.setattr(socket, "getaddrinfo", lies)
    with Server() as server, opened(Indexes(pypi_default="https://x.invalid")) as (gate, port, secret):
        at = server.url.rpartition(":")[2]
        assert said(port, asked("CONNECT", f"index.example:{at}", secret)).startswith(b"HTTP/1.1 403 ")
        assert server.seen == []
        assert list(gate.refused) == [f"index.example:{at}"]


@pytest.mark.parametrize("secret", ["", base64.b64encode(b"stager:wrong").decode()])
def test_only_the_program_may_use_it(secret: str) -> None:
    with Server() as server, opened(trusting(server.url)) as (_, port, _right):
        answer = said(port, asked("GET", f"{server.url}/", secret))
        assert answer.startswith(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic ")
        assert server.seen == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_resolver_only_reads(method: str) -> None:
    with Server() as server, opened(trusting(server.url)) as (_, port, secret):
        assert said(port, asked(method, f"{server.url}/", secret)).startswith(b"HTTP/1.1 403 ")
        assert server.seen == []


@pytest.mark.parametrize(
    "text", ["x\n\n", "GET /\n\n", "A" * 70000, "GET http://[x HTTP/1.1\n\n", "CONNECT x:99999 HTTP/1.1\n\n"]
)
def test_what_is_no_request_ends_the_connection(text: str) -> None:
    with opened(Indexes()) as (_, port, _secret), pytest.raises(ConnectionError) if len(text) > 60000 else _nothing():
        assert said(port, text)[:12] in (b"", b"HTTP/1.1 407")


@contextmanager
def _nothing() -> Iterator[None]:
    yield


class Upstream:
    """The operator's own proxy, for one connection: what it was asked, and an answer."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.head = answer, b""
        self.door = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://me:pass%40word@127.0.0.1:{self.door.getsockname()[1]}"

    def _serve(self) -> None:
        with self.door, self.door.accept()[0] as stream:
            while b"\r\n\r\n" not in self.head:
                self.head += stream.recv(4096)
            stream.sendall(self.answer)


def test_the_operators_own_proxy_is_gone_through() -> None:
    upstream = Upstream(b"HTTP/1.1 200 fine\r\n\r\nbytes")
    with opened(Indexes(proxies={"https": upstream.url})) as (_, port, secret):
        answer = said(port, asked("CONNECT", "index.invalid:443", secret))
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n" + b"bytes"
    login = base64.b64encode(b"me:pass@word").decode()
    assert upstream.head.decode().split("\r\n")[0] == "CONNECT index.invalid:443 HTTP/1.1"
    assert f"proxy-authorization: Basic {login}" in upstream.head.decode().split("\r\n")


def test_plain_http_by_the_operators_proxy() -> None:
    upstream = Upstream(b"HTTP/1.1 200 OK\r\n\r\npage")
    indexes = Indexes(proxies={"http": upstream.url}, trusted=frozenset({Origin.of("http://index.invalid")}))
    with opened(indexes) as (_, port, secret):
        assert said(port, asked("GET", "http://index.invalid/a", secret)) == b"HTTP/1.1 200 OK\r\n\r\npage"
    assert upstream.head.startswith(b"GET http://index.invalid/a HTTP/1.1\r\nHost: x\r\n")
    assert b"proxy-authorization: Basic " in upstream.head
    assert secret.encode() not in upstream.head


def test_what_the_operators_proxy_refuses_is_said() -> None:
    upstream = Upstream(b"HTTP/1.1 403 no\r\n\r\n")
    with opened(Indexes(proxies={"all": upstream.url})) as (gate, port, secret):
        assert said(port, asked("CONNECT", "index.invalid:443", secret)).startswith(b"HTTP/1.1 403 ")
    assert gate.refused == {"index.invalid:443": "the configured proxy answered 'HTTP/1.1 403 no'"}


def test_private_places_are_not_asked_of_the_operators_proxy() -> None:
    upstream = Upstream(b"HTTP/1.1 200 fine\r\n\r\n")
    with opened(Indexes(proxies={"all": upstream.url})) as (_, port, secret):
        assert said(port, asked("CONNECT", "10.0.0.1:443", secret)).startswith(b"HTTP/1.1 403 ")
    assert upstream.head == b""
