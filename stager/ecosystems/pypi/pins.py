"""From pinned packages to artifacts: the one file of each package that fits the target.

Every lock format is reduced to `Pin`s first, so all formats of one project come to the same artifacts. Choice follows
the platform compatibility tags specification: best tag first, then the highest build number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from stager.digest import Digest
from stager.errors import BadLock

if TYPE_CHECKING:
    from stager.ecosystems.repository import Repository

PLACE = ".stager/pypi"
"""Where wheels unpack to, relative to the app folder."""
LAYOUT = "wheel/1"
SDIST = "sdist/1"
"""The layout of a source archive: it is built first, and has a wheel's then."""

_NAME = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")
_STRONG = ("sha256", "sha512", "sha384")
_SDIST = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


class DistributionFile(NamedTuple):
    """One distribution file of a package. `hash` is `algorithm:hex`, empty when the lock has none."""

    filename: str
    hash: str
    size: int | None = None
    url: str = ""


class Pin(NamedTuple):
    """A package a lock wants installed. `name` is normalised (PEP 503).

    `files` are the candidates. Where a lock has hashes without file names they are in `hashes`, and `indexes` are
    the URLs of the indexes to ask in order; "", and none at all, mean the default one. `direct` says that the lock
    names a URL instead of an index.
    """

    name: str
    version: str
    files: tuple[DistributionFile, ...] = ()
    hashes: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    direct: bool = False
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.name}=={self.version}" if self.version else self.name


class Reading(NamedTuple):
    """What a lock file says for one target, before files are chosen.

    `folders` are (name, path) of projects inside the app, "" being the app itself; `needs` are (package, why) that
    would have to be built; `unpinned` are packages without digest; `left` are (name, marker) of what is asked for only
    on other targets.
    """

    pins: tuple[Pin, ...]
    folders: tuple[tuple[str, str], ...] = ()
    needs: tuple[tuple[str, str], ...] = ()
    unpinned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The normalised names of all that it installs, or would."""
        labels = (re.split(r"[^A-Za-z0-9._-]", text)[0] for text in (*self.unpinned, *(name for name, _ in self.needs)))
        bare = (re.sub(r"[-_.]+", "-", label).lower() for label in labels)
        return frozenset([*(pin.name for pin in self.pins), *(name for name, _ in self.folders), *bare])


def of_repository(name: str, version: str, source: Repository, line: int | None = None) -> Pin:
    """A package that comes from a repository; its version is empty where only the package itself tells it."""
    file = DistributionFile(source.filename(name, version), source.digest, None, str(source))
    return Pin(name, version, (file,), direct=True, line=line)


def normalise(name: str, file: str, line: int | None = None) -> str:
    """The normalised project name (PEP 503); BadLock when it is no name at all, such as one with a slash."""
    if not _NAME.fullmatch(name):
        raise BadLock(file, f"{name[:100]!r} is not a package name", line=line)
    return re.sub(r"[-_.]+", "-", name).lower()


def without_credentials(url: str) -> str:
    """A URL without user, password and fragment; what is stored or printed passes through here."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))


def normalise_index(url: str) -> str:
    """An index URL for comparison: no credentials, lower-case host, no default port, no final slash."""
    parts = urlsplit(without_credentials(url))
    port = {"https": ":443", "http": ":80"}.get(parts.scheme.lower(), "")
    host = parts.netloc.lower()
    host = host.removesuffix(port) if port else host
    return urlunsplit((parts.scheme.lower(), host, parts.path.rstrip("/"), parts.query, ""))


def is_web(url: str) -> bool:
    """Whether a URL can be fetched over HTTP."""
    return url.lower().startswith(("https://", "http://"))


def filename_of(url: str) -> str:
    """The last, percent-decoded part of a URL's path."""
    name = url.partition("#")[0].partition("?")[0].rpartition("/")[2]
    return unquote(name) if "%" in name else name


def strongest(hashes: dict[str, str]) -> str:
    """Of a table algorithm → hex, the entry stager prefers, as `algorithm:hex`; empty when the table is."""
    for algorithm in (*_STRONG, *sorted(hashes)):
        if algorithm in hashes:
            return f"{algorithm}:{hashes[algorithm]}"
    return ""


def digest_of(hash_text: str, what: str, lock: str, line: int | None = None) -> Digest:
    """A lock's hash as a digest. Raises BadLock for one that is malformed, cut short or of a broken algorithm."""
    algorithm = hash_text.partition(":")[0]
    if algorithm not in _STRONG:
        why = f"{what} has only a {algorithm[:20] or 'nameless'} hash, which proves nothing"
        raise BadLock(lock, why, "Make the lock again from an index that gives sha256 hashes.", line)
    try:
        return Digest(hash_text)
    except ValueError:
        raise BadLock(lock, f"{what} has a malformed hash: {hash_text[:160]!r}", line=line) from None


def best_wheel(files: Iterable[DistributionFile], ranks: dict[str, int]) -> DistributionFile | None:
    """The wheel with the best tag; among equals the highest build number; None when no wheel fits."""
    fitting = [(score, file) for file in files if (score := _score(file.filename, ranks)) is not None]
    return min(fitting, key=lambda pair: (pair[0], pair[1].filename, pair[1].hash, pair[1].url))[1] if fitting else None


def _score(filename: str, ranks: dict[str, int]) -> tuple[int, int, str] | None:
    """How good a file is for the target, lower being better: (tag rank, −build number, rest of the build tag)."""
    parts = filename.removesuffix(".whl").split("-")
    if not filename.endswith(".whl") or len(parts) not in (5, 6):
        return None
    pythons, abis, platforms = (part.lower().split(".") for part in parts[-3:])
    if len(pythons) * len(abis) * len(platforms) > 4096:  # a name made to burn time; real ones have below 100
        return None
    tags = (f"{python}-{abi}-{platform}" for python in pythons for abi in abis for platform in platforms)
    rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
    build = re.match(r"\d+", parts[2]) if len(parts) == 6 else None
    if rank is None or (len(parts) == 6 and build is None):
        return None
    # A build tag sorts after none, then by its number, then by its text, greatest first.
    number = int(build[0][:15]) + 1 if build else 0
    text = parts[2][build.end() :] if build else ""
    return rank, -number, "".join(chr(0x10FFFF - ord(char)) for char in text) + chr(0x10FFFF)


def is_foreign(pin: Pin, default_indexes: frozenset[str]) -> bool:
    """Whether the lock names an index for the package that is not among the default ones."""
    return any(index and normalise_index(index) not in default_indexes for index in pin.indexes)


def is_sdist(filename: str) -> bool:
    """Whether a file name is that of a source archive."""
    return filename.endswith(_SDIST)


def merged(pins: Iterable[Pin]) -> list[Pin]:
    """Pins with those of one name and version joined: locks list a package again for each of its extras."""
    joined: dict[tuple[str, str], Pin] = {}
    for pin in pins:
        known = joined.get((pin.name, pin.version))
        if known:
            pin = known._replace(files=tuple(dict.fromkeys((*known.files, *pin.files))))
        joined[pin.name, pin.version] = pin
    return list(joined.values())
