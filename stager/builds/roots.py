"""Build roots: the root file systems that builds run in, pinned package by package, made once a machine, shared read-only.

A build root is a stack's own root and the packages that a build wants beyond it. `pinned` says which packages these are
today, once, when an app is locked; `made` makes the root of exactly those. Which stack serves one whose root is its platform's
own, `facts.stacks.for_builds` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import BadLock
from ..files.writing import never
from ..model import Artifact, BuildRoot
from ..net.errors import Gone
from ..planning.detection import appconfig
from ..planning.lockfile import NAME
from ..sandbox import roots
from ..sandbox.roots import RootFolder
from ..stacks import debs, find, lock, resolve
from ..stacks import root as stack_root
from ..stacks.build_context import Making
from ..stacks.definition import StackPart, merged
from ..stacks.errors import NotBuilt, StackFailed, UnknownPackage
from ..stacks.lock import StackLock
from ..store.errors import StoreCorrupt

if TYPE_CHECKING:
    from ..model import Plan
    from ..settings import Settings
    from ..stacks.definition import Definition
    from ..stacks.root import Root
    from ..store import Store

_RELOCK = "Run 'stager lock --upgrade' and commit the result."


def making(settings: Settings) -> Making:
    """What making and pinning a root needs."""
    jobs = max(8, settings.jobs)
    return Making(settings.store, settings.indexes, settings.offline, jobs, settings.progress, settings.cancel)


def artifacts(root: BuildRoot) -> tuple[Artifact, ...]:
    """The packages of a pinned root, as what `fetching` brings into the store and a bundle carries."""
    return tuple(map(lock.deb_artifact, root.packages))


def needed(plan: Plan) -> tuple[Artifact, ...]:
    """Everything pinned that a staging may need: what the droplet is made of, what builds have, the packages of roots."""
    return (*plan.all_artifacts(), *(one for root in plan.roots for one in artifacts(root)))


def definition_of(root: BuildRoot) -> Definition:
    """The stack's definition with the packages that are wanted besides, and no sets. Raises UsageError."""
    found = find.load(root.stack)
    stack_root.chosen(found, ())
    whole = merged(found.root, StackPart("root", root.wants))
    return replace(found, root=replace(whole, exclude=tuple(sorted({*whole.exclude} - {*root.wants}))), sets=())


# --- pinning ---------------------------------------------------------------------------------------------------


def pinned(
    root: BuildRoot, architecture: str, making: Making, *, previous: BuildRoot | None = None, upgrade: bool = False
) -> BuildRoot:
    """The root with its packages and the date of their index.

    Those of the `previous` lock stay while it is the same stack with the same wants, unless `upgrade`. A stack's own root is
    the one that stager was released with, so that builds and runs share it; its packages are brought into the store now, and
    where the archive has replaced one of them, the signed index decides anew, as it does for every other root.

    Raises UnknownPackage for one that is wanted and not there, IntegrityError, FetchError.
    """
    if previous is not None and not upgrade and _fits(previous, root, architecture):
        return replace(root, packages=previous.packages, epoch=previous.epoch)
    if not root.wants and not upgrade and (shipped := _shipped(root, architecture, making)):
        return shipped
    return _resolved(root, architecture, making)


def _fits(previous: BuildRoot, root: BuildRoot, architecture: str) -> bool:
    same = (previous.stack, previous.wants) == (root.stack, root.wants)
    return (
        same and bool(previous.packages) and all(pin.architecture in ("all", architecture) for pin in previous.packages)
    )


def _shipped(root: BuildRoot, architecture: str, making: Making) -> BuildRoot | None:
    """The stack's root as its `box.lock` pins it; None when a package of it is no longer to be had."""
    definition = find.load(root.stack)
    known = lock.load(definition)
    pins = known.pins(["root"], architecture)
    found = replace(root, packages=pins, epoch=max(date for _, date in known.indexes))
    try:
        stack_root.find(definition_of(found), _locked(found, architecture), architecture, making.store)
    except NotBuilt:
        try:
            debs.fetched(definition, pins, making)
        except Gone:
            return None
    return found


def _resolved(root: BuildRoot, architecture: str, making: Making) -> BuildRoot:
    from ..ecosystems.deb.index import DebianMirrors
    from ..fetching.web import Web

    definition = definition_of(root)
    suite = definition.box.suite
    web = Web(
        making.indexes, making.store, offline=making.offline, stopping=_stopping(making), progress=making.progress
    )
    making.tell(f"the index of {suite}", 0, 0)
    try:
        found = resolve.pin_root(definition, web, DebianMirrors(*making.indexes.debian(suite)), architecture)
    except UnknownPackage as missing:
        names = missing.data["names"]
        if not isinstance(names, list) or not {*names} & {*root.wants}:
            raise
        raise UnknownPackage(appconfig.NAME, f"{suite} for {architecture}", names) from None
    return replace(root, packages=found[0], epoch=found[1])


def _stopping(making: Making) -> Callable[[], bool]:
    return making.cancel.is_set if making.cancel else never


# --- making ----------------------------------------------------------------------------------------------------


def made(root: BuildRoot, architecture: str, making: Making) -> RootFolder:
    """The root on the disk, made of exactly its pinned packages unless it is there; one process of a machine makes it.

    What is in it never changes: who runs in it mounts it read-only. The pins may be of any lock, so they are checked. Raises
    BadLock for what is no root of that stack, UsageError for a stack that others make, Gone for a package that the archive
    has replaced, NoRoom, NoSandbox, ProgramMissing, StackFailed, CannotWrite, Cancelled, and what fetching raises.
    """
    definition = definition_of(root)
    with _built(root, definition, architecture, making) as found:
        try:
            return _unpacked(found(), definition, making.store)
        except StoreCorrupt as damaged:  # made anew, once
            making.store.set_aside(damaged.digest.partition(":")[2])
            return _unpacked(found(), definition, making.store)


def lend(root: BuildRoot, architecture: str, making: Making, to: Store) -> None:
    """Put the root's tar into another store, so that nothing has to be made of its packages there. Raises as `made` does."""
    with _built(root, definition_of(root), architecture, making) as make:
        found = make()
        with making.store.prove(found.digest.hex, found.digest) as source, to.writer() as writer:
            for part in iter(lambda: os.read(source, 1 << 20), b""):
                writer.write(part)
            writer.commit()
        to.remember("stack-root", found.stack, stack_root.facts(found))


@contextmanager
def _built(root: BuildRoot, definition: Definition, architecture: str, making: Making) -> Iterator[Callable[[], Root]]:
    """What gives the root's tar in the store, made unless it is there; nobody else makes it meanwhile."""
    pins = _locked(root, architecture)
    _check(root, definition, architecture)
    identity = stack_root.stack_digest(definition, pins, architecture)
    with making.store.exclusive(f"build root {identity}", _stopping(making)), _told_of(root):
        yield lambda: stack_root.build(definition, pins, architecture, making)


def _locked(root: BuildRoot, architecture: str) -> StackLock:
    """The pins as `stacks.root` wants them."""
    wishes = definition_of(root).wishes()
    return StackLock(root.stack, wishes, (("", root.epoch),), (("root", architecture, root.packages),))


def _check(root: BuildRoot, definition: Definition, architecture: str) -> None:
    names = [pin.name for pin in root.packages]
    missing = sorted({*definition.root.packages_for(architecture)} - {*names})
    foreign = [pin.name for pin in root.packages if pin.architecture not in ("all", architecture)]
    why = (
        f"the root {root.name!r} lacks {missing[0]}, which it is to have" if missing
        else f"the root {root.name!r} has {foreign[0]} for another architecture than {architecture}" if foreign
        else f"the root {root.name!r} does not have each package once, sorted by name" if names != sorted(set(names))
        else ""
    )  # fmt: skip
    if why:
        raise BadLock(NAME, why, _RELOCK)


@contextmanager
def _told_of(root: BuildRoot) -> Iterator[None]:
    """Have errors speak of the app's lock, where `stacks` speaks of a `box.lock`."""
    try:
        yield
    except (Gone, StackFailed) as error:
        if isinstance(error, Gone) or "box.yml" in error.hint:
            error.hint = f"The root {root.name!r} of {NAME} cannot be made of these packages any more. {_RELOCK}"
        raise
    except BadLock as error:
        raise BadLock(NAME, f"the root {root.name!r}: {error.message}", _RELOCK) from None


def _unpacked(found: Root, definition: Definition, store: Store) -> RootFolder:
    tar = store.open(found.digest.hex)
    try:
        ready = roots.unpacked(tar, found.digest, found.name, store)
    finally:
        os.close(tar)
    env = tuple(sorted({**dict(definition.env), "LANG": definition.locale}.items()))
    return RootFolder(ready.path, found.digest, found.name, env)
