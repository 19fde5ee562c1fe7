"""Packages that come from a git repository: which one, at which commit, as locks write it and as a plan keeps it.

A plan keeps `git+https://HOST/PATH@COMMIT#subdirectory=FOLDER` (PEP 440, "Direct references"), without a credential. Until the
archive of that commit is known, which only fetching tells, its digest stands in for it: `sha1:COMMIT`.
"""

from __future__ import annotations

import re
from posixpath import normpath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from ..digest import Digest
from ..errors import BadLock

if TYPE_CHECKING:
    from ..model import Artifact

_SCHEME = "git+"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~+%@,=!-]+)+")
_SHORT = re.compile(r"(?:[A-Za-z0-9._-]+@)?([A-Za-z0-9.-]+):(?!//)([^:]+)")
"""What git and scp write for ssh: `git@host:owner/name`."""


class Repository(NamedTuple):
    """A state of a repository. `url` is where it is fetched, `folder` the one of its files that is meant; empty for all."""

    url: str
    commit: str
    folder: str = ""

    def __str__(self) -> str:
        folder = f"#subdirectory={quote(self.folder, safe='/')}" if self.folder else ""
        return f"{_SCHEME}{self.url}@{self.commit}{folder}"

    def filename(self, name: str, version: str) -> str:
        """What the archive of the commit's files is called, so that another commit is seen by it."""
        return "-".join(filter(None, [name, version, self.commit[:12]])) + ".tar"

    @property
    def digest(self) -> Digest:
        """What stands in for the digest of its archive until that is known."""
        return Digest(f"sha1:{self.commit}")


def is_from(url: str) -> bool:
    """Whether an artifact's URL is a repository's."""
    return url.startswith(_SCHEME)


def of(url: str) -> Repository:
    """The repository that an artifact's URL names. Raises ValueError for what `str` of one does not give."""
    address, _, fragment = url.removeprefix(_SCHEME).partition("#")
    place, _, commit = address.rpartition("@")
    folder = unquote(fragment.removeprefix("subdirectory="))
    found = Repository(place, commit, folder)
    if not is_from(url) or not _COMMIT.fullmatch(commit) or _address(place) != place or str(found) != url:
        raise ValueError(url)
    if _folder(folder) != folder:
        raise ValueError(url)
    return found


def is_commit(text: str) -> bool:
    """Whether a text is a whole commit id, which alone says what its content is."""
    return _COMMIT.fullmatch(text) is not None


def locked(
    address: str, commit: str, folder: str, lock: str, label: str, again: str, line: int | None = None
) -> Repository:
    """The repository of a package `label`, as a lock names it; `again` says how to have the commit in the lock.

    Also ssh and git's own protocol name a host, which is asked by https. Raises BadLock for what is no whole commit, and for
    addresses that are none of a web server: paths, `ext::` and whatever else git would run.
    """
    if not _COMMIT.fullmatch(commit):
        what = f"{commit[:80]!r} of a git repository" if commit else "a git repository"
        raise BadLock(lock, f"{label} comes from {what}, and no whole commit says which state of it", again, line)
    try:
        return Repository(_address(address), commit, _folder(folder))
    except ValueError:
        hint = "Only https is fetched: name it by https://HOST/PATH, or depend on a published version."
        raise BadLock(lock, f"{label} comes from a repository at an address that is not fetched", hint, line) from None


def shown(address: str) -> str:
    """A repository's address without a user and without the word that says that it is one."""
    start, sign, rest = address.removeprefix(_SCHEME).partition("://")
    host, slash, path = rest.partition("/")
    return f"{start}{sign}{host.rpartition('@')[2]}{slash}{path}"


def _address(address: str) -> str:
    """Where a repository is fetched, without user, query and fragment. Raises ValueError for what is not fetched."""
    text = address.strip().removeprefix(_SCHEME)
    if "://" not in text and (found := _SHORT.fullmatch(text)):
        text = f"ssh://{found[1]}/{found[2].lstrip('/')}"
    if not all(" " < sign < "\x7f" for sign in text) or "\\" in text:  # which parsers read differently
        raise ValueError(address)
    parts = urlsplit(text)
    scheme, host = parts.scheme.lower(), parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/")
    if scheme in ("ssh", "git"):  # their ports are their own
        scheme, host = "https", host.partition(":")[0] if not host.startswith("[") else host
    if scheme not in ("https", "http") or not _HOST.fullmatch(host) or not _PATH.fullmatch(path):
        raise ValueError(address)
    if any(part in (".", "..") or part.startswith("-") for part in unquote(path).split("/")):
        raise ValueError(address)
    return f"{scheme}://{host.lower()}{path}"


def _folder(text: str) -> str:
    """A folder of a repository, normalised. Raises ValueError for one that is not in it."""
    clean = normpath(text) if text not in ("", ".") else ""
    if clean.startswith(("/", "../")) or clean in ("..", ".") or "\\" in clean or not clean.isprintable():
        raise ValueError(text)
    return clean


def package_url(artifact: Artifact) -> str:
    """An artifact's package URL for documents, with the repository that it comes from (`vcs_url`: purl-spec, "Qualifiers")."""
    if not is_from(artifact.url):
        return artifact.purl
    one = of(artifact.url)
    place = quote(f"{_SCHEME}{one.url}@{one.commit}", safe="/:")
    return f"{artifact.purl}?vcs_url={place}" + (f"#{quote(one.folder, safe='/')}" if one.folder else "")
