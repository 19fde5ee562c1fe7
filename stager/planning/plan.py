"""Planning: everything an app depends on, pinned. Reads locks, chooses runtimes and start commands, gives a `Plan`.

A plan is a function of the tree's inputs, the shipped data, what indexes answer, and the previous plan, whose runtimes are
kept while they fit, so that no staging moves a runtime by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from .. import ecosystems, runtimes
from ..digest import Digest
from ..ecosystems import ecosystem
from ..ecosystems.record import LockRequest
from ..errors import StagerError
from ..facts import stacks
from ..files.writing import never
from ..formats.codec import CODEC
from ..model import (
    Artifact,
    Build,
    Detection,
    Detections,
    EnvVar,
    Locked,
    Plan,
    Progress,
    Reason,
    Runtime,
    Stack,
)
from ..runtimes.chosen import ChosenRuntime
from ..runtimes.ended import remarks
from ..text.resources import is_input
from . import buildpacks, builds, bytecode, detection, packages, system_packages
from .detection import appconfig, commands, options
from .inputs import DEFAULT_ARCHITECTURE, DEFAULT_STACK, inputs_of

if TYPE_CHECKING:
    from ..ecosystems.record import Pages
    from ..net.indexes import Indexes
    from ..store import Store
    from ..tree import SourceTree
    from .buildpacks.vocabulary import Buildpack
    from .detection.foreseen import Foreseen


@dataclass(frozen=True, slots=True)
class Sources:
    """Where planning may look: index pages, and which indexes these are."""

    web: Pages
    indexes: Indexes

    @classmethod
    def online(
        cls,
        store: Store,
        indexes: Indexes,
        tree: SourceTree,
        offline: bool = False,
        stop: Callable[[], bool] = never,
        progress: Progress | None = None,
    ) -> Sources:
        """The configured indexes, and those the app names, through the store's page cache; with `offline`, that alone."""
        from ..fetching.web import Web

        indexes = indexes_for(tree, indexes)
        return cls(Web(indexes, store, offline=offline, stopping=stop, progress=progress), indexes)


def indexes_for(tree: SourceTree, indexes: Indexes) -> Indexes:
    """The indexes with the registries that the app's own `.npmrc` names; its credentials are not read."""
    return indexes.with_app_npmrc(tree.read_text(".npmrc")) if ".npmrc" in tree.files else indexes


@dataclass(slots=True)
class _Parts:
    """What the buildpacks add up to."""

    runtimes: list[Runtime] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    hints: list[tuple[str, str]] = field(default_factory=list)
    builds: list[Build] = field(default_factory=list)
    wants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)

    def add_runtime(self, chosen: ChosenRuntime) -> None:
        self.runtimes.append(chosen.runtime)
        self.artifacts += chosen.artifacts
        self.links |= dict(chosen.links)
        self.files |= dict(chosen.files)
        self.notes += chosen.notes
        self.builds = [*chosen.builds, *self.builds]  # first: other builds have the runtimes around them
        self.wants |= {one.root: chosen.wants for one in chosen.builds}

    def add_locked(self, locked: Locked) -> None:
        self.artifacts += locked.artifacts
        self.links |= dict(locked.links)
        self.files |= dict(locked.files)
        self.names |= locked.names
        self.notes += locked.notes
        self.hints += locked.hints
        self.builds += locked.builds
        self.unsure += locked.unsure


def plan(
    tree: SourceTree,
    *,
    sources: Sources,
    stack: str = "",
    architecture: str = "",
    only: tuple[str, ...] = (),
    previous: Plan | None = None,
    usual: bytecode.Usual | None = None,
) -> Plan:
    """The plan of a tree.

    `stack` and `architecture` default to the app's `stager.yml`, then to those of `previous`, then to debian-12 on amd64;
    `only` names buildpacks that take part whatever the files say; `usual` says how much bytecode the plan has where nothing
    else does, without it none. Raises SourceError, BuildpackError, FetchError, IntegrityError, and NeedsBuild.
    """
    config = appconfig.read(tree)
    target = stack_of(tree, stack, architecture, previous)
    found, known, own = detect(tree, only)
    aim = packages.Aim(tree, target, sources.web, sources.indexes, previous)
    packages.check_unlocked(tree, known, found)
    tree.once(system_packages.wishes)  # what is wrong with them had better be said now

    def party(one: Detection, aim: packages.Aim, development: bool = False) -> packages.Party:
        pack = next(pack for pack in known if pack.name == one.buildpack)
        return packages.party(aim, one, pack, _folder(tree, pack, own), development)

    used = [party(one, aim) for one in found.matched]
    parts = _Parts()
    for one in used:
        for runtime in one.runtimes.values():
            parts.add_runtime(runtime)
        parts.add_locked(one.locked)
    more = system_packages.linked(((one.pack.ecosystem, build) for one in used for build in one.locked.builds), target)
    system, asked = system_packages.choose(tree, target, sources.web, sources.indexes, previous, more)
    parts.add_locked(system)
    chosen = commands.choose(tree, known, found, frozenset(parts.names))
    built = {one.buildpack for one in chosen.builds}
    building = [party(one, _of_builds(aim), True) for one in found.building if one.buildpack in built]
    made, notes = builds.planned(_of_builds(aim), chosen.builds, used, building)
    compiled = bytecode.choose(parts.runtimes, config, target, previous, usual)
    notes = (*found.notes, *remarks(parts.runtimes), *parts.notes, *notes, *chosen.notes, *compiled.notes)
    packs = [one.pack for one in used]
    return Plan(
        stack=target.name,
        architecture=target.architecture,
        codec=CODEC,
        buildpacks=tuple(one.pin for one in used),
        inputs=_inputs(tree, (*used, *building)),
        runtimes=tuple(parts.runtimes),
        artifacts=_sorted(parts.artifacts),
        links=tuple(sorted(parts.links.items(), key=_bytes)),
        files=tuple(sorted(parts.files.items(), key=_bytes)),
        processes=chosen.processes,
        env=_environment(packs, parts.runtimes, config),
        facts=(*_facts(tree, packs, parts, chosen.builds), *compiled.facts, *asked),
        builds=(*parts.builds, *made),
        roots=builds.roots(
            {**dict.fromkeys((*(one.root for one in parts.builds), *compiled.roots), ()), **parts.wants},
            chosen.builds,
            target.name,
        ),
        notes=tuple(dict.fromkeys(notes)),
        hints=(*parts.hints, *(hint for one in building for hint in one.locked.hints)),
        unsure=tuple(parts.unsure),
        asks=tuple((one.name, one.ask) for one in chosen.builds if not one.outputs),
    )


def _of_builds(aim: packages.Aim) -> packages.Aim:
    """The same, keeping what the plan so far has around its builds."""
    if aim.previous is None:
        return aim
    kept = (*aim.previous.runtimes, *(runtime for one in aim.previous.builds for runtime in one.runtimes))
    return replace(aim, previous=replace(aim.previous, runtimes=kept, artifacts=aim.previous.all_artifacts()))


def _inputs(tree: SourceTree, parties: Iterable[packages.Party]) -> tuple[tuple[str, Digest], ...]:
    """The files that determine the plan: by their names, for any buildpack, and because a manifest includes them."""
    found = inputs_of(tree)
    for one in parties:
        found |= {path: file.digest for path, file in tree.files.items() if is_input(path, one.pack.inputs)}
        if one.pack.ecosystem:
            more = ecosystem(one.pack.ecosystem).included(tree, one.detected.lock)
            found |= {path: tree.files[path].digest for path in more}
    return tuple((path, Digest(found[path])) for path in sorted(found))


def detect(tree: SourceTree, only: tuple[str, ...]) -> tuple[Detections, tuple[Buildpack, ...], dict[str, Buildpack]]:
    """What takes part; the buildpacks that were asked; and a user's own among them, by the folder that `only` names."""
    shipped = buildpacks.load_all()
    names = {one.name for one in shipped}
    own = {name: buildpacks.load_folder(name) for name in only if name not in names and os.path.isdir(name)}
    known = (*shipped, *own.values())
    return detection.detect(tree, known, only=[own[name].name if name in own else name for name in only]), known, own


def _folder(tree: SourceTree, pack: Buildpack, own: dict[str, Buildpack]) -> str:
    """Where a user's own buildpack is, relative to the app's folder; empty for a shipped one."""
    return next((os.path.relpath(path, tree.root or ".") for path, one in own.items() if one is pack), "")


def stack_of(tree: SourceTree, stack: str = "", architecture: str = "", previous: Plan | None = None) -> Stack:
    """The stack to stage for: the one asked for, else the app's, else that of the plan so far, else the default."""
    return stacks.load(
        stack or appconfig.read(tree).stack or (previous.stack if previous else "") or DEFAULT_STACK,
        architecture or (previous.architecture if previous else "") or DEFAULT_ARCHITECTURE,
    )


def _bytes(item: tuple[str, str]) -> bytes:
    return item[0].encode()


def _sorted(artifacts: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """Each artifact once, in a fixed order; places of the same file under one layout are joined."""
    joined: dict[tuple[str, str, str], Artifact] = {}
    for one in artifacts:
        key = (one.purl, str(one.digest), one.layout)
        paths = {*one.paths, *(joined[key].paths if key in joined else ())}
        joined[key] = replace(one, paths=tuple(sorted(paths, key=str.encode)))
    return tuple(joined[key] for key in sorted(joined, key=lambda key: tuple(part.encode() for part in key)))


def _environment(
    used: Iterable[Buildpack], carried: Iterable[Runtime], config: appconfig.AppConfig
) -> tuple[EnvVar, ...]:
    """The app's own settings win over a buildpack's and a runtime's; sorted by name."""
    rows = [row for pack in used for row in pack.env]
    rows += [row for runtime in carried for row in runtimes.kind(runtime.name).env]
    found = {name: EnvVar(name, value, Reason(why)) for name, value, why in rows}
    found |= {variable.name: variable for variable in config.env}
    return tuple(found[name] for name in sorted(found))


def _facts(
    tree: SourceTree, used: Iterable[Buildpack], parts: _Parts, built: Sequence[Foreseen]
) -> tuple[tuple[str, str], ...]:
    """Options for templates, and what the ecosystems of the app's packages want to know of it."""
    facts = [fact for pack in used for fact in options.read(tree, pack, built)]
    return (*facts, *(fact for one in ecosystems.chosen(parts.artifacts) for fact in one.facts(tree)))


def hints(tree: SourceTree, plan: Plan, indexes: Indexes) -> dict[str, str]:
    """Where the app's own locks say that files are; for a plan from `stager.lock`, which holds no such URLs.

    Only speed depends on it, so a lock that cannot be read gives none.
    """
    found, known = dict[str, str](), {one.name: one.version for one in plan.runtimes}
    for one in ecosystems.chosen(plan.artifacts):
        try:
            lock = next(iter(one.find_locks(tree)), "")
            if one.read_lock and lock in one.locks_with_urls:
                stack = stacks.load(plan.stack, plan.architecture)
                found |= dict(one.read_lock(LockRequest(tree, lock, stack, known, indexes)).hints)
        except StagerError:
            continue
    return found
