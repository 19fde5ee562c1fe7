"""The machine's own configuration of package indexes: pip's, uv's, npm's and apt's files and environment variables.

Only the operator's files are read here, never an app's. Left out on purpose: `find-links` and `file:` indexes (a folder
of this one machine must not silently decide what a droplet is made of; artifacts are named by digest, and an index has
them), pip's `trusted-host` and npm's `strict-ssl` (TLS is never turned off), keyrings (they would run foreign code),
and netrc's `default` entry (it would offer a password to any host).
"""

from __future__ import annotations

import configparser
import netrc
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from ...files import limits, regular
from ...text import parsing
from ..errors import BadSettings
from .apt_sources import AptSource, apt_sources
from .origins import PORTS, Credential, Origin


@dataclass(slots=True)
class _Reading:
    """What has been found so far."""

    trusted: set[Origin] = field(default_factory=set)
    credentials: list[Credential] = field(default_factory=list)

    def url(self, value: str, place: str) -> str:
        """A configured URL without its credentials, which are kept; empty for one that is no web address."""
        scheme = value.partition(":")[0].lower()
        if scheme == "file" or value.startswith(("/", ".")):
            return ""
        if scheme not in ("http", "https"):
            raise BadSettings(place, "the configured index is not an http or https URL")
        try:
            parts, origin = urlsplit(value), Origin.of(value)
        except ValueError:
            raise BadSettings(place, "the configured index is not a URL") from None
        self.trusted.add(origin)
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), parts.query, ""))
        if parts.username is not None:
            self.basic(origin, bare, unquote(parts.username), unquote(parts.password or ""))
        return bare

    def basic(self, origin: Origin, url: str, user: str, password: str) -> None:
        """Keep a password for an index: below its path first, then for its whole host, where it serves files."""
        header = _basic(user, password)
        self.credentials.append(Credential(origin, (urlsplit(url).path.rstrip("/") or "") + "/", header))
        if not any(one.origin == origin and one.path == "/" for one in self.credentials):
            self.credentials.append(Credential(origin, "/", header))


def read(environ: Mapping[str, str], home: str, apt: str, system: str) -> dict[str, Any]:
    """The fields of an `Indexes`. Raises BadSettings."""
    reading = _Reading()
    pip, uv, npm = _pip(environ, home, system), _uv(environ, home, system), _npm(environ, home, system)
    python = _python_indexes(reading, environ, pip, uv)
    logins = _netrc(reading, environ, home, python["names"])
    git = _git(reading, environ, logins)
    registries = _registries(reading, npm)
    _npm_credentials(reading, npm, registries["npm_registry"])
    proxies, no_proxy = _proxies(environ, pip, npm)
    return {
        **{key: python[key] for key in ("pypi_first", "pypi_default", "pypi_extra")},
        **registries,
        "npm_options": npm_options(npm),
        **_debian(reading, environ, apt),
        "pbs": _pbs(reading, environ, uv),
        "others": _others(reading, environ),
        "build_constraints": tuple(
            path for name in ("UV_BUILD_CONSTRAINT", "PIP_BUILD_CONSTRAINT") for path in environ.get(name, "").split()
        ),
        "trusted": frozenset(reading.trusted),
        "credentials": tuple(reading.credentials),
        "git_credentials": git,
        "proxies": proxies,
        "no_proxy": no_proxy,
        "ca_files": _certificates(environ, pip, npm),
        "extra_ca_files": tuple(filter(None, [environ.get("NODE_EXTRA_CA_CERTS", "")])),
    }


# --- Python -----------------------------------------------------------------------------------------------------------


def _python_indexes(
    reading: _Reading, environ: Mapping[str, str], pip: Mapping[str, str], uv: Mapping[str, Any]
) -> dict[str, Any]:
    """uv's settings before pip's, the environment before files. `names` are all indexes, explicit ones included."""
    first, default = [], ""
    for name, url, kind in _uv_indexes(environ, uv):
        found = reading.url(url, f"uv's index {name or 'setting'}")
        secret = name.upper().replace("-", "_").replace(".", "_")
        if found and environ.get(f"UV_INDEX_{secret}_USERNAME"):
            user, password = environ[f"UV_INDEX_{secret}_USERNAME"], environ.get(f"UV_INDEX_{secret}_PASSWORD", "")
            reading.basic(Origin.of(found), found, user, password)
        if kind == "default":
            default = default or found
        elif found and kind == "index":
            first.append(found)
    if not default and pip.get("index-url"):
        default = reading.url(pip["index-url"], "pip's index-url")
    extra = [reading.url(url, "pip's extra-index-url") for url in pip.get("extra-index-url", "").split()]
    none = pip.get("no-index", "").lower() in ("1", "true", "yes", "on") and not (default or first)
    return {
        "pypi_first": tuple(first),
        "pypi_default": None if none else default,
        "pypi_extra": () if none else tuple(filter(None, extra)),
        "names": [*first, default, *extra],
    }


def _uv_indexes(environ: Mapping[str, str], uv: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """(name, URL, `default`, `index` or `explicit`) of every index uv is told of, strongest first."""
    for variable, kind in (
        ("UV_DEFAULT_INDEX", "default"),
        ("UV_INDEX_URL", "default"),
        ("UV_INDEX", "index"),
        ("UV_EXTRA_INDEX_URL", "index"),
    ):
        for word in environ.get(variable, "").split():
            named = re.fullmatch(r"([\w.-]+)=(.*)", word)
            yield (named[1], named[2], kind) if named else ("", word, kind)
    for entry in uv.get("index", []):
        kind = "default" if entry.get("default") else "explicit" if entry.get("explicit") else "index"
        yield str(entry.get("name", "")), str(entry.get("url", "")), kind
    for table in (uv, uv.get("pip", {})):
        if isinstance(table.get("index-url"), str):
            yield "", table["index-url"], "default"
        for url in table.get("extra-index-url", []):
            yield "", str(url), "index"


def _uv(environ: Mapping[str, str], home: str, system: str) -> dict[str, Any]:
    """uv's settings: one given file alone, else the user's over the system's."""
    if environ.get("UV_NO_CONFIG", "").lower() in ("1", "true"):
        return {}
    if environ.get("UV_CONFIG_FILE"):
        return _toml(environ["UV_CONFIG_FILE"], must_exist=True)
    config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    return {**_toml(f"{system.rstrip('/')}/etc/uv/uv.toml"), **_toml(f"{config}/uv/uv.toml")}


def _toml(path: str, must_exist: bool = False) -> dict[str, Any]:
    text = _text(path, must_exist)
    try:
        found = parsing.toml(text)
    except ValueError as error:
        raise BadSettings(path, f"it is not TOML: {error}") from None
    lists = [found.get("index", []), found.get("extra-index-url", [])]
    tables = [found.get("pip", {}), *(lists[0] if isinstance(lists[0], list) else [None])]
    if not all(isinstance(one, list) for one in lists) or not all(isinstance(one, dict) for one in tables):
        raise BadSettings(path, "its index settings do not have uv's shape")
    return found


def _pip(environ: Mapping[str, str], home: str, system: str) -> dict[str, str]:
    """pip's settings: global, user, PIP_CONFIG_FILE, environment; the later wins. With /dev/null no file is read."""
    files = [f"{system.rstrip('/')}/etc/xdg/pip/pip.conf", f"{system.rstrip('/')}/etc/pip.conf"]
    config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    files += [f"{home}/.pip/pip.conf", f"{home}/Library/Application Support/pip/pip.conf", f"{config}/pip/pip.conf"]
    own = environ.get("PIP_CONFIG_FILE", "")
    settings: dict[str, str] = {}
    for path in [] if own == os.devnull else [*files, *filter(None, [own])]:
        settings |= _pip_file(path)
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            settings[name[4:].lower().replace("_", "-")] = value
    return settings


def _pip_file(path: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_text(path))
    except configparser.Error as error:
        raise BadSettings(path, f"it is not what pip reads: {type(error).__name__}") from None
    settings: dict[str, str] = {}
    for section in ("global", "install", "download"):
        if parser.has_section(section):
            settings |= {key.lower().replace("_", "-"): value for key, value in parser.items(section)}
    return settings


def _netrc(reading: _Reading, environ: Mapping[str, str], home: str, indexes: Iterable[str]) -> dict[str, str]:
    """Passwords of the configured Python indexes, where their URLs hold none, as pip takes them; headers of all hosts."""
    path = environ.get("NETRC") or f"{home}/.netrc"
    if not os.path.isfile(path):
        return {}
    try:
        entries = netrc.netrc(path).hosts
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        raise BadSettings(path, "it is not what netrc(5) describes, or cannot be read") from None
    for url in filter(None, indexes):
        origin = Origin.of(url)
        known = {one.origin for one in reading.credentials}
        if origin.host in entries and origin not in known:
            user, _, password = entries[origin.host]
            reading.basic(origin, url, user, password)
    return {
        host.lower(): _basic(user, password or "") for host, (user, _, password) in entries.items() if host != "default"
    }


def _git(reading: _Reading, environ: Mapping[str, str], logins: Mapping[str, str]) -> tuple[Credential, ...]:
    """The logins of the hosts and folders of repositories in `STAGER_GIT_HOSTS`, URLs that may be asked as an index may be."""
    found = []
    for url in environ.get(_GIT, "").replace(",", " ").split():
        try:
            parts, origin = urlsplit(url), Origin.of(url)
            good = origin.scheme in PORTS and not ("@" in parts.netloc or parts.query or parts.fragment)
        except ValueError:
            good = False
        if not good:
            what = f"{url.rpartition('@')[2][:80]!r} is no http or https URL of a host or a folder, without a login"
            raise BadSettings(_GIT, what, f"Write {_GIT}=https://git.example.com/team, and the login into ~/.netrc.")
        reading.trusted.add(origin)
        if header := logins.get(origin.host):
            found.append(Credential(origin, f"{parts.path.rstrip('/')}/", header))
    return tuple(found)


_GIT = "STAGER_GIT_HOSTS"


def _basic(user: str, password: str) -> str:
    """A header for a user and a password (RFC 7617)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _pbs(reading: _Reading, environ: Mapping[str, str], uv: Mapping[str, Any]) -> str:
    value = environ.get("UV_PYTHON_INSTALL_MIRROR") or uv.get("python-install-mirror", "")
    return reading.url(str(value), "UV_PYTHON_INSTALL_MIRROR") if value else ""


def _others(reading: _Reading, environ: Mapping[str, str]) -> dict[str, str]:
    """Where ecosystems' indexes are whose own tools' configuration is not read: `STAGER_INDEX_NAME`."""
    named = {name: value for name, value in sorted(environ.items()) if name.startswith(_INDEX) and value}
    return {name.removeprefix(_INDEX).lower(): reading.url(value, name) for name, value in named.items()}


_INDEX = "STAGER_INDEX_"


# --- npm --------------------------------------------------------------------------------------------------------------


def npmrc(text: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The keys and values of a `.npmrc`; `${NAME}` is replaced where the environment has it, `${NAME?}` always."""
    settings: dict[str, str] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "#;[":
            continue
        key, _, value = stripped.partition("=")
        value = re.sub(r"\s[#;].*$", "", value).strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        settings[_expand(key.strip().strip("\"'"), environ)] = _expand(value, environ)
    return settings


def _expand(text: str, environ: Mapping[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        return environ.get(match[1], "" if match[2] else match[0])

    return re.sub(r"\$\{([^{}?$]{1,200})(\?)?\}", one, text)


def _npm(environ: Mapping[str, str], home: str, system: str) -> dict[str, str]:
    """npm's settings: the global file, the user's, then the environment (`npm_config_…` in any case)."""
    given: dict[str, str] = {}
    for name in sorted(environ):
        if name.lower().startswith("npm_config_") and environ[name]:
            key = name[11:]
            given[key if key.startswith(("//", "@")) else key.lower().replace("_", "-")] = environ[name]
    root = system.rstrip("/")
    shared = [f"{root}/usr/etc/npmrc", f"{root}/usr/local/etc/npmrc", f"{root}/etc/npmrc"]
    settings: dict[str, str] = {}
    for path in [given["globalconfig"]] if given.get("globalconfig") else shared:
        settings |= npmrc(_text(path), environ)
    settings |= npmrc(_text(given.get("userconfig") or f"{home}/.npmrc"), environ)
    return {**settings, **given}


NPM_AGES = ("before", "min-release-age")
"""npm's settings of how old a version must be: this machine's own go before an app's."""
_NPM_OPTIONS = (
    *("legacy-peer-deps", "strict-peer-deps", "force", "prefer-dedupe", "engine-strict", "lockfile-version"),
    *("install-strategy", "omit-lockfile-registry-resolved", "replace-registry-host", *NPM_AGES),
)


def npm_options(npm: Mapping[str, str]) -> dict[str, str]:
    """Of npm's settings those that only say how to resolve, with plain values."""
    found = {key: value for key, value in npm.items() if key in _NPM_OPTIONS}
    return {key: value for key, value in found.items() if re.fullmatch(r"[\w.:+-]*", value)}


def _registries(reading: _Reading, npm: Mapping[str, str]) -> dict[str, Any]:
    scopes = {}
    for key, value in npm.items():
        if key.startswith("@") and key.endswith(":registry") and value:
            scopes[key.removesuffix(":registry")] = reading.url(value, f"npm's {key}")
    registry = reading.url(npm["registry"], "npm's registry") if npm.get("registry") else ""
    return {"npm_registry": registry, "npm_scopes": {key: url for key, url in scopes.items() if url}}


def _npm_credentials(reading: _Reading, npm: Mapping[str, str], registry: str) -> None:
    """`//host/path/:_authToken`, `:_auth`, `:username` with `:_password`; without a place they are the registry's."""
    places = {key.rpartition(":")[0] for key in npm if key.startswith("//")}
    for place in sorted(places):
        _npm_credential(reading, npm, f"{place}:", place)
    if registry:
        # npm's old form names no host; it was made for the one registry that the same files configure.
        _npm_credential(reading, npm, "", "//" + registry.partition("://")[2] + "/")


def _npm_credential(reading: _Reading, npm: Mapping[str, str], prefix: str, place: str) -> None:
    header = ""
    if npm.get(f"{prefix}_authToken"):
        header = f"Bearer {npm[f'{prefix}_authToken']}"
    elif npm.get(f"{prefix}_auth"):
        header = f"Basic {npm[f'{prefix}_auth']}"
    elif npm.get(f"{prefix}username") and npm.get(f"{prefix}_password"):
        try:
            secret = b64decode(npm[f"{prefix}_password"], validate=True).decode()
        except ValueError:
            raise BadSettings(".npmrc", "a _password is not in base64, as npm writes it") from None
        header = "Basic " + b64encode(f"{npm[f'{prefix}username']}:{secret}".encode()).decode()
    if not header:
        return
    if any(ord(sign) < 32 or ord(sign) > 126 for sign in header):
        raise BadSettings(".npmrc", "a credential holds characters that no header can carry")
    try:
        secure, plain = Origin.of(f"https:{place}"), Origin.of(f"http:{place}")
    except ValueError:
        raise BadSettings(".npmrc", "a credential's place is not //host/path/") from None
    path = (urlsplit(f"https:{place}").path.rstrip("/") or "") + "/"
    for origin in (secure, *({plain} & reading.trusted)):
        reading.credentials.append(Credential(origin, path, header))


# --- Debian -----------------------------------------------------------------------------------------------------------


def _debian(reading: _Reading, environ: Mapping[str, str], apt: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, name in (
        ("debian_mirror", "STAGER_DEBIAN_MIRROR"),
        ("debian_security_mirror", "STAGER_DEBIAN_SECURITY_MIRROR"),
    ):
        found[key] = reading.url(environ[name], name) if environ.get(name) else ""
    sources = []
    for source in apt_sources(apt):
        if source.is_debian:
            uri = reading.url(source.uri, f"apt's source {source.suite}")
            sources.append(AptSource(uri, source.suite, source.components, source.signed_by))
    return {**found, "apt": tuple(sources)}


# --- the way out ------------------------------------------------------------------------------------------------------


def _proxies(environ: Mapping[str, str], pip: Mapping[str, str], npm: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The environment's proxies, else pip's, else npm's."""

    def variable(name: str) -> str:
        # A web server hands its clients' `Proxy:` header to a CGI program as HTTP_PROXY; the small one is never that.
        large = "" if name == "http_proxy" and "REQUEST_METHOD" in environ else environ.get(name.upper(), "")
        return environ.get(name) or large

    shared = pip.get("proxy", "")
    found = {
        "http": variable("http_proxy") or shared or npm.get("proxy", ""),
        "https": variable("https_proxy") or shared or npm.get("https-proxy", "") or npm.get("proxy", ""),
        "all": variable("all_proxy"),
    }
    usable = {key: value if "://" in value else f"http://{value}" for key, value in found.items() if _is_set(value)}
    return usable, variable("no_proxy") or npm.get("noproxy", "")


def _is_set(value: str) -> bool:
    return value.lower() not in ("", "null", "false")


def _certificates(environ: Mapping[str, str], pip: Mapping[str, str], npm: Mapping[str, str]) -> tuple[str, ...]:
    """All files of certificates that any of the tools is told to trust; together they replace the built-in ones."""
    named = [environ.get(name, "") for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")]
    named += [pip.get("cert", ""), npm.get("cafile", "")]
    return tuple(dict.fromkeys(path for path in named if _is_set(path)))


def _text(path: str, must_exist: bool = False) -> str:
    """A configuration file's text; empty when it does not exist."""
    try:
        return regular.read(path, limits.SETTINGS).decode("utf-8-sig").replace("\r\n", "\n")
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError) as error:
        if must_exist:
            raise BadSettings(path, f"it cannot be read: {error.strerror}") from None
        return ""
    except (OSError, UnicodeDecodeError):
        raise BadSettings(path, "it cannot be read as UTF-8 text") from None
