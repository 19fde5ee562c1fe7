"""Index pages: cached, revalidated, served offline; simple pages and packuments read."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import servers
from servers import Answer, Server

from stager.ecosystems.npm.packuments import NpmLookup
from stager.ecosystems.pypi.lookup import IndexFile
from stager.ecosystems.pypi.pages import PypiLookup
from stager.ecosystems.pypi.simple import read_page
from stager.errors import StagerError
from stager.fetching.errors import TooLarge
from stager.fetching.web import Web
from stager.net.errors import NotCached, NotFound, Unreachable
from stager.net.indexes import Indexes
from stager.net.indexes.origins import Origin
from stager.net.patience import Patience
from stager.store import Store

SECRET = "canary-77c1"
QUICK = Patience(connect=2.0, read=0.5, waits=(0.01, 0.01), longest_wait=0.2, grace=1.0)
PAGE = "https://index.example/simple/app/"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        yield one


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "cache"))


def indexes_of(server: Server, **more: str) -> Indexes:
    environ = {"npm_config_registry": server.url, "PIP_INDEX_URL": f"{server.url}/simple/", **more}
    return Indexes.from_environment(environ, home="/nonexistent", apt="/nonexistent", system="/nonexistent")


T = TypeVar("T")


def web_of(server: Server, store: Store, *, offline: bool = False, **more: str) -> Web:
    return Web(indexes_of(server, **more), store, offline=offline, patience=QUICK)


def pages_of(kind: Callable[[Web, Indexes], T], server: Server, store: Store, **more: str) -> T:
    """A look-up through the pages of a server."""
    return kind(web_of(server, store, offline=False, **more), indexes_of(server, **more))


def test_a_page_is_fetched_with_the_wanted_type(server: Server, store: Store) -> None:
    server.routes["/page"] = servers.serve(b"body")
    assert web_of(server, store).get(f"{server.url}/page", accept="text/x") == b"body"
    assert server.seen[0][1]["Accept"] == "text/x"
    assert server.seen[0][1]["User-Agent"] == "stager"


def test_a_packed_page_is_unpacked(server: Server, store: Store) -> None:
    server.routes["/page"] = servers.serve(gzip.compress(b"body" * 1000), Content_Encoding="gzip")
    web = web_of(server, store)
    assert web.get(f"{server.url}/page") == b"body" * 1000
    assert web_of(server, store, offline=True).get(f"{server.url}/page") == b"body" * 1000


def test_a_fresh_page_is_not_asked_for_again(server: Server, store: Store) -> None:
    server.routes["/page"] = servers.serve(b"body", Cache_Control="max-age=600")
    for _ in range(3):
        assert web_of(server, store).get(f"{server.url}/page") == b"body"
    assert len(server.seen) == 1


def test_a_stale_page_is_revalidated(server: Server, store: Store) -> None:
    server.routes["/page"] = servers.in_turn(
        servers.serve(b"body", ETag='"1"', Cache_Control="max-age=0"), servers.status(304, ETag='"1"')
    )
    for _ in range(2):
        assert web_of(server, store).get(f"{server.url}/page") == b"body"
    assert server.seen[1][1]["If-None-Match"] == '"1"'


def test_a_page_without_any_word_about_its_age_is_never_taken_for_fresh(server: Server, store: Store) -> None:
    server.routes["/page"] = servers.in_turn(servers.serve(b"old"), servers.serve(b"new"))
    assert web_of(server, store).get(f"{server.url}/page") == b"old"
    assert web_of(server, store).get(f"{server.url}/page") == b"new"


@pytest.mark.parametrize(
    "answer",
    [
        servers.serve(b"body"),
        servers.serve(b"body", ETag='"1"'),
        servers.serve(b"body", Cache_Control="max-age=0"),
        servers.chunked(b"body"),
    ],
    ids=["plain", "tagged", "stale", "chunked"],
)
def test_offline_serves_what_is_kept_and_opens_no_socket(
    server: Server, store: Store, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes["/page"] = answer
    server.routes["/moved"] = servers.redirect("/page", 301)
    online = web_of(server, store)
    online.get(f"{server.url}/page")
    online.get(f"{server.url}/moved")
    monkeypatch.setattr(socket, "socket", _no_socket)
    offline = web_of(server, store, offline=True)
    assert offline.get(f"{server.url}/moved") == b"body"
    with pytest.raises(NotCached) as caught:
        offline.get(f"{server.url}/simple/other/")
    assert caught.value.message == "not in the store, and --offline is set: other from 127.0.0.1"


def _no_socket(*_: object, **__: object) -> None:
    raise AssertionError("a socket was opened")


def test_a_damaged_cache_is_no_answer_offline_and_mended_online(server: Server, store: Store) -> None:
    server.routes["/page"] = servers.serve(b"body" * 100, Cache_Control="max-age=600")
    web_of(server, store).get(f"{server.url}/page")
    for path in Path(store.root, "v1/http").rglob("*.body"):
        path.write_bytes(b"bod")
    with pytest.raises(NotCached):
        web_of(server, store, offline=True).get(f"{server.url}/page")
    assert web_of(server, store).get(f"{server.url}/page") == b"body" * 100
    for path in Path(store.root, "v1/http").rglob("*"):
        if path.is_file():
            path.write_bytes(b"cc=4,rot")
    with pytest.raises(NotCached):
        web_of(server, store, offline=True).get(f"{server.url}/page")
    assert web_of(server, store).get(f"{server.url}/page") == b"body" * 100


@pytest.mark.parametrize(
    "answer",
    [
        servers.in_turn(servers.status(503, Retry_After="0"), servers.serve(b"body" * 100)),
        servers.in_turn(servers.status(429), servers.serve(b"body" * 100)),
        servers.in_turn(servers.claims(b"bo", 400), servers.serve(b"body" * 100)),
        servers.in_turn(servers.chunked(b"body", 2, whole=False), servers.serve(b"body" * 100)),
        servers.in_turn(servers.stall(1.2), servers.serve(b"body" * 100)),
        servers.in_turn(servers.drip(b"x" * 200, 0.02), servers.serve(b"body" * 100)),
    ],
    ids=["503", "429", "cut", "chunks cut", "stalled", "drip"],
)
def test_a_passing_failure_is_tried_again(server: Server, store: Store, answer: Answer) -> None:
    server.routes["/page"] = answer
    assert web_of(server, store).get(f"{server.url}/page") == b"body" * 100
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("answer", "kind", "message", "requests"),
    [
        (servers.status(404), NotFound, "page from 127.0.0.1 does not exist", 1),
        (servers.status(410), NotFound, "page from 127.0.0.1 does not exist", 1),
        (servers.status(500), Unreachable, "page from 127.0.0.1 could not be fetched: 127.0.0.1 answered 500", 3),
        (
            servers.status(401),
            Unreachable,
            "page from 127.0.0.1 could not be fetched: it answered 401: access denied",
            1,
        ),
        (servers.status(204), Unreachable, "page from 127.0.0.1 could not be fetched: it answered 204", 1),
        (servers.redirect("/page"), Unreachable, "page from 127.0.0.1 could not be fetched: it redirects too often", 6),
        (
            servers.redirect("http://10.0.0.1/x"),
            Unreachable,
            "page from 127.0.0.1 could not be fetched: it redirects to a place that is refused: it is not encrypted "
            "(http), and its host is not among the configured indexes",
            1,
        ),
    ],
)
def test_a_failure_is_named(
    server: Server, store: Store, answer: Answer, kind: type[StagerError], message: str, requests: int
) -> None:
    server.routes["/page"] = answer
    with pytest.raises(kind) as caught:
        web_of(server, store).get(f"{server.url}/page")
    assert (caught.value.message, len(server.seen)) == (message, requests)


def test_an_endless_page_ends(server: Server, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stager.fetching.web.LARGEST", 1 << 20)
    server.routes["/page"] = servers.endless()
    with pytest.raises(TooLarge, match="page from 127"):
        web_of(server, store).get(f"{server.url}/page")
    server.routes["/bomb"] = servers.serve(gzip.compress(bytes(8 << 20)), Content_Encoding="gzip")
    with pytest.raises(TooLarge):
        web_of(server, store).get(f"{server.url}/bomb")


def test_an_unlisted_place_is_not_asked(server: Server, store: Store) -> None:
    with pytest.raises(Unreachable, match="it names a private address"):
        web_of(server, store).get("https://192.168.0.1/simple/x/")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_credential_stays_at_home(server: Server, store: Store, code: int) -> None:
    with Server({"/x": servers.serve(b"x")}) as other:
        server.routes["/simple/x/"] = servers.redirect(f"{other.url}/x", code)
        secret = server.url.replace("//", f"//user:{SECRET}@")
        indexes = indexes_of(server, PIP_INDEX_URL=f"{secret}/simple")
        indexes = replace(indexes, trusted=indexes.trusted | {Origin.of(other.url)})
        web = Web(indexes, store, patience=QUICK)
        assert web.get(f"{server.url}/simple/x/") == b"x"
        assert server.seen[0][1]["Authorization"].startswith("Basic ")
        assert "Authorization" not in other.seen[0][1]
        other.routes["/x"] = servers.status(401)
        with pytest.raises(Unreachable) as caught:
            web.get(f"{server.url}/simple/x/")
        assert SECRET not in f"{caught.value!r}{caught.value}{caught.value.as_json()}{indexes!r}"


def test_a_cookie_is_not_kept(server: Server, store: Store) -> None:
    server.routes["/page"] = servers.serve(b"x", Set_Cookie=f"a={SECRET}")
    web = web_of(server, store)
    web.get(f"{server.url}/page")
    web.get(f"{server.url}/page")
    assert [headers.get("Cookie") for _, headers in server.seen] == [None, None]


def test_the_environments_netrc_and_proxy_are_not_read_here(
    server: Server, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.routes["/page"] = servers.serve(b"x")
    assert web_of(server, store).get(f"{server.url}/page") == b"x"
    assert "Authorization" not in server.seen[0][1]


# --- Python's pages --------------------------------------------------------------------------------------------------

JSON_PAGE = {
    "meta": {"api-version": "1.1"},
    "name": "app",
    "files": [
        {
            "filename": "app-1.0-py3-none-any.whl",
            "url": "../../files/app-1.0-py3-none-any.whl#sha256=ignored",
            "hashes": {"sha256": "AB" * 32},
            "size": 12,
            "requires-python": ">=3.8",
            "yanked": "broken",
        },
        {"filename": "app-1.0.tar.gz", "url": "https://files.example/app-1.0.tar.gz", "hashes": {}},
        {"filename": 5, "url": "x"},
        {"filename": "bad", "url": "https://[broken"},
        "nonsense",
    ],
}
HTML_PAGE = """<!DOCTYPE html><html><head><base href="https://files.example/root/"></head><body>
<a href="app-1.0-py3-none-any.whl#sha256=ABCD" data-requires-python="&gt;=3.8">app</a>
<a href='/other/app-1.0%2Blocal.tar.gz' data-yanked>app</a>
<a name="no link">x</a><a href="#top">top</a><a href="https://[broken">x</a>
"""


def test_a_json_page_is_read() -> None:
    assert read_page(json.dumps(JSON_PAGE).encode(), PAGE) == [
        IndexFile(
            "app-1.0-py3-none-any.whl",
            "https://index.example/files/app-1.0-py3-none-any.whl",
            {"sha256": "ab" * 32},
            12,
            True,
            ">=3.8",
        ),
        IndexFile("app-1.0.tar.gz", "https://files.example/app-1.0.tar.gz", {}, None, False, ""),
    ]


def test_an_html_page_is_read() -> None:
    assert read_page(HTML_PAGE.encode(), PAGE) == [
        IndexFile(
            "app-1.0-py3-none-any.whl",
            "https://files.example/root/app-1.0-py3-none-any.whl",
            {"sha256": "abcd"},
            None,
            False,
            ">=3.8",
        ),
        IndexFile("app-1.0+local.tar.gz", "https://files.example/other/app-1.0%2Blocal.tar.gz", {}, None, True, ""),
    ]


@pytest.mark.parametrize("body", [b"", b"{", b'{"files": 5}', b"[]", b"plain text", b'{"files":' + b"[" * 100_000])
def test_what_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(Unreachable) as caught:
        read_page(body, PAGE)
    assert caught.value.message.startswith("the index page of app could not be fetched: its index page is n")


def test_all_configured_indexes_are_asked_in_order(server: Server, store: Store) -> None:
    server.routes["/simple/app/"] = servers.serve(HTML_PAGE.encode(), "text/html")
    server.routes["/extra/app/"] = servers.serve(json.dumps(JSON_PAGE).encode(), "application/vnd.pypi.simple.v1+json")
    lookup = pages_of(PypiLookup, server, store, PIP_EXTRA_INDEX_URL=f"{server.url}/extra file:///srv/x")
    assert [file.size for file in lookup.files("app")] == [None, None, 12, None]
    assert [file.size for file in lookup.files("app", f"{server.url}/extra/")] == [12, None]
    assert lookup.files("absent") == []
    assert server.seen[0][1]["Accept"].startswith("application/vnd.pypi.simple.v1+json")


def test_an_index_that_is_down_is_an_error_and_not_an_empty_page(server: Server, store: Store) -> None:
    server.routes["/simple/app/"] = servers.status(500)
    with pytest.raises(Unreachable):
        pages_of(PypiLookup, server, store).files("app")


# --- npm's pages -----------------------------------------------------------------------------------------------------


def test_a_version_of_a_packument(server: Server, store: Store) -> None:
    body = json.dumps({"versions": {"1.0.0": {"dist": {"integrity": "sha512-x"}}, "2.0.0": None}}).encode()
    server.routes["/@scope%2Fname"] = servers.serve(body, "application/json")
    lookup = pages_of(NpmLookup, server, store)
    assert lookup.version("@scope/name", "1.0.0") == {"dist": {"integrity": "sha512-x"}}
    assert server.seen[0][1]["Accept"] == "application/vnd.npm.install-v1+json"
    for version in ("2.0.0", "3.0.0"):
        with pytest.raises(NotFound) as caught:
            lookup.version("@scope/name", version)
        assert caught.value.message == f"@scope/name@{version} does not exist"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"versions": 5}', b"[" * 100_000])
def test_what_is_no_packument_is_refused(server: Server, store: Store, body: bytes) -> None:
    server.routes["/x"] = servers.serve(body)
    with pytest.raises(Unreachable, match="the registry's page of x could not be fetched"):
        pages_of(NpmLookup, server, store).version("x", "1.0.0")
