"""One HTTP request and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ...fetching.errors import TooLarge
from ...net.addresses import AddressRefused
from ...net.indexes.origins import Origin
from ...net.patience import Again, host_of
from ...net.session import Request, Response, Session, Step
from ...text import parsing
from ..errors import PlatformUnavailable
from .settings import CfSettings

_LARGEST = 32 << 20
"""Bytes of an answer that is no droplet."""


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """A response: its status, headers and whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON, or None when it is none."""
        try:
            return parsing.json(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def location(self) -> str:
        """The header Location, empty when there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == "location"), "")


class Unsent(Again):
    """A failure before anything reached the server."""


class CfWire:
    """Connections that are kept open. Safe to share between threads."""

    def __init__(self, settings: CfSettings) -> None:
        login, cancel = settings.login, settings.cancel
        self._own = frozenset(Origin.of(url) for url in (login.api, login.uaa) if url)
        self._network = replace(settings.network, trusted=self._own)
        stopping = cancel.is_set if cancel is not None else lambda: False
        self._http = Session(self._network, settings.waiting, stopping=stopping, jobs=4, verify=login.verify)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def once(self, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> ApiAnswer:
        """One try of one request, redirects not followed. Raises Again, and what trying again would not mend."""
        sent = Request(method, url, headers, None if body is None else lambda: body, len(body or b""))
        try:
            with self.response(sent) as response:
                return ApiAnswer(response.status, dict(response.headers), _whole(response))
        finally:
            if hasattr(body, "close"):
                body.close()

    @contextmanager
    def response(self, request: Request, step: Step | None = None) -> Iterator[Response]:
        """The response while its body is still to be read. Raises like `once`, also for what happens inside the block."""
        try:
            with self._http.exchange(request, step) as response:
                yield response
        except Again as problem:
            unsent = problem.cause.startswith(("no connection", "the name"))
            raise (Unsent(problem.cause) if unsent else problem) from None
        except AddressRefused as refused:
            raise PlatformUnavailable(
                f"the connection to {host_of(request.url)}", str(refused), _hint(refused)
            ) from None

    def step(self, url: str, first: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers for a step of a download: what a redirect leads to gets none. Raises Refused."""
        why = self._network.refusal(url)
        if why:
            raise AddressRefused(f"it redirects to a place that is refused: {why}")
        if urlsplit(first).scheme == "https" and urlsplit(url).scheme != "https":
            raise AddressRefused("it redirects from https to http")
        return headers if url == first else {}


def _whole(response: Response) -> bytes:
    parts, size = [], 0
    for part in response.parts():
        size += len(part)
        if size > _LARGEST:
            raise TooLarge(f"an answer of {host_of(response.url)}", _LARGEST, size)
        parts.append(part)
    return b"".join(parts)


def _hint(refused: AddressRefused) -> str:
    return "Correct SSL_CERT_FILE, or the platform's certificate." if "TLS" in str(refused) else ""
