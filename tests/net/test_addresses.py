"""Which addresses are public, and what connects where."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from stager.net import addresses
from stager.net.addresses import AddressRefused, Policy, allowances, is_plain, is_public, open_connection

CLOSED = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.1", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.9", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:8.8.8.8"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:0:808:808::1"),
    *("2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "5f00::1", "2002:7f00:1::", "2002:a00:1::1"),
    *("2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1", "fe80::5efe:8.8.8.8", "fe80::1", "fe80::1%eth0"),
    *("2606:4700::1111%2", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "4000::1"),
]
OPEN = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "223.255.255.255"),
    *("2606:4700::1111", "2a00::1", "64:ff9b::808:808", "::ffff:8.8.8.8", "2002:808:808::1", "2606:4700::5efe:8.8.8.8"),
]


@pytest.mark.parametrize("text", CLOSED)
def test_what_is_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", OPEN)
def test_what_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("index.example", True), ("Index.Example.", True), ("a_b.example", True), ("xn--bcher-kva.example", True),
        ("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("127%2e0%2e0%2e1", False), ("a..b", False), ("a.example..", False), ("", False), (".", False), ("-a", False),
        ("a b", False), ("a\\b", False), ("a\n", False), ("a@b", False), ("１２７.0.0.1", False), ("127。0。0。1", False),
        ("fe80::1%eth0", False), ("fe80::1%25eth0", False), ("[::1]", False), ("::1::", False), ("a" * 64, False),
        ("a." * 127 + "a", False), ("0:x", False), ("8.8.8.8.", True),
        ("8.8", False), ("08.8.8.8", False), ("0x8.8.8.8", False), ("134744072", False), ("8.8.8.8.8", False), ("a.1", False),
        ("999.8.8.8", False), ("a.0x", False), ("a.0xf", False), ("8.8.8", False), ("1.example", True), ("0x8.example", True),
    ],
)  # fmt: skip
def test_hosts_that_all_parsers_read_alike(host: str, plain: bool) -> None:
    assert is_plain(host) is plain


def test_allowances() -> None:
    text = "10.0.0.0/8, Registry.internal  registry.other:5000,.corp,[::1],fd00::/8,1.2.3.4:80,"
    entries = ("10.0.0.0/8", "registry.internal", "registry.other:5000", ".corp", "[::1]", "fd00::/8", "1.2.3.4:80")
    assert allowances(text) == entries
    policy = Policy(allowed=entries)
    known = {
        *(
            ("10.1.2.3", 1),
            ("registry.internal", 1),
            ("registry.other", 5000),
            ("a.corp", 2),
            ("::1", 9),
            ("fd00::5", 1),
        ),
        ("1.2.3.4", 80),
    }
    others = {("11.0.0.1", 1), ("x.registry.internal", 1), ("registry.other", 5001), ("corp", 1), ("1.2.3.4", 81)}
    assert {one for one in known | others if policy.knows(("https", *one))} == known


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "a:b", "x/y", "-a", "é", "::1%lo", "http://a", "a:1:b", "."])
def test_what_is_no_allowance(entry: str) -> None:
    with pytest.raises(ValueError, match=re.escape(entry)):
        allowances(entry)


# --- resolving and connecting ----------------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class Names:
    """A resolver that gives each name its answers, the next one at each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: list[list[str]]) -> None:
        self._names = names
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self.look)

    def look(self, host: str, port: int, *_: Any) -> list[Any]:
        self.asked.append(host)
        answers = self._names.get(host.partition(".")[0])
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        families = {one: socket.AF_INET6 if ":" in one else socket.AF_INET for one in now}
        return [(families[one], socket.SOCK_STREAM, 6, "", (one, port)) for one in now]


def never(_: socket.socket) -> None:
    """No socket may be made for a forbidden address."""
    pytest.fail("a connection was begun")


def test_a_name_is_resolved_once_and_every_answer_judged(monkeypatch: pytest.MonkeyPatch, listener: int) -> None:
    names = Names(monkeypatch, rebinding=[["127.0.0.1"], ["8.8.8.8"]], mixed=[["8.8.8.8", "10.0.0.1"]])
    for name in ("rebinding.example", "mixed.example"):
        with pytest.raises(AddressRefused, match="leads to an address that is not public"):
            open_connection(name, listener, Policy(), opened=never)
    assert names.asked == ["rebinding.example", "mixed.example"]


def test_an_origin_of_the_operator_may_be_anywhere_and_no_other_port(listener: int) -> None:
    policy = Policy(frozenset({("http", "127.0.0.1", listener)}))
    open_connection("127.0.0.1", listener, policy, scheme="http").close()
    for host, port, scheme in (("127.0.0.1", listener, "https"), ("127.0.0.1", 1, "http"), ("127.1", listener, "http")):
        with pytest.raises(AddressRefused):
            open_connection(host, port, policy, scheme=scheme, opened=never)


def test_an_allowed_network_holds_for_what_names_resolve_to(monkeypatch: pytest.MonkeyPatch, listener: int) -> None:
    Names(monkeypatch, inside=[["127.0.0.1"]], outside=[["127.0.0.1", "10.0.0.1"]])
    policy = Policy(allowed=("127.0.0.0/8",))
    open_connection("inside.example", listener, policy).close()
    with pytest.raises(AddressRefused):
        open_connection("outside.example", listener, policy, opened=never)


def test_a_gateway_that_answers_every_name_with_one_address_that_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "index": [["203.0.113.80"]],
        "files": [["203.0.113.80"]],
        "other": [["192.0.2.1"]],
        "inner": [["10.0.0.1"]],
    }
    Names(monkeypatch, **names)
    policy = Policy(gateways=lambda: [("https", "index.example", 443)])
    assert [one[3] for one in addresses.judge("files.example", 443, policy)] == [("203.0.113.80", 443)]
    for host in ("other.example", "inner.example", "203.0.113.80"):
        with pytest.raises((AddressRefused, socket.gaierror)):
            addresses.judge(host, 443, policy)
    with pytest.raises(AddressRefused):
        addresses.judge("files.example", 443, Policy())


def test_a_resolver_that_hangs_and_addresses_that_do_not_answer_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: threading.Event().wait(5))
    with pytest.raises(TimeoutError):
        open_connection("slow.example", 443, Policy(), timeout=0.2)
