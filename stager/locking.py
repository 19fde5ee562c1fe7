"""Making an ecosystem's own lock file for an app that has none, with that ecosystem's own resolver.

The result is the standard file, for the app's author to commit; stager itself never resolves. No resolver sees the app, runs
code of it or of a package, or is given this user's environment (`resolving`, docs/resolvers.md).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from . import fetching, runtimes
from .droplet.incremental import Folder, aim
from .ecosystems import ecosystem
from .ecosystems.errors import LockFailed
from .ecosystems.record import MakeRequest
from .facts import stacks
from .formats.archive import content_chunks
from .model import Artifact, Detection, Reason, Stack
from .net.errors import NotCached
from .planning import inputs, packages, plan
from .planning.detection import versions
from .planning.layouts import unpacked
from .resolving import confined
from .runtimes.errors import NoRuntime
from .runtimes.record import RuntimeRequest
from .settings import Settings
from .staging import buildpacks_of, put_locks
from .store import Store
from .tree import SourceTree
from .tree.ignore import WITHOUT_NEGATION, own_file

if TYPE_CHECKING:
    from .planning.buildpacks.vocabulary import Buildpack
    from .runtimes.chosen import Asked, ChosenRuntime


def lock_app(
    root: str, settings: Settings, environ: Mapping[str, str], tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Make what is missing of the app's own locks; the names of the files made. `tell` takes remarks for people.

    Raises NeedsBuild for what only a build or a repository could tell, LockFailed with the resolver's own words, BadManifest
    for what a resolver may not be told to do, and what detection and fetching raise.
    """
    folder = Folder.read(root, settings.store)
    made = make_locks(folder, settings, environ, tell)
    for remark in put_locks(folder, made, settings)[1] if made else ():
        tell(remark)
    return list(made)


def make_locks(
    folder: Folder, settings: Settings, environ: Mapping[str, str], tell: Callable[[str], None] = lambda _: None
) -> dict[str, bytes]:
    """What `lock_app` would write: name of a lock that is missing → its content. Raises as `lock_app`."""
    made = {}
    found, packs, _ = plan.detect(folder.tree, buildpacks_of(folder, settings))
    for detected, pack, _ in packages.without_lock(folder.tree, packs, found):
        if ecosystem(pack.ecosystem).make_lock:
            name, lock = _make(folder, detected, pack, settings, environ, tell)
            made[name] = lock
    return made


def _make(
    folder: Folder,
    detected: Detection,
    pack: Buildpack,
    settings: Settings,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
) -> tuple[str, bytes]:
    """One lock that is missing: its name and its content."""
    record, tree = ecosystem(pack.ecosystem), folder.tree
    assert record.lock_name is not None
    assert record.make_lock is not None

    def asked(name: str) -> list[tuple[str, Reason]]:
        return [(wanted, why) for runtime, wanted, why in detected.versions if runtime == name]

    def version(name: str) -> str:
        sources, lock = _sources(tree, settings), aim(folder, settings).lock
        stack = plan.stack_of(tree, lock.stack, lock.architecture)
        return (
            runtimes.kind(name).choose(RuntimeRequest(asked(name), stack, sources.web, sources.indexes)).runtime.version
        )

    def lay(place: str, names: Sequence[str], heeded: Sequence[str]) -> str:
        return install(place, tree, {name: asked(name) if name in heeded else [] for name in names}, settings)

    indexes = plan.indexes_for(tree, settings.indexes)
    request = MakeRequest(tree, indexes, versions.manager(tree, pack, ""), environ, version, lay)
    lock = record.lock_name(request)
    _check_place(folder, lock, settings)
    with confined.scratch(indexes, tell, settings.cancel) as scratch:
        return lock, record.make_lock(request, scratch)


def install(place: str, tree: SourceTree, asked: Mapping[str, Asked], settings: Settings) -> str:
    """Lay runtimes out below a folder as they are staged, each as it is `asked` for; the folder in which they are.

    They run here, so they come from the operator's indexes, never from one that the app names.
    """
    stack = _host_stack(next(iter(asked)))
    chosen: dict[str, ChosenRuntime] = {}
    web = _sources(tree, settings).web
    for name, wanted in asked.items():
        request = RuntimeRequest(wanted, stack, web, settings.indexes, beside=dict(chosen))
        chosen[name] = runtimes.kind(name).choose(request)
    artifacts = [artifact for one in chosen.values() for artifact in one.artifacts]
    blobs = fetching.fetch(
        artifacts, settings.store, indexes=settings.indexes, offline=settings.offline, progress=settings.progress,
        prove=True,
    )  # fmt: skip
    for artifact in artifacts:
        _unpack(artifact, blobs[str(artifact.digest)], settings.store, place)
    return os.path.join(place, ".stager")


def _sources(tree: SourceTree, settings: Settings) -> plan.Sources:
    return plan.Sources.online(
        settings.store, settings.indexes, tree, settings.offline, settings.stop, settings.progress
    )


def _host_stack(name: str) -> Stack:
    """The default stack for this host's processor: the resolver runs here, its result is for every platform."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "")
    if platform.system() != "Linux" or not architecture:
        hint = "Make the lock file with your own tools and commit it."
        raise NoRuntime(name, "to resolve with", f"this {platform.system()} {platform.machine()}", [], hint=hint)
    return stacks.load(inputs.DEFAULT_STACK, architecture)


def _unpack(artifact: Artifact, blob: str, store: Store, place: str) -> None:
    for path in artifact.paths:
        with unpacked(artifact, path, blob, store) as found:
            for entry in found.files:
                _write(os.path.join(place, entry.path), entry)


def _write(path: str, entry: object) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    content = entry.content  # type: ignore[attr-defined]
    with open(path, "wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content_chunks(content))
    os.chmod(path, 0o755 if entry.executable else 0o644)  # type: ignore[attr-defined]


# --- the app's folder ------------------------------------------------------------------------------------------


def _check_place(folder: Folder, name: str, settings: Settings) -> None:
    """A lock that is there and no source would be overwritten; offline, nothing can be resolved."""
    if os.path.lexists(os.path.join(folder.root, name)):
        own = own_file(folder.root)
        use = f"Write '!/{name}' into {own}" if own != WITHOUT_NEGATION else f"Take {name} out of the ignore files"
        hint = f"{use} to use it, or remove it: then a new one is made."
        raise LockFailed(name, "there is one, which an ignore file leaves out", hint)
    if settings.offline:
        raise NotCached([f"the index pages that {name} is made from"])
