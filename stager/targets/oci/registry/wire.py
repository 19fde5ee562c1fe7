"""HTTP with one registry and the hosts it points to: who may be asked.

The registry is the operator's word and may be on a private network. What it points to (a redirect, the place of an upload,
a token server) is its own word: that must be https at a public address, unless the operator allows or configured it, and
gets no credential made for another origin.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ....net.addresses import AddressRefused
from ....net.indexes.origins import Origin
from ....net.session import Request, Response, Session
from .access import Access


class RegistryWire:
    """Exchanges with the registry at `base` (`https://host:port`). Safe to share between threads."""

    def __init__(self, base: str, access: Access) -> None:
        self.base = base
        self.origin = Origin.of(base)
        self._network = replace(access.indexes, trusted=frozenset({self.origin}))
        self._session = Session(
            self._network,
            access.patience,
            stopping=access.stopping,
            jobs=max(32, access.jobs),
            direct=is_loopback,  # as Go's clients have it
        )

    @contextmanager
    def exchange(
        self,
        request: Request,
        *,
        authorization: str = "",
        owner: Origin | None = None,
        follow: bool = True,
    ) -> Iterator[Response]:
        """One request and its answer, its body still to be read inside the `with` block.

        `authorization` is sent to `owner` alone (default: the registry). Redirects are followed, with the body when there is
        one. Raises Refused, Again and Cancelled; exceptions of the block pass.
        """

        def step(url: str, first: str) -> dict[str, str]:
            why = self.refusal(url)
            if why:
                raise AddressRefused(why if url == first else f"it points to a place that is refused: {why}")
            if url != first and not follow:
                raise AddressRefused(f"it answers {request.method} with a redirect")
            ours = authorization and Origin.of(url) == (owner or self.origin)
            return {"Authorization": authorization} if ours else {}

        with self._session.exchange(request, step) as response:
            yield response

    def refusal(self, url: str) -> str:
        """Why the registry may not send us to this URL; empty when it may."""
        try:
            origin = Origin.of(url)
        except ValueError:
            return "it is not a URL"
        if self.origin.scheme == "https" and origin.scheme == "http":
            return "it leads from https to http"
        return self._network.refusal(url)

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()


def is_loopback(host: str) -> bool:
    """Whether a host, as written, is this machine: where Docker speaks http without being told to."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
