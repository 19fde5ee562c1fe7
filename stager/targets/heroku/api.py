"""The Platform API, version 3: one request at a time, patient with what may pass, exact about what was refused.

The token goes to the API alone, never to the addresses it hands out (a slug's blob, a release's output), which are secrets
themselves: errors name their host and nothing else. Redirects are not followed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ...net.addresses import AddressRefused
from ...net.indexes.origins import Origin
from ...net.patience import Again, Patience, Tries, again, host_of, sleep
from ...net.session import Request, Response, Session
from ...text import parsing
from ...text.redaction import Secrets
from ..errors import LoginFailed, PlatformUnavailable, Rejected
from .login import HerokuLogin, secure

if TYPE_CHECKING:
    from ...net.indexes import Indexes

ACCEPT = "application/vnd.heroku+json; version=3"
_LARGEST = 8 << 20
"""Bytes of an answer that are read."""
_MEANING = {
    "two_factor": "the account wants a second factor for this; use a token made for automation",
    "verification_required": "the account must be verified first",
    "suspended": "the account is suspended",
    "delinquent": "the account has unpaid bills",
}
"""Error ids that call for more than what the server says."""


class Unsure(Exception):
    """A request that must not be repeated blindly got no clear answer: it may or may not have been done."""


class Limited(Again):
    """The rate limit was reached, before anything was done."""


class Expired(Exception):
    """A handed-out address that no longer accepts what it was made for."""


class HerokuApi:
    """A connection to the API. `patience` says how often and how long to try."""

    def __init__(
        self,
        login: HerokuLogin,
        indexes: Indexes,
        patience: Patience | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._login = login
        self._secrets = Secrets([login.token])
        self._patience = patience or Patience()
        self._stopping = stopping
        network = replace(indexes, trusted=frozenset({Origin.of(login.api)}))
        self._session = Session(network, self._patience, stopping=stopping)

    # --- the API itself --------------------------------------------------------------------------------------

    def get(self, what: str, *path: str, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON at a path, whose parts are quoted. `what` is what errors call it."""
        return self._patiently(what, lambda: self._ask("GET", path, None, headers or {}, what))

    def post(self, what: str, *path: str, body: Mapping[str, object]) -> Any:
        """Make something that does no harm when it is made twice; the answer's JSON."""
        return self._patiently(what, lambda: self._ask("POST", path, body, {}, what))

    def post_once(self, what: str, *path: str, body: Mapping[str, object]) -> Any:
        """Make something that must not be made twice. Raises Unsure when it may have been made, without trying again."""

        def attempt() -> Any:
            try:
                return self._ask("POST", path, body, {}, what)
            except Limited:
                raise
            except Again as problem:
                raise Unsure(problem.cause) from None

        return self._patiently(what, attempt)

    def _patiently(self, what: str, attempt: Callable[[], Any]) -> Any:
        tries = Tries(self._patience, self._stopping)
        while True:
            try:
                return attempt()
            except Again as problem:
                why = tries.another(problem)
                if why:
                    raise PlatformUnavailable(what, why) from None
            except AddressRefused as refused:
                raise PlatformUnavailable(what, str(refused), "Correct the proxy or certificate settings.") from None

    def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        body: Mapping[str, object] | None,
        headers: Mapping[str, str],
        what: str,
    ) -> Any:
        url = self._login.api + "".join("/" + quote(part, safe="") for part in path)
        sent = {"Accept": ACCEPT, "Authorization": f"Bearer {self._login.token}", **headers}
        request = Request(method, url, sent)
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
            request = Request(method, url, sent, lambda: data, len(data))
        with self._session.exchange(request) as response:
            content = response.all(_LARGEST)
            if response.status // 100 == 2:
                return self._parsed(content, what)
            raise self._refusal(response, content, url, what)

    def _parsed(self, content: bytes, what: str) -> Any:
        try:
            return parsing.json(content)
        except (ValueError, RecursionError):
            raise PlatformUnavailable(what, "the answer is no JSON") from None

    def _refusal(self, response: Response, content: bytes, url: str, what: str) -> Exception:
        status = response.status
        later = again(status, response.headers, url)
        if later:
            left = str(response.headers.get("RateLimit-Remaining", ""))
            text = f"Heroku's rate limit is used up ({left if left.isascii() and left.isdecimal() else 'no'} requests left)"
            return Limited(text, later.wait) if status == 429 else later
        kind, said = self._explanation(content)
        if status == 401:
            hint = "Run 'heroku login' again, or correct HEROKU_API_KEY."
            return LoginFailed(
                "Heroku", f"the token was not accepted ({kind or 'unauthorized'})", hint, self._login.source
            )
        hint = {403: "Use an account that may do this.", 404: "Check the app's name and that you may see it."}.get(
            status, ""
        )
        why = ": ".join(filter(None, [kind, _MEANING.get(kind) or said])) or f"it answered {status}"
        return Rejected(what, "Heroku", why, hint, status)

    def _explanation(self, content: bytes) -> tuple[str, str]:
        """The error's id and message, made safe to show: one line, cut, and without the token should it be echoed."""
        try:
            found = parsing.json(content)
            kind, said = str(found["id"]), str(found["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return "", ""
        return self._secrets.hide(kind)[:40], self._secrets.hide(said)

    # --- addresses it hands out ------------------------------------------------------------------------------

    def upload(self, what: str, url: str, path: str) -> None:
        """PUT a file to a slug's blob address, from its beginning with each try. Raises Expired for an address too old."""

        def attempt() -> None:
            # The address is signed for an upload without a content type; any other would make it another request.
            size, grace = os.stat(path).st_size, self._patience.grace
            with open(path, "rb") as file:
                request = Request("PUT", url, {"Content-Type": ""}, lambda: file, size, grace)
                with self._session.exchange(request) as response:
                    self._uploaded(response, url, what)

        if not secure(url):
            raise Rejected(what, "Heroku", "the address to upload to is not https", "Report this to Heroku.")
        self._patiently(what, attempt)

    def _uploaded(self, response: Response, url: str, what: str) -> None:
        status = response.status
        if status in (401, 403):
            raise Expired
        later = again(status, response.headers, url)
        if later:
            raise later
        if status // 100 != 2:
            raise Rejected(what, host_of(url), f"it answered {status}", status=status)

    def stream(self, url: str, seconds: float) -> Iterator[str]:
        """The output of a release phase as it comes, in parts, for that many seconds at most; ends early when the connection
        does."""
        if not secure(url):
            return
        try:
            with self._session.exchange(Request("GET", url, grace=seconds, read=self._patience.grace)) as response:
                if response.status == 200:
                    for part in response.parts():
                        yield part.decode("utf-8", "replace")
        except (Again, AddressRefused):
            return

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than the caller wants to. Raises Cancelled."""
        sleep(seconds, self._stopping)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
