"""One HTTP GET, as stager does all of them: proxies, certificates, credentials, redirects, and how long to be patient.

Redirects are followed here and not by a library, because each step must be allowed by `Indexes.refusal` and because a
credential stays with the origin it was made for. Nothing from a URL but its host appears in an error: paths and queries
can hold secrets, too.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from ..errors import BadSettings
from ..indexes import Indexes
from ..indexes.origins import Origin
from ..net.addresses import Refused

if TYPE_CHECKING:
    import ssl

    from urllib3 import HTTPResponse, PoolManager

HOPS = 5
"""Redirects followed at most."""
_REDIRECTS = (301, 302, 303, 307, 308)
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for servers, in seconds."""

    connect: float = 10.0
    read: float = 30.0
    """Between two arrivals of bytes."""
    waits: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Before each new try; their number is the number of retries in a row without progress."""
    longest_wait: float = 60.0
    """What a Retry-After is cut to."""
    grace: float = 120.0
    """For an answer to begin, and on top of `slowest` for its whole body."""
    slowest: int = 16 * 1024
    """Bytes a second below which a server counts as hung."""

    def wait(self, failures: int, asked: float | None) -> float:
        """Seconds before the next try: what the server asked for, or the schedule's."""
        planned = self.waits[min(failures, len(self.waits)) - 1] if self.waits else 0.0
        return planned if asked is None else min(max(asked, planned), self.longest_wait)


class Again(Exception):
    """A failure that may pass. `wait` is what the server asked for, in seconds."""

    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.wait = wait


class Transport:
    """Connections that are kept open and shared by threads. Make it late: it imports the HTTP library."""

    def __init__(self, indexes: Indexes, jobs: int, patience: Patience) -> None:
        self._indexes = indexes
        self._jobs = jobs
        self._patience = patience
        self._mutex = threading.Lock()
        self._pools: dict[tuple[str, bool], PoolManager] = {}
        self._context: ssl.SSLContext | None = None

    def open(self, url: str, headers: dict[str, str]) -> HTTPResponse:
        """The response to a GET, redirects followed, its body still to be read and never decoded.

        Raises Refused, Again for a failure that may pass, and BadSettings for unusable certificates or proxies.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        first = url
        for _ in range(HOPS + 1):
            sent = headers_for(self._indexes, url, first, {"Accept-Encoding": "identity", **headers})
            timeout = Timeout(connect=self._patience.connect, read=self._patience.read)
            try:
                response: Any = self._pool(url).urlopen(
                    "GET", url, headers=sent, timeout=timeout, redirect=False, retries=False,
                    preload_content=False, decode_content=False,
                )  # fmt: skip
            except (HTTPError, OSError) as error:
                raise failure(error, url) from None
            target = redirect(url, response.status, response.headers.get("Location"))
            if not target:
                return response  # type: ignore[no-any-return]
            response.close()
            url = target
        raise Refused("it redirects too often")

    def _pool(self, url: str) -> PoolManager:
        from urllib3 import PoolManager, ProxyManager

        proxy = self._indexes.proxy(url)
        secure = url[:6].lower() == "https:" or proxy[:6].lower() == "https:"
        with self._mutex:
            if (proxy, secure) not in self._pools:
                context = self._tls() if secure else None
                shared: dict[str, Any] = {"num_pools": 32, "maxsize": self._jobs, "ssl_context": context}
                if not proxy:
                    pool = PoolManager(**shared)
                else:
                    address, secret = proxy_parts(proxy)
                    pool = ProxyManager(address, proxy_headers=secret, proxy_ssl_context=context, **shared)
                self._pools[proxy, secure] = pool
            return self._pools[proxy, secure]

    def _tls(self) -> ssl.SSLContext:
        """Made once and only for https: reading all certificates takes a tenth of a second."""
        if self._context is None:
            self._context = tls_context(self._indexes)
        return self._context

    def read(self, response: HTTPResponse, size: int, url: str) -> bytes:
        """The next bytes of a body, at most `size`, as soon as there are any; empty at its end. Raises Again."""
        from urllib3.exceptions import HTTPError

        try:
            return response.read1(size, decode_content=False)
        except (HTTPError, OSError, ValueError) as error:
            raise failure(error, url) from None

    def close(self) -> None:
        """Close the connections that are idle."""
        with self._mutex:
            for pool in self._pools.values():
                pool.clear()


def headers_for(indexes: Indexes, url: str, first: str, headers: dict[str, str]) -> dict[str, str]:
    """The headers for one step of a chain of redirects that began at `first`. Raises Refused for a forbidden step."""
    why = indexes.refusal(url)
    if why:
        raise Refused(why if url == first else f"it redirects to a place that is refused: {why}")
    origin, begun = Origin.of(url), Origin.of(first)
    if begun.scheme == "https" and origin.scheme != "https":
        raise Refused("it redirects from https to http")
    sent = {"User-Agent": "stager", **headers}
    secret = indexes.authorization(url) if origin == begun else ""
    return {**sent, "Authorization": secret} if secret else sent


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
        raise Refused("it redirects to nowhere") from None
    return urlunsplit((parts.scheme, parts.netloc, parts.path, parts.query, ""))


def again(status: int, headers: Mapping[str, str], url: str) -> Again | None:
    """What a status says about trying again; None when that would not help."""
    if status not in _AGAIN:
        return None
    return Again(f"{host_of(url)} answered {status}", _seconds(headers.get("Retry-After"), headers.get("Date")))


def _seconds(retry_after: str | None, now: str | None) -> float | None:
    """Retry-After (RFC 9110 §10.2.3): seconds, or a date, which is compared with the server's own clock."""
    if not retry_after:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after.strip()[:6])
    from email.utils import mktime_tz, parsedate_tz

    then, asked = parsedate_tz(retry_after), parsedate_tz(now or "")
    return max(0.0, float(mktime_tz(then) - mktime_tz(asked))) if then and asked else None


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
        return Refused(f"no trusted TLS connection to {host}: {_tls_reason(error)}")
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


def host_of(url: str) -> str:
    """A URL's host for people."""
    try:
        return urlsplit(url).hostname or "the server"
    except ValueError:
        return "the server"


def proxy_parts(proxy: str) -> tuple[str, dict[str, str]]:
    """A proxy's address without its password, and the header that carries the password."""
    from urllib3.util import make_headers

    parts = urlsplit(proxy)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
    if parts.username is None:
        return address, {}
    secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return address, {str(key): str(value) for key, value in make_headers(proxy_basic_auth=secret).items()}


def tls_context(indexes: Indexes) -> ssl.SSLContext:
    """A verifying TLS context with the configured certificates. Raises BadSettings for a file that is none."""
    import ssl

    import certifi

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name; without any certificate so far
    for path in dict.fromkeys((*(indexes.ca_files or (certifi.where(),)), *indexes.extra_ca_files)):
        try:
            context.load_verify_locations(cafile=path)
        except OSError as error:
            raise BadSettings(
                path, f"the certificates cannot be read: {error.strerror or 'not PEM'}", "Correct SSL_CERT_FILE."
            ) from None
    return context
