"""Logins as Docker keeps them: its `config.json`, and the helper programs that file names.

Read only when a registry asks for a login. The order is Docker's: the helper for this very registry (`credHelpers`), the
helper for all (`credsStore`), then the file's own `auths`. A key with a path (`host/team`) is for the repositories below
it, as containers-auth.json(5) has it. `DOCKER_AUTH_CONFIG` holds the same document and comes first, as in Docker's client.
"""

from __future__ import annotations

import os
import re
import subprocess
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....errors import StagerError
from ....files import limits, programs, regular
from ....net.errors import BadSettings
from ....text import parsing
from ....text.typed import Node

_LARGEST = 1 << 20
_PATIENCE = 60.0
"""Seconds that a helper may take; it may have to wait for a person to unlock a key ring."""
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_IDENTITY = "<token>"
"""The user name by which a helper says that the secret is an identity token (docker-credential-helpers protocol)."""
_NOT_FOUND = "credentials not found"


@dataclass(frozen=True, slots=True)
class RegistryLogin:
    """How to log in to one registry. Secrets are left out of its repr."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity: str = field(default="", repr=False)
    """An identity token: exchanged for bearer tokens (OAuth2 refresh token)."""
    bearer: str = field(default="", repr=False)
    """A token to be sent as it is."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything of it that must never be shown."""
        return tuple(filter(None, (self.password, self.identity, self.bearer)))


class Logins:
    """Docker's configuration of this user: `environ` and `home` say where it is."""

    def __init__(self, environ: Mapping[str, str], home: str) -> None:
        self._environ = dict(environ)
        folder = environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
        self._path = os.path.join(folder, "config.json")

    def __repr__(self) -> str:
        return f"Logins({self._path!r})"

    def find(self, key: str, repository: str = "") -> RegistryLogin | None:
        """The login for a registry by its `Reference.login`, None when there is none.

        Raises BadSettings for a file that cannot be read, and a helper that is missing or fails.
        """
        given = self._environ.get("DOCKER_AUTH_CONFIG", "")
        if given:
            login = _from_auths(_parse(given.encode(), "DOCKER_AUTH_CONFIG"), key, repository)
            if login:
                return login
        data = _read(self._path)
        if data is None:
            return None
        config = _parse(data, self._path)
        helper = _helper(config, key)
        login = self._ask(helper, key) if helper else None
        return login or _from_auths(config, key, repository)

    def _ask(self, name: str, key: str) -> RegistryLogin | None:
        """Run a helper: `docker-credential-NAME get`, the registry on its standard input."""
        if not _HELPER.fullmatch(name):
            raise BadSettings(self._path, f"{name[:60]!r} is no name of a credential helper")
        program = f"docker-credential-{name}"
        path = programs.find(program, self._environ)
        if not path:
            hint = f"Install it, or remove it from {self._path} and run 'docker login' again."
            raise BadSettings(self._path, f"the credential helper {program} is not installed", hint)
        try:
            done = subprocess.run(
                [path, "get"],
                input=key.encode(),
                capture_output=True,
                timeout=_PATIENCE,
                env=self._environ,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            raise BadSettings(self._path, f"the credential helper {program} did not answer") from None
        return self._answer(program, done)

    def _answer(self, program: str, done: subprocess.CompletedProcess[bytes]) -> RegistryLogin | None:
        """What a helper printed. Its words are not repeated: they may hold what it keeps."""
        said = done.stdout[:_LARGEST]
        if done.returncode:
            if _NOT_FOUND.encode() in said:
                return None
            hint = f"Run '{program} list' to see what is wrong with it."
            raise BadSettings(self._path, f"the credential helper {program} failed ({done.returncode})", hint)
        node = _parse(said, f"the answer of {program}")
        user, secret = node.str("Username", ""), node.str("Secret", "")
        if user == _IDENTITY:
            return RegistryLogin(identity=secret)
        return RegistryLogin(user, secret) if secret else None


def _read(path: str) -> bytes | None:
    try:
        return regular.read(path, limits.SETTINGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BadSettings(path, f"it cannot be read: {error.strerror}", f"Correct the permissions of {path}.") from None


def _parse(data: bytes, place: str) -> Node:
    try:
        value: Any = parsing.json(data) if data.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadSettings(place, "it is no JSON object")
    return Node(value, place, "", _wrong)


def _wrong(place: str, why: str) -> StagerError:
    return BadSettings(place, why)


def _helper(config: Node, key: str) -> str:
    own = config.get("credHelpers")
    for name, node in config.table("credHelpers").items() if own else ():
        if _host(name) == _host(key):
            return str(node._as(str, "a string"))
    return str(config.str("credsStore", ""))


def _from_auths(config: Node, key: str, repository: str) -> RegistryLogin | None:
    """The entry whose key fits best: the longest path above the repository, then the key as Docker writes it."""
    best: tuple[int, int] = (-1, -1)
    found = None
    for name, node in config.table("auths").items():
        fit = _fit(name, key, repository)
        if fit > best and (login := _login(node)):
            best, found = fit, login
    return found


def _fit(name: str, key: str, repository: str) -> tuple[int, int]:
    """How well an entry's key fits: (length of its path, whether it is the very key); (-1, -1) when it does not."""
    if name == key:
        return 0, 1
    if _host(name) != _host(key):
        return -1, -1
    path = _bare(name).partition("/")[2].strip("/")
    if path in ("", "v1", "v2"):
        return 0, 0
    return (len(path), 0) if f"{repository}/".startswith(f"{path}/") else (-1, -1)


def _bare(name: str) -> str:
    return re.sub(r"^https?://", "", name)


def _host(name: str) -> str:
    """The host and port of a key, as Docker's client cuts it out."""
    return _bare(name).partition("/")[0].lower()


def _login(node: Node) -> RegistryLogin | None:
    """One entry: `auth` is base64 of `user:password`, and wins over the fields of these names."""
    user, password = node.str("username", ""), node.str("password", "")
    packed = node.str("auth", "")
    if packed:
        try:
            user, colon, password = b64decode(packed, validate=True).decode().rstrip("\0").partition(":")
        except ValueError:
            colon = ""
        if not colon:
            node.fail("its auth is not base64 of user:password")
    identity, bearer = node.str("identitytoken", ""), node.str("registrytoken", "")
    if not (password or identity or bearer):
        return None
    return RegistryLogin(user, password, identity, bearer)
