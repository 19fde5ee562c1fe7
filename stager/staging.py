"""The verbs in order: tree → detect → plan → fetch → assemble → droplet.

`entry.stage` takes the warm path (`droplet.incremental`) when the folder's lock still fits; otherwise it comes here, the long
way round, which assembles on the same path in the end. Nothing here reads the environment or prints: callers give `Settings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from . import bases, fetching
from .bases import Ready, fetch, take_in
from .droplet import assembly, incremental
from .droplet import base as dependencies
from .droplet.incremental import Folder, aim
from .ecosystems.errors import LockFailed
from .errors import BadLock, LockMissing, LockStale, NeedsBuild, Unpinned
from .files import writing
from .formats.codec import CODEC, check_known_answer
from .model import ARTIFACT, Artifact, LockedPlan, Plan
from .planning import bytecode, inputs, lockfile
from .records import Base, BuildNote, Staged
from .settings import Settings
from .store import Store
from .store.errors import StoreCorrupt
from .text.resources import pinned_digest
from .tree import SourceTree
from .tree.ignore import WITHOUT_NEGATION, own_file

__all__ = ["fetch", "take_in"]
"""Of `bases`: what those who only want a plan's artifacts call here, beside the verbs."""


def stage_folder(folder: Folder, out: str, settings: Settings) -> Staged:
    """The long way round: plan when needed, fetch, build the base, assemble."""
    folder, locked = current_plan(folder, settings)
    try:
        staged = stage_plan(folder, locked, out, settings)
    except NeedsBuild as found:
        folder, locked = _with_found(found, folder, locked, settings)
        staged = stage_plan(folder, locked, out, settings)
    notes = [*folder.lock.notes, *(note for note in locked.plan.notes if note not in staged.base.notes)]
    if settings.save_lock and folder.lock_bytes() != locked.text.encode():
        save_lock(folder, locked)
        notes.append(f"wrote {folder.lock.name}, which pins what this droplet is made from; commit it")
    return staged.after(notes)


def _with_found(found: NeedsBuild, folder: Folder, locked: LockedPlan, settings: Settings) -> tuple[Folder, LockedPlan]:
    """The plan made again, now that unpacked packages have said that they must be built: no lock tells it of all of them.

    It is remembered for the next 'stager lock' as well. Raises `found` where a plan may not be made, and for what is no cure.
    """
    needs = found.data.get("needs")
    told = {name for label in needs for name in (label, label.rpartition("@")[0])} if isinstance(needs, dict) else set()
    named = [one for one in locked.plan.artifacts if one.name in told]
    for one in named:
        settings.store.remember("must-build", one.digest, one.purl)
    if settings.locked or not named:
        raise found
    folder, again = make_plan(folder, locked, settings)
    if again.digest == locked.digest:
        raise found
    return folder, again


def current_plan(folder: Folder, settings: Settings) -> tuple[Folder, LockedPlan]:
    """The plan in force: the folder's lock when it fits, else a new one that keeps the old one's runtime pins.

    The folder is the one that was planned: with the lock that is wished for, and as `make_plan` leaves it. Raises LockMissing
    or LockStale with `settings.locked`.
    """
    folder = aim(folder, settings)
    stack, architecture, previous = folder.lock.stack, folder.lock.architecture, previous_plan(folder)
    if settings.locked:
        if previous is None:
            raise LockMissing(folder.lock.name, folder.lock.command)
        incremental.check_locked(folder, previous.plan)
    if (
        previous
        and not settings.upgrade
        and not (settings.buildpacks and not settings.locked)
        and fits(previous.plan, folder.tree, stack, architecture)
    ):
        return folder, previous
    if settings.locked:
        changed = _changed(previous.plan, folder.tree, stack, architecture) if previous else []
        raise LockStale(folder.lock.name, changed or ["the command line"], folder.lock.command)
    return make_plan(folder, previous, settings)


def fits(plan: Plan, tree: SourceTree, stack: str = "", architecture: str = "") -> bool:
    """Whether a plan is still right for a tree: its inputs, codec and buildpacks unchanged, the stack the wanted one."""
    return not _changed(plan, tree, stack, architecture)


def _changed(plan: Plan, tree: SourceTree, stack: str, architecture: str) -> list[str]:
    """What a plan no longer fits, in words for people."""
    other = (stack and stack != plan.stack) or (architecture and architecture != plan.architecture)
    packs = [pin.name for pin in plan.buildpacks if pinned_digest(pin.name, pin.folder, tree.root) != pin.digest]
    return [
        *inputs.changed_files(plan, tree),
        *(["the command line"] if other else []),
        *(["this stager's codec"] if plan.codec != CODEC else []),
        *(f"the buildpack {name}" for name in packs),
    ]


def previous_plan(folder: Folder, *, forgiving: bool = False) -> LockedPlan | None:
    """The plan that the folder's lock in force holds, None without a lock. A broken one is BadLock, or None if `forgiving`."""
    data = folder.lock_bytes()
    if data is None:
        return None
    try:
        return lockfile.loads(data.replace(b"\r\n", b"\n"), folder.lock.name)
    except BadLock as error:
        if forgiving:
            return None
        if folder.lock.name != incremental.LOCK:
            error.hint = f"Run '{folder.lock.command}', or restore the file from version control."
        raise


def buildpacks_of(folder: Folder, settings: Settings) -> tuple[str, ...]:
    """The buildpacks that take part whatever the files say: those asked for; else those of a lock that pins a user's own.

    Detection knows the shipped ones alone, so without this a lock could not be made again without the first command's options.
    """
    previous = None if settings.buildpacks else previous_plan(folder, forgiving=True)
    pins = previous.plan.buildpacks if previous else ()
    if not any(pin.folder for pin in pins):
        return settings.buildpacks
    return tuple(os.path.join(folder.root, pin.folder) if pin.folder else pin.name for pin in pins)


def make_plan(folder: Folder, previous: LockedPlan | None, settings: Settings) -> tuple[Folder, LockedPlan]:
    """Detect and plan anew; the folder with the locks that were made for it, and its plan.

    The runtimes that `previous` pins stay unless `settings.upgrade`.

    Where the ecosystem's own lock is missing, it is made (see `Settings`). Raises Unpinned when it may or can not be.
    """
    try:
        return folder, lockfile.locked(_planned(folder, previous, settings))
    except Unpinned as missing:
        made = _made_locks(folder, settings, missing)
    if settings.save_lock:
        folder, taken = put_locks(folder, made, settings)
        how = "made {}, as the app has no lock of its packages; commit it"
    else:
        folder, taken = folder.replace(tree=folder.tree.with_files(made)), ()
        how = "the app has no lock of its packages; 'stager stage' makes {}, as it was made for this"
    plan = _planned(folder, previous, settings)
    return folder, lockfile.locked(replace(plan, notes=(*(how.format(name) for name in made), *taken, *plan.notes)))


def put_locks(folder: Folder, made: Mapping[str, bytes], settings: Settings) -> tuple[Folder, tuple[str, ...]]:
    """Write locks that were made into the app's folder; the folder with them, and remarks.

    What is no source pins nothing, so the app's own ignore file takes in a lock that another leaves out, as many a
    `.gitignore` of samples does. Raises LockFailed where it can not; then no lock is left there.
    """
    for name, lock in made.items():
        writing.write(os.path.join(folder.root, name), lock, new=True)
    folder = folder.read_again(settings.stop, settings.printed)
    left_out = [name for name in made if name not in folder.tree.files]
    if not left_out:
        return folder, ()
    own = own_file(folder.root)
    place = os.path.join(folder.root, own)
    before = Path(place).read_bytes() if os.path.lexists(place) else b""
    lines = "".join(f"!/{name}\n" for name in left_out)
    if own != WITHOUT_NEGATION:
        writing.write(place, before + b"\n" * (before[-1:] not in (b"", b"\n")) + lines.encode())
        folder = folder.read_again(settings.stop, settings.printed)
    if lost := [name for name in left_out if name not in folder.tree.files]:
        for name in made:
            with suppress(OSError):
                os.unlink(os.path.join(folder.root, name))
        raise LockFailed(lost[0], "an ignore file leaves it out", f"Take {lost[0]} out of the ignore files.")
    remark = "an ignore file leaves {0} out, so {1} takes it in; commit both (git add -f {0})"
    return folder, tuple(remark.format(name, own) for name in left_out)


def _made_locks(folder: Folder, settings: Settings, missing: Unpinned) -> dict[str, bytes]:
    """The app's own locks that are missing. Raises `missing` when none may be made, or none is."""
    if settings.make_locks is None or settings.locked or not missing.unlocked:
        raise missing
    if settings.offline:
        missing.hint += " That asks indexes, and --offline is set."
        raise missing
    settings.tell("lock", "choosing versions")
    made = settings.make_locks(folder, settings)
    if not made:
        raise missing
    return made


def _planned(folder: Folder, previous: LockedPlan | None, settings: Settings) -> Plan:
    from .planning import plan as planning  # here, since most stagings have a plan

    settings.tell("plan", "reading locks and indexes")
    lock = aim(folder, settings).lock
    plan = planning.plan(
        folder.tree,
        sources=planning.Sources.online(
            settings.store, settings.indexes, folder.tree, settings.offline, settings.stop, settings.progress
        ),
        stack=lock.stack,
        architecture=lock.architecture,
        only=buildpacks_of(folder, settings),
        previous=previous.plan if previous and not settings.upgrade else None,
        usual=settings.bytecode,
    )
    return with_builds(plan, folder, previous.plan if previous else None, settings)


def with_builds(plan: Plan, folder: Folder, previous: Plan | None, settings: Settings) -> Plan:
    """The plan with all its builds, and what they need pinned. Raises BadManifest, and what `builds.pinning` and
    `builds.asking` do."""
    from .planning import builds as planned_builds  # here, since YAML comes with it

    plan = bases.with_commits(plan, previous, settings)
    built = {build.of for build in previous.builds} if previous else set()
    found = {one.purl for one in plan.artifacts if one.purl in built or settings.store.recall("must-build", one.digest)}
    plan = replace(plan, unsure=tuple(sorted({*plan.unsure, *found})))
    if not plan.builds and not plan.unsure and not plan.roots:
        planned_builds.check_options(folder.tree, plan)
        return plan
    from .builds import asking, pinning  # here, since few apps build

    plan = pinning.decided(plan, folder.tree, settings)
    planned_builds.check_options(folder.tree, plan)
    known = pinning.pinned(plan, previous, folder, settings)
    return asking.answered(known, folder, settings) if known.asks else known


def save_lock(folder: Folder, locked: LockedPlan) -> None:
    """Write the plan to the lock in force, whole or not at all. Raises BadLock for what could not be read again."""
    lockfile.check(locked)
    writing.write(os.path.join(folder.root, folder.lock.name), locked.text.encode())


def stage_plan(folder: Folder, locked: LockedPlan, out: str, settings: Settings) -> Staged:
    """Fetch what a plan needs, build its base, and assemble."""
    check_known_answer()
    plan = locked.plan
    damaged: set[str] = set()
    while True:
        take_in(plan, folder.tree, settings.store)
        try:
            base, notes = make_base(locked, folder, settings)
            whole = folder
            if base.builds:
                from .builds import apps  # here, since few apps build

                tree, more = apps.built(plan, base.builds, folder, settings)
                whole, notes = folder.replace(tree=tree), (*notes, *more)
            settings.tell("assemble", "the app and what it needs")
            staged = incremental.assemble(whole, base, settings.store, out, settings.stop)
            return staged.replace(builds=notes) if notes else staged
        except assembly.Damaged as found:
            heal(found, damaged, settings, plan.all_artifacts())


def make_base(locked: LockedPlan, folder: Folder, settings: Settings) -> tuple[Base, tuple[BuildNote, ...]]:
    """The plan's base, and what to say of builds of its artifacts. Raises what `bases.make` and builds raise."""
    base = bases.recalled(locked, settings.store)
    if base is not None:
        return base, ()
    ready: dict[str, Ready] = {}
    if any(build.kind == ARTIFACT for build in locked.plan.builds):
        from .builds import artifacts  # here, since few apps build

        ready = artifacts.built(locked.plan, folder, settings)
    notes = tuple(one.note for one in ready.values())
    if not bytecode.asked(locked.plan):
        return bases.make(locked, folder, settings, ready), notes
    from .builds.bytecode import based  # here, since builds come with it

    made, more = based(locked, folder, settings, ready)
    return made, (*notes, *(note for note in more if note.ran))


def forget_base(locked: LockedPlan, store: Store) -> None:
    """Have the plan's base made anew the next time."""
    store.remember("base", incremental.base_key(locked.digest, store), None)


def heal(found: assembly.Damaged, damaged: set[str], settings: Settings, artifacts: Sequence[Artifact] = ()) -> None:
    """Take damaged blobs out of the way, so that they are fetched or made again; `damaged` are those of before.

    Raises StoreCorrupt for what is bad again, when the disk itself is not to be trusted, and for artifacts that cannot
    be fetched because of `settings.offline`; they stay where they are.
    """
    store = settings.store
    errors = found.errors if isinstance(found, dependencies.DamagedArtifacts) else {}
    if errors and settings.offline:
        raise next(iter(errors.values()))
    for blob in found.blobs:
        if blob in damaged:
            known = [error for error in errors.values() if error.digest == f"sha256:{blob}"]
            raise known[0] if known else StoreCorrupt(f"sha256:{blob}", path=store.path(blob))
        store.set_aside(blob)
    damaged.update(found.blobs)
    fetching.distrust(store, artifacts, errors)
