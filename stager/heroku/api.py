"""The Platform API, version 3: one request at a time, patient with what may pass, exact about what was refused.

The token goes to the API alone, never to the addresses it hands out (a slug's blob, a release's output), which are secrets
themselves: errors name their host and nothing else. Redirects are not followed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import LoginFailed, PlatformUnavailable, Rejected
from ..fetching.transport import Again, Patience, again, failure, host_of, tls_context
from ..net.addresses import Refused
from .login import Login, secure

if TYPE_CHECKING:
    from ..indexes import Indexes

ACCEPT = "application/vnd.heroku+json; version=3"
_LARGEST = 8 << 20
"""Bytes of an answer that are read."""
_LONGEST = 300
"""Characters of a server's explanation that are shown."""
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


class Api:
    """A connection to the API. `patience` says how often and how long to try."""

    def __init__(self, login: Login, indexes: Indexes, patience: Patience | None = None) -> None:
        self._login = login
        self._indexes = indexes
        self._patience = patience or Patience()
        self._session: Any = None

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
        failures = 0
        while True:
            try:
                return attempt()
            except Again as problem:
                failures += 1
                if failures > len(self._patience.waits):
                    raise PlatformUnavailable(what, problem.cause) from None
                time.sleep(self._patience.wait(failures, problem.wait))
            except Refused as refused:
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
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        with self._open(method, url, sent, data) as response:
            content = self._content(response, url)
            if response.status_code // 100 == 2:
                return self._parsed(content, what)
            raise self._refusal(response, content, url, what)

    def _parsed(self, content: bytes, what: str) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise PlatformUnavailable(what, "the answer is no JSON") from None

    def _refusal(self, response: Any, content: bytes, url: str, what: str) -> Exception:
        status = response.status_code
        later = again(status, response.headers, url)
        if later:
            left = str(response.headers.get("RateLimit-Remaining", ""))
            text = f"Heroku's rate limit is used up ({left if left.isdecimal() else 'no'} requests left)"
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
            found = json.loads(content)
            kind, said = str(found["id"]), str(found["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return "", ""
        return self._shown(kind)[:40], self._shown(said)

    def _shown(self, text: str) -> str:
        line = "".join(sign if sign.isprintable() else " " for sign in text.replace(self._login.token, "[token]"))
        return line[:_LONGEST]

    # --- addresses it hands out ------------------------------------------------------------------------------

    def upload(self, what: str, url: str, path: str) -> None:
        """PUT a file to a slug's blob address, from its beginning with each try. Raises Expired for an address too old."""

        def attempt() -> None:
            # The address is signed for an upload without a content type; any other would make it another request.
            with open(path, "rb") as file, self._open("PUT", url, {"Content-Type": ""}, file, longest=True) as response:
                self._uploaded(response, url, what)

        if not secure(url):
            raise Rejected(what, "Heroku", "the address to upload to is not https", "Report this to Heroku.")
        self._patiently(what, attempt)

    def _uploaded(self, response: Any, url: str, what: str) -> None:
        status = response.status_code
        if status in (401, 403):
            raise Expired
        later = again(status, response.headers, url)
        if later:
            raise later
        if status // 100 != 2:
            raise Rejected(what, host_of(url), f"it answered {status}", status=status)

    def stream(self, url: str) -> Iterator[str]:
        """The output of a release phase as it comes, in parts; ends early when the connection does."""
        if not secure(url):
            return
        try:
            with self._open("GET", url, {}, None, longest=True) as response:
                if response.status_code == 200:
                    for part in response.iter_content(None):
                        yield part.decode("utf-8", "replace")
        except (Again, Refused):
            return
        except Exception as error:
            import requests

            if not isinstance(error, (requests.RequestException, OSError)):
                raise

    # --- connections -----------------------------------------------------------------------------------------

    @contextmanager
    def _open(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | IO[bytes] | None, longest: bool = False
    ) -> Iterator[Any]:
        import requests

        proxy = self._indexes.proxy(url)
        patience = self._patience
        try:
            response = self._connected().request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **headers},
                data=data,
                allow_redirects=False,
                stream=True,
                timeout=(patience.connect, patience.grace if longest else patience.read),
                proxies={"http": proxy, "https": proxy} if proxy else {},
            )
        except (requests.RequestException, OSError) as error:
            raise failure(error, url) from None
        try:
            yield response
        finally:
            response.close()

    def _content(self, response: Any, url: str) -> bytes:
        import requests

        found = b""
        guard = threading.Timer(self._patience.grace, _interrupt, [response.raw])  # ends what drips for too long
        guard.daemon = True
        guard.start()
        try:
            for part in response.iter_content(1 << 16):
                found += part
                if len(found) > _LARGEST:
                    raise Refused(f"{host_of(url)} answers without end")
        except (requests.RequestException, OSError) as error:
            raise failure(error, url) from None
        finally:
            guard.cancel()
        return found

    def _connected(self) -> Any:
        if self._session is None:
            self._session = _session(self._indexes)
        return self._session

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()


def _interrupt(raw: Any) -> None:
    with suppress(ValueError, RuntimeError, OSError, AttributeError):
        raw.shutdown()


def _session(indexes: Indexes) -> Any:
    """A session that takes nothing from the environment: requests would add netrc's passwords by itself."""
    from http.cookiejar import DefaultCookiePolicy

    import requests
    from requests.adapters import HTTPAdapter

    context = tls_context(indexes)

    class Adapter(HTTPAdapter):
        """Connections that trust the configured certificates alone."""

        def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
            super().init_poolmanager(*arguments, **named, ssl_context=context)

        def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
            return super().proxy_manager_for(proxy, **named, ssl_context=context, proxy_ssl_context=context)

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002
            conn.cert_reqs = "CERT_REQUIRED"

    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    session.headers["User-Agent"] = "stager"
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", Adapter())
    session.mount("http://", Adapter())
    return session
