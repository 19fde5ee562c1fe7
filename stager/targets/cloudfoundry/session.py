"""Calls with patience and a token, and errors that say what was refused.

A request is tried again only when that cannot do anything twice: when it was never sent, when the server says that it did
not act (429, 503), or when the request is *safe* to repeat. A token goes only to the API it was made for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ...errors import Cancelled, StagerError
from ...fetching.errors import TooLarge
from ...model import Event
from ...net.patience import Again, Tries, again, number, sleep
from ...net.session import Request, Response
from ...text.redaction import Secrets
from ..errors import LoginFailed, PlatformUnavailable, Rejected, TookTooLong
from .login import PLATFORM
from .settings import CfSettings
from .uaa import Tokens
from .wire import ApiAnswer, CfWire, Unsent

_UNDONE = (429, 503)
_PASSING = (408, 429, 500, 502, 503, 504)
_ONCE = "See what became of it, then run the same command again: what is there already is used."

Body = Callable[[], Any]
"""Makes the body of one try: bytes, or an object that `requests` streams."""


class CfSession:
    """One login's connection to the platform; use as a context manager. Safe to share between threads."""

    def __init__(self, settings: CfSettings) -> None:
        self.settings = settings
        self.login = settings.login
        self.waiting = settings.waiting
        self.secrets = Secrets()
        self._wire = CfWire(settings)
        self._tokens = Tokens(self.login, self.secrets, self._wire, self.patiently)

    def __enter__(self) -> CfSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._wire.close()

    # --- requests ----------------------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
        safe: bool = True,
    ) -> ApiAnswer:
        """One request to the API with the login's token; `what` names it in errors, as in "the upload".

        Raises Rejected for an answer that refuses, PlatformUnavailable when patience is at its end, LoginFailed, Cancelled.
        """
        url, token = self.login.api + path, ""

        def act() -> ApiAnswer:
            nonlocal token
            token = self._tokens.header()
            given = {"Authorization": token, "Accept": "application/json", **(headers or {})}
            return self._wire.once(method, url, given, body() if body else None)

        answer = self.patiently(what, act, safe=safe)
        if answer.status == 401:
            self._tokens.renew(token)
            answer = self.patiently(what, act, safe=safe)
        if answer.status >= 300:
            raise self.refused(what, answer)
        return answer

    def patiently(self, what: str, act: Callable[[], ApiAnswer], *, safe: bool = True) -> ApiAnswer:
        """The answer of `act`, tried again while it fails in a way that may pass. Raises PlatformUnavailable, Cancelled."""
        tries = Tries(self.waiting, self._stopping)
        while True:
            self.check_cancelled()
            try:
                answer = act()
            except Again as caught:
                problem, repeat = caught, safe or isinstance(caught, Unsent)
            else:
                if answer.status not in _PASSING:
                    return answer
                later = again(answer.status, answer.headers, self.login.api)
                problem = Again(self.reason(answer), later.wait if later else None)
                repeat = safe or answer.status in _UNDONE
            why = tries.another(problem) if repeat else problem.cause
            if why:
                raise PlatformUnavailable(what, why, "" if repeat else _ONCE)

    # --- errors ------------------------------------------------------------------------------------------------

    def refused(self, what: str, answer: ApiAnswer) -> StagerError:
        """The error for an answer that says no."""
        if answer.status == 401:
            return LoginFailed(PLATFORM, self.reason(answer), "Log in again: cf login.", where=self.login.place)
        if answer.status == 413:
            hint = "Leave files out with .stagerignore, or ask the operator for a higher limit."
            return Rejected(what, PLATFORM, "it is too large for the platform's front", hint, 413)
        hint = ""
        if answer.status == 403:
            hint = f"The login needs the role Space Developer in {self.login.org}/{self.login.space}."
        return Rejected(what, PLATFORM, self.reason(answer), hint, answer.status)

    def reason(self, answer: ApiAnswer) -> str:
        """What an answer says is wrong, in one safe line: the details of v3 errors, else the status."""
        found = details(answer.document)
        return self.secrets.hide(found) if found else f"it answered {answer.status}"

    # --- waiting -----------------------------------------------------------------------------------------------

    def _stopping(self) -> bool:
        return self.settings.cancel is not None and self.settings.cancel.is_set()

    def check_cancelled(self) -> None:
        """Raise Cancelled when the caller asked to stop."""
        if self._stopping():
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than the caller wants to. Raises Cancelled."""
        sleep(seconds, self._stopping)

    def until(self, what: str, seconds: float, look: Callable[[], Any], hint: str) -> Any:
        """Look again and again, ever more rarely, until `look` returns something. Raises TookTooLong, Cancelled."""
        end = time.monotonic() + seconds
        turn = 0
        while (found := look()) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise TookTooLong(what, seconds, hint)
            polls = self.waiting.polls
            self.sleep(min(polls[min(turn, len(polls) - 1)], left))
            turn += 1
        return found

    def tell(self, what: str, done: int = 0, total: int = 0) -> None:
        """Report progress."""
        if self.settings.progress is not None:
            self.settings.progress(Event("push", what, done, total))

    # --- downloads ---------------------------------------------------------------------------------------------

    def download(self, path: str, *, what: str, take: Callable[[bytes], None], limit: int) -> None:
        """Read a file of the API in parts. It may redirect to a blob store, which gets no token.

        Raises Rejected, PlatformUnavailable, TooLarge over `limit` bytes, Cancelled.
        """
        url, headers = self.login.api + path, {"Authorization": self._tokens.header()}
        try:
            with self._wire.response(Request("GET", url), partial(self._wire.step, headers=headers)) as response:
                self._receive(response, what, take, limit)
        except Again as problem:
            raise PlatformUnavailable(what, problem.cause) from None

    def _receive(self, response: Response, what: str, take: Callable[[bytes], None], limit: int) -> None:
        if response.status != 200:
            raise self.refused(what, ApiAnswer(response.status, {}, response.read(1 << 16)))
        size, total = 0, number(response.headers.get("Content-Length")) or 0
        for part in response.parts():
            self.check_cancelled()
            size += len(part)
            if size > limit:
                raise TooLarge(what, limit, size)
            take(part)
            self.tell(f"reading {what}", size, total)
        if total and size != total:
            raise PlatformUnavailable(what, "the connection was cut")


def details(document: Any) -> str:
    """The details of a v3 error document (`errors[].detail`), joined."""
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        return ""
    return "; ".join(str(one.get("detail") or one.get("title") or "") for one in errors[:5] if isinstance(one, dict))
