"""Where to push and as whom: variables of the environment, or what the `cf` client keeps after `cf login`.

Variables are `cf`'s own names: CF_API, CF_USERNAME, CF_PASSWORD, CF_ORG, CF_SPACE; CF_CLIENT_ID and CF_CLIENT_SECRET for a
UAA client instead of a user. The file is `$CF_HOME/.cf/config.json`; it is only read, never written.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ...errors import StagerError
from ...files import limits, regular
from ...text import parsing
from ...text.typed import Node
from ..errors import LoginFailed

PLATFORM = "Cloud Foundry"
_HINT = "Run 'cf login', or set CF_API, CF_USERNAME and CF_PASSWORD (or CF_CLIENT_ID and CF_CLIENT_SECRET)."


@dataclass(frozen=True, slots=True)
class CfLogin:
    """A target and the credentials for it. What is secret does not show in its representation."""

    api: str
    """The API's URL without a final slash."""
    org: str = ""
    space: str = ""
    org_guid: str = ""
    space_guid: str = ""
    """GUIDs are those of the client's file and hold only for its own names."""
    username: str = ""
    password: str = field(default="", repr=False)
    client: str = "cf"
    client_secret: str = field(default="", repr=False)
    grant: str = "password"
    """`password` or `client_credentials`: how a new token is had when there is no refresh token."""
    access_token: str = field(default="", repr=False)
    """With its type, as the client keeps it: `bearer eyJ…`."""
    refresh_token: str = field(default="", repr=False)
    uaa: str = ""
    verify: bool = True
    """False when the user told `cf` to skip the check of certificates."""
    place: str = ""
    """Where this login was found, for errors."""

    def secrets(self) -> tuple[str, ...]:
        """Everything in here that nobody may see."""
        bare = self.access_token.rpartition(" ")[2]
        return tuple(one for one in (self.password, self.client_secret, bare, self.refresh_token) if one)


def find_login(environ: Mapping[str, str], home: str, org: str = "", space: str = "") -> CfLogin:
    """The login that the environment or the `cf` client's file gives; `org` and `space` overrule both.

    Raises LoginFailed when there is none, or it is incomplete.
    """
    if environ.get("CF_USERNAME") or environ.get("CF_CLIENT_ID"):
        found = _from_variables(environ, home)
    else:
        found = _from_file(_config_path(environ, home), environ.get("CF_API", ""))
    org, space = org or environ.get("CF_ORG", ""), space or environ.get("CF_SPACE", "")
    return _checked(_targeted(found, org, space))


def _config_path(environ: Mapping[str, str], home: str) -> str:
    return os.path.join(environ.get("CF_HOME") or home, ".cf", "config.json")


def _from_variables(environ: Mapping[str, str], home: str) -> CfLogin:
    named = "CF_CLIENT_ID" if environ.get("CF_CLIENT_ID") else "CF_USERNAME"
    secret = "CF_CLIENT_SECRET" if named == "CF_CLIENT_ID" else "CF_PASSWORD"
    if not environ.get(secret):
        raise LoginFailed(PLATFORM, f"{named} is set and {secret} is not", f"Set {secret}, or unset {named}.")
    api = environ.get("CF_API", "")
    kept = _from_file(_config_path(environ, home), api, forgiving=True)
    if not api and not kept.api:
        raise LoginFailed(PLATFORM, f"{named} is set and CF_API is not", "Set CF_API to the API's URL.")
    place = f"the variables {named} and {secret}"
    shared: dict[str, Any] = {"api": api or kept.api, "uaa": kept.uaa, "verify": kept.verify, "place": place}
    target: dict[str, Any] = {"org": kept.org, "space": kept.space}
    if named == "CF_CLIENT_ID":
        identity: dict[str, Any] = {
            "client": environ[named],
            "client_secret": environ[secret],
            "grant": "client_credentials",
        }
        return CfLogin(**shared, **target, **identity)
    return CfLogin(**shared, **target, username=environ[named], password=environ[secret])


def _from_file(path: str, api: str, *, forgiving: bool = False) -> CfLogin:
    """What `cf login` left. With another `api` than the file's, nothing in the file applies."""
    document = _read(path, forgiving)
    if document is None:
        return CfLogin("")
    node = Node(document, path, fail_with=_bad)
    found = _login_of(node, path)
    other = api and found.api and api.rstrip("/") != found.api
    if forgiving:
        return CfLogin("") if other else found
    if other:
        raise LoginFailed(PLATFORM, f"CF_API is not the API that 'cf' is logged in to ({found.api})", _HINT, where=path)
    if not found.api or not (found.access_token or found.refresh_token):
        raise LoginFailed(PLATFORM, "the cf client is not logged in", _HINT, where=path)
    return found


def _login_of(node: Node, path: str) -> CfLogin:
    org, space = node.table("OrganizationFields"), node.table("SpaceFields")
    named = {key: str(value.value or "") for key, value in org.items()}
    spaced = {key: str(value.value or "") for key, value in space.items()}
    return CfLogin(
        api=node.str("Target", "").rstrip("/"),
        org=named.get("Name", ""),
        org_guid=named.get("GUID", ""),
        space=spaced.get("Name", ""),
        space_guid=spaced.get("GUID", ""),
        client=node.str("UAAOAuthClient", "") or "cf",
        client_secret=node.str("UAAOAuthClientSecret", ""),
        grant="client_credentials" if node.str("UAAGrantType", "") == "client_credentials" else "password",
        access_token=node.str("AccessToken", ""),
        refresh_token=node.str("RefreshToken", ""),
        uaa=node.str("UaaEndpoint", "").rstrip("/"),
        verify=not node.bool("SSLDisabled", False),
        place=path,
    )


def _read(path: str, forgiving: bool) -> Any:
    try:
        return parsing.json(regular.read(path, limits.SETTINGS))
    except FileNotFoundError:
        if forgiving:
            return None
        raise LoginFailed(PLATFORM, "there is no login", _HINT, where=path) from None
    except OSError as error:
        raise LoginFailed(PLATFORM, f"cannot be read: {error.strerror}", _HINT, where=path) from None
    except (ValueError, RecursionError):
        raise LoginFailed(PLATFORM, "is not what the cf client writes", _HINT, where=path) from None


def _bad(file: str, why: str) -> StagerError:
    return LoginFailed(PLATFORM, why, _HINT, where=file)


def _targeted(login: CfLogin, org: str, space: str) -> CfLogin:
    """The login with another org or space; a GUID stays only as long as it belongs to the name."""
    from dataclasses import replace

    if org and org != login.org:
        login = replace(login, org=org, org_guid="", space="", space_guid="")
    if space and space != login.space:
        login = replace(login, space=space, space_guid="")
    return login


def _checked(login: CfLogin) -> CfLogin:
    for url in (login.api, login.uaa):
        why = refusal(url) if url else ""
        if why:
            raise LoginFailed(PLATFORM, f"the API's address {why}", "Give its https URL.", where=login.place)
    if not login.org or not login.space:
        missing = "org" if not login.org else "space"
        hint = f"Give --{missing}, set CF_{missing.upper()}, or run 'cf target'."
        raise LoginFailed(PLATFORM, f"no {missing} is targeted", hint, where=login.place)
    return login


def refusal(url: str) -> str:
    """Why credentials may not be sent to a URL; empty when they may: https, or this very machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL"
    if not host or parts.scheme not in ("http", "https"):
        return "is no http URL"
    if parts.username is not None or parts.query or parts.fragment:
        return "holds more than a host and a path"
    return "" if parts.scheme == "https" or _is_here(host) else "is not encrypted (http)"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
