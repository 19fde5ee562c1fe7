"""Where each ecosystem's index is, who may be asked, and with which credentials.

Hosts come from the machine's own configuration (pip's, uv's, npm's and apt's; see `configured`), and where it says
nothing from a library's default. What an app says, in a lock or in its own `.npmrc`, is untrusted: it may name a public
https host, but no private address, no other scheme, and never a credential. Credentials belong to the scheme, host,
port and path prefix the operator's configuration binds them to, and go nowhere else.
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from urllib.parse import quote, unquote, urlsplit

from ...errors import BadManifest
from ..addresses import Policy, allowances, is_local, is_plain
from ..errors import BadSettings
from .apt_sources import AptSource
from .origins import PORTS, Credential, Origin

_ASKING, _SEARCHING = threading.Lock(), threading.Lock()


@dataclass(frozen=True, slots=True)
class Indexes:
    """The configured indexes. URLs are without credentials and without a final slash; empty means the default."""

    pypi_first: tuple[str, ...] = ()
    """Simple-page indexes asked before the default one, as uv does with `index`."""
    pypi_default: str | None = ""
    """The default simple-page index; None when the configuration forbids any (pip's `no-index`)."""
    pypi_extra: tuple[str, ...] = ()
    """Simple-page indexes asked after the default one, as pip does with `extra-index-url`."""
    npm_registry: str = ""
    npm_scopes: Mapping[str, str] = field(default_factory=dict)
    """`@scope` → registry."""
    npm_options: Mapping[str, str] = field(default_factory=dict)
    """npm's settings of how to resolve, which name neither places nor programs."""
    apt: tuple[AptSource, ...] = ()
    debian_mirror: str = ""
    debian_security_mirror: str = ""
    pbs: str = ""
    """Where python-build-standalone's releases are; the folder above the release's date."""
    others: Mapping[str, str] = field(default_factory=dict)
    """Ecosystem → its index, for those that have no field of their own here."""
    build_constraints: tuple[str, ...] = ()
    """Files that limit the versions of what packages are built with."""
    trusted: frozenset[Origin] = frozenset()
    """Origins the operator named: these may be http, and may be private addresses."""
    allowed: tuple[str, ...] = ()
    """Networks, addresses, hosts and domains that the operator allows besides, public or not; see `net.addresses.Policy`."""
    credentials: tuple[Credential, ...] = field(default=(), repr=False)
    git_credentials: tuple[Credential, ...] = field(default=(), repr=False)
    """netrc's logins for the hosts and folders of repositories that the operator names (`STAGER_GIT_HOSTS`)."""
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Scheme → proxy URL, which may hold a password."""
    no_proxy: str = ""
    ca_files: tuple[str, ...] = ()
    """Certificates that replace the built-in ones."""
    extra_ca_files: tuple[str, ...] = ()
    """Certificates trusted besides."""

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str], *, home: str, apt: str = "/etc/apt", system: str = "/"
    ) -> Indexes:
        """What the machine's configuration says; `system` is the folder that holds `etc`. Raises BadSettings."""
        from . import configured

        return cls(**configured.read(environ, home, apt, system), allowed=_allowed(environ))

    # --- where things are --------------------------------------------------------------------------------------

    def pypi(self) -> tuple[str, ...]:
        """The simple-page indexes in the order they are asked. Raises BadSettings when no default can be found."""
        default = () if self.pypi_default is None else (self.pypi_default or default_pypi(),)
        return tuple(dict.fromkeys((*self.pypi_first, *default, *self.pypi_extra)))

    def npm(self, name: str = "") -> str:
        """The registry of a package (the default one without a name)."""
        scope = name.partition("/")[0] if name.startswith("@") else ""
        return self.npm_scopes.get(scope, "") or self.npm_registry or default_npm()

    def debian(self, suite: str = "") -> tuple[str, str]:
        """Debian's archive and security archive: base URLs that hold `dists/` and `pool/`.

        A source of that very suite comes first, then any of Debian's: one archive holds all suites.
        """
        main = [source for source in self.apt if source.is_debian and not source.suite.endswith("-security")]
        security = [source for source in self.apt if source.is_debian and source.suite.endswith("-security")]
        archive = self.debian_mirror or _first(main, suite) or default_debian()
        return archive, self.debian_security_mirror or _first(security, f"{suite}-security") or f"{archive}-security"

    def other(self, name: str) -> str:
        """The index of an ecosystem that has no field of its own. Raises BadSettings when none is configured."""
        if name not in self.others:
            variable = f"STAGER_INDEX_{name.upper()}"
            raise BadSettings(variable, f"the index of {name} packages is not known", f"Set {variable} to it.")
        return self.others[name]

    def with_app_npmrc(self, text: str, file: str = ".npmrc") -> Indexes:
        """These indexes with the registries an app's own `.npmrc` names; its credentials are not even read.

        Raises BadManifest for a registry that may not be asked.
        """
        from .configured import npmrc

        settings = npmrc(text, {})
        named = {key: value for key, value in settings.items() if key == "registry" or _is_scope(key)}
        for key, value in named.items():
            if why := self.refusal(value):
                raise BadManifest(file, f"the registry of {key!r} cannot be used: {why}")
        scopes = {key.partition(":")[0]: value.rstrip("/") for key, value in named.items() if _is_scope(key)}
        return replace(
            self,
            npm_registry=named.get("registry", self.npm_registry).rstrip("/"),
            npm_scopes={**self.npm_scopes, **scopes},
        )

    # --- who may be asked, and how -----------------------------------------------------------------------------

    def refusal(self, url: str) -> str:
        """Why a URL may not be fetched; empty when it may.

        https to a public host, or any origin of the operator's configuration. This is what the spelling says, known before
        anything is asked; what a name resolves to is judged when a connection is made (`policy`).
        """
        try:
            origin = Origin.of(url)
            parts = urlsplit(url)
        except ValueError:
            return "it is not a URL"
        if origin.scheme not in PORTS:
            return f"its scheme is {origin.scheme or 'missing'}; only https is fetched"
        if "@" in parts.netloc:
            return "it holds a credential"
        if _odd(url):
            return "it holds characters no URL may hold"
        if self.policy().knows(origin):
            return ""
        if origin.scheme == "http":
            return "it is not encrypted (http), and its host is not among the configured indexes"
        if is_local(origin.host):
            return "it names a private address that is not among the configured indexes"
        if not is_plain(parts.hostname or ""):
            return "its host is written in a way that is not unmistakable"
        return ""

    def policy(self) -> Policy:
        """Who may reach addresses that are not public: the configured origins, and what is allowed besides."""
        return Policy(self.trusted, self.allowed, cache(lambda: tuple(self._gateways())))

    def _gateways(self) -> Iterator[Origin]:
        """The origins of the operator's indexes and of the default ones, never of those that an app names."""
        yield from self.trusted
        for find in (default_pypi, default_npm, default_debian):
            try:
                yield Origin.of(find())
            except (BadSettings, ValueError):
                continue

    def authorization(self, url: str) -> str:
        """The Authorization header for a URL, empty when there is none; the longest matching path decides."""
        return _fitting(self.credentials, url)

    def login(self, url: str) -> str:
        """The Authorization header for a repository, empty for none.

        An app chooses the repository, so a login goes only below what the operator names for git, by no way around.
        """
        parts = unquote(urlsplit(url).path).split("/")
        return "" if "." in parts or ".." in parts else _fitting(self.git_credentials, url)

    def proxy(self, url: str) -> str:
        """The proxy to go through for a URL, empty for none."""
        if not self.proxies:
            return ""
        origin = Origin.of(url)
        proxy = self.proxies.get(origin.scheme) or self.proxies.get("all", "")
        return "" if not proxy or _bypasses(origin, self.no_proxy) else proxy


def _fitting(credentials: tuple[Credential, ...], url: str) -> str:
    if not credentials:
        return ""
    origin, path = Origin.of(url), urlsplit(url).path or "/"
    fitting = [one for one in credentials if one.origin == origin and path.startswith(one.path)]
    return max(fitting, key=lambda one: len(one.path)).header if fitting else ""


def _allowed(environ: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return allowances(environ.get("STAGER_ALLOW_ADDRESSES", ""))
    except ValueError as error:
        raise BadSettings(
            "STAGER_ALLOW_ADDRESSES",
            f"{str(error)[:80]!r} is no network, address or host",
            "Write 10.0.0.0/8,host:443.",
        ) from None


def _first(sources: list[AptSource], suite: str) -> str:
    exact = [source for source in sources if source.suite == suite]
    return (exact or sources)[0].uri if sources else ""


def _is_scope(key: str) -> bool:
    return key.startswith("@") and key.endswith(":registry")


def _odd(url: str) -> bool:
    """Control signs, spaces, backslashes: parsers disagree about them, and a lock has no use for them."""
    return not url.isascii() or any(sign <= " " or sign in '\\\x7f"<>' for sign in url)


def _bypasses(origin: Origin, no_proxy: str) -> bool:
    """Whether NO_PROXY covers an origin: `*`, a host, a domain and all below it, `host:port`, an address, a network."""
    for entry in no_proxy.replace(",", " ").split():
        host, _, port = entry.lower().partition(":") if entry.count(":") == 1 else (entry.lower(), "", "")
        name = host.removeprefix("*").lstrip(".")
        if (not port or port == str(origin.port)) and (entry == "*" or _covers(name, origin.host)):
            return True
    return False


def _covers(name: str, host: str) -> bool:
    if host == name or (name and host.endswith(f".{name}")):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except (ValueError, TypeError):
        return False


# --- defaults, from the libraries that know them ----------------------------------------------------------------------


def default_pypi() -> str:
    """The default simple-page index: pip's constant where pip is installed, else what uv says its default is.

    It is found out once a process. Raises BadSettings when neither tells.
    """
    with _ASKING:
        return _default_pypi()


@cache
def _default_pypi() -> str:
    try:
        from pip._internal.models.index import PyPI

        return str(PyPI.simple_url).rstrip("/")
    except (ImportError, AttributeError):
        return uvs_default()


def uvs_default() -> str:
    import subprocess

    try:
        done = subprocess.run(
            [uv_program(), "pip", "compile", "--help"], capture_output=True, text=True, check=True, timeout=30
        )
        found = re.search(r"--default-index\b.*?by\s+default:\s+<(https://[^>\s]+)>", done.stdout, re.DOTALL)
    except (ImportError, OSError, subprocess.SubprocessError):
        found = None
    if not found:
        raise BadSettings("PIP_INDEX_URL", "the default Python package index is not known", "Set PIP_INDEX_URL to it.")
    return found[1].rstrip("/")


def uv_program() -> str:
    """The uv that is installed with stager. Raises ImportError or OSError when there is none.

    Its installer's list of files says where it is (Recording Installed Projects, PyPA). uv's own search goes through
    `sysconfig`, whose tables other threads see half-filled the first time, before Python 3.12.
    """
    from importlib.metadata import files

    for path in files("uv") or ():
        if path.name in ("uv", "uv.exe") and os.path.isfile(found := os.path.realpath(str(path.locate()))):
            return found
    with _SEARCHING:
        from uv import find_uv_bin

        return find_uv_bin()


def default_npm() -> str:
    """npm's default registry, as the package URL library knows it."""
    return _template("pkg:npm/x@1.0.0", "/x/-/")


def default_debian() -> str:
    """Debian's archive, as the package URL library knows it."""
    return _template("pkg:deb/debian/x@1.0?arch=amd64", "/pool/")


def _template(purl: str, upto: str) -> str:
    from packageurl.contrib.purl2url import get_download_url

    found: str | None = get_download_url(purl)  # type: ignore[no-untyped-call]
    return (found or "").partition(upto)[0]


def joined(base: str, path: str) -> str:
    """A URL below a base, with the path's signs encoded."""
    return f"{base.rstrip('/')}/{quote(path, safe='/@+~:!$&,;=%')}"
