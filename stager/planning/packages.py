"""What one buildpack adds to a plan: its runtimes, and the packages that the app's own lock pins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import runtimes
from ..ecosystems import ecosystem
from ..ecosystems.record import LockRequest
from ..errors import Unpinned
from ..model import BuildpackPin, Detection, Detections, Locked, Plan, Reason, Stack
from ..runtimes.chosen import ChosenRuntime
from ..runtimes.ended import remarks
from ..runtimes.record import RuntimeRequest
from . import above
from .detection import appconfig, versions
from .detection.foreseen import Foreseen, due, foreseen, taking_part

if TYPE_CHECKING:
    from ..ecosystems.record import Pages
    from ..net.indexes import Indexes
    from ..tree import SourceTree
    from .buildpacks.vocabulary import Buildpack


@dataclass(frozen=True, slots=True)
class Aim:
    """What everything is chosen for, and where planning may look."""

    tree: SourceTree
    stack: Stack
    web: Pages
    indexes: Indexes
    previous: Plan | None

    @property
    def config(self) -> appconfig.AppConfig:
        return appconfig.read(self.tree)


@dataclass(frozen=True, slots=True)
class Party:
    """A buildpack that takes part, or that a build needs, with what it adds."""

    detected: Detection
    pack: Buildpack
    pin: BuildpackPin
    runtimes: dict[str, ChosenRuntime]
    locked: Locked


def party(aim: Aim, detected: Detection, pack: Buildpack, folder: str, development: bool = False) -> Party:
    """A buildpack with its runtimes and packages, those for `development` among them if they are wanted.

    `folder` is where a user's own buildpack is. Raises LockStale, VersionError, NoRuntime and what reading the lock raises.
    """
    if pack.ecosystem and detected.lock:
        ecosystem(pack.ecosystem).check_drift(aim.tree, detected.lock)
    chosen: dict[str, ChosenRuntime] = {}
    for name in versions.runtimes(aim.tree, pack, detected.lock):
        chosen[name] = choose(aim, detected, pack, name, chosen)
    for name in versions.called(aim.tree, pack):
        chosen[name] = chosen.get(name) or choose(aim, detected, pack, name, chosen)
    pin = BuildpackPin(pack.name, pack.digest, detected.reason, folder)
    return Party(detected, pack, pin, chosen, packages(aim, detected, pack, chosen, development))


def choose(
    aim: Aim, detected: Detection, pack: Buildpack, name: str, beside: Mapping[str, ChosenRuntime]
) -> ChosenRuntime:
    """A runtime as the app and its lock ask for it. Raises VersionError, NoRuntime, FetchError."""
    refuses, previous = aim.config.refuses_ended, aim.previous
    if previous and refuses and remarks(previous.runtimes):
        previous = None
    asked = _asked(aim.tree, name, detected, pack)
    request = RuntimeRequest(asked, aim.stack, aim.web, aim.indexes, previous, dict(beside), not refuses)
    return runtimes.kind(name).choose(request)


def packages(
    aim: Aim, detected: Detection, pack: Buildpack, chosen: dict[str, ChosenRuntime], development: bool = False
) -> Locked:
    """What the app's lock comes to on these runtimes. Raises what reading it raises."""
    read = ecosystem(pack.ecosystem).read_lock if pack.ecosystem else None
    if read is None:
        return Locked(())
    lists = aim.config.lists.get(pack.ecosystem, {})
    known = {name: one.runtime.version for name, one in chosen.items()}
    return read(LockRequest(aim.tree, detected.lock, aim.stack, known, aim.indexes, aim.web, lists, development))


def without_lock(
    tree: SourceTree, known: Sequence[Buildpack], found: Detections
) -> list[tuple[Detection, Buildpack, list[str]]]:
    """The buildpacks of whose packages the app has no lock, and the names of these. Raises as `unlocked`."""
    parties = [(one, _pack(known, one)) for one in (*found.matched, *found.building)]
    builds = due(tree, taking_part(foreseen(tree, known), [_pack(known, one) for one in found.matched]))
    missing = ((one, pack, unlocked(tree, one, pack, builds)) for one, pack in parties)
    return [row for row in missing if row[2]]


def check_unlocked(tree: SourceTree, known: Sequence[Buildpack], found: Detections) -> None:
    """An app without a lock may be staged only when it needs no packages at all. Raises Unpinned, and as `unlocked`."""
    for _, pack, names in without_lock(tree, known, found):
        raise Unpinned(next((path for path in ecosystem(pack.ecosystem).manifests if path in tree), ""), names)


def _pack(known: Iterable[Buildpack], detected: Detection) -> Buildpack:
    return next(one for one in known if one.name == detected.buildpack)


def unlocked(tree: SourceTree, detected: Detection, pack: Buildpack, builds: Iterable[Foreseen] = ()) -> list[str]:
    """The names an app asks for in its manifests when it has no lock of them; empty when it needs no packages.

    Those for development are among them where one of `builds` needs these. Raises BadManifest where only running a manifest
    could tell, WorkspaceMember where the lock is to be in a folder above.
    """
    if detected.lock or not pack.ecosystem:
        return []
    names = ecosystem(pack.ecosystem).declared(tree)
    if any(one.development and one.buildpack == pack.name for one in builds):
        names |= ecosystem(pack.ecosystem).developed(tree)
    if names and tree.root:
        above.refuse_member(tree.root, pack.ecosystem)
    return sorted(names)


def _asked(tree: SourceTree, runtime: str, detected: Detection, pack: Buildpack) -> list[tuple[str, Reason]]:
    told = (
        detected.versions
        if runtime in versions.runtimes(tree, pack, detected.lock)
        else versions.requested(tree, runtime)
    )
    asked = [(wanted, why) for name, wanted, why in told if name == runtime]
    return asked + [(wanted, why) for name, wanted, why in made_for(tree, pack, detected.lock) if name == runtime]


def made_for(tree: SourceTree, pack: Buildpack, lock: str) -> Sequence[tuple[str, str, Reason]]:
    """(runtime, wanted, where it says so) that the app's lock was made for."""
    return ecosystem(pack.ecosystem).requires(tree, lock) if pack.ecosystem and lock else ()
