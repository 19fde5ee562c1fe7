"""Fetching artifacts from real loopback servers, good and bad."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import servers
from servers import Answer, Server

from stager import fetching
from stager.digest import Digest
from stager.errors import BadLock, Cancelled, StagerError
from stager.model import Artifact, Event
from stager.net.errors import BadSettings, Gone, NotCached, Unreachable
from stager.net.indexes import Indexes
from stager.net.indexes.origins import Origin
from stager.net.patience import Patience
from stager.store import Store
from stager.store.errors import DigestMismatch

SECRET = "canary-3f9a"
BODY = bytes(range(256)) * 4096  # 1 MiB
QUICK = Patience(connect=2.0, read=0.5, waits=(0.01, 0.01, 0.01), longest_wait=0.2, grace=1.0, slowest=1 << 16)


def digest_of(body: bytes, algorithm: str = "sha512") -> Digest:
    return Digest(f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}")


def package(name: str, body: bytes, algorithm: str = "sha512", size: int | None = None, url: str = "") -> Artifact:
    """An npm package; its registry path is `path_of`."""
    return Artifact(
        f"pkg:npm/{name}@1.0.0",
        f"{name}-1.0.0.tgz",
        digest_of(body, algorithm),
        "npm/1",
        ("node_modules/x",),
        size,
        url,
    )


def path_of(name: str) -> str:
    return f"/{name}/-/{name}-1.0.0.tgz"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "cache"))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


def indexes_of(server: Server, **more: str) -> Indexes:
    return Indexes.from_environment(
        {"npm_config_registry": server.url, **more}, home="/nonexistent", apt="/nonexistent", system="/nonexistent"
    )


def fetch(artifacts: list[Artifact], store: Store, server: Server, **named: Any) -> dict[str, str]:
    return fetching.fetch(
        artifacts, store, indexes=named.pop("indexes", None) or indexes_of(server), patience=QUICK, **named
    )


def content(store: Store, name: str) -> bytes:
    with open(store.open(name), "rb") as stream:
        return stream.read()


def assert_nothing_kept(store: Store) -> None:
    assert os.listdir(f"{store.root}/v1/tmp") == []
    assert os.listdir(f"{store.root}/v1/blobs/sha256") == []


# --- what works ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_an_artifact_arrives_under_its_sha256(store: Store, server: Server, algorithm: str) -> None:
    server.routes[path_of("x")] = servers.serve(BODY)
    artifact = package("x", BODY, algorithm, len(BODY))
    found = fetch([artifact], store, server)
    assert found == {str(artifact.digest): hashlib.sha256(BODY).hexdigest()}
    assert content(store, found[artifact.digest]) == BODY
    assert fetch([artifact], store, server) == found
    assert fetching.resolve(store, [artifact]) == found
    assert server.paths() == [path_of("x")]
    assert server.seen[0][1]["Accept-Encoding"] == "identity"


def test_ready_is_told_of_every_artifact_once(store: Store, server: Server) -> None:
    server.routes[path_of("x")] = servers.serve(b"x")
    server.routes[path_of("y")] = servers.serve(b"y")
    twice = [package("x", b"x"), replace(package("x", b"x"), paths=("elsewhere",)), package("y", b"y")]
    told: list[tuple[Artifact, str]] = []
    events: list[Event] = []
    fetch(twice, store, server, ready=lambda artifact, name: told.append((artifact, name)), progress=events.append)
    assert sorted(told, key=str) == sorted(
        [(artifact, hashlib.sha256(artifact.name[:1].encode()).hexdigest()) for artifact in twice], key=str
    )
    assert sorted(server.paths()) == [path_of("x"), path_of("y")]
    assert {(event.verb, event.what) for event in events} == {("fetch", "x@1.0.0"), ("fetch", "y@1.0.0"), ("fetch", "")}
    assert [(event.done, event.total) for event in events if not event.what] == [(0, 2), (1, 2), (2, 2)]
    assert sorted((event.what, event.done, event.source) for event in events if event.source) == [
        ("x@1.0.0", 1, "127.0.0.1"),
        ("y@1.0.0", 1, "127.0.0.1"),
    ]
    told.clear()
    fetch(twice, store, server, ready=lambda artifact, name: told.append((artifact, name)))
    assert len(told) == 3


def test_the_memo_of_many_digests_may_be_lost(store: Store, server: Server) -> None:
    artifacts = [package(name, name.encode()) for name in "abcd"]
    for name in "abcd":
        server.routes[path_of(name)] = servers.serve(name.encode())
    found = fetch(artifacts, store, server)
    assert fetching.resolve(store, artifacts) == found
    os.unlink(store.path(found[artifacts[0].digest]))
    assert set(fetching.resolve(store, artifacts)) == {str(artifact.digest) for artifact in artifacts[1:]}
    for memo in Path(store.root, "v1/memo").iterdir():
        memo.write_bytes(b"rot")
    assert fetching.resolve(store, artifacts) == {}
    assert fetch(artifacts, store, server) == found


@pytest.mark.parametrize(
    "answer",
    [
        servers.serve(BODY),
        servers.chunked(BODY, 5000),
        servers.until_closed(BODY),
        servers.in_turn(servers.status(503), servers.serve(BODY)),
        servers.in_turn(servers.status(429, Retry_After="0"), servers.serve(BODY)),
        servers.in_turn(servers.claims(BODY[:100], len(BODY)), servers.serve(BODY)),
        servers.in_turn(servers.chunked(BODY, 5000, whole=False), servers.serve(BODY)),
        servers.in_turn(servers.until_closed(BODY[:1000]), servers.serve(BODY)),
        servers.in_turn(servers.stall(2, b"", len(BODY)), servers.serve(BODY)),
        servers.in_turn(servers.silent(2), servers.serve(BODY)),
        servers.in_turn(servers.cut(BODY, 300_000), servers.serve(BODY)),
        servers.in_turn(servers.cut(BODY, 300_000, '"a"'), servers.resumable(BODY, '"b"')),
    ],
    ids=[
        "plain", "chunked", "until closed", "503", "429", "cut at once", "chunks cut", "closed early", "stalled",
        "silent", "cut without tag", "changed meanwhile",
    ],
)  # fmt: skip
@pytest.mark.parametrize("algorithm", ["sha512", "sha256"])
def test_the_bytes_arrive_in_spite_of(store: Store, server: Server, answer: Answer, algorithm: str) -> None:
    server.routes[path_of("x")] = answer
    artifact = package("x", BODY, algorithm, len(BODY))
    assert content(store, fetch([artifact], store, server)[artifact.digest]) == BODY
    assert os.listdir(f"{store.root}/v1/tmp") == []


def test_a_cut_download_goes_on_where_it_was(store: Store, server: Server) -> None:
    cut = servers.cut(BODY, 300_000, '"tag"')
    server.routes[path_of("x")] = servers.in_turn(cut, cut, servers.resumable(BODY, '"tag"'))
    artifact = package("x", BODY)
    assert content(store, fetch([artifact], store, server)[artifact.digest]) == BODY
    ranges = [headers.get("Range") for _, headers in server.seen]
    assert ranges[0] is None
    assert [headers.get("If-Range") for _, headers in server.seen] == [None, '"tag"', '"tag"']
    starts = [int(str(one).removeprefix("bytes=").removesuffix("-")) for one in ranges[1:]]
    assert 0 < starts[0] <= 300_000 < starts[1] <= 600_000


@pytest.mark.parametrize("etag", ['W/"weak"', "", "unquoted"])
def test_without_a_strong_tag_it_starts_again(store: Store, server: Server, etag: str) -> None:
    server.routes[path_of("x")] = servers.in_turn(servers.cut(BODY, 300_000, etag), servers.serve(BODY))
    artifact = package("x", BODY)
    assert content(store, fetch([artifact], store, server)[artifact.digest]) == BODY
    assert [headers.get("Range") for _, headers in server.seen] == [None, None]


def _lying_range(request: servers.Request) -> None:
    request.begin(206, {"Content-Length": "5", "Content-Range": f"bytes 7-11/{len(BODY)}"})
    request.wfile.write(b"wrong")


@pytest.mark.parametrize("second", [_lying_range, servers.status(416)], ids=["another place", "no such range"])
def test_a_server_that_resumes_wrongly_is_asked_for_everything(store: Store, server: Server, second: Answer) -> None:
    first = servers.cut(BODY, 300_000, '"tag"')
    server.routes[path_of("x")] = servers.in_turn(first, second, servers.serve(BODY))
    artifact = package("x", BODY)
    assert content(store, fetch([artifact], store, server)[artifact.digest]) == BODY
    assert server.seen[-1][1].get("Range") is None


def test_progress_renews_patience(store: Store, server: Server) -> None:
    server.routes[path_of("x")] = servers.cut(BODY * 3, 300_000, '"tag"')
    artifact = package("x", BODY * 3)
    assert content(store, fetch([artifact], store, server)[artifact.digest]) == BODY * 3
    assert len(server.seen) > len(QUICK.waits) + 2


# --- what does not ---------------------------------------------------------------------------------------------------


def _encoded(request: servers.Request) -> None:
    request.begin(200, {"Content-Encoding": "gzip", "Content-Length": str(len(BODY))})
    request.wfile.write(BODY)


NOT = "x@1.0.0 could not be fetched: "
GONE = "It was unpublished. Pin another version, or configure a registry that still has it."
NET = "Check the network, the proxy and the index settings, then run the same command again."
LOGIN = "Give the credentials for this host in the index's own configuration (pip.conf, .npmrc, netrc)."


@pytest.mark.parametrize(
    ("answer", "kind", "message", "hint", "requests"),
    [
        (servers.status(404), Gone, "x@1.0.0 is pinned, but its index no longer has it", GONE, 1),
        (servers.status(410), Gone, "x@1.0.0 is pinned, but its index no longer has it", GONE, 1),
        (servers.status(403), Unreachable, f"{NOT}127.0.0.1 answered 403: access denied", LOGIN, 1),
        (servers.status(400), Unreachable, f"{NOT}127.0.0.1 answered 400", NET, 1),
        (servers.status(503), Unreachable, f"{NOT}127.0.0.1 answered 503", NET, 4),
        (servers.status(302), Unreachable, f"{NOT}it redirects to nowhere", NET, 1),
        (servers.redirect(path_of("x")), Unreachable, f"{NOT}it redirects too often", NET, 6),
        (_encoded, Unreachable, f"{NOT}127.0.0.1 sends it with the Content-Encoding 'gzip', unasked", NET, 1),
        (servers.claims(b"", len(BODY)), Unreachable, f"{NOT}the connection to 127.0.0.1 was cut", NET, 4),
        (servers.until_closed(b"short"), Unreachable, f"{NOT}127.0.0.1 sent 5 of {len(BODY)} bytes", NET, 4),
        (servers.stall(1.2, length=len(BODY)), Unreachable, f"{NOT}127.0.0.1 sent nothing for too long", NET, 4),
        (servers.drip(b"x" * len(BODY), 0.05), Unreachable, f"{NOT}127.0.0.1 took too long", NET, 4),
    ],
    ids=["404", "410", "403", "400", "503", "302 to nowhere", "loop", "encoded", "empty", "short", "stalled", "drip"],
)  # fmt: skip
def test_a_failure_is_named(
    store: Store, server: Server, answer: Answer, kind: type[StagerError], message: str, hint: str, requests: int
) -> None:
    server.routes[path_of("x")] = answer
    with pytest.raises(kind) as caught:
        fetch([package("x", BODY, size=len(BODY))], store, server)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.code == kind.__name__
    assert caught.value.exit_code == 40
    assert caught.value.retryable is (requests == 4 or "slowly" in message)
    assert len(server.seen) == requests
    assert_nothing_kept(store)


WRONG = b"<!doctype html><title>Please log in</title>"


@pytest.mark.parametrize(
    ("answer", "size", "got"),
    [
        (servers.serve(WRONG, "text/html"), None, digest_of(WRONG)),
        (servers.serve(WRONG, "text/html"), len(BODY), f"{len(WRONG)} bytes"),
        (servers.serve(BODY + b"x"), len(BODY), f"{len(BODY) + 1} bytes"),
        (servers.serve(bytes(len(BODY))), len(BODY), digest_of(bytes(len(BODY)))),
        (servers.chunked(BODY + b"x", 5000), len(BODY), f"more than {len(BODY)} bytes"),
        (servers.endless(), len(BODY), f"more than {len(BODY)} bytes"),
        (servers.claims(BODY, len(BODY) - 1), None, digest_of(BODY[:-1])),
        (servers.claims(BODY, 5 << 30), None, f"{5 << 30} bytes, more than is fetched without a stated size"),
    ],
    ids=["html", "html, size known", "longer", "other bytes", "chunks too many", "endless", "lies shorter", "huge"],
)
def test_wrong_bytes_are_never_kept_nor_asked_for_again(
    store: Store, server: Server, answer: Answer, size: int | None, got: str
) -> None:
    server.routes[path_of("x")] = answer
    artifact = package("x", BODY, size=size)
    with pytest.raises(DigestMismatch) as caught:
        fetch([artifact], store, server)
    stated = "" if size is None else f" ({size} bytes)"
    assert caught.value.message == f"x@1.0.0: expected {artifact.digest}{stated}, got {got}"
    assert caught.value.hint.startswith("Do not use it.")
    assert len(server.seen) == 1
    assert_nothing_kept(store)


def test_the_size_of_an_endless_answer_without_a_stated_size_is_limited(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stager.fetching.downloading.LARGEST", 1 << 20)
    server.routes[path_of("x")] = servers.endless()
    with pytest.raises(DigestMismatch, match="more than 1048576 bytes"):
        fetch([package("x", BODY * 9)], store, server)
    assert_nothing_kept(store)


def test_a_server_that_never_answers_is_given_up(store: Store, server: Server) -> None:
    def headers_drip(request: servers.Request) -> None:
        for sign in b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 1000:
            request.wfile.write(bytes([sign]))
            time.sleep(0.05)

    server.routes[path_of("x")] = headers_drip
    begin = time.monotonic()
    with pytest.raises(Unreachable, match="took too long"):
        fetch([package("x", BODY)], store, server)
    assert time.monotonic() - begin < 8


def test_nobody_listens(store: Store, server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    indexes = indexes_of(server, npm_config_registry=f"http://127.0.0.1:{port}")
    with pytest.raises(Unreachable) as caught:
        fetch([package("x", BODY)], store, server, indexes=indexes)
    assert caught.value.message == f"{NOT}no connection to 127.0.0.1"


def test_an_unknown_host(store: Store, server: Server) -> None:
    indexes = indexes_of(server, npm_config_registry="https://index.invalid")
    with pytest.raises(Unreachable) as caught:
        fetch([package("x", BODY)], store, server, indexes=indexes)
    assert caught.value.message == f"{NOT}the name index.invalid cannot be resolved"


def test_the_first_failure_stops_the_rest(store: Store, server: Server) -> None:
    artifacts = [package(f"p{number}", b"x" * (number + 1), size=number + 1) for number in range(40)]
    for number in range(39):
        server.routes[path_of(f"p{number}")] = servers.serve(b"x" * (number + 1))
    with pytest.raises(Gone, match=r"p39@1\.0\.0"):
        fetch(artifacts, store, server, jobs=1)
    assert os.listdir(f"{store.root}/v1/tmp") == []
    assert server.paths() == [path_of("p39")], "the biggest comes first"


def test_an_error_of_the_caller_is_the_callers(store: Store, server: Server) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError

    server.routes[path_of("x")] = servers.serve(b"x")
    with pytest.raises(ZeroDivisionError):
        fetch([package("x", b"x")], store, server, ready=explode)


def test_two_sizes_for_one_digest_are_refused(store: Store, server: Server) -> None:
    with pytest.raises(BadLock) as caught:
        fetch([package("x", b"x", size=1), package("y", b"x", size=2)], store, server)
    assert caught.value.message.endswith("is listed with two different sizes")


# --- other places ----------------------------------------------------------------------------------------------------


def test_wrong_bytes_in_one_place_do_not_end_the_search(store: Store, server: Server) -> None:
    server.routes[path_of("x")] = servers.serve(WRONG)
    with Server({"/other.tgz": servers.serve(b"x")}) as other:
        artifact = package("x", b"x")
        indexes = replace(indexes_of(server), trusted=frozenset({Origin.of(server.url), Origin.of(other.url)}))
        hints = {artifact.digest: f"{other.url}/other.tgz"}
        assert content(store, fetch([artifact], store, server, indexes=indexes, hints=hints)[artifact.digest]) == b"x"
        other.routes["/other.tgz"] = servers.status(404)
        os.unlink(store.path(hashlib.sha256(b"x").hexdigest()))
        with pytest.raises(DigestMismatch):
            fetch([artifact], store, server, indexes=indexes, hints=hints)


def test_an_artifact_with_a_url_comes_from_there_alone(store: Store, server: Server) -> None:
    server.routes["/there.tgz"] = servers.serve(b"x")
    server.routes[path_of("y")] = servers.serve(b"y")
    assert fetch([package("x", b"x", url=f"{server.url}/there.tgz")], store, server)
    with pytest.raises(Gone):
        fetch([package("y", b"y", url=f"{server.url}/nowhere.tgz")], store, server)
    assert path_of("y") not in server.paths()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://index.example/x", "its scheme is ftp; only https is fetched"),
        ("git+ssh://index.example/x", "its scheme is git+ssh; only https is fetched"),
        ("http://index.example/x", "it is not encrypted (http), and its host is not among the configured indexes"),
        ("https://127.0.0.1/x", "it names a private address that is not among the configured indexes"),
        ("https://10.0.0.1/x", "it names a private address that is not among the configured indexes"),
        ("https://localhost:8443/x", "it names a private address that is not among the configured indexes"),
        ("https://user:pw@index.example/x", "it holds a credential"),
        ("https:///x", "it is not a URL"),
    ],
)
def test_a_locks_url_may_not_lead_anywhere(store: Store, server: Server, url: str, why: str) -> None:
    with pytest.raises(BadLock) as caught:
        fetch([package("x", b"x", url=url)], store, server)
    assert caught.value.message == f"the URL of x@1.0.0 is refused: {why}"
    assert caught.value.where == "stager.lock"


def test_the_apps_own_file_is_not_fetched(store: Store, server: Server) -> None:
    with pytest.raises(BadLock) as caught:
        fetch([package("x", b"x", url="file:vendor/x.tgz")], store, server)
    assert caught.value.message == "x@1.0.0 is the app's own file vendor/x.tgz, and is not in the store"


# --- credentials -----------------------------------------------------------------------------------------------------


def npm_token(server: Server) -> dict[str, str]:
    place = server.url.partition(":")[2]
    return {f"npm_config_{place}/:_authToken": SECRET}


def test_the_registrys_token_reaches_the_registry(store: Store, server: Server) -> None:
    server.routes[path_of("x")] = servers.guarded(f"Bearer {SECRET}", servers.serve(b"x"))
    assert fetch([package("x", b"x")], store, server, indexes=indexes_of(server, **npm_token(server)))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_credential_does_not_follow_a_redirect_to_another_port(store: Store, server: Server, code: int) -> None:
    with Server({"/x": servers.serve(b"x")}) as other:
        server.routes[path_of("x")] = servers.redirect(f"{other.url}/x", code)
        indexes = indexes_of(server, **npm_token(server))
        indexes = replace(indexes, trusted=indexes.trusted | {Origin.of(other.url)})
        assert fetch([package("x", b"x")], store, server, indexes=indexes)
        assert server.seen[0][1]["Authorization"] == f"Bearer {SECRET}"
        assert "Authorization" not in other.seen[0][1]


def test_a_credential_does_not_come_back_after_a_detour(store: Store, server: Server) -> None:
    with Server() as other:
        server.routes[path_of("x")] = servers.redirect(f"{other.url}/away")
        other.routes["/away"] = servers.redirect(f"{server.url}/home")
        server.routes["/home"] = servers.serve(b"x")
        indexes = indexes_of(server, **npm_token(server))
        indexes = replace(indexes, trusted=indexes.trusted | {Origin.of(other.url)})
        assert fetch([package("x", b"x")], store, server, indexes=indexes)
        assert "Authorization" not in other.seen[0][1]


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://user:canary-3f9a@index.example/x", "it holds a credential"),
        (
            "http://169.254.169.254/latest",
            "it is not encrypted (http), and its host is not among the configured indexes",
        ),
        ("https://169.254.169.254/latest", "it names a private address that is not among the configured indexes"),
        ("https://[::ffff:10.0.0.1]/x", "it names a private address that is not among the configured indexes"),
        ("file:///etc/passwd", ""),
        ("ftp://index.example/x", "its scheme is ftp; only https is fetched"),
        ("http://127.0.0.1:1/x", "it is not encrypted (http), and its host is not among the configured indexes"),
    ],
)
def test_a_redirect_may_not_lead_anywhere(store: Store, server: Server, location: str, why: str) -> None:
    server.routes[path_of("x")] = servers.redirect(location)
    with pytest.raises(Unreachable) as caught:
        fetch([package("x", b"x")], store, server)
    cause = f"it redirects to a place that is refused: {why}" if why else "it redirects to nowhere"
    assert caught.value.message == f"{NOT}{cause}"
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "answer", [servers.status(401), servers.status(500), servers.serve(WRONG), servers.status(404)]
)
def test_no_error_and_no_event_tells_a_secret(
    store: Store, server: Server, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    server.routes[path_of("x")] = servers.redirect(f"{server.url}/{SECRET}?token={SECRET}")
    server.routes[f"/{SECRET}"] = answer
    events: list[Event] = []
    with pytest.raises(StagerError) as caught:
        fetch(
            [package("x", b"x")], store, server, indexes=indexes_of(server, **npm_token(server)), progress=events.append
        )
    told = f"{caught.value!r} {caught.value} {caught.value.as_json()} {caught.value.data} {events} {caught.value.__cause__}"
    assert SECRET not in told
    assert SECRET not in caplog.text
    assert SECRET not in repr(indexes_of(server, **npm_token(server)))


# --- proxies and certificates ----------------------------------------------------------------------------------------


def test_the_configured_proxy_is_used_with_its_password(store: Store) -> None:
    with Server() as proxy:
        registry = "http://registry.example"
        proxy.routes[f"{registry}{path_of('x')}"] = servers.serve(b"x")
        indexes = indexes_of(
            proxy, npm_config_registry=registry, HTTP_PROXY=proxy.url.replace("//", f"//user:{SECRET}@")
        )
        assert fetch([package("x", b"x")], store, proxy, indexes=indexes)
        sent = {name.lower(): value for name, value in proxy.seen[0][1].items()}
        assert sent["proxy-authorization"].startswith("Basic ")
        assert SECRET not in repr(indexes)


def test_no_proxy_is_honoured(store: Store, server: Server) -> None:
    server.routes[path_of("x")] = servers.serve(b"x")
    indexes = indexes_of(server, http_proxy="http://127.0.0.1:1", no_proxy="127.0.0.0/8")
    assert fetch([package("x", b"x")], store, server, indexes=indexes)


def test_certificates_that_are_none_are_named(store: Store, server: Server, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    indexes = indexes_of(server, npm_config_registry="https://index.invalid", SSL_CERT_FILE=str(tmp_path / "ca.pem"))
    with pytest.raises(BadSettings) as caught:
        fetch([package("x", b"x")], store, server, indexes=indexes)
    assert caught.value.where == str(tmp_path / "ca.pem")
    assert caught.value.message.startswith("the certificates cannot be read: ")


def test_a_proxy_that_is_none_is_named(store: Store, server: Server) -> None:
    indexes = indexes_of(server, http_proxy="gopher://127.0.0.1:1")
    with pytest.raises(BadSettings) as caught:
        fetch([package("x", b"x")], store, server, indexes=indexes)
    assert caught.value.message == "the configured proxy cannot be used"


# --- offline ---------------------------------------------------------------------------------------------------------


def test_offline_opens_no_socket_and_names_everything(
    store: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes[path_of("x")] = servers.serve(b"x")
    fetch([package("x", b"x")], store, server)
    monkeypatch.setattr(socket, "socket", _no_socket)
    assert fetch([package("x", b"x")], store, server, offline=True)
    with pytest.raises(NotCached) as caught:
        fetch([package("b", b"b"), package("x", b"x"), package("a", b"a")], store, server, offline=True)
    assert caught.value.message == "not in the store, and --offline is set: a@1.0.0, b@1.0.0"
    assert caught.value.data == {"names": ["a@1.0.0", "b@1.0.0"]}


def _no_socket(*_: object, **__: object) -> None:
    raise AssertionError("a socket was opened")


def test_what_is_in_the_store_is_found_without_the_network_library(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.put(b"x")
    code = f"""
import sys
from stager import fetching
from stager.digest import sha256
from stager.model import Artifact
from stager.store import Store
artifact = Artifact("pkg:npm/x@1.0.0", "x.tgz", sha256(b"x"), "npm/1", ("x",))
print(len(fetching.fetch([artifact], Store({store.root!r}), indexes=None)))
print(sorted({{"requests", "urllib3", "ssl", "http", "queue", "concurrent", "subprocess"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["1", "[]"]


# --- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        servers.stall(10, BODY[:5000], len(BODY)),
        servers.silent(10),
        servers.endless(),
        servers.status(503, Retry_After="9"),
    ],
    ids=["stalled", "silent", "endless", "waiting"],
)
def test_cancelling_waits_for_no_server_and_leaves_nothing(store: Store, server: Server, answer: Answer) -> None:
    for number in range(4):
        server.routes[path_of(f"p{number}")] = answer
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    patient = Patience(longest_wait=60)
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        fetching.fetch(
            [package(f"p{number}", b"%d" % number) for number in range(4)],
            store, indexes=indexes_of(server), cancel=cancel, patience=patient,
        )  # fmt: skip
    assert time.monotonic() - begin < 5
    assert_nothing_kept(store)


def test_ctrl_c_leaves_nothing(tmp_path: Path, server: Server) -> None:
    server.routes[path_of("x")] = servers.stall(20, BODY[:5000], len(BODY))
    code = f"""
import sys
from stager import fetching
from stager.net.indexes import Indexes
from stager.digest import sha256
from stager.model import Artifact
from stager.store import Store
artifact = Artifact("pkg:npm/x@1.0.0", "x.tgz", sha256(b"x"), "npm/1", ("x",))
indexes = Indexes.from_environment({{"npm_config_registry": {server.url!r}}}, home="/nonexistent")
try:
    fetching.fetch([artifact], Store(sys.argv[1]), indexes=indexes)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    while not server.seen:
        time.sleep(0.02)
    time.sleep(0.2)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert (out, process.returncode) == (b"stopped\n", 0)
    assert time.monotonic() - begin < 8
    assert_nothing_kept(Store(str(tmp_path)))


# --- many processes, many files --------------------------------------------------------------------------------------


def test_many_processes_fetch_each_artifact_once(tmp_path: Path, server: Server) -> None:
    bodies = {f"p{number}": os.urandom(20_000) for number in range(12)}
    for name, body in bodies.items():
        server.routes[path_of(name)] = servers.serve(body)
    artifacts = [package(name, body) for name, body in bodies.items()]

    def work() -> None:
        found = fetch(artifacts, Store(str(tmp_path)), server)
        assert len(found) == 12

    processes = [get_context("fork").Process(target=work) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert sorted(server.paths()) == sorted(path_of(name) for name in bodies)


def test_connections_are_kept_and_used_side_by_side(store: Store, server: Server) -> None:
    ports: set[int] = set()

    def slowly(body: bytes) -> Answer:
        def answer(request: servers.Request) -> None:
            ports.add(request.client_address[1])
            time.sleep(0.02)
            servers.serve(body)(request)

        return answer

    artifacts = []
    for number in range(40):
        body = b"%d" % number * 100
        server.routes[path_of(f"p{number}")] = slowly(body)
        artifacts.append(package(f"p{number}", body))
    assert len(fetch(artifacts, store, server, jobs=4)) == 40
    assert 2 <= len(ports) <= 4
    assert 2 <= server.most_busy <= 4


def test_memory_stays_flat(tmp_path: Path, server: Server) -> None:
    big = b"big" * (24 << 20)
    server.routes[path_of("x")] = servers.serve(big)
    artifact = package("x", big, size=len(big))
    child = os.fork()
    if not child:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        fetch([artifact], Store(str(tmp_path)), server)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        os._exit(0 if grown < 40 << 10 else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_download_that_is_killed_is_done_again(tmp_path: Path, server: Server) -> None:
    server.routes[path_of("x")] = servers.in_turn(servers.stall(5, b"half", 1), servers.serve(b"x"))
    child = os.fork()
    if not child:
        fetch([package("x", b"x" * 9)], Store(str(tmp_path)), server)
        os._exit(0)
    while not server.seen:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    store = Store(str(tmp_path))
    assert fetch([package("x", b"x")], store, server)
    store.gc()
    assert os.listdir(f"{store.root}/v1/tmp") == []
