"""Whether a lock was made for the target: what the manifest asks for there must be among what is installed.

Resolvers leave out what the machine they run on, or the environments that they are told, do not need. Such a lock names
its packages under markers that hold nowhere else, or not at all; installed elsewhere it comes to nothing, and no tool says
so but its own. A requirement whose own marker leaves out the target is not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from stager.errors import BadLock
from stager.text.typed import Node

from .constraints import accepts
from .declarations import origin
from .manifest import (
    PYPROJECT,
    DeclaredDependency,
    dig,
    pipfile_wanted,
    poetry_wanted,
    project_wanted,
    pyproject,
)
from .pdm import pdm_hint
from .pins import Reading, normalise
from .sameness import releases_around
from .target import Markers, Target

if TYPE_CHECKING:
    from stager.tree import SourceTree

_MOST = 12
"""Packages and markers that a message names."""


def check(
    tree: SourceTree, lock: str, reading: Reading, target: Target, groups: Sequence[str], extras: Sequence[str]
) -> tuple[str, ...]:
    """Notes on what a lock leaves out for the target. Raises BadLock when it leaves out what the manifest asks for.

    `uv.lock` records its manifest and is checked by its own reader. Where nothing says what was asked for, a lock of which
    nothing is left on this Python, and something on another, was made for that one.
    """
    name, here = lock.rpartition("/")[2], reading.names
    left = {one: marker for one, marker in reading.left if one not in here}
    manifest, wanted, command = _asked(tree, lock, groups, extras)
    missing = [one for one in _holding(tree, wanted, target) if one not in here]
    if name not in _ABSENT:
        missing = [one for one in missing if one in left]
    if name == "Pipfile.lock":
        missing += _needing_newer(left, wanted, target, lock)
    if not manifest and not here:
        missing = [one for one, marker in left.items() if _elsewhere(marker, target, lock)]
        if left and not missing:
            return (f"{lock}: nothing in it is for Linux",)
    if missing:
        raise _made_for_another(lock, manifest, {one: left.get(one, "") for one in missing}, command, target)
    return ()


_ABSENT = ("pylock.toml", "requirements.txt")
"""Locks that record no hash of their manifest, so that a requirement with a marker may be missing from them altogether."""

_COMMANDS = {
    "poetry.lock": "poetry lock",
    "pdm.lock": "pdm lock",
    "Pipfile.lock": "pipenv lock",
}


def _asked(
    tree: SourceTree, lock: str, groups: Sequence[str], extras: Sequence[str]
) -> tuple[str, list[DeclaredDependency], str]:
    """The manifest, what it asks for with these groups and extras, and the command that makes the lock."""
    name = lock.rpartition("/")[2]
    both = [normalise(one, lock) for one in (*groups, *extras)]
    command = _COMMANDS.get(name, "")
    if name == "Pipfile.lock":
        return ("Pipfile", pipfile_wanted(tree, groups), command) if "Pipfile" in tree else ("", [], command)
    if name == "poetry.lock" and PYPROJECT in tree:
        asked = ([normalise(one, lock) for one in some] for some in (groups, extras))
        return PYPROJECT, poetry_wanted(tree, *asked, known=True), command
    if name == "pdm.lock" and PYPROJECT in tree:
        return PYPROJECT, project_wanted(tree, both, known=True), command
    found = origin(tree, lock, both) if name != "uv.lock" else None
    return (found.file, found.wanted, found.command) if found else ("", [], command)


def _holding(tree: SourceTree, wanted: Iterable[DeclaredDependency], target: Target) -> list[str]:
    """The names that are asked for on the target, each once.

    Of several requirements of one package those with a condition decide: Poetry's table adds conditions to `[project]`.
    """
    without, markers = _without(pyproject(tree)), Markers(target, PYPROJECT)
    entries: dict[str, list[DeclaredDependency]] = {}
    for one in wanted:
        if not one.optional and one.name not in without:
            entries.setdefault(one.name, []).append(one)
    return [name for name, some in entries.items() if any(_holds(one, markers, target) for one in _deciding(some))]


def _deciding(some: list[DeclaredDependency]) -> list[DeclaredDependency]:
    return [one for one in some if one.marker or one.python] or some


def _holds(one: DeclaredDependency, markers: Markers, target: Target) -> bool:
    try:
        return markers(one.marker, what=one.name) and (not one.python or accepts(one.python, target.full))
    except ValueError:
        raise BadLock(one.file, f"{one.name}: {one.python[:100]!r} is not a version constraint") from None


def _without(document: Node) -> frozenset[str]:
    """The project itself, which its extras may name, and what the tools' settings replace or take out."""
    names = [node for keys in (("project", "name"), ("tool", "poetry", "name")) if (node := dig(document, *keys))]
    for keys in (
        ("tool", "uv", "override-dependencies"),
        ("tool", "uv", "exclude-dependencies"),
        ("tool", "pdm", "resolution", "excludes"),
    ):
        names += list(dig(document, *keys) or ())
    texts = [re.split(r"[^A-Za-z0-9._-]", node.value.strip())[0] for node in names if isinstance(node.value, str)]
    return frozenset(normalise(text, document.file) for text in texts if text)


# --- other Pythons ---------------------------------------------------------------------------------------------


def _needing_newer(
    left: Mapping[str, str], wanted: Iterable[DeclaredDependency], target: Target, lock: str
) -> list[str]:
    """What is left out because this Python is too old for it, though pipenv wrote down only what its own Python needs.

    Those of the Pipfile's own conditions aside; a backport, which is for older Pythons, is rightly left out.
    """
    own = {one.name for one in wanted if one.marker}
    newer = Target(target.stack, (target.python[0], _NEWEST), f"{target.python[0]}.{_NEWEST}.0")
    markers = Markers(newer, lock)
    return [one for one, marker in left.items() if one not in own and markers(marker, what=one)]


_NEWEST = 99
"""The minor version of a Python that is newer than any a marker speaks of."""


def _elsewhere(marker: str, target: Target, lock: str) -> str:
    """A Python under which a marker holds on this platform, empty when there is none."""
    for version in sorted(set(releases_around(re.findall(r"\d+(?:\.\d+)+", marker)))):
        major, minor = (int(part) for part in version.split(".")[:2])
        if Markers(Target(target.stack, (major, minor), version), lock)(marker):
            return version
    return ""


# --- the error -------------------------------------------------------------------------------------------------


def _made_for_another(lock: str, manifest: str, missing: Mapping[str, str], command: str, target: Target) -> BadLock:
    """`missing` are the packages, each with the marker that it has in the lock, empty when it is not there."""
    by_marker: dict[str, list[str]] = {}
    for one, marker in missing.items():
        by_marker.setdefault(" ".join(marker.split())[:200], []).append(one)
    parts = [
        f"{_listed(names)} {'are' if len(names) > 1 else 'is'} " + (f"there for {marker} only" if marker else "missing")
        for marker, names in list(by_marker.items())[:_MOST]
    ]
    asked = f", which {manifest} asks for" if manifest else ""
    return BadLock(
        lock, f"was not made for {target.words}: {'; '.join(parts)}{asked}", _hint(lock, command, missing, target)
    )


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {rest} more" if rest > 0 else "")


def _hint(lock: str, command: str, missing: Mapping[str, str], target: Target) -> str:
    name, minor = lock.rpartition("/")[2], ".".join(map(str, target.python))
    version = {_elsewhere(marker, target, lock) for marker in missing.values()}
    other = next(iter(version)) if len(version) == 1 else ""
    stay = f" Or stage for Python {other}: write it into .python-version." if other else ""
    if name == "pdm.lock":
        return pdm_hint(target) + stay
    if name == "poetry.lock":
        return f"Let 'python' in {PYPROJECT} admit {target.full}, run '{command}', and commit {lock}.{stay}"
    if name == "Pipfile.lock":
        return (
            f"Write python_version = \"{minor}\" under [requires] in Pipfile, run '{command}', and commit {lock}.{stay}"
        )
    if command.startswith("uv pip"):
        return f"Run '{command} --universal' and commit {lock}.{stay}"
    made = f"run '{command}'" if command else "with the tool that wrote it"
    return f"Make {lock} for every platform and for Python {minor}: {made}, and commit it.{stay}"
