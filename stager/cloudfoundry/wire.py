"""One HTTP request and its answer: time-outs, proxies, certificates. The only module here that opens connections."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import PlatformUnavailable, TooLarge
from ..fetching.transport import Again, failure, host_of, tls_context
from ..net.addresses import Refused
from .settings import Settings

_LARGEST = 32 << 20
"""Bytes of an answer that is no droplet."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: its status, headers and whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON, or None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def location(self) -> str:
        """The header Location, empty when there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == "location"), "")


class Unsent(Again):
    """A failure before anything reached the server."""


class Wire:
    """Connections that are kept open. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mutex = threading.Lock()
        self._http: Any = None

    def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            self._http.close()

    def once(self, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Answer:
        """One try of one request, redirects not followed. Raises Again, and what trying again would not mend."""
        with self.response(method, url, headers, body) as response:
            return Answer(response.status_code, dict(response.headers), self._body(response, url))

    @contextmanager
    def response(self, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> Iterator[Any]:
        """The response while its body is still to be read. Raises like `once`, also for what happens inside the block."""
        import requests

        waiting, proxy = self._settings.waiting, self._settings.network.proxy(url)
        response = None
        try:
            response = self._open().request(
                method, url, headers=dict(headers), data=body, stream=True, allow_redirects=False,
                timeout=(waiting.connect, waiting.read), proxies={"http": proxy, "https": proxy} if proxy else {},
            )  # fmt: skip
            yield response
        except (requests.RequestException, OSError) as error:
            raise _failure(error, url) from None
        finally:
            if response is not None:
                response.close()
            if hasattr(body, "close"):
                body.close()

    def _body(self, response: Any, url: str) -> bytes:
        parts, size, until = [], 0, time.monotonic() + 2 * self._settings.waiting.read
        for part in response.iter_content(1 << 16):
            size += len(part)
            if size > _LARGEST:
                raise TooLarge(f"an answer of {host_of(url)}", _LARGEST, size)
            if time.monotonic() > until:
                raise Again(f"{host_of(url)} answers too slowly")
            parts.append(part)
        return b"".join(parts)

    def _open(self) -> Any:
        with self._mutex:
            if self._http is None:
                self._http = _http(self._settings)
            return self._http


def _failure(error: Exception, url: str) -> Exception:
    found = failure(error, url)
    if isinstance(found, Refused):
        hint = "Correct SSL_CERT_FILE, or the platform's certificate."
        return PlatformUnavailable(f"the connection to {host_of(url)}", str(found), hint)
    if isinstance(found, Again) and found.cause.startswith(("no connection", "the name")):
        return Unsent(found.cause)
    return found


def _http(settings: Settings) -> Any:
    """A session of the HTTP library that trusts what the machine trusts and keeps no cookies."""
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
            named.update(tls)
            super().init_poolmanager(*arguments, **named)

        def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
            named.update(tls)
            return super().proxy_manager_for(proxy, **named)

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002
            conn.cert_reqs = "CERT_REQUIRED" if settings.login.verify else "CERT_NONE"

    secure = settings.login.verify and settings.login.api.startswith("https:")  # reading all certificates takes a while
    tls: dict[str, Any] = {"ssl_context": tls_context(settings.network)} if secure else {}
    session = requests.Session()
    session.trust_env = False  # the environment has been read by `indexes.configured`
    session.verify = settings.login.verify
    session.headers["User-Agent"] = "stager"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", Adapter(pool_maxsize=4))
    session.mount("http://", HTTPAdapter(pool_maxsize=4))
    return session
