"""Choosing each pinned package's file for the target, or saying why there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from stager.digest import Digest
from stager.ecosystems import repository
from stager.errors import BadLock, NeedsBuild, Unpinned
from stager.model import Artifact, Build

from .building import best_sdist, build_of
from .folders import file_path
from .pins import (
    LAYOUT,
    PLACE,
    SDIST,
    DistributionFile,
    Pin,
    Reading,
    best_wheel,
    digest_of,
    is_foreign,
    is_web,
    normalise,
    without_credentials,
)
from .target import Target, tag_ranks
from .unbuilt import better, refusal, why
from .wishes import Wishes

_ENDS = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stager.tree import SourceTree

    from .lookup import DistributionLookup


class Selection(NamedTuple):
    """The artifacts for the target, sorted by purl; hints (digest, URL) where they can be had; what is built of them."""

    artifacts: tuple[Artifact, ...]
    hints: tuple[tuple[str, str], ...]
    builds: tuple[Build, ...] = ()
    notes: tuple[str, ...] = ()


def select(
    reading: Reading,
    target: Target,
    lock: str,
    default_indexes: frozenset[str] = frozenset(),
    lookup: DistributionLookup | None = None,
    wishes: Wishes | None = None,
    tree: SourceTree | None = None,
) -> Selection:
    """For each package the wheel that fits best; where none fits, the sdist, which is built; unless `wishes` say otherwise.

    `tree` has the files that lie in the app; without it there are none. `lookup` is asked for other versions of a package that
    has no fitting wheel, so that one can be named.

    Raises Unpinned or NeedsBuild naming every package concerned, BadLock for contradictions within the lock.
    """
    _refuse_two_versions(reading.pins, lock)
    ranks, wishes = tag_ranks(target), wishes or Wishes()
    reading = reading._replace(pins=tuple(_restricted(pin, wishes) for pin in reading.pins))
    best = [(pin, best_wheel(pin.files, ranks)) for pin in reading.pins]
    bare = (str(pin) for pin, file in best if not (pin.files or pin.hashes) or (file and not file.hash))
    if unpinned := sorted({*reading.unpinned, *bare}):
        raise Unpinned(lock, unpinned, _again(lock))
    chosen = [(pin, file or best_sdist(pin.files)) for pin, file in best]
    none = [pin for pin, file in chosen if file is None]
    if none or reading.needs:
        raise refusal(none, reading.needs, target, lock, lookup)
    found = [(pin, *_artifact(pin, file, lock, default_indexes, tree)) for pin, file in chosen if file]
    found.sort(key=lambda one: one[1].purl.encode())
    built = [(pin, artifact) for pin, artifact, _ in found if artifact.layout == SDIST]
    reasons = {pin.name: _reason(pin, one, wishes, target) for pin, one in built}
    return Selection(
        tuple(artifact for _, artifact, _ in found),
        tuple(sorted((artifact.digest, url) for _, artifact, url in found if url)),
        tuple(build_of(pin.name, pin.version, one, reasons[pin.name], lock, pin.line) for pin, one in built),
        tuple(better([pin for pin, _ in built if not wishes.from_sources(pin.name)], target, lock, lookup)),
    )


def _restricted(pin: Pin, wishes: Wishes) -> Pin:
    """The pin with those files that the app lets be used. Raises NeedsBuild where it has files, and none of these."""
    if any(repository.is_from(file.url) for file in pin.files):
        return pin  # these settings are about what indexes have
    kept = wishes.allowed(pin.name, pin.files)
    if pin.files and not kept:
        what = "sources are asked for, and it has wheels alone" if wishes.from_sources(pin.name) else _ONLY
        raise NeedsBuild([(str(pin), what)], "Take its name out of that setting, or ask for another version of it.")
    return pin if len(kept) == len(pin.files) else pin._replace(files=kept)


def _reason(pin: Pin, artifact: Artifact, wishes: Wishes, target: Target) -> str:
    """Why a package is built."""
    if repository.is_from(artifact.url):
        return "a git repository"
    return _ASKED if wishes.from_sources(pin.name) else why(pin.files, target)


_ASKED = "the app asks for its sources"
_ONLY = "only an sdist, and the app's settings (only-binary, no-build) keep it from being built"


def _again(lock: str) -> str:
    """How to have digests in a lock that lacks some."""
    tool = {"poetry.lock": "poetry lock", "pdm.lock": "pdm lock", "Pipfile.lock": "pipenv lock", "uv.lock": "uv lock"}
    name = lock.rpartition("/")[2]
    if name in tool:
        return f"Delete {name}, run '{tool[name]}' with a current version of that tool, and commit the result."
    if name.startswith("pylock."):
        return f"Make {name} again from an index that gives sha256 hashes, and commit the result."
    return (
        f"Pin these by == and --hash, as the other lines are ('pip hash' prints it of a file), or delete every --hash of "
        f"{name}: then 'stager lock' makes pylock.toml of it."
    )


def _refuse_two_versions(pins: Iterable[Pin], lock: str) -> None:
    seen: dict[str, Pin] = {}
    for pin in pins:
        other = seen.setdefault(pin.name, pin)
        if other is not pin:
            hint = (
                "If extras or groups in stager.yml exclude one another, keep one of them; "
                f"else make {lock} again with the tool that wrote it."
            )
            raise BadLock(lock, f"{other} and {pin} would both be installed", hint, pin.line)


def _artifact(
    pin: Pin, file: DistributionFile, lock: str, default_indexes: frozenset[str], tree: SourceTree | None
) -> tuple[Artifact, str]:
    """The artifact of a chosen file, and the URL the lock names for it (empty when none)."""
    if repository.is_from(file.url):
        version = _canonical(pin, pin.version, lock) if pin.version else ""
        return Artifact(_purl(pin, version), file.filename, Digest(file.hash), SDIST, (PLACE,), url=file.url), ""
    version = _checked_version(pin, file, lock)
    digest = digest_of(file.hash, file.filename, lock, pin.line)
    url = without_credentials(file.url)
    if url and not is_web(url):
        if tree is None:
            hint = "Publish it to a package index, or make it a folder of the app."
            raise BadLock(lock, f"{pin} comes from {url[:200]}, which only one machine has", hint, pin.line)
        own = f"file:{file_path(tree, file.url if file.url.startswith('file:') else url, lock, pin.line)}"
        layout = LAYOUT if file.filename.endswith(".whl") else SDIST
        return Artifact(_purl(pin, version), file.filename, digest, layout, (PLACE,), None, own), ""
    foreign = pin.direct or is_foreign(pin, default_indexes)
    if file.size is not None and file.size < 0:
        raise BadLock(lock, f"{file.filename} has a negative size", line=pin.line)
    layout = LAYOUT if file.filename.endswith(".whl") else SDIST
    return Artifact(
        _purl(pin, version), file.filename, digest, layout, (PLACE,), file.size, url if foreign else ""
    ), url


def _purl(pin: Pin, version: str) -> str:
    return f"pkg:pypi/{pin.name}" + (f"@{quote(version, safe=':')}" if version else "")


def _canonical(pin: Pin, version: str, lock: str) -> str:
    """A version as PEP 440 spells it. Raises BadLock."""
    from packaging.version import InvalidVersion, Version

    try:
        return str(Version(version))
    except InvalidVersion as error:
        raise BadLock(lock, f"{pin}: {error}", line=pin.line) from None


def _told(name: str, version: str, pin: Pin) -> str:
    """The version that the name of a package's source archive tells; empty when it tells none."""
    from packaging.version import InvalidVersion, Version

    try:
        return str(Version(version)) if re.sub(r"[-_.]+", "-", name).lower() == pin.name else ""
    except InvalidVersion:
        return ""


def _checked_version(pin: Pin, file: DistributionFile, lock: str) -> str:
    """The canonical version (PEP 440) after checking that the file name says the same name and version."""
    from packaging.version import InvalidVersion, Version

    if any(sign in file.filename for sign in "/\\\0") or not file.filename.isprintable():
        raise BadLock(lock, f"{pin}: {file.filename[:200]!r} is not a file name", line=pin.line)
    name, stated = _stated(file.filename)
    if pin.direct and not file.filename.endswith(".whl"):  # a code host calls it as it likes: by a tag, or a commit
        return _canonical(pin, pin.version, lock) if pin.version else _told(name, stated, pin)
    try:
        version = Version(stated)
        same = not pin.version or Version(pin.version) == version
    except InvalidVersion as error:
        raise BadLock(lock, f"{pin}: {error}", line=pin.line) from None
    if normalise(name, lock, pin.line) != pin.name or not same:
        raise BadLock(lock, f"{file.filename} is not a file of {pin}", line=pin.line)
    return str(version)


def _stated(filename: str) -> tuple[str, str]:
    """Name and version in a file's name. A source archive's name may hold hyphens (PEP 625 came late), its version none."""
    if filename.endswith(".whl"):
        name, version = filename.split("-")[:2]
        return name, version
    stem = next(filename.removesuffix(end) for end in (*_ENDS, filename) if filename.endswith(end))
    name, _, version = stem.rpartition("-")
    return name, version
