"""Index pages over HTTP, kept and revalidated by CacheControl, however large.

Artifacts never come this way: they go straight into the store. What is kept lies in `<store>/v1/http`, bodies apart
from headers; offline it is served however old, because a page only helps to find bytes that a digest then decides on.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ..files import temporary
from ..model import Event, Progress
from ..net.addresses import AddressRefused
from ..net.errors import BadSettings, NotCached, NotFound, Unreachable
from ..net.patience import Again, Patience, Tries, again, date, host_of
from ..net.session import HOPS, Session, ended, failure, redirect
from .errors import TooLarge
from .transport import ACCESS, headers_for

if TYPE_CHECKING:
    from ..net.guard import Watched
    from ..net.indexes import Indexes
    from ..store import Store

LARGEST = 256 << 20
"""Bytes of a page, unpacked."""
_PAGE = 1 << 20


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
        progress: Progress | None = None,
    ) -> None:
        self._indexes = indexes
        self._store = store
        self._progress = progress
        self._offline = offline
        self._patience = patience or Patience()
        self._stopping = stopping
        self._network = Session(indexes, self._patience, stopping=stopping)
        self._mutex = threading.Lock()
        self._session: Any = None

    def get(self, url: str, *, accept: str = "") -> bytes:
        """The page's bytes, unpacked. Raises NotFound, Unreachable, NotCached (offline), TooLarge and BadSettings."""
        page = BytesIO()
        self._fetch(url, accept, page)
        return page.getvalue()

    @contextmanager
    def opened(self, url: str, *, accept: str = "") -> Iterator[IO[bytes]]:
        """The same as an open file, for pages that may be large. Raises as `get`, and CannotWrite."""
        with temporary.file() as page:
            self._fetch(url, accept, page)
            page.seek(0)
            yield page

    def _fetch(self, url: str, accept: str, page: IO[bytes]) -> None:
        """Write the page into the file `page`, which is empty."""
        what = f"{_label(url)} from {host_of(url)}"
        accepted = {"Accept": accept} if accept else {}
        if self._offline:
            return self._kept(url, accepted, what, page)
        tries = Tries(self._patience, self._stopping)
        while True:
            try:
                return self._chain(url, accepted, what, tries.left, page)
            except Again as problem:
                why = tries.another(problem)
                if why:
                    raise Unreachable(what, why) from None
            except AddressRefused as refused:
                raise Unreachable(what, str(refused)) from None

    def _chain(self, first: str, accepted: dict[str, str], what: str, within: float, page: IO[bytes]) -> None:
        url, response = first, None
        with self._network.watch(within=within) as watched:
            try:
                for _ in range(HOPS + 1):
                    response = self._ask(url, headers_for(self._indexes, url, first, accepted))
                    try:
                        target = redirect(url, response.status_code, response.headers.get("Location"))
                        if not target:
                            self._check(response, url, what)
                            return self._here(response, url, what, watched, page)
                    finally:
                        response.close()
                    url, response = target, None
            finally:
                if watched.ended:
                    if response is not None:
                        self._forget(url)
                    ended(watched, url)
        raise AddressRefused("it redirects too often")

    def _here(self, response: Any, url: str, what: str, watched: Watched, page: IO[bytes]) -> None:
        self._body(response, url, what, watched, page)
        if self._progress:
            self._progress(Event("plan", _label(url), source=host_of(url)))

    def _ask(self, url: str, headers: dict[str, str]) -> Any:
        import requests

        plain = self._network.checked(url)
        proxy, opened = self._network.proxy(plain), self._open()
        prepared = opened.prepare_request(requests.Request("GET", plain, headers=headers))
        try:  # by the adapter: the session would read a redirect's whole body, and trip over its target
            return opened.get_adapter(plain).send(
                prepared,
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
            raise Unreachable(what, f"it answered {status}: access denied", ACCESS)
        if status != 200:
            raise Unreachable(what, f"it answered {status}")

    def _body(self, response: Any, url: str, what: str, watched: Watched, page: IO[bytes]) -> None:
        """All of it, within the limits of size and of time, which grows with what arrives, not with what that unpacks to."""
        import requests
        from urllib3.exceptions import HTTPError

        def chunks() -> Iterator[bytes]:
            arrived = 0
            for chunk in response.iter_content(1 << 16):
                ended(watched, url)
                watched.moved(response.raw.tell() - arrived)
                arrived = response.raw.tell()
                yield chunk

        try:
            _collect(chunks(), what, page)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            if getattr(response, "from_cache", False):
                self._forget(url)
            raise failure(error, url) from None

    # --- what is kept ----------------------------------------------------------------------------------------

    def _open(self) -> Any:
        """The session with its cache; its libraries are imported now, not before."""
        with self._mutex:
            if self._session is None:
                self._session = _session(self._network, f"{self._store.root}/v1/http")
                with self._store.lease():  # makes and checks the folders above
                    pass
        return self._session

    def _kept(self, url: str, accepted: dict[str, str], what: str, page: IO[bytes]) -> None:
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
                return _whole(response, what, page)
            url = target
        raise NotCached([what])

    def _forget(self, url: str) -> None:
        adapter = self._open().get_adapter(url)
        adapter.cache.delete(adapter.controller.cache_url(url))


def _session(network: Session, folder: str) -> Any:
    import tempfile
    from http.cookiejar import DefaultCookiePolicy
    from mmap import MADV_DONTNEED, mmap

    import requests
    from cachecontrol import CacheControlAdapter
    from cachecontrol.caches import SeparateBodyFileCache
    from cachecontrol.heuristics import BaseHeuristic

    class KeepEverything(BaseHeuristic):
        """Let a page that says nothing about its age, or nonsense, be stored, but never be taken for fresh."""

        def apply(self, response: Any) -> Any:
            from email.utils import formatdate

            if date(response.headers.get("Date") or "") is None:
                response.headers["Date"] = formatdate(usegmt=True)
            if date(response.headers.get("Expires") or "") is None:
                response.headers["Expires"] = response.headers["Date"]
            return response

    class Adapter(CacheControlAdapter):
        """CacheControl over connections of ours, with our certificates alone."""

        def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
            super().init_poolmanager(*arguments, **named, ssl_context=context)
            self.poolmanager.pool_classes_by_scheme = network.pool_classes()

        def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
            if not proxy.lower().startswith(("http://", "https://")):
                raise requests.exceptions.InvalidSchema
            manager = super().proxy_manager_for(proxy, **named, ssl_context=context, proxy_ssl_context=context)
            manager.pool_classes_by_scheme = network.pool_classes()
            return manager

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002
            conn.cert_reqs = "CERT_REQUIRED"

    class Bodies(SeparateBodyFileCache):
        """Bodies are mapped files: what has been written is given back, so that memory does not follow a page's size."""

        def _write(self, path: str, data: Any) -> None:
            if not isinstance(data, memoryview) or len(data) <= _PAGE:
                super()._write(path, data)
                return
            os.makedirs(os.path.dirname(path), self.dirmode, exist_ok=True)
            with self.lock_class(path + ".lock"):
                fd, name = tempfile.mkstemp(dir=os.path.dirname(path))  # mode 0600
                with open(fd, "wb", buffering=0) as file:
                    for start in range(0, len(data), _PAGE):
                        file.write(data[start : start + _PAGE])
                        if isinstance(data.obj, mmap) and hasattr(data.obj, "madvise"):
                            data.obj.madvise(MADV_DONTNEED, start, min(_PAGE, len(data) - start))
                os.replace(name, path)

    context = network.tls()
    session = requests.Session()
    session.trust_env = False  # the environment has been read by `configured`, netrc included
    session.headers["User-Agent"] = "stager"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = Adapter(Bodies(folder), heuristic=KeepEverything(), pool_maxsize=16)
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


def _whole(response: Any, what: str, page: IO[bytes]) -> None:
    from urllib3.exceptions import HTTPError

    try:
        _collect(response.stream(1 << 16, decode_content=True), what, page)
    except (HTTPError, OSError, ValueError):
        raise NotCached([what]) from None


def _collect(chunks: Any, what: str, page: IO[bytes]) -> None:
    page.seek(0)
    page.truncate()  # a try before may have got some of it
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > LARGEST:
            raise TooLarge(what, LARGEST, size)
        page.write(chunk)


def _label(url: str) -> str:
    """A URL's last path segment: enough to know what was asked for, and never a secret in front of it."""
    try:
        return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2]) or "the index"
    except ValueError:
        return "the index"
