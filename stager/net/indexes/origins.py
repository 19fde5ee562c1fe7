"""Where a URL leads (its origin), and the credentials that are bound to one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import urlsplit

PORTS = {"https": 443, "http": 80}


class Origin(NamedTuple):
    """Scheme, host and port of a URL (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of a URL. Raises ValueError when it has none."""
        parts = urlsplit(url)
        scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
        if not host:
            raise ValueError("it names no host")
        return cls(scheme, host, parts.port or PORTS.get(scheme, 0))


@dataclass(frozen=True, slots=True)
class Credential:
    """The value of an Authorization header and where alone it may go: an origin, below a path."""

    origin: Origin
    path: str
    header: str = field(repr=False)
