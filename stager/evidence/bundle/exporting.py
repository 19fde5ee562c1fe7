"""Writing a bundle: the plan in force, and the blobs of all its artifacts, fetched where they are missing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ... import __version__, staging
from ...builds import roots
from ...digest import Digest, canonical_json
from ...droplet.incremental import Folder, keep_source
from ...errors import UsageError
from ...files.writing import Output, never
from ...formats.tar import END, outside_file_header, padding
from ...model import LockedPlan, Plan
from ...settings import Settings
from ...store import Store
from ...text import resources
from . import BLOBS, FORMAT, INDEX, LOCK, results
from .results import Result

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ExportedBundle:
    """A bundle that was written: its path, digest and size in bytes; the plan in it, and how many blobs."""

    path: str
    digest: Digest
    size: int
    plan: Digest
    blobs: int


def export(root: str, out: str, settings: Settings) -> ExportedBundle:
    """Write the bundle of the app in `root` to the file `out`; `settings.save_lock` writes a new plan to the app, too.

    Raises UsageError for a buildpack outside of the app, which no source carries; and what planning and fetching raise.
    """
    out = os.path.abspath(out)
    with settings.store.lease():
        folder = Folder.read(root, settings.store, stop=settings.stop, printed=settings.printed)
        keep_source(folder, out)
        folder, locked = staging.current_plan(folder, settings)
        plan = locked.plan
        _check_buildpacks(plan)
        staging.take_in(plan, folder.tree, settings.store)
        blobs = staging.fetch(plan, settings, roots.needed(plan), tree=folder.tree, prove=True)
        made = results.collect(locked, folder, settings) if results.has(plan) else {}
        exported = write(locked, blobs, settings.store, out, settings.stop, made)
        if settings.save_lock and folder.lock_bytes() != locked.text.encode():
            staging.save_lock(folder, locked)
        return exported


def _check_buildpacks(plan: Plan) -> None:
    for pin in plan.buildpacks:
        if pin.folder.split("/")[0] == ".." or os.path.isabs(pin.folder):
            message = f"the buildpack {pin.name} lies outside the app, in {pin.folder}"
            raise UsageError(message, "Copy it into the app's folder, so that the source carries it.")


def write(
    locked: LockedPlan,
    blobs: dict[str, str],
    store: Store,
    out: str,
    stop: Callable[[], bool] = never,
    made: Mapping[str, Result] | None = None,
) -> ExportedBundle:
    """Write the bundle of a plan whose artifacts are in the store; `blobs` maps each digest to its blob's SHA-256.

    `made` is what its builds left, by their keys.

    Raises StoreCorrupt for a blob that is not what its name says, CannotWrite.
    """
    state, size = hashlib.sha256(), 0
    with Output(out, stop=stop) as output:
        for part in _parts(locked, blobs, made or {}, store):
            state.update(part)
            size += len(part)
            output.write(part)
    digest = Digest(f"sha256:{state.hexdigest()}")
    count = len({*blobs.values(), *(one.blob for one in (made or {}).values())})
    return ExportedBundle(out, digest, size, locked.digest, count)


def _parts(locked: LockedPlan, blobs: dict[str, str], made: Mapping[str, Result], store: Store) -> Iterator[bytes]:
    names = sorted({*blobs.values(), *(one.blob for one in made.values())})
    sizes = {name: _size(name, store) for name in names}
    yield from _member(INDEX, canonical_json(index(locked, blobs, sizes, made)))
    yield from _member(LOCK, locked.text.encode())
    for name in names:
        yield outside_file_header(BLOBS + name, sizes[name])
        yield from store.parts(name)  # hashed: a bundle must not carry damage to another machine
        yield padding(sizes[name])
    yield END


def index(
    locked: LockedPlan, blobs: dict[str, str], sizes: dict[str, int], made: Mapping[str, Result] | None = None
) -> dict[str, Any]:
    """`bundle.json`: what is in the bundle, and what it was made for."""
    built = {"built": {key: made[key].as_json() for key in sorted(made)}} if made else {}
    plan = locked.plan
    box = os.path.join(resources.folder("boxes"), plan.stack)
    return {
        "bundle": FORMAT,
        "plan": locked.digest,
        "codec": plan.codec,
        "stager": __version__,
        "stack": {
            "name": plan.stack,
            "architecture": plan.architecture,
            "definition": resources.folder_digest(resources.contents(box)),
        },
        "artifacts": {digest: {"blob": blobs[digest], "size": sizes[blobs[digest]]} for digest in sorted(blobs)},
        **built,
    }


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield outside_file_header(name, len(data))
    yield data + padding(len(data))


def _size(name: str, store: Store) -> int:
    handle = store.open(name)
    try:
        return os.fstat(handle).st_size
    finally:
        os.close(handle)
