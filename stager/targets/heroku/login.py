"""Who is logged in to Heroku: what the heroku client itself would use.

`HEROKU_API_KEY` before `~/.netrc` (where `heroku login` writes); `HEROKU_HOST` names another API. Nothing of a secret is ever
part of an error: a netrc file that cannot be read is named, not quoted.
"""

from __future__ import annotations

import ipaddress
import netrc
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import LoginFailed

_HOST = "heroku.com"
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9.-]*|[0-9a-f:]+:[0-9a-f:]*")
_HINT = "Run 'heroku login', or set HEROKU_API_KEY to the output of 'heroku auth:token'."


@dataclass(frozen=True, slots=True)
class HerokuLogin:
    """An API's address without a final slash, and the token for it."""

    api: str
    token: str = field(repr=False)
    source: str = ""
    """Where the token comes from, for people."""


def find(environ: Mapping[str, str], home: str) -> HerokuLogin:
    """The login that the environment or the home folder holds. Raises LoginFailed."""
    api = address(environ.get("HEROKU_HOST", ""))
    key = environ.get("HEROKU_API_KEY", "").strip()
    if key:
        return HerokuLogin(api, _usable(key, "HEROKU_API_KEY"), "HEROKU_API_KEY")
    path = f"{home}/.netrc"
    return HerokuLogin(api, _usable(_password(path, api), path), path)


def address(host: str) -> str:
    """The API's URL for a `HEROKU_HOST`, which is a domain or, as a URL, the API itself. Raises LoginFailed."""
    host = host.strip().removesuffix("/") or _HOST
    url = host if "://" in host else f"https://api.{host}"
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname or "", parts.port
    except ValueError:
        name = ""
    if not _DOMAIN.fullmatch(name) or parts.path or parts.query or "@" in parts.netloc:
        raise LoginFailed("Heroku", "HEROKU_HOST is no host", "Unset it, or set it to a domain.", "HEROKU_HOST")
    if not secure(url):
        why = "HEROKU_HOST would send the token unencrypted"
        raise LoginFailed("Heroku", why, "Unset it, or use https.", "HEROKU_HOST")
    return url


def secure(url: str) -> bool:
    """Whether a secret may go there: https, or this machine itself."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "https":
            return bool(parts.hostname)
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _password(path: str, api: str) -> str:
    """The password of the API's own entry; netrc's `default` would offer one to any host and is not used."""
    try:
        hosts = netrc.netrc(path).hosts
    except FileNotFoundError:
        raise LoginFailed("Heroku", "there is no HEROKU_API_KEY and no netrc file", _HINT, path) from None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        raise LoginFailed("Heroku", "it is not what netrc(5) describes, or cannot be read", _HINT, path) from None
    name = urlsplit(api).hostname or ""
    entry = hosts.get(name)
    if entry is None or not entry[2]:
        raise LoginFailed("Heroku", f"the file has no password for {name}", _HINT, path)
    return entry[2]


def _usable(token: str, place: str) -> str:
    if not token.isascii() or not token.isprintable() or " " in token:
        raise LoginFailed("Heroku", "the token holds a character that no token has", _HINT, place)
    return token
