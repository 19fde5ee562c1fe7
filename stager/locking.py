"""Making an ecosystem's own lock file for an app that has none, with that ecosystem's own resolver.

uv for Python (its wheel comes with stager), npm for Node.js (the pinned npm on the pinned Node, from the registry). The result
is the standard file, for the app's author to commit; stager itself never resolves. Neither resolver sees the app, runs code of
it or of a package, or is given this user's environment (`resolving`, docs/resolvers.md).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from . import box, fetching, inputs, planning, runtimes, writing
from .archive import content_chunks
from .buildpack import load
from .detection import versions
from .ecosystems.npm import pnpm_settings
from .errors import LockFailed, NoRuntime, NotCached
from .layouts import unpacked
from .model import Artifact, Detection, Reason, Stack
from .resolving import confined, npm, python
from .restage import Folder
from .runtimes.record import RuntimeRequest
from .staging import Settings, aim, buildpacks_of
from .store import Store
from .tree import SourceTree

_OTHERS = {
    "pnpm": ("pnpm-lock.yaml", "pnpm install --lockfile-only"),
    "yarn": ("yarn.lock", "yarn install"),
    "bun": ("bun.lock", "bun install"),
}
"""Package managers whose locks only they can make: the lock's name, and the command."""


def lock_app(
    root: str, settings: Settings, environ: Mapping[str, str], tell: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Make what is missing of the app's own locks; the names of the files made. `tell` takes remarks for people.

    Raises NeedsBuild for what only a build or a repository could tell, LockFailed with the resolver's own words, BadManifest
    for what a resolver may not be told to do, and what detection and fetching raise.
    """
    made = make_locks(Folder(root, settings.store), settings, environ, tell)
    for name, lock in made.items():
        writing.write(os.path.join(os.path.realpath(root), name), lock, new=True)
    return list(made)


def make_locks(
    folder: Folder, settings: Settings, environ: Mapping[str, str], tell: Callable[[str], None] = lambda _: None
) -> dict[str, bytes]:
    """What `lock_app` would write: name of a lock that is missing → its content. Raises as `lock_app`."""
    made = {}
    for detected in planning.detect(folder.tree, buildpacks_of(folder, settings))[0].matched:
        how = _RESOLVERS.get(detected.buildpack)
        if how and not detected.lock and planning.unlocked(folder.tree, detected):
            name, lock = how(folder, detected, settings, environ, tell)
            made[name] = lock
    return made


# --- Python ----------------------------------------------------------------------------------------------------


def _lock_python(
    folder: Folder, detected: Detection, settings: Settings, environ: Mapping[str, str], tell: Callable[[str], None]
) -> tuple[str, bytes]:
    name = _python_lock(folder.tree)
    _check_place(folder, name, settings)
    stack = planning.stack_of(folder.tree, *aim(folder, settings))
    with confined.scratch(settings.indexes, tell, settings.cancel) as scratch:
        lock = python.resolve(
            folder.tree, name, lambda: _python_version(folder.tree, detected, stack, settings), scratch, environ
        )
    return name, lock


def _python_lock(tree: SourceTree) -> str:
    """The lock that fits the manifest. Poetry's and Pipenv's own manifests need their own tool."""
    if python.is_project(tree):
        return "uv.lock"
    if "Pipfile" in tree:
        raise LockFailed("Pipfile.lock", "only Pipenv reads a Pipfile", "Run 'pipenv lock' and commit Pipfile.lock.")
    if not python.listing(tree):
        raise LockFailed(
            "poetry.lock", "pyproject.toml has no [project] table", "Run 'poetry lock' and commit poetry.lock."
        )
    return "pylock.toml"


def _python_version(tree: SourceTree, detected: Detection, stack: Stack, settings: Settings) -> str:
    """The Python that staging will choose: what a lock must be for that says nothing itself."""
    sources = planning.Sources.online(settings.store, settings.indexes, tree, settings.offline, settings.stop)
    asked = [(wanted, why) for name, wanted, why in detected.versions if name == "python"]
    return runtimes.kind("python").choose(RuntimeRequest(asked, stack, sources.web, sources.indexes)).runtime.version


# --- Node.js ---------------------------------------------------------------------------------------------------


def _lock_node(
    folder: Folder, detected: Detection, settings: Settings, _: Mapping[str, str], tell: Callable[[str], None]
) -> tuple[str, bytes]:
    name = "package-lock.json"
    manager = versions.manager(folder.tree, load("nodejs"), "")
    why = f"package.json's packageManager names {manager}, whose lock only it can make"
    if manager == "npm" and pnpm_settings.packages(folder.tree):
        manager, why = "pnpm", f"{pnpm_settings.WORKSPACE} names the members of a workspace, and only pnpm reads it"
    if manager in _OTHERS:
        lock_name, command = _OTHERS[manager]
        raise LockFailed(lock_name, why, f"Run '{command}' and commit {lock_name}.")
    _check_place(folder, name, settings)
    indexes = planning.indexes_for(folder.tree, settings.indexes)
    with confined.scratch(indexes, tell, settings.cancel) as scratch:
        asked = [(wanted, why) for runtime, wanted, why in detected.versions if runtime == "node"]
        lock = npm.resolve(folder.tree, lambda place: install_npm(place, folder.tree, asked, settings), scratch)
    return name, lock


def install_npm(place: str, tree: SourceTree, asked: Sequence[tuple[str, Reason]], settings: Settings) -> str:
    """Node, as it is asked for, and npm below a folder, as they are staged; where they are."""
    sources = planning.Sources.online(settings.store, settings.indexes, tree, settings.offline, settings.stop)
    stack = _host_stack()
    request = RuntimeRequest(asked, stack, sources.web, settings.indexes)
    node = runtimes.kind("node").choose(request)
    chosen = runtimes.kind("npm").choose(replace(request, asked=(), beside={"node": node}))
    artifacts = (*node.artifacts, *chosen.artifacts)
    blobs = fetching.fetch(
        artifacts, settings.store, indexes=settings.indexes, offline=settings.offline, progress=settings.progress,
        prove=True,
    )  # fmt: skip
    for artifact in artifacts:
        _unpack(artifact, blobs[str(artifact.digest)], settings.store, place)
    return os.path.join(place, ".stager/node")


def _host_stack() -> Stack:
    """The default stack for this host's processor: the resolver runs here, its result is for every platform."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "")
    if platform.system() != "Linux" or not architecture:
        hint = "Run 'npm install --package-lock-only' and commit package-lock.json."
        raise NoRuntime("node", "to resolve with", f"this {platform.system()} {platform.machine()}", [], hint=hint)
    return box.load(inputs.DEFAULT_STACK, architecture)


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


_RESOLVERS = {"python": _lock_python, "nodejs": _lock_node}


# --- the app's folder ------------------------------------------------------------------------------------------


def _check_place(folder: Folder, name: str, settings: Settings) -> None:
    """A lock that is there and no source would be overwritten; offline, nothing can be resolved."""
    if os.path.lexists(os.path.join(folder.root, name)):
        raise LockFailed(name, "there is one, which an ignore file leaves out", f"Take {name} out of the ignore file.")
    if settings.offline:
        raise NotCached([f"the index pages that {name} is made from"])
