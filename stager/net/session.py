"""HTTP as stager does all of it: who may be asked, proxies, certificates, deadlines, redirects, and what failures mean.

Redirects are followed here and not by a library, because each step must be allowed and because a credential stays with the
origin it was made for. Nothing from a URL but its host appears in an error: paths and queries can hold secrets, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from ..errors import Cancelled
from .addresses import AddressRefused, Policy, glance, is_plain, open_connection
from .errors import BadSettings
from .guard import Guard, Watched
from .indexes.origins import Origin
from .patience import Again, Patience, host_of

if TYPE_CHECKING:
    import ssl

    from urllib3 import PoolManager

    from .indexes import Indexes

HOPS = 5
"""Redirects followed at most."""
_REDIRECTS = (301, 302, 303, 307, 308)
PIECE = 1 << 18
"""Bytes read or written at once."""
Step = Callable[[str, str], Mapping[str, str]]
"""The headers for a URL in a chain of redirects that began at another. Raises Refused for a step that may not be taken."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `body` makes what is sent, `length` bytes of it; it is called again when a redirect demands that."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Any] | None = None
    length: int = 0
    grace: float = 0.0
    """Seconds in the place of the patience's; the answer may take as long to begin."""
    read: float = 0.0
    """Seconds between two arrivals of bytes, in the place of those."""


class Response:
    """An answer, its body still to be read."""

    def __init__(self, raw: Any, url: str, watched: Watched) -> None:
        self.status: int = raw.status
        self.headers = raw.headers
        self.url = url
        self._raw = raw
        self._watched = watched

    def read(self, size: int = PIECE) -> bytes:
        """The next bytes, at most `size`, as soon as there are any; empty at the end. Never decoded. Raises Again."""
        from urllib3.exceptions import HTTPError

        try:
            found: bytes = self._raw.read1(size, decode_content=False)
        except (HTTPError, OSError, ValueError) as error:
            raise failure(error, self.url) from None
        ended(self._watched, self.url)
        self._watched.moved(len(found))
        return found

    def parts(self) -> Iterator[bytes]:
        """The body as it arrives. Raises Again when the connection ends early, Refused when it is compressed unasked."""
        if self.encoding:
            raise AddressRefused("it compresses what it sends, unasked")
        while chunk := self.read():
            yield chunk

    @property
    def encoding(self) -> str:
        """The Content-Encoding, empty for none."""
        return str(self.headers.get("Content-Encoding") or "").strip().lower().removeprefix("identity")

    def all(self, limit: int) -> bytes:
        """The whole body. Raises Again when it is cut, Refused when it is larger than `limit` bytes."""
        parts, size = [], 0
        for chunk in self.parts():
            size += len(chunk)
            if size > limit:
                raise AddressRefused(f"its answer is larger than {limit} bytes")
            parts.append(chunk)
        return b"".join(parts)

    def release(self) -> None:
        """Give the connection back when the answer was read to its end (a short rest is read now), else close it."""
        raw = self._raw
        try:
            length = raw.length_remaining
            if length is not None and length <= PIECE:
                raw.drain_conn()
                raw.release_conn()
                return
        except Exception:  # noqa: S110 - the answer is of no more interest, whatever its rest is
            pass
        raw.close()


class Session:
    """Connections that are kept open and shared by threads. Make it late: it imports the HTTP library.

    `network` says who may be asked, and by way of which proxy; `direct` names hosts that are asked without one.
    """

    def __init__(
        self,
        network: Indexes,
        patience: Patience,
        *,
        stopping: Callable[[], bool] = lambda: False,
        jobs: int = 8,
        verify: bool = True,
        direct: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.patience = patience
        self.policy = network.policy()
        self.guard = Guard(stopping)
        self._network = network
        self._stopping = stopping
        self._jobs = jobs
        self._verify = verify
        self._direct = direct
        self._mutex = threading.Lock()
        self._pools: dict[tuple[str, bool], PoolManager] = {}
        self._context: ssl.SSLContext | None = None
        self._glanced: set[Origin] = set()

    @contextmanager
    def exchange(self, request: Request, step: Step | None = None, within: float | None = None) -> Iterator[Response]:
        """One request and its answer, to be read inside the `with` block; redirects are followed when there is a `step`.

        It has the patience's grace, but at most `within` seconds, and more for bytes that move. Raises Refused, Again,
        Cancelled, and BadSettings for unusable certificates or proxies; exceptions of the block pass.
        """
        with self.watch(request.grace, within) as watched:
            watched.moved(request.length)
            response = None
            try:
                response = self._follow(request, step, watched)
                yield response
                ended(watched, request.url)
            except Again:
                ended(watched, request.url)
                raise
            finally:
                if response is not None:
                    response.release()

    @contextmanager
    def watch(self, grace: float = 0.0, within: float | None = None) -> Iterator[Watched]:
        """Limit what this thread does inside the `with` block over connections of this session."""
        seconds = grace or self.patience.grace
        with self.guard.watch(seconds if within is None else min(seconds, within), self.patience.slowest) as watched:
            yield watched

    def _follow(self, request: Request, step: Step | None, watched: Watched) -> Response:
        url = request.url
        for _ in range(HOPS + 1):
            extra = step(url, request.url) if step else {}
            response = self._once(request, url, {**request.headers, **extra}, watched)
            try:
                target = redirect(url, response.status, response.headers.get("Location")) if step else ""
                if not target:
                    return response
                if request.method not in ("GET", "HEAD") and response.status not in (307, 308):
                    raise AddressRefused(f"it answers {request.method} with the redirect {response.status}")
            except BaseException:
                response.release()
                raise
            response.release()
            url = target
        raise AddressRefused("it redirects too often")

    def _once(self, request: Request, url: str, headers: dict[str, str], watched: Watched) -> Response:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        ended(watched, url)
        target = self.checked(url)
        sent = {"User-Agent": "stager", "Accept-Encoding": "identity", **headers}
        if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = str(request.length)
        timeout = Timeout(connect=self.patience.connect, read=request.read or max(self.patience.read, request.grace))
        try:
            raw = self._pool(target).urlopen(
                request.method, target, headers=sent, body=request.body() if request.body else None, timeout=timeout,
                redirect=False, retries=False, preload_content=False, decode_content=False,
            )  # fmt: skip
        except (HTTPError, OSError) as error:
            raise failure(error, url) from None
        return Response(raw, url, watched)

    # --- who may be asked ----------------------------------------------------------------------------------------

    def checked(self, url: str) -> str:
        """The URL in the one form that is given to libraries. Raises Refused for one that parsers read differently, or that
        a proxy would be asked for though it leads to a place that is refused."""
        plain = normal(url)
        origin = Origin.of(plain)
        if self.proxy(plain) and origin not in self._glanced:
            glance(origin.host, origin.port, self.policy, scheme=origin.scheme)
            self._glanced.add(origin)
        return plain

    def proxy(self, url: str) -> str:
        """The proxy to go through for a URL, empty for none."""
        return "" if self._direct(Origin.of(url).host) else self._network.proxy(url)

    # --- connections ---------------------------------------------------------------------------------------------

    def _pool(self, url: str) -> PoolManager:
        from urllib3 import PoolManager, ProxyManager

        proxy = self.proxy(url)
        secure = url[:6].lower() == "https:" or proxy[:6].lower() == "https:"
        with self._mutex:
            if (proxy, secure) not in self._pools:
                context = self.tls() if secure else None
                shared: dict[str, Any] = {"num_pools": 32, "maxsize": self._jobs, "ssl_context": context}
                if not proxy:
                    pool = PoolManager(**shared)
                else:
                    try:
                        address, secret = proxy_parts(proxy)
                        pool = ProxyManager(address, proxy_headers=secret, proxy_ssl_context=context, **shared)
                    except Exception as error:
                        raise failure(error, url) from None
                pool.pool_classes_by_scheme = self.pool_classes()
                self._pools[proxy, secure] = pool
            return self._pools[proxy, secure]

    def pool_classes(self) -> dict[str, Any]:
        """The library's pools with connections that keep to the policy and tell the guard which thread is using them."""
        from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

        return {
            "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": _connection("http", self)}),
            "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": _connection("https", self)}),
        }

    def tls(self) -> ssl.SSLContext:
        """Made once and only for https: reading all certificates takes a tenth of a second."""
        if self._context is None:
            self._context = tls_context(self._network, verify=self._verify)
        return self._context

    def connect(self, connection: Any, scheme: str) -> Any:
        """A new socket for a connection of the library: to its proxy, which the operator named, or where the policy allows."""
        host, port = connection._dns_host, connection.port
        origin = (scheme, host.strip("[]").rstrip(".").lower(), port)
        policy = Policy(frozenset({origin})) if connection.proxy is not None else self.policy
        return open_connection(
            host, port, policy, scheme=scheme, timeout=connection.timeout, options=connection.socket_options or (),
            opened=self.guard.using, stopping=self._stopping,
        )  # fmt: skip

    def close(self) -> None:
        """Close idle connections."""
        with self._mutex:
            for pool in self._pools.values():
                pool.clear()


def _connection(scheme: str, session: Session) -> type[Any]:
    """The library's connection for a scheme, with sockets of ours."""
    import socket

    from urllib3 import exceptions as lib
    from urllib3.connection import HTTPConnection, HTTPSConnection

    kind: Any = HTTPSConnection if scheme == "https" else HTTPConnection

    class Connection(kind):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            try:
                return session.connect(self, "https" if self.proxy is None and scheme == "https" else "http")
            except socket.gaierror as error:
                raise lib.NameResolutionError(self.host, self, error) from error
            except TimeoutError as error:
                raise lib.ConnectTimeoutError(self, "timed out") from error
            except OSError as error:
                raise lib.NewConnectionError(self, str(error)) from error

        def request(self, *arguments: Any, **named: Any) -> None:
            session.guard.using(self.sock)
            super().request(*arguments, **named)

    return Connection


def ended(watched: Watched, url: str) -> None:
    """Say so when the guard ended an exchange, whatever that looked like to its thread. Raises Cancelled, Again."""
    if watched.ended == "stopped":
        raise Cancelled
    if watched.ended:
        raise Again(f"{host_of(url)} took too long")


def normal(url: str) -> str:
    """A URL as every parser reads it: scheme and host in lower case, the default port left out, no user, no fragment.

    Raises Refused for what parsers read differently: signs that no URL holds, and hosts that are not plain.
    """
    try:
        origin, parts = Origin.of(url), urlsplit(url)
        bare = "@" not in parts.netloc and all(" " < sign < "\x7f" and sign not in '\\"<>' for sign in url)
    except ValueError:
        raise AddressRefused("it is not a URL") from None
    if not bare or origin.scheme not in ("http", "https") or not is_plain(parts.hostname or ""):
        raise AddressRefused("its address is not a plain http or https URL")
    host = f"[{origin.host}]" if ":" in origin.host else str(parts.hostname)
    port = "" if origin == Origin.of(f"{origin.scheme}://{host}") else f":{origin.port}"
    return urlunsplit((origin.scheme, host + port, parts.path or "/", parts.query, ""))


def redirect(url: str, status: int, location: str | None) -> str:
    """Where a response redirects to; empty when it does not. Raises Refused for a redirect that leads nowhere."""
    if status not in _REDIRECTS:
        return ""
    try:
        target = urljoin(url, location or "")
        parts = urlsplit(target)
        if not location or not parts.hostname:
            raise ValueError
    except ValueError:
        raise AddressRefused("it redirects to nowhere") from None
    return urlunsplit((parts.scheme, parts.netloc, parts.path, parts.query, ""))


def failure(error: Exception, url: str) -> Exception:
    """A library's exception as one of ours: Again, or an error that trying again would not mend."""
    from urllib3 import exceptions as lib

    while isinstance(error, (lib.ProxyError, lib.MaxRetryError)) or type(error).__module__.startswith("requests."):
        inner = getattr(error, "original_error", None) or getattr(error, "reason", None)
        inner = inner or next((one for one in error.args if isinstance(one, Exception)), None)
        if not isinstance(inner, Exception):
            break
        error = inner
    host = host_of(url)
    if isinstance(error, lib.SSLError) or type(error).__name__ in ("SSLError", "SSLCertVerificationError"):
        return AddressRefused(f"no trusted TLS connection to {host}: {_tls_reason(error)}")
    if isinstance(error, (lib.LocationValueError, lib.ProxySchemeUnknown)):
        return BadSettings("HTTPS_PROXY", "the configured proxy cannot be used", "Set it to http://host:port.")
    if isinstance(error, lib.NameResolutionError):
        return Again(f"the name {host} cannot be resolved")
    if isinstance(error, (lib.ConnectTimeoutError, lib.NewConnectionError, ConnectionRefusedError)):
        return Again(f"no connection to {host}")
    if isinstance(error, (lib.TimeoutError, TimeoutError)):
        return Again(f"{host} sent nothing for too long")
    return Again(f"the connection to {host} was cut")


def _tls_reason(error: Exception) -> str:
    inner: Any = next((one for one in error.args if isinstance(one, Exception)), error)
    return str(getattr(inner, "verify_message", "") or getattr(inner, "reason", "") or "handshake failed")


def proxy_parts(proxy: str) -> tuple[str, dict[str, str]]:
    """A proxy's address without its password, and the header that carries the password."""
    from urllib3.util import make_headers

    parts = urlsplit(proxy)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
    if parts.username is None:
        return address, {}
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return address, {str(key): str(value) for key, value in make_headers(proxy_basic_auth=secret).items()}


def tls_context(indexes: Indexes, *, verify: bool = True) -> ssl.SSLContext:
    """A TLS context with the configured certificates, verifying unless the operator turned that off. Raises BadSettings for
    a file that holds none."""
    import ssl

    import certifi

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name; without any certificate so far
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    for path in dict.fromkeys((*(indexes.ca_files or (certifi.where(),)), *indexes.extra_ca_files)):
        try:
            context.load_verify_locations(cafile=path)
        except OSError as error:
            raise BadSettings(
                path, f"the certificates cannot be read: {error.strerror or 'not PEM'}", "Correct SSL_CERT_FILE."
            ) from None
    return context
