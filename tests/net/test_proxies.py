"""What a proxy is asked for: it resolves names itself, so it is only asked for what looks public from here."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import LITERALS, Resolver

from stager.errors import StagerError
from stager.fetching.web import Web
from stager.net.errors import Unreachable
from stager.net.indexes import Indexes
from stager.net.patience import Patience
from stager.net.session import Request, Session
from stager.store import Store

QUICK = Patience(connect=2.0, read=2.0, waits=(), grace=3.0)


class Proxy:
    """Notes the first line of each request and refuses it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                with connection:
                    self.asked.append(connection.recv(1 << 16).partition(b"\r\n")[0].decode("latin-1"))
                    connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver())
    with Proxy() as one:
        yield one


def ask(indexes: Indexes, tmp_path: Path, url: str) -> None:
    with pytest.raises(StagerError):
        Web(indexes, Store(str(tmp_path)), patience=QUICK).get(url)


def test_a_name_that_only_the_proxy_knows_is_asked_for(proxy: Proxy, tmp_path: Path) -> None:
    ask(Indexes(proxies={"https": proxy.url}), tmp_path, "https://unknown.example/x")
    assert [line.partition(" HTTP")[0] for line in proxy.asked] == ["CONNECT unknown.example:443"]


def test_no_forbidden_place_is_asked_of_a_proxy(proxy: Proxy, tmp_path: Path) -> None:
    indexes = Indexes(proxies={"https": proxy.url, "http": proxy.url})
    for host in (*LITERALS, "n0.example", "n18.example", "both.example", "under_score.example", "ip6-localhost"):
        ask(indexes, tmp_path, f"https://{host}/x")
        with contextlib.suppress(Exception), Session(indexes, QUICK).exchange(Request("GET", f"http://{host}/x")):
            pytest.fail(host)
    assert not proxy.asked


def test_an_operators_proxy_may_be_anywhere_and_what_is_allowed_is_asked_of_it(proxy: Proxy, tmp_path: Path) -> None:
    indexes = Indexes(proxies={"https": proxy.url}, allowed=("10.0.0.0/8", "registry.internal"))
    for host in ("10.1.2.3", "registry.internal", "n2.example"):
        ask(indexes, tmp_path, f"https://{host}/x")
    hosts = [line.split()[1] for line in proxy.asked]
    assert hosts == ["10.1.2.3:443", "registry.internal:443", "n2.example:443"]


def test_a_proxy_of_another_kind_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(StagerError, match="the configured proxy cannot be used"):
        Web(Indexes(proxies={"https": "socks5://127.0.0.1:1"}), Store(str(tmp_path)), patience=QUICK).get(
            "https://a.example/"
        )


def test_what_is_refused_says_how_to_allow_it(proxy: Proxy, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"n2\.example leads to an address that is not public; whoever runs"):
        Web(Indexes(proxies={"https": proxy.url}), Store(str(tmp_path)), patience=QUICK).get("https://n2.example/")
