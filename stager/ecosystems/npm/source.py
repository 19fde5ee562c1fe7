"""Where a tarball comes from and by which digest it is known: Subresource Integrity, URLs, tarballs inside the app."""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from packageurl.contrib.purl2url import get_download_url

from stager.digest import ALGORITHMS, Digest
from stager.ecosystems import repository
from stager.errors import BadLock
from stager.store.errors import DigestMismatch

from .names import folder, tarball_path

if TYPE_CHECKING:
    from stager.tree import SourceTree

_STRENGTH = ("sha512", "sha384", "sha256", "sha1")
_TARBALL = (".tgz", ".tar.gz", ".tar")


class PackumentLookup(Protocol):
    """The registry's metadata, for locks that do not hold what is needed."""

    def version(self, name: str, version: str) -> Mapping[str, object]:
        """The metadata of one published version (`dist.integrity`, `os`, `cpu` …). Raises FetchError."""


@dataclass(frozen=True, slots=True)
class Tarball:
    """One package as it is fetched: its real name and version, its digest, and a URL when no registry serves it."""

    name: str
    version: str
    digest: Digest
    url: str = ""


def strongest(integrity: str, what: str, file: str) -> Digest | None:
    """The strongest digest of a Subresource Integrity value (W3C SRI); None when it holds no known one.

    Raises BadLock when it is malformed or names two different digests of that strength.
    """
    found: dict[str, set[Digest]] = {}
    for word in integrity.split():
        algorithm, _, value = word.partition("?")[0].partition("-")
        if algorithm in ALGORITHMS:
            found.setdefault(algorithm, set()).add(_digest(algorithm, value, what, file))
    best = next((found[algorithm] for algorithm in _STRENGTH if algorithm in found), None)
    if best is not None and len(best) > 1:
        raise BadLock(file, f"{what} has two different {next(iter(best)).algorithm} digests")
    return best.pop() if best else None


def _digest(algorithm: str, value: str, what: str, file: str) -> Digest:
    try:
        return Digest(f"{algorithm}:{b64decode(value, validate=True).hex()}")
    except (binascii.Error, ValueError):
        raise BadLock(file, f"{what} has a malformed integrity value {algorithm}-{value[:100]}") from None


def shasum(value: str, what: str, file: str) -> Digest | None:
    """The digest of a bare hexadecimal SHA-1, as old locks append to a URL; None when empty."""
    if not value:
        return None
    try:
        return Digest(f"sha1:{value}")
    except ValueError:
        raise BadLock(file, f"{what} has a malformed SHA-1 {value[:60]!r}") from None


@cache
def default_host() -> str:
    """The host of npm's default registry, as the package URL library knows it."""
    example: str = get_download_url("pkg:npm/x@1.0.0")  # type: ignore[no-untyped-call]
    return urlsplit(example).netloc


def outside_url(resolved: str, name: str, version: str, hosts: frozenset[str], aliases: bool = False) -> str:
    """The URL to keep in a plan: empty when a registry serves the tarball, else `resolved` without secrets.

    `hosts` are the hosts of the default and the configured registries. With `aliases` (Yarn writes the name of its
    own mirror) any host's canonical tarball path counts as the registry's, unless another registry is configured.
    Userinfo, query and fragment are never kept: they are where tokens live.
    """
    try:
        parts = urlsplit(resolved)
    except ValueError:  # no URL at all names no place: the registry is asked, and the digest decides
        return ""
    known = hosts | {default_host()}
    host = parts.netloc.rpartition("@")[2]
    if not resolved or host in known or (parts.hostname or "") in known:
        return ""
    if aliases and known == {default_host()} and unquote(parts.path) == tarball_path(name, version):
        return ""
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def is_git(resolved: str) -> bool:
    """Whether a dependency is a git repository, not a tarball."""
    scheme, _, rest = resolved.partition(":")
    return (
        scheme in ("git", "github", "gitlab", "bitbucket", "gist", "ssh")
        or scheme.startswith("git+")
        or (not rest.startswith("//") and "@" in scheme and "/" in rest)  # git@host:owner/repository
        or resolved.partition("#")[0].endswith(".git")
    )


_HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org"}
_PACKED = re.compile(r"https://codeload\.(github\.com)/([^/]+/[^/]+)/tar\.gz/([0-9a-f]{40})")
"""What GitHub packs of a repository when it is asked, and so may pack otherwise tomorrow."""


def of_commit(resolved: str, name: str, version: str, lock: str) -> Tarball | None:
    """A package that a lock takes from a commit of a git repository; None where it names no whole commit, or not all of it.

    Raises BadLock for a repository at an address that is not fetched.
    """
    if found := _PACKED.fullmatch(resolved.partition("#")[0]):
        address, commit = f"https://{found[1]}/{found[2]}", found[3]
    else:
        address, _, commit = resolved.partition("#")
        commit = commit.removeprefix("commit=")
        host, _, path = address.partition(":")
        if host in _HOSTS and not path.startswith("/"):
            address = f"https://{_HOSTS[host]}/{path}"
    if not repository.is_commit(commit):
        return None
    place = repository.locked(address, commit, "", lock, f"{name}@{version}" if version else name, "")
    return Tarball(name, version, place.digest, str(place))


def is_web(resolved: str) -> bool:
    """Whether `resolved` is an http or https URL."""
    return resolved.startswith(("https://", "http://"))


def is_local_tarball(resolved: str) -> bool:
    """Whether `resolved` is a tarball in a folder: `file:vendor/x.tgz` or a bare path."""
    return not is_web(resolved) and resolved.partition("#")[0].endswith(_TARBALL)


def local_tarball(
    tree: SourceTree, path: str, name: str, version: str, expected: Digest | None, lock: str, base: str = ""
) -> Tarball:
    """A tarball that lies in the app at `path` (relative to the folder `base`), checked against the lock's digest.

    Its URL is `file:` and the path in the app. Raises BadLock when it is missing, DigestMismatch when it differs.
    """
    place = folder(f"{base}/{path.removeprefix('file:').partition('#')[0]}".lstrip("/"), lock)
    if place not in tree.files:
        raise BadLock(lock, f"{name} is the file {place}, which is not in the app", f"Add {place}, or remove {name}.")
    data = tree.read_bytes(place)
    algorithm = expected.algorithm if expected else "sha256"
    got = Digest(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")
    if expected not in (None, got):
        raise DigestMismatch(place, str(expected), got, f"If {place} is right, make {lock} again.")
    return Tarball(name, version, got, f"file:{place}")
