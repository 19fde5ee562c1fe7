"""Logging in to a registry: Basic (RFC 7617), and bearer tokens from the server that its challenge names.

A registry says in `WWW-Authenticate` what it wants (RFC 9110 §11.6.1). For Bearer, a token is fetched from its `realm` with
the login, or with an identity token by OAuth2 (distribution's "Token Authentication" and "OAuth2" pages). Tokens are kept
in memory for as long as they are good, for one set of scopes each.
"""

from __future__ import annotations

import json
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from ....net.addresses import AddressRefused
from ....net.indexes.origins import Origin
from ....net.patience import again, host_of
from ....net.session import Request
from ....text.redaction import Secrets
from ..errors import AccessDenied
from .credentials import RegistryLogin
from .wire import RegistryWire, is_loopback

_LARGEST = 1 << 20
_LIFETIME = 60.0
"""Seconds a token is good for when its server does not say (distribution's token specification)."""
_DAY = 86400.0
_EARLY = 5.0
"""Seconds before its end from which a token is not used any more."""
_CLIENT = "stager"
_PAIR = re.compile(r'\s*,?\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9-]*)(?=\s|,|$)(?!\s*=)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way a server accepts: the scheme in lower case, its parameters."""

    scheme: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    until: float


def challenges(header: str) -> list[Challenge]:
    """The challenges of a `WWW-Authenticate` value; what cannot be read ends the list."""
    found: list[Challenge] = []
    place = 0
    while match := _SCHEME.match(header, place):
        place = match.end()
        parameters: dict[str, str] = {}
        while pair := _PAIR.match(header, place):
            quoted = re.sub(r"\\(.)", r"\1", pair[2]) if pair[2] is not None else pair[3]
            parameters.setdefault(pair[1].lower(), quoted)
            place = pair.end()
        found.append(Challenge(match[1].lower(), parameters))
    return found


class Authority:
    """The `Authorization` of one registry's requests. Safe to share between threads.

    `login` is called at most once, when the registry first asks.
    """

    def __init__(
        self, wire: RegistryWire, host: str, login: Callable[[], RegistryLogin | None], secrets: Secrets
    ) -> None:
        self._wire = wire
        self._host = host
        self._find = login
        self._secrets = secrets
        self._mutex = threading.Lock()
        self._login: RegistryLogin | None = None
        self._asked = False
        self._basic = ""
        self._tokens: dict[str, _Token] = {}

    def header(self, scopes: str) -> str:
        """What to send for these scopes (separated by spaces) as far as it is known; empty before the first challenge."""
        with self._mutex:
            return self._known(scopes)

    def _known(self, scopes: str) -> str:
        if self._basic:
            return self._basic
        token = self._tokens.get(scopes)
        return token.header if token and time.monotonic() < token.until else ""

    def answer(self, header: str, used: str, scopes: str, what: str) -> None:
        """Take in a 401: get what its challenge asks for, unless another thread has done so since `used` was sent.

        Raises AccessDenied when there is nothing more to offer, and RegistryDown through the caller for Again.
        """
        with self._mutex:
            current = self._known(scopes)
            if current and current != used:
                return
            self._tokens.pop(scopes, None)
            known = {challenge.scheme: challenge for challenge in reversed(challenges(header))}
            if "bearer" in known:
                self._tokens[scopes] = self._bearer(known["bearer"], scopes, what)
            elif "basic" in known:
                self._use_basic(used, what)
            else:
                raise AccessDenied(what, self._host, "the registry wants a login of a kind that stager does not know")

    def _use_basic(self, used: str, what: str) -> None:
        login = self._logged_in()
        if login is None or not login.password:
            raise AccessDenied(what, self._host, f"the registry {self._host} wants a login, and there is none for it")
        header = _basic(login)
        if used == header:
            self._basic = ""
            raise AccessDenied(what, self._host, f"the registry {self._host} does not accept the login")
        self._basic = header

    def _logged_in(self) -> RegistryLogin | None:
        if not self._asked:
            login = self._find()
            if login:
                self._secrets.add(*login.secrets, _basic(login).partition(" ")[2])
            self._login, self._asked = login, True
        return self._login

    # --- bearer tokens -----------------------------------------------------------------------------------------

    def _bearer(self, challenge: Challenge, scopes: str, what: str) -> _Token:
        login = self._logged_in()
        if login and login.bearer:
            return _Token(f"Bearer {login.bearer}", time.monotonic() + 3600.0)
        realm, service = challenge.parameters.get("realm", ""), challenge.parameters.get("service", "")
        self._check(realm, login, what)
        if login and login.identity:
            return self._exchange(realm, service, scopes, login, what)
        query = [*([("service", service)] if service else []), *(("scope", scope) for scope in scopes.split())]
        if login:
            query.append(("account", login.user))
        parts = urlsplit(realm)
        joined = "&".join(filter(None, (parts.query, urlencode(query, quote_via=quote))))
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, joined, ""))
        return self._fetch("GET", url, _basic(login) if login and login.password else "", None, what)

    def _check(self, realm: str, login: RegistryLogin | None, what: str) -> None:
        """Refuse a token server that a password must not go to."""
        try:
            origin = Origin.of(realm)
        except ValueError:
            raise AccessDenied(what, self._host, "the registry names no token server") from None
        why = self._wire.refusal(realm)
        own = self._wire.origin
        if not why and login and origin.scheme != "https" and origin.host != own.host and not is_loopback(origin.host):
            why = "a login would go over an unencrypted connection"
        if why:
            raise AccessDenied(what, self._host, f"the registry names the token server {origin.host}: {why}")

    def _exchange(self, realm: str, service: str, scopes: str, login: RegistryLogin, what: str) -> _Token:
        """An identity token for a bearer token (RFC 6749 §6)."""
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": _CLIENT,
            "scope": scopes,
            "refresh_token": login.identity,
        }
        return self._fetch("POST", realm, "", urlencode(form, quote_via=quote).encode(), what)

    def _fetch(self, method: str, url: str, authorization: str, form: bytes | None, what: str) -> _Token:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        begun = time.monotonic()
        try:
            body = None if form is None else lambda: [form]
            request = Request(method, url, headers, body, len(form or b""))
            owner = Origin.of(url)
            with self._wire.exchange(
                request, authorization=authorization, owner=owner, follow=body is None
            ) as response:
                status, data = response.status, response.all(_LARGEST)
                later = again(status, response.headers, url)
        except AddressRefused as refused:
            raise AccessDenied(what, self._host, f"no token from {host_of(url)}: {refused}") from None
        if later:
            raise later
        if status != 200:
            with_login = authorization or form is not None
            why = "does not accept the login" if with_login else f"gives no token without a login ({status})"
            raise AccessDenied(what, self._host, f"the token server {host_of(url)} {why}")
        return self._read(data, begun, url, what)

    def _read(self, data: bytes, begun: float, url: str, what: str) -> _Token:
        """The answer: `token` or `access_token`, and `expires_in` in seconds."""
        try:
            document = json.loads(data)
            token = document.get("token") or document["access_token"]
            lifetime = seconds_of(document.get("expires_in"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            token, lifetime = "", 0.0
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise AccessDenied(what, self._host, f"what the token server {host_of(url)} answers holds no token")
        self._secrets.add(token)
        if isinstance(document.get("refresh_token"), str):
            self._secrets.add(document["refresh_token"])
        return _Token(f"Bearer {token}", begun + max(lifetime - _EARLY, 1.0))


def seconds_of(told: object) -> float:
    """How long a token is good for: what its server says, if that is a time, and a day at most."""
    if isinstance(told, (int, float)) and not isinstance(told, bool) and told > 0:
        return float(min(told, _DAY))
    return _LIFETIME


def _basic(login: RegistryLogin) -> str:
    return "Basic " + b64encode(f"{login.user}:{login.password}".encode()).decode()
