"""Index pages over HTTP, kept and revalidated by CacheControl, and what Python's and npm's pages say.

Artifacts never come this way: they go straight into the store. What is kept lies in `<store>/v1/http`, bodies apart
from headers; offline it is served however old, because a page only helps to find bytes that a digest then decides on.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from ..ecosystems.pypi.lookup import IndexFile
from ..errors import BadSettings, Cancelled, NotCached, NotFound, TooLarge, Unreachable
from ..net.addresses import Refused
from .simple import JSON, read_page
from .transport import HOPS, Again, Patience, again, failure, headers_for, host_of, redirect, tls_context

if TYPE_CHECKING:
    from ..indexes import Indexes
    from ..store import Store

LARGEST = 256 << 20
"""Bytes of a page, unpacked."""
ABBREVIATED = "application/vnd.npm.install-v1+json"
"""npm's short form of a packument."""


class Web:
    """Pages by URL. Safe to share between threads."""

    def __init__(
        self,
        indexes: Indexes,
        store: Store,
        *,
        offline: bool = False,
        patience: Patience | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._indexes = indexes
        self._store = store
        self._offline = offline
        self._patience = patience or Patience()
        self._stopping = stopping
        self._mutex = threading.Lock()
        self._session: Any = None

    def get(self, url: str, *, accept: str = "") -> bytes:
        """The page's bytes, unpacked. Raises NotFound, Unreachable, NotCached (offline), TooLarge and BadSettings."""
        what = f"{_label(url)} from {host_of(url)}"
        accepted = {"Accept": accept} if accept else {}
        if self._offline:
            return self._kept(url, accepted, what)
        failures = 0
        while True:
            try:
                return self._chain(url, accepted, what)
            except Again as problem:
                failures += 1
                if failures > len(self._patience.waits):
                    raise Unreachable(what, problem.cause) from None
                self._sleep(self._patience.wait(failures, problem.wait))
            except Refused as refused:
                raise Unreachable(what, str(refused)) from None

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stopping():
                raise Cancelled
            time.sleep(min(left, 0.1))

    def _chain(self, first: str, accepted: dict[str, str], what: str) -> bytes:
        url = first
        for _ in range(HOPS + 1):
            response = self._ask(url, headers_for(self._indexes, url, first, accepted))
            try:
                target = redirect(url, response.status_code, response.headers.get("Location"))
                if not target:
                    self._check(response, url, what)
                    return self._body(response, url, what)
            finally:
                response.close()
            url = target
        raise Refused("it redirects too often")

    def _ask(self, url: str, headers: dict[str, str]) -> Any:
        import requests

        proxy = self._indexes.proxy(url)
        try:
            return self._open().get(
                url,
                headers=headers,
                allow_redirects=False,
                stream=True,
                timeout=(self._patience.connect, self._patience.read),
                proxies={"http": proxy, "https": proxy} if proxy else {},
            )
        except requests.exceptions.InvalidSchema:
            raise BadSettings("HTTPS_PROXY", "the configured proxy cannot be used") from None
        except (requests.RequestException, OSError) as error:
            raise failure(error, url) from None

    def _check(self, response: Any, url: str, what: str) -> None:
        status = response.status_code
        if status in (404, 410):
            raise NotFound(what)
        later = again(status, response.headers, url)
        if later:
            raise later
        if status in (401, 403, 407):
            hint = "Give the credentials for this host in the index's own configuration (pip.conf, .npmrc, netrc)."
            raise Unreachable(what, f"it answered {status}: access denied", hint)
        if status != 200:
            raise Unreachable(what, f"it answered {status}")

    def _body(self, response: Any, url: str, what: str) -> bytes:
        """All of it, within the limits of size and of time: a timer ends what drips for too long."""
        import requests
        from urllib3.exceptions import HTTPError

        guard = threading.Timer(self._patience.grace, _interrupt, [response.raw])
        guard.daemon = True
        guard.start()
        try:
            return _collect(response.iter_content(1 << 16), what)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            if getattr(response, "from_cache", False):
                self._forget(url)
            raise failure(error, url) from None
        finally:
            guard.cancel()

    # --- what is kept ----------------------------------------------------------------------------------------

    def _open(self) -> Any:
        """The session with its cache; its libraries are imported now, not before."""
        with self._mutex:
            if self._session is None:
                self._session = _session(self._indexes, f"{self._store.root}/v1/http")
                with self._store.lease():  # makes and checks the folders above
                    pass
        return self._session

    def _kept(self, url: str, accepted: dict[str, str], what: str) -> bytes:
        """What the cache has, fresh or not, redirects followed; no socket is opened. Raises NotCached."""
        import requests

        adapter = self._open().get_adapter("https://")
        for _ in range(HOPS + 1):
            request = self._session.prepare_request(requests.Request("GET", url, headers=accepted))
            response = _load(adapter, request)
            if response is None:
                raise NotCached([what])
            target = redirect(url, response.status, response.headers.get("Location"))
            if not target:
                return _whole(response, what)
            url = target
        raise NotCached([what])

    def _forget(self, url: str) -> None:
        adapter = self._open().get_adapter(url)
        adapter.cache.delete(adapter.controller.cache_url(url))


def _session(indexes: Indexes, folder: str) -> Any:
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from cachecontrol import CacheControlAdapter
    from cachecontrol.caches import SeparateBodyFileCache
    from cachecontrol.heuristics import BaseHeuristic

    class KeepEverything(BaseHeuristic):
        """Let a page that says nothing about its age be stored, but never be taken for fresh."""

        def apply(self, response: Any) -> Any:
            from email.utils import formatdate

            response.headers.setdefault("Date", formatdate(usegmt=True))
            response.headers.setdefault("Expires", response.headers["Date"])
            return response

    class Adapter(CacheControlAdapter):
        """CacheControl with our certificates alone."""

        def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
            super().init_poolmanager(*arguments, **named, ssl_context=context)

        def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
            return super().proxy_manager_for(proxy, **named, ssl_context=context, proxy_ssl_context=context)

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002
            conn.cert_reqs = "CERT_REQUIRED"

    context = tls_context(indexes)
    session = requests.Session()
    session.trust_env = False  # the environment has been read by `configured`, netrc included
    session.headers["User-Agent"] = "stager"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = Adapter(SeparateBodyFileCache(folder), heuristic=KeepEverything(), pool_maxsize=16)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _load(adapter: Any, request: Any) -> Any:
    """The cached response for a request, None when there is none that is whole."""
    key = adapter.controller.cache_url(request.url)
    data = adapter.cache.get(key)
    if data is None:
        return None
    body = adapter.cache.get_body(key)
    try:
        return adapter.controller.serializer.loads(request, data, body)
    except (ValueError, KeyError, TypeError):
        return None


def _whole(response: Any, what: str) -> bytes:
    from urllib3.exceptions import HTTPError

    try:
        return _collect(response.stream(1 << 16, decode_content=True), what)
    except (HTTPError, OSError, ValueError):
        raise NotCached([what]) from None


def _collect(chunks: Any, what: str) -> bytes:
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > LARGEST:
            raise TooLarge(what, LARGEST, size)
        parts.append(chunk)
    return b"".join(parts)


def _interrupt(raw: Any) -> None:
    try:
        raw.shutdown()
    except (ValueError, RuntimeError, OSError, AttributeError):
        return


def _label(url: str) -> str:
    """A URL's last path segment: enough to know what was asked for, and never a secret in front of it."""
    try:
        return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2]) or "the index"
    except ValueError:
        return "the index"


class PypiLookup:
    """Python's simple pages (PEP 503, PEP 691) of the configured indexes."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def files(self, name: str, index: str = "") -> list[IndexFile]:
        """The files of a project on one index, or on all configured ones in their order; empty when none has it.

        A caller must choose among them by digest: several indexes may offer the same name. Raises a FetchError.
        """
        found: list[IndexFile] = []
        for base in (index,) if index else self._web._indexes.pypi():
            try:
                found += self._page(f"{base.rstrip('/')}/{quote(name)}/")
            except NotFound:
                continue
        return found

    def _page(self, url: str) -> list[IndexFile]:
        return read_page(self._web.get(url, accept=JSON), url)


class NpmLookup:
    """Packuments of the configured registries."""

    def __init__(self, web: Web) -> None:
        self._web = web

    def version(self, name: str, version: str) -> Mapping[str, Any]:
        """The metadata of one published version. Raises NotFound when there is none, and other FetchErrors."""
        registry = self._web._indexes.npm(name)
        body = self._web.get(f"{registry}/{quote(name, safe='@')}", accept=ABBREVIATED)
        try:
            found = json.loads(body)["versions"].get(version)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Unreachable(f"the registry's page of {name}", "it is not what npm's registry serves") from None
        if not isinstance(found, dict):
            raise NotFound(f"{name}@{version}")
        return found
