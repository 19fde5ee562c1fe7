"""What a registry's refusal means: its status, and the error document of the distribution specification ("Error Codes")."""

from __future__ import annotations

import json
from typing import Any

from ....net.addresses import AddressRefused
from ....net.errors import NotFound
from ....net.patience import Again, again
from ....text.redaction import Secrets
from ..errors import AccessDenied, RegistryFull, RegistryRefused

_LARGEST = 1 << 16
_HTTPS = "HTTPS"
"""What Go's and nginx's answers to http on an https port hold."""


def problem(response: Any, what: str, host: str, secrets: Secrets, *, wanted: bool) -> Exception:
    """The error for an answer: Again for an overload, NotFound for a 404 on something that was `wanted`.

    The registry's own words are part of it, unless they hold a secret.
    """
    status = response.status
    said, body = _said(response, secrets)
    if status == 507 or _is_full(status, body):
        return RegistryFull(what, host, said)
    later = again(status, response.headers, f"https://{host}")
    if later:
        return later
    if status == 404 and wanted:
        return NotFound(what, "Check the name of the image, its tag and its registry.")
    if status == 401:
        return denied(what, host)
    if status == 403:
        return AccessDenied(what, host, f"the registry {host} forbids it" + (f" ({said})" if said else ""))
    if status == 400 and _HTTPS in said:
        hint = "The registry speaks https: name it by another host name than this machine's own."
        return RegistryRefused(what, status, said, hint)
    return RegistryRefused(what, status, said)


def denied(what: str, host: str) -> AccessDenied:
    """The error for a login that is known, but not enough."""
    return AccessDenied(what, host, f"the registry {host} refuses it with the login that there is")


def _said(response: Any, secrets: Secrets) -> tuple[str, str]:
    """A refusal's first error for people (without secrets and control signs), and its raw text."""
    try:
        body = response.all(_LARGEST).decode("utf-8", "replace")
    except (Again, AddressRefused):
        return "", ""
    try:
        first = json.loads(body)["errors"][0]
        words: tuple[str, ...] = (str(first.get("code", "")), str(first.get("message", "")))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        words = (body if len(body) < 200 and "<" not in body else "",)
    return secrets.withhold(": ".join(filter(None, words))), body


def _is_full(status: int, body: str) -> bool:
    """Whether a failure is for lack of room: distribution hands on the file system's ENOSPC as `"Err":28`."""
    lower = body.lower()
    return status >= 400 and status != 429 and ('"err":28' in lower or "no space left" in lower or "quota" in lower)
