"""Reading `pylock.toml` (PEP 751, lock-version 1.0) by the specification's installation algorithm.

`packaging` validates the file; choosing packages is done here, because stager reports all packages without a fitting
wheel at once and never falls back to an sdist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stager.ecosystems.repository import Repository, locked
from stager.errors import BadLock

from .document import lines_of, read, toml
from .folders import folder_path
from .pins import DistributionFile, Pin, Reading, filename_of, normalise, of_repository, strongest
from .target import Markers, Target

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

    from stager.tree import SourceTree


def read_pylock(tree: SourceTree, lock: str, target: Target, groups: Sequence[str], extras: Sequence[str]) -> Reading:
    """What a pylock installs for the target: its default groups, and the groups and extras asked for.

    Raises BadLock for another lock-version, a file that breaks the specification, or an environment it does not serve.
    """
    document = _validated(tree, lock)
    markers = Markers(target, lock)
    _check_environments(document, lock, target, markers)
    asked_extras = frozenset(_known("extra", extras, document.extras or (), lock))
    wanted = frozenset([*(document.default_groups or ()), *groups])
    _known("group", groups, [*(document.dependency_groups or ()), *(document.default_groups or ())], lock)
    lines = lines_of(read(tree, lock), "[[packages]]")
    pins, folders, needs, left = [], [], [], []
    for number, package in enumerate(document.packages):
        line = lines[number] if number < len(lines) else None
        if package.marker and not markers(str(package.marker), asked_extras, wanted, package.name):
            left.append((str(package.name), str(package.marker)))
            continue
        _check_python(package, target, lock, line)
        if package.directory is not None:
            where = _joined(package.directory.path, package.directory.subdirectory)
            folders.append((str(package.name), folder_path(tree, where, lock, line)))
        elif package.vcs is not None and package.vcs.type != "git":
            needs.append((_label(package), f"a {package.vcs.type} repository"))
        elif package.vcs is not None:
            source = _repository(package, lock, line)
            pins.append(of_repository(package.name, str(package.version or ""), source, line))
        else:
            pins.append(_pin(package, line))
    return Reading(tuple(pins), tuple(folders), tuple(needs), left=tuple(left))


def _validated(tree: SourceTree, lock: str) -> Pylock:
    from packaging.pylock import Pylock, PylockValidationError

    node = toml(tree, lock)
    version = node.str("lock-version")
    if version != "1.0":
        hint = "Make it again with a tool that writes lock-version 1.0, such as 'uv export --format pylock.toml'."
        raise BadLock(lock, f"is of lock-version {version[:20]}; this stager reads 1.0", hint)
    try:
        return Pylock.from_dict(node.value)
    except (PylockValidationError, ValueError, TypeError, RecursionError) as error:
        raise BadLock(lock, _one_line(error)) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


def _check_environments(document: Pylock, lock: str, target: Target, markers: Markers) -> None:
    environments = [str(marker) for marker in document.environments or ()]
    hint = f"Make it for this target as well; 'uv pip compile --universal' and 'uv export' make a {lock} for every platform."
    if environments and not any(markers(marker) for marker in environments):
        why = f"was not made for {target.label}: its environments are {'; '.join(environments)[:300]}"
        raise BadLock(lock, why, hint)
    python = document.requires_python
    if python is not None and not python.contains(target.full, prereleases=True):
        raise BadLock(lock, f"was made for Python {python}, not for {target.words}", hint)


def _known(what: str, asked: Sequence[str], known: Sequence[str], lock: str) -> list[str]:
    """The names asked for, normalised; BadLock when the lock was not made with one of them."""
    names = sorted({normalise(name, lock) for name in known})
    found = [normalise(name, lock) for name in asked]
    for name in found:
        if name not in names:
            hint = (
                f"It has: {', '.join(names) or 'none'}. Correct python.{what}s in stager.yml, or make the lock with it."
            )
            raise BadLock(lock, f"has no {what} {name!r}", hint)
    return found


def _check_python(package: Package, target: Target, lock: str, line: int | None) -> None:
    if package.requires_python and not package.requires_python.contains(target.full, prereleases=True):
        raise BadLock(lock, f"{_label(package)} needs Python {package.requires_python}, not {target.full}", line=line)


def _label(package: Package) -> str:
    return f"{package.name}=={package.version}" if package.version else str(package.name)


def _joined(path: str, subdirectory: str | None) -> str:
    return f"{path.rstrip('/')}/{subdirectory}" if subdirectory else path


def _repository(package: Package, lock: str, line: int | None) -> Repository:
    """Where a package of version control comes from; `_read` has seen that it does."""
    found = package.vcs
    assert found is not None
    again = f"Make {lock} again with the tool that wrote it, and commit the result."
    address, folder = found.url or found.path or "", found.subdirectory or ""
    return locked(address, found.commit_id or "", folder, lock, _label(package), again, line)


def _pin(package: Package, line: int | None) -> Pin:
    version = str(package.version) if package.version else ""
    if package.archive is not None:
        files = (_file(package.archive),)
        return Pin(package.name, version, files, direct=True, line=line)
    candidates: list[Any] = [*(package.wheels or ()), *filter(None, [package.sdist])]
    indexes = (package.index,) if package.index else ()
    return Pin(package.name, version, tuple(_file(file) for file in candidates), (), indexes, line=line)


def _file(entry: Any) -> DistributionFile:
    """A wheel, sdist or archive of the lock; an entry with only a path is local, which the selection refuses."""
    url = entry.url or entry.path or ""
    name = getattr(entry, "name", None) or filename_of(url)
    hashes = {algorithm.lower(): value for algorithm, value in entry.hashes.items()}
    return DistributionFile(name, strongest(hashes), entry.size, url)
