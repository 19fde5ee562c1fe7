"""HTTP with one registry and the hosts it points to: pools, redirects, time limits, who may be asked.

The registry is the operator's word and may be on a private network. What it points to (a redirect, the place of an upload,
a token server) is its own word: that must be https (or on the registry's network when the registry is private), and gets
no credential made for another origin.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled
from ..fetching.transport import HOPS, Again, failure, host_of, proxy_parts, redirect, tls_context
from ..indexes import Indexes
from ..indexes.origins import Origin
from ..net.addresses import Refused
from .access import Access
from .guard import Guard, Watched

if TYPE_CHECKING:
    from urllib3 import PoolManager

Body = Callable[[], Iterable[bytes]]
"""Makes the body of a request; called again when a redirect demands to send it again."""
PIECE = 1 << 18
"""Bytes read or written at once."""


class Wire:
    """Exchanges with the registry at `base` (`https://host:port`). Safe to share between threads."""

    def __init__(self, base: str, access: Access) -> None:
        self.base = base
        self.origin = Origin.of(base)
        self._access = access
        self._guard = Guard(access.stopping)
        self._private = is_private(self.origin.host)
        self._mutex = threading.Lock()
        self._pools: dict[tuple[str, bool], PoolManager] = {}
        self._context: Any = None

    @contextmanager
    def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        authorization: str = "",
        owner: Origin | None = None,
        body: Body | None = None,
        length: int = 0,
        expect: int = 0,
        grace: float = 0.0,
        follow: bool = True,
    ) -> Iterator[Any]:
        """One request and its answer, its body still to be read inside the `with` block.

        `authorization` is sent to `owner` alone (default: the registry). `length` bytes are sent and about `expect` are to
        come; with `grace` seconds besides they limit the time. Redirects are followed, with the body when there is one.
        Raises Refused, Again and Cancelled; exceptions of the block pass.
        """
        patience = self._access.patience
        seconds = (grace or patience.grace) + (length + expect) / patience.slowest
        with self._guard.watch(seconds) as watched:
            response = None
            try:
                response = self._follow(
                    method, url, dict(headers), authorization, owner, body, length, grace, follow, watched
                )
                yield response
                _ended(watched, url)
            except Again:
                _ended(watched, url)
                raise
            finally:
                if response is not None:
                    _release(response)

    def _follow(
        self, method: str, first: str, headers: dict[str, str], authorization: str, owner: Origin | None,
        body: Body | None, length: int, grace: float, follow: bool, watched: Watched,
    ) -> Any:  # fmt: skip
        url = first
        for _ in range(HOPS + 1):
            why = self.refusal(url)
            if why:
                raise Refused(why if url == first else f"it points to a place that is refused: {why}")
            secret = (
                {"Authorization": authorization} if authorization and Origin.of(url) == (owner or self.origin) else {}
            )
            response = self._once(method, url, {**headers, **secret}, body, length, grace)
            target = redirect(url, response.status, response.headers.get("Location"))
            if not target:
                return response
            if not follow or (method not in ("GET", "HEAD") and response.status not in (307, 308)):
                _release(response)
                raise Refused(f"it answers {method} with the redirect {response.status}")
            _release(response)
            watched.connection = None
            url = target
        raise Refused("it redirects too often")

    def _once(
        self, method: str, url: str, headers: dict[str, str], body: Body | None, length: int, grace: float
    ) -> Any:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        patience = self._access.patience
        sent = {"User-Agent": "stager", "Accept-Encoding": "identity", **headers}
        if body is not None or method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = str(length)
        timeout = Timeout(connect=patience.connect, read=max(patience.read, grace))
        try:
            return self._pool(url).urlopen(
                method, url, headers=sent, body=body() if body else None, timeout=timeout, redirect=False, retries=False,
                preload_content=False, decode_content=False,
            )  # fmt: skip
        except (HTTPError, OSError) as error:
            raise failure(error, url) from None

    def refusal(self, url: str) -> str:
        """Why the registry may not send us to this URL; empty when it may."""
        try:
            origin = Origin.of(url)
        except ValueError:
            return "it is not a URL"
        if self.origin.scheme == "https" and origin.scheme == "http":
            return "it leads from https to http"
        near = self._private and is_private(origin.host)
        trusted = frozenset({self.origin, origin} if near else {self.origin})
        return Indexes(trusted=trusted).refusal(url)

    def _pool(self, url: str) -> PoolManager:
        from urllib3 import PoolManager, ProxyManager

        proxy = "" if is_loopback(Origin.of(url).host) else self._access.indexes.proxy(url)  # as Go's clients have it
        secure = url[:6].lower() == "https:" or proxy[:6].lower() == "https:"
        with self._mutex:
            if (proxy, secure) not in self._pools:
                context = self._tls() if secure else None
                shared: dict[str, Any] = {"num_pools": 8, "maxsize": max(32, self._access.jobs), "ssl_context": context}
                if not proxy:
                    pool = PoolManager(**shared)
                else:
                    address, secret = proxy_parts(proxy)
                    pool = ProxyManager(address, proxy_headers=secret, proxy_ssl_context=context, **shared)
                pool.pool_classes_by_scheme = _pool_classes(self._guard)
                self._pools[proxy, secure] = pool
            return self._pools[proxy, secure]

    def _tls(self) -> Any:
        if self._context is None:
            self._context = tls_context(self._access.indexes)
        return self._context

    def close(self) -> None:
        """Close idle connections."""
        with self._mutex:
            for pool in self._pools.values():
                pool.clear()


def is_private(host: str) -> bool:
    """Whether a host, as written, is on this machine or a private network."""
    return bool(Indexes().refusal(f"https://[{host}]/" if ":" in host else f"https://{host}/"))


def is_loopback(host: str) -> bool:
    """Whether a host, as written, is this machine: where Docker speaks http without being told to."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_all(response: Any, limit: int, url: str) -> bytes:
    """The whole body. Raises Again when it is cut, Refused when it is larger than `limit` bytes."""
    parts, size = [], 0
    for chunk in read_parts(response, url):
        size += len(chunk)
        if size > limit:
            raise Refused(f"its answer is larger than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


def read_parts(response: Any, url: str) -> Iterator[bytes]:
    """The body as it arrives. Raises Again when the connection ends early."""
    from urllib3.exceptions import HTTPError

    if (response.headers.get("Content-Encoding") or "identity").strip().lower() not in ("", "identity"):
        raise Refused("it compresses what it sends, unasked")
    while True:
        try:
            chunk = response.read1(PIECE, decode_content=False)
        except (HTTPError, OSError, ValueError) as error:
            raise failure(error, url) from None
        if not chunk:
            return
        yield chunk


def _ended(watched: Watched, url: str) -> None:
    """Say so when the guard ended an exchange, whatever that looked like to its thread."""
    if watched.ended == "stopped":
        raise Cancelled
    if watched.ended:
        raise Again(f"{host_of(url)} took too long")


def _release(response: Any) -> None:
    """Give the connection back when the answer was read to its end (a short rest is read now), else close it."""
    try:
        length = response.length_remaining
        if length is not None and length <= PIECE:
            response.drain_conn()
            response.release_conn()
            return
    except Exception:  # noqa: S110 - the answer is of no more interest, whatever its rest is
        pass
    response.close()


def _pool_classes(guard: Guard) -> dict[str, Any]:
    """The library's pools, whose connections tell the guard which thread is using them."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        def connect(self) -> None:
            guard.using(self)
            super().connect()

        def request(self, *arguments: Any, **named: Any) -> None:
            guard.using(self)
            super().request(*arguments, **named)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            guard.using(self)
            super().connect()

        def request(self, *arguments: Any, **named: Any) -> None:
            guard.using(self)
            super().request(*arguments, **named)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}
