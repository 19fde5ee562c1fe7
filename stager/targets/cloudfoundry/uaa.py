"""Tokens from UAA (RFC 6749): by the refresh token while it holds, else by password or client credentials.

The `cf` client's own file is not written: a token that is had here serves this run alone.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from ...errors import StagerError
from ...net.patience import host_of
from ...text.redaction import Secrets
from ..errors import LoginFailed
from .login import PLATFORM, CfLogin, refusal
from .wire import ApiAnswer, CfWire

Patiently = Callable[[str, Callable[[], ApiAnswer]], ApiAnswer]
"""Does what is safe to repeat as often as patience allows; the text names it in errors."""


class Tokens:
    """A login's access token, renewed on demand. Safe to share between threads."""

    def __init__(self, login: CfLogin, secrets: Secrets, wire: CfWire, patiently: Patiently) -> None:
        self._login = login
        self._secrets = secrets
        self._wire = wire
        self._patiently = patiently
        self._mutex = threading.Lock()
        self._access = login.access_token
        self._refresh = login.refresh_token
        secrets.add(*login.secrets())

    def header(self) -> str:
        """The value for `Authorization`. Raises LoginFailed, PlatformUnavailable."""
        with self._mutex:
            if not self._access:
                self._fetch()
            return self._access

    def renew(self, old: str) -> None:
        """Get another token than `old`, unless another thread just did. Raises LoginFailed, PlatformUnavailable."""
        with self._mutex:
            if self._access == old:
                self._fetch()

    def _fetch(self) -> None:
        refused: StagerError | None = None
        for form in self._grants():
            answer = self._ask(form)
            document = answer.document
            if answer.status == 200 and isinstance(document, dict) and document.get("access_token"):
                self._keep(document)
                return
            refused = self._refused(answer)
        raise refused or self._error("the login has expired")

    def _grants(self) -> Iterator[dict[str, str]]:
        """RFC 6749 §6 (refresh token), §4.4 (client credentials), §4.3 (password)."""
        if self._refresh:
            yield {"grant_type": "refresh_token", "refresh_token": self._refresh}
        if self._login.grant == "client_credentials":
            yield {"grant_type": "client_credentials"}
        elif self._login.password:
            yield {"grant_type": "password", "username": self._login.username, "password": self._login.password}

    def _ask(self, form: Mapping[str, str]) -> ApiAnswer:
        basic = base64.b64encode(f"{self._login.client}:{self._login.client_secret}".encode()).decode()
        headers = {
            "Accept": "application/json",
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        url, body = self._uaa() + "/oauth/token", urlencode(form)
        return self._patiently("the login", lambda: self._wire.once("POST", url, headers, body))

    def _uaa(self) -> str:
        """UAA's address: the client's file knows it, else the API's root says it."""
        found = self._login.uaa
        if not found:
            answer = self._patiently("the API's root", lambda: self._wire.once("GET", self._login.api + "/", {}))
            links = answer.document.get("links") if isinstance(answer.document, dict) else None
            link = (links.get("uaa") or links.get("login")) if isinstance(links, dict) else None
            found = str(link.get("href", "")).rstrip("/") if isinstance(link, dict) else ""
        if not found or refusal(found):
            why = f"{host_of(self._login.api)} does not say where its UAA is"
            raise LoginFailed(PLATFORM, why, "Check that CF_API is a Cloud Foundry API.", where=self._login.place)
        return found

    def _keep(self, document: Mapping[str, Any]) -> None:
        access, refresh = str(document["access_token"]), str(document.get("refresh_token") or "")
        self._secrets.add(access, refresh)
        self._access = f"bearer {access}"
        self._refresh = refresh or self._refresh

    def _refused(self, answer: ApiAnswer) -> StagerError:
        document = answer.document if isinstance(answer.document, dict) else {}
        why = self._secrets.hide(str(document.get("error_description") or document.get("error") or ""))
        return self._error(why or f"UAA answered {answer.status}")

    def _error(self, why: str) -> StagerError:
        hint = "Run 'cf login' again, or correct the variables."
        return LoginFailed(PLATFORM, why, hint, where=self._login.place)
