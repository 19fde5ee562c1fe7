"""What artifacts and pages are asked for with: which step of a chain of redirects is allowed, and its headers."""

from __future__ import annotations

from collections.abc import Mapping

from ..net.addresses import AddressRefused
from ..net.indexes import Indexes
from ..net.indexes.origins import Origin
from ..net.session import Step

ACCESS = "Give the credentials for this host in the index's own configuration (pip.conf, .npmrc, netrc)."
"""How to mend an access that is denied."""


def headers_for(indexes: Indexes, url: str, first: str, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers for one step of a chain of redirects that began at `first`. Raises Refused for a forbidden step."""
    why = indexes.refusal(url)
    if why:
        raise AddressRefused(why if url == first else f"it redirects to a place that is refused: {why}")
    origin, begun = Origin.of(url), Origin.of(first)
    if begun.scheme == "https" and origin.scheme != "https":
        raise AddressRefused("it redirects from https to http")
    sent = {"User-Agent": "stager", **headers}
    secret = indexes.authorization(url) if origin == begun else ""
    return {**sent, "Authorization": secret} if secret else sent


def step(indexes: Indexes, headers: Mapping[str, str]) -> Step:
    """The steps of one request with these headers, for `net.session`."""
    return lambda url, first: headers_for(indexes, url, first, headers)
