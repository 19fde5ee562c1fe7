"""Finding the files behind bare hashes.

`Pipfile.lock` and hashed `requirements.txt` hold hashes without file names, and `poetry.lock` names files of a private
index without their URLs. The simple page (PEP 503, PEP 691) of the project tells the rest; the hash decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from stager.errors import BadLock
from stager.net.errors import Gone, NotCached
from stager.store.errors import DigestMismatch

from .pins import DistributionFile, Pin, digest_of, is_foreign, normalise, normalise_index
from .target import Target


class IndexFile(NamedTuple):
    """One file of a project's simple page. `hashes` maps algorithm to hex."""

    filename: str
    url: str
    hashes: dict[str, str]
    size: int | None = None
    yanked: bool = False
    requires_python: str = ""


Keep = Callable[[IndexFile], bool]
"""Whether a file of a page is worth holding: a page may list 100,000."""


class DistributionLookup(Protocol):
    """An index, or a cache of one. `index` is empty for the default or configured index."""

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        """The files on the simple page of the normalised `name`, at least those to `keep`; empty when there is none."""


def resolve(
    pins: Sequence[Pin], lookup: DistributionLookup | None, target: Target, lock: str, default_indexes: frozenset[str]
) -> list[Pin]:
    """The pins with the files of those completed that need the index.

    Raises NotCached naming all of them when there is no lookup, Gone or DigestMismatch when the index lacks the
    pinned file, BadLock when the package does not run on the target's Python.
    """
    unknown = [pin for pin in pins if _needs_index(pin, default_indexes)]
    for pin in unknown:
        _check_hashes(pin, lock)
    if unknown and lookup is None:
        raise NotCached([f"index page of {pin.name}" for pin in unknown])
    return [
        _completed(pin, lookup, target, lock, default_indexes) if pin in unknown and lookup else pin for pin in pins
    ]


def _needs_index(pin: Pin, default_indexes: frozenset[str]) -> bool:
    if pin.direct:
        return False
    if pin.hashes and not pin.files:
        return True
    return is_foreign(pin, default_indexes) and any(not file.url for file in pin.files)


def _check_hashes(pin: Pin, lock: str) -> None:
    """At least one hash must be strong, and those that are must be whole."""
    strong = [text for text in pin.hashes if text.startswith(("sha256:", "sha384:", "sha512:"))]
    for text in strong or pin.hashes[:1]:
        digest_of(text, str(pin), lock, pin.line)


def _completed(pin: Pin, lookup: DistributionLookup, target: Target, lock: str, default_indexes: frozenset[str]) -> Pin:
    wanted = set(pin.hashes) or {file.hash for file in pin.files}
    seen: list[IndexFile] = []

    def keep(file: IndexFile) -> bool:
        return pin.version in file.filename or any(f"{kind}:{value}" in wanted for kind, value in file.hashes.items())

    for index in pin.indexes or ("",):
        default = not index or normalise_index(index) in default_indexes
        page = lookup.files(pin.name, "" if default else index, keep)
        if files := _matching(page, wanted):
            running = [file for found, file in files if runs(found, target)]
            if not running:
                needed = files[0][0].requires_python
                raise BadLock(lock, f"{pin} needs Python {needed}, not {target.full}", line=pin.line)
            return pin._replace(files=tuple(running), indexes=() if default else (index,))
        seen += page
    if any(_version_is(pin, file) for file in seen):
        raise DigestMismatch(str(pin), f"one of the {len(wanted)} hashes in {lock}", "only other files from the index")
    raise Gone(str(pin), f"Pin another version in {lock}, or configure the index that has it.")


def _matching(page: Iterable[IndexFile], wanted: set[str]) -> list[tuple[IndexFile, DistributionFile]]:
    found = []
    for file in page:
        match = sorted(wanted & {f"{algorithm}:{value}" for algorithm, value in file.hashes.items()})
        if match:
            best = next((text for text in match if text.startswith("sha256:")), match[0])
            found.append((file, DistributionFile(file.filename, best, file.size, file.url)))
    return found


def runs(file: IndexFile, target: Target) -> bool:
    """Whether a file's Requires-Python admits the target; an unreadable one counts as absent, as pip does it."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        return not file.requires_python or SpecifierSet(file.requires_python).contains(target.full, prereleases=True)
    except InvalidSpecifier:
        return True


def _version_is(pin: Pin, file: IndexFile) -> bool:
    from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
    from packaging.version import InvalidVersion, Version

    try:
        if file.filename.endswith(".whl"):
            name, version = parse_wheel_filename(file.filename)[:2]
        else:
            name, version = parse_sdist_filename(file.filename)
        return normalise(name, "") == pin.name and version == Version(pin.version)
    except (InvalidSdistFilename, InvalidWheelFilename, InvalidVersion):
        return False
