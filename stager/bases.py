"""From a plan to its base: its artifacts are fetched, unpacked and joined."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from . import fetching
from .digest import Digest
from .droplet import base as dependencies
from .droplet import incremental
from .droplet.base import UnpackedArtifact
from .droplet.incremental import Folder
from .ecosystems import by_layout, repository
from .errors import BadLock
from .model import Artifact, LockedPlan, Plan
from .net.indexes import Indexes
from .planning import lockfile
from .records import Base, BuildNote
from .settings import Settings
from .store import Store
from .store.errors import DigestMismatch
from .tree import SourceTree


class Ready(NamedTuple):
    """An artifact that was built: as what it is laid out now, and its blob."""

    artifact: Artifact
    blob: str
    note: BuildNote


def recalled(locked: LockedPlan, store: Store) -> Base | None:
    """The plan's base, when it is remembered and whole."""
    base = incremental.recall_base(locked.digest, store)
    linked = store.recall("linked", base.linked) if base is not None else None
    whole = base is not None and linked is not None and all(store.has(piece.blob) for piece in base.pieces())
    return base if whole else None


def make(
    locked: LockedPlan,
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready] | None = None,
    compiled: Callable[[list[UnpackedArtifact]], list[UnpackedArtifact]] = lambda _: [],
) -> Base:
    """The plan's base, made of its artifacts, fetching those that are missing; `ready` are the built ones, by their purl.

    `compiled` gives the bytecode of what was placed.
    """
    plan, store, ready = locked.plan, settings.store, ready or {}
    known = [(one, ready.get(one.purl)) for one in plan.artifacts]
    wanted = [replace(found.artifact, paths=one.paths) if found else one for one, found in known]
    jobs = settings.jobs or os.cpu_count() or 1
    with dependencies.Workshop(store, jobs, settings.stop) as workshop:
        for artifact, (_, built) in zip(wanted, known, strict=True):
            if built:
                workshop.add(artifact, built.blob)
        fetch(plan, settings, [one for one in plan.artifacts if one.purl not in ready], workshop.add, folder.tree)
        settings.tell("assemble", "pieces", 0, len(plan.artifacts))
        placed = []
        for one in workshop.placed(wanted):
            placed.append(one)
            settings.tell("assemble", one.artifact.name, len(placed), len(plan.artifacts))
    from .planning.detection import matching, steps  # here, since YAML comes with it

    lines = steps.lines(matching.AppFacts(folder.tree), plan.processes)
    return dependencies.build_base(locked, placed, store, folder.root, settings.stop, lines, compiled(placed))


def take_in(plan: Plan, tree: SourceTree, store: Store) -> None:
    """Store the artifacts that are files of the app itself (a `file:` URL). Raises BadLock, DigestMismatch."""
    for artifact in plan.all_artifacts():
        path = artifact.url.removeprefix("file:")
        if path == artifact.url:
            continue
        if path not in tree.files:
            raise BadLock(lockfile.NAME, f"{artifact.name} is to come from {path}, which is not among the app's files")
        state = hashlib.new(artifact.digest.algorithm)
        with store.writer() as writer:
            for part in tree.chunks(path):
                state.update(part)
                writer.write(part)
            if state.hexdigest() != artifact.digest.hex:
                raise DigestMismatch(path, artifact.digest, f"{artifact.digest.algorithm}:{state.hexdigest()}")
            store.remember("artifact", artifact.digest, writer.commit())


def with_commits(plan: Plan, previous: Plan | None, settings: Settings) -> Plan:
    """The plan with the digests of those artifacts that are commits of repositories, which no lock of the app's own knows.

    They are those of the `previous` plan while the commit is the same one; else the commits are fetched. Raises as `fetch`.
    """
    wanted = {one for one in plan.all_artifacts() if repository.is_from(one.url)}
    if not wanted:
        return plan
    known = {one.url: one.digest for one in previous.all_artifacts()} if previous else {}
    unknown = [one for one in wanted if one.url not in known]
    blobs = fetch(plan, settings, sorted(unknown, key=lambda one: one.url)) if unknown else {}
    known |= {one.url: Digest(f"sha256:{blobs[one.digest]}") for one in unknown}

    def pinned(artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
        return tuple(replace(one, digest=known[one.url]) if one in wanted else one for one in artifacts)

    builds = tuple(replace(build, artifacts=pinned(build.artifacts)) for build in plan.builds)
    return replace(plan, artifacts=pinned(plan.artifacts), builds=builds)


def fetch(
    plan: Plan,
    settings: Settings,
    wanted: Sequence[Artifact] | None = None,
    ready: Callable[..., None] | None = None,
    tree: SourceTree | None = None,
    *,
    prove: bool = False,
) -> dict[str, str]:
    """Bring the `wanted` artifacts of the plan, usually every one, into the store; digest → blob.

    The only step that opens sockets for artifacts.

    With `prove` those that are there are hashed, and damaged ones fetched again.
    """
    packages = by_layout()
    artifacts = plan.all_artifacts() if wanted is None else wanted
    biggest_first = sorted(artifacts, key=lambda one: (one.layout in packages, -(one.size or 0)))
    return fetching.fetch(
        biggest_first,
        settings.store,
        indexes=_indexes(settings, tree),
        offline=settings.offline,
        jobs=max(8, settings.jobs),
        hints=_hints(plan, settings, tree),
        progress=settings.progress,
        cancel=settings.cancel,
        ready=ready,
        prove=prove,
    )


def _hints(plan: Plan, settings: Settings, tree: SourceTree | None) -> dict[str, str]:
    """Digest → URL of files that are to be fetched, so that no index page need be asked for them."""
    if plan.hints or settings.offline or tree is None:
        return dict(plan.hints)
    if len(fetching.resolve(settings.store, plan.all_artifacts())) == len({one.digest for one in plan.all_artifacts()}):
        return {}
    from .planning import plan as planning

    return planning.hints(tree, plan, _indexes(settings, tree))


def _indexes(settings: Settings, tree: SourceTree | None) -> Indexes:
    """The indexes that this app's files come from: an app with an `.npmrc` may name registries of its own."""
    if tree is None or ".npmrc" not in tree.files:
        return settings.indexes
    from .planning import plan as planning

    return planning.indexes_for(tree, settings.indexes)
