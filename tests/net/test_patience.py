"""Everything ends, whatever a server does; a server that asks for more patience than there is is named."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import servers
from asking import SHORT, Asking
from servers import Server

from stager.errors import Cancelled, StagerError
from stager.fetching import web
from stager.fetching.errors import TooLarge
from stager.fetching.web import Web
from stager.net.errors import Unreachable
from stager.net.indexes import Indexes
from stager.net.indexes.origins import Origin
from stager.net.patience import Again, Patience, Tries, date, number, seconds, within
from stager.store import Store
from stager.targets.errors import PlatformUnavailable
from stager.targets.oci.errors import RegistryDown
from stager.targets.oci.registry.token import seconds_of

Outcomes = dict[str, tuple[Any, float]]
CLIENTS = {"page", "artifact", "registry", "platform", "heroku"}
NOW = "Mon, 30 Nov 2026 07:00:00 GMT"


# --- numbers and dates in headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("0", 0.0), ("7", 7.0), (" 7\t", 7.0), ("007", 7.0), ("99999", 99999.0), ("9" * 5000, 1e15),
        ("Mon, 30 Nov 2026 07:00:05 GMT", 5.0), ("Monday, 30-Nov-26 07:00:05 GMT", 5.0), ("Mon Nov 30 07:00:05 2026", 5.0),
        ("Mon, 30 Nov 2026 08:00:05 +0100", 5.0), ("Wed, 01 Jan 1969 00:00:00 GMT", 0.0),
        ("Sun, 29 Nov 2026 07:00:00 GMT", 0.0),
        ("", None), (" ", None), ("²", None), ("１２", None), ("٣", None), ("-1", None), ("+1", None), ("1.5", None),
        ("1e9", None), ("inf", None), ("nan", None), ("0x10", None), ("1_000", None), ("1,2", None), ("1 2", None),
        ("soon", None),
        ("\ud800", None), ("7\x00", None), ("Mon, 30 Nov 99999 07:00:00 GMT", None), ("Mon, 99 Foo 2026 07:00:00 GMT", None),
        ("Mon, 30 Nov 99999999999999999999 07:00:00 GMT", None), ("Mon, ³⁰ Nov 2026 07:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after(text: str, asked: float | None) -> None:
    found = seconds(text, NOW)
    assert found is None if asked is None else (found or 0.0) >= asked - 1e-9
    assert asked is None or found == asked or "26 07" in text


@pytest.mark.parametrize("clock", [None, "", "²", "now", "Mon, 30 Nov 99999 07:00:00 GMT"])
def test_a_date_says_nothing_without_the_servers_clock(clock: str | None) -> None:
    assert seconds(NOW, clock) is None
    assert seconds("5", clock) == 5.0


@pytest.mark.parametrize("zone", ["", "XYZ", "+9999999", "-0000", "+99"])
def test_dates_with_strange_zones_do_no_harm(zone: str) -> None:
    found = date(f"Mon, 30 Nov 2026 07:00:00 {zone}")
    assert found is None or isinstance(found, float)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0), ("12", 12), ("9" * 18, 10**18 - 1), (None, None), ("", None), ("²", None), ("１２", None), ("-1", None),
        ("+1", None), (" 1", None), ("1\n", None), ("1e3", None), ("9" * 19, None), ("9" * 5000, None), ("1,1", None),
    ],
)  # fmt: skip
def test_numbers(text: str | None, count: int | None) -> None:
    assert number(text) == count


@pytest.mark.parametrize(
    ("told", "good"),
    [
        (300, 300.0), (0.5, 0.5), (10**400, 86400.0), (1e999, 86400.0), (1e9, 86400.0), (float("nan"), 60.0), (0, 60.0),
        (-5, 60.0), (None, 60.0), (True, 60.0), ("²", 60.0), ("300", 60.0), ([], 60.0), ({}, 60.0),
    ],
)  # fmt: skip
def test_how_long_a_token_is_good_for(told: object, good: float) -> None:
    assert seconds_of(told) == good


# --- tries ------------------------------------------------------------------------------------------------------------


def test_tries_end_by_their_number_by_time_and_by_what_is_asked() -> None:
    tries = Tries(Patience(waits=(0.0, 0.0)), lambda: False)
    assert [tries.another(Again("no")) for _ in range(3)] == ["", "", "no"]
    tries = Tries(Patience(waits=(0.01,) * 99, enough=0.1), lambda: False)
    begun = time.monotonic()
    while not tries.another(Again("no")):
        pass
    assert time.monotonic() - begun < 5
    tries = Tries(Patience(longest_wait=60.0), lambda: False)
    assert tries.another(Again("x answered 503", 99999.0)) == "x answered 503 and asks to wait 99999 seconds"
    tries = Tries(Patience(enough=5.0), lambda: False)
    assert tries.another(Again("x answered 503", 30.0)) == "x answered 503 and asks to wait 30 seconds"


def test_waiting_is_cancelled() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        Tries(Patience(), stop.is_set).another(Again("x answered 503", 50.0))
    assert time.monotonic() - begun < 5


def test_another_packages_call_is_left_behind() -> None:
    assert within(5.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 // 0)
    with pytest.raises(TimeoutError, match="no answer within"):
        within(0.1, threading.Event().wait)


# --- servers that hold on to their clients ----------------------------------------------------------------------------


@contextlib.contextmanager
def raw(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does as it likes with each connection; its port."""

    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            behave(connection)

    def run() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]


def say(sent: bytes, connection: socket.socket) -> None:
    """Answer once."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 " + sent + b"\r\nx")


def drip(connection: socket.socket, start: bytes, *again: bytes) -> None:
    """Send something, then these over and over, a piece every twentieth second."""
    connection.recv(1 << 16)
    connection.sendall(start)
    while True:
        for piece in again:
            time.sleep(0.05)
            connection.sendall(piece)


OK = b"HTTP/1.1 200 OK\r\n"
HOLDING: dict[str, Callable[[socket.socket], None]] = {
    "silence": lambda connection: time.sleep(20),
    "a status line that drips": lambda connection: drip(connection, b"HTTP/1.1 200 ", b"o"),
    "a header that drips": lambda connection: drip(connection, OK + b"X: ", b"y"),
    "headers that drip": lambda connection: drip(connection, OK, b"X", b": ", b"y", b"\r\n"),
    "interim answers without an end": lambda connection: drip(connection, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 9),
    "a body that drips": lambda connection: drip(connection, OK + b"Content-Length: 99999\r\n\r\n", b"x"),
    "a body without a length": lambda connection: drip(connection, OK + b"\r\n", b"x"),
    "chunks that drip": lambda connection: drip(connection, OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "a chunk's size that drips": lambda connection: drip(connection, OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "a chunk's extension that drips": lambda connection: drip(
        connection, OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"
    ),
    "trailers that drip": lambda connection: drip(
        connection, OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"T: x\r\n"
    ),
    "a refusal that drips": lambda connection: drip(
        connection, b"HTTP/1.1 403 No\r\nContent-Length: 60000\r\n\r\n", b"x"
    ),
    "a redirect that drips": lambda connection: drip(
        connection, b"HTTP/1.1 302 No\r\nLocation: /y\r\nContent-Length: 60000\r\n\r\n", b"x"
    ),
}


def at_once(folder: Path, behaviours: Iterable[str], ask: Callable[[str, Path], Outcomes]) -> dict[str, Outcomes]:
    """What comes of all clients with each of these servers, all at the same time."""

    def one(behaviour: str) -> Outcomes:
        with raw(HOLDING[behaviour]) as port:
            return ask(f"http://127.0.0.1:{port}", folder / behaviour)

    with ThreadPoolExecutor(len(HOLDING)) as pool:
        return dict(zip(behaviours, pool.map(one, behaviours), strict=True))


def test_no_server_holds_any_client(tmp_path: Path) -> None:
    found = at_once(tmp_path, HOLDING, lambda url, folder: Asking(url, folder).outcomes())
    for behaviour, outcomes in found.items():
        assert set(outcomes) == CLIENTS, behaviour
        for name, (result, took) in outcomes.items():
            assert isinstance(result, StagerError), (behaviour, name, result)
            assert took < 15, (behaviour, name, took)


def test_a_tls_handshake_that_drips_holds_no_client(tmp_path: Path) -> None:
    with raw(lambda connection: drip(connection, b"\x16\x03\x03\x40\x00", b"\x02")) as port:
        outcomes = Asking(f"https://127.0.0.1:{port}", tmp_path, {**SHORT, "connect": 5.0}).outcomes()
    assert set(outcomes) == {*CLIENTS}
    for name, (result, took) in outcomes.items():
        assert isinstance(result, StagerError), (name, result)
        assert took < 10, (name, took)


def test_cancel_is_heard_by_every_client(tmp_path: Path) -> None:
    def ask(url: str, folder: Path) -> Outcomes:
        asking = Asking(url, folder, {**SHORT, "read": 60.0, "grace": 60.0, "enough": 90.0})
        threading.Timer(0.4, asking.cancel.set).start()
        return asking.outcomes()

    behaviours = ["silence", "a header that drips", "a body that drips", "chunks that drip"]
    for behaviour, outcomes in at_once(tmp_path, behaviours, ask).items():
        kinds = {name: type(result) for name, (result, _) in outcomes.items()}
        assert kinds == dict.fromkeys(CLIENTS, Cancelled), behaviour
        assert max(took for _, took in outcomes.values()) < 15


def test_headers_without_an_end_are_no_answer(tmp_path: Path) -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(OK)
        while True:
            connection.sendall(b"X-Y: " + b"z" * 1000 + b"\r\n")

    with raw(endless) as port:
        outcomes = Asking(f"http://127.0.0.1:{port}", tmp_path).outcomes()
    assert all(isinstance(result, StagerError) and took < 10 for result, took in outcomes.values())


# --- what a server asks for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_long_wait_is_not_obeyed_but_named(tmp_path: Path, status: int) -> None:
    answer = b"%d No\r\nRetry-After: 99999\r\nContent-Length: 0\r\n" % status
    with raw(partial(say, answer)) as port:
        outcomes = Asking(f"http://127.0.0.1:{port}", tmp_path).outcomes()
    kinds = {"page": Unreachable, "artifact": Unreachable, "registry": RegistryDown}
    for name, (result, took) in outcomes.items():
        assert isinstance(result, kinds.get(name, PlatformUnavailable)), (name, result)
        assert isinstance(result, StagerError)
        assert "asks to wait 99999 seconds" in result.message
        assert result.retryable
        assert took < 5


@pytest.mark.parametrize("value", [b"\xb2", b"-1", b"1e9", b"inf", b"", b"Mon, 30 Nov 99999 07:00:00 GMT", b"9" * 4000])
def test_nonsense_in_headers_is_no_traceback(tmp_path: Path, value: bytes) -> None:
    names = (
        b"Retry-After",
        b"Content-Length",
        b"Content-Range",
        b"Date",
        b"Expires",
        b"Age",
        b"Link",
        b"Cache-Control: max-age",
    )
    for code in (b"503 No", b"206 Part", b"200 OK", b"401 No"):
        lines = b"".join(name + (b"=" if b":" in name else b": ") + value + b"\r\n" for name in names)
        with raw(partial(say, code + b"\r\n" + lines)) as port:
            outcomes = Asking(f"http://127.0.0.1:{port}", tmp_path).outcomes()
        for name, (result, _) in outcomes.items():
            assert isinstance(result, StagerError) or not isinstance(result, Exception), (code, name, result)


# --- pages ------------------------------------------------------------------------------------------------------------


def page_of(server: Server, tmp_path: Path, **patience: float) -> Web:
    network = Indexes(trusted=frozenset({Origin.of(server.url)}))
    return Web(network, Store(str(tmp_path)), patience=Patience(**{**SHORT, **patience}))


def test_a_slow_page_that_moves_is_waited_for(tmp_path: Path) -> None:
    """Longer than the grace, because what arrives gives time."""

    def slowly(request: servers.Request) -> None:
        request.begin(200, {"Content-Length": str(20 << 16)})
        for _ in range(20):
            request.wfile.write(b"x" * (1 << 16))
            time.sleep(0.05)

    with Server({"/page": slowly}) as server:
        assert len(page_of(server, tmp_path, grace=0.5, slowest=1 << 16).get(f"{server.url}/page")) == 20 << 16


def test_a_page_that_unpacks_to_more_and_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LARGEST", 1 << 20)
    bomb = gzip.compress(bytes(64 << 20))
    with Server({"/page": servers.serve(bomb, Content_Encoding="gzip")}) as server, pytest.raises(TooLarge):
        page_of(server, tmp_path).get(f"{server.url}/page")


def test_a_redirects_body_is_not_read(tmp_path: Path) -> None:
    sent = []

    def endless(request: servers.Request) -> None:
        request.begin(302, {"Location": "/page"})
        for _ in range(2000):
            request.wfile.write(bytes(1 << 20))
            sent.append(1)

    with Server({"/to": endless, "/page": servers.serve(b"page")}) as server:
        assert page_of(server, tmp_path, grace=20.0).get(f"{server.url}/to") == b"page"
    assert len(sent) < 50
