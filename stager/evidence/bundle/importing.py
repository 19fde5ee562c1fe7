"""Reading a bundle: every member is checked by its digest, and only what the plan names enters the store.

A bundle comes from elsewhere. Its tar is read by the reader of all untrusted archives; no name in it ever becomes a path,
since the plan says which members there must be; what else there is makes it no bundle.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from ... import staging
from ...builds import roots
from ...digest import Digest, canonical_json
from ...droplet import mistaken
from ...droplet.incremental import Folder, check_locked
from ...errors import BadLock, StagerError, Unreadable
from ...formats.archive import LIMITS, Archive, Limits, Member, content_bytes, content_chunks, read_tar
from ...formats.codec import CODEC
from ...formats.tar import END, outside_file_header, padding
from ...model import Artifact, LockedPlan, Plan
from ...planning import lockfile
from ...store import Store
from ...store.errors import DigestMismatch
from ...text import parsing
from ...text.resources import pinned_digest
from ...text.typed import Node
from ..errors import BadBundle
from . import BLOBS, FORMAT, INDEX, LOCK, results

BUNDLE = Limits(bytes=1 << 40, entries=LIMITS.entries)
"""A bundle may be large; it is never held in memory, and nothing in it is compressed once more."""
_LARGEST = 64 << 20
"""Bytes of `bundle.json` and `stager.lock` at most."""
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ImportedBundle:
    """A bundle that is in the store now: its plan, how many blobs it has, and how many were new to the store."""

    plan: Digest
    blobs: int
    new: int
    lock: str = ""
    """The `stager.lock` that was written, if any."""
    unbelieved: int = 0
    """How many results of builds were not taken over."""


def load(path: str, store: Store, root: str = "", *, trust_builds: bool = False) -> ImportedBundle:
    """Check the bundle `path` and put its blobs into the store; with `root`, give that app the plan if it has none.

    After it, `stager stage --offline` of the app the bundle was made for opens no connection and gives the droplet it gave
    where the bundle was made. What builds left is pinned by no digest, and all apps of a store share it: it is only taken over
    with `trust_builds`, else this machine builds again.

    Raises BadBundle, DigestMismatch, UnsafeEntry and BadArchive for a bundle that is not what it says, LockStale when `root`
    is another app, CannotWrite.
    """
    label = os.path.basename(path)
    _check_kind(path, label)
    with store.lease(), read_tar(path, label, "", BUNDLE) as archive:
        index = _index(archive)
        locked = _plan(archive, index)
        plan = locked.plan
        _check_fit(plan, index, label)
        made = results.read(index.value.get("built", {}), plan, store, partial(_fail, label))
        blobs = _blobs(archive, index, plan, {one.blob for one in made.values()})
        _check_form(path, archive, index)
        written = _give(locked, root, store, label) if root else ""
        new = sum(_store(archive, member, name, artifacts, store) for name, (member, artifacts) in blobs.items())
        if trust_builds:
            results.remember(made, store, partial(_fail, label))
        return ImportedBundle(locked.digest, len(blobs), new, written, 0 if trust_builds else len(made))


def _fail(label: str, why: str) -> NoReturn:
    raise BadBundle(label, why)


def _check_kind(path: str, label: str) -> None:
    hint = "Name the file that 'stager bundle export' wrote."
    try:
        found = mistaken.what_is(path)
    except FileNotFoundError:
        raise Unreadable(path, "there is no such file", hint) from None
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), hint) from None
    if found and found not in ("a bundle", mistaken.TAR):
        raise BadBundle(label, f"is no bundle: it is {found}", hint)


def _small(archive: Archive, name: str) -> bytes:
    member = archive.get(name)
    if member is None or member.is_link:
        raise BadBundle(archive.label, f"is no bundle: it has no {name}")
    if member.size > _LARGEST:
        raise BadBundle(archive.label, f"its {name} is {member.size} bytes; the limit is {_LARGEST}")
    return content_bytes(member.content, archive.label)


def _index(archive: Archive) -> Node:
    def fail(file: str, why: str) -> StagerError:
        return BadBundle(archive.label, f"{file}: {why}")

    try:
        value = parsing.json(_small(archive, INDEX), parsing.unique)
    except parsing.Unparsable as error:
        raise BadBundle(archive.label, f"its {INDEX} is not valid JSON: {error}") from None
    except (ValueError, RecursionError):
        raise BadBundle(archive.label, f"its {INDEX} is not valid JSON") from None
    node = Node(value, INDEX, fail_with=fail)
    if node.int("bundle") != FORMAT:
        node.at("bundle").fail(f"is {node.int('bundle')}; this stager reads version {FORMAT}")
    return node


def _plan(archive: Archive, index: Node) -> LockedPlan:
    try:
        locked = lockfile.loads(_small(archive, LOCK))
    except BadLock as error:
        raise BadBundle(archive.label, f"its {LOCK} cannot be read: {error.message}") from None
    if locked.digest != index.str("plan"):
        raise BadBundle(archive.label, f"its {LOCK} is not the plan {index.str('plan')[:80]} that its index names")
    return locked


def _check_fit(plan: Plan, index: Node, label: str) -> None:
    """A plan that this stager would have to make anew, which takes a network, is of no use here."""
    stale = [pin.name for pin in plan.buildpacks if not pin.folder and _shipped(pin.name) != pin.digest]
    what = f"the buildpack {stale[0]}" if stale else "the codec" if plan.codec != CODEC else ""
    if what:
        version = index.str("stager")[:40]
        raise BadBundle(label, f"was made by stager {version}; {what} is another one here", "Install that stager here.")


def _shipped(name: str) -> Digest | None:
    from ...text.resources import names

    return pinned_digest(name, "", "") if name in names("buildpacks") else None


def _blobs(
    archive: Archive, index: Node, plan: Plan, made: Iterable[str] = ()
) -> dict[str, tuple[Member, list[Artifact]]]:
    """Blob name → its member, and the artifacts that it is; exactly those of the plan and what was `made`, no other member."""
    wanted: dict[str, list[Artifact]] = {name: [] for name in made}
    rows = index.table("artifacts")
    needed = roots.needed(plan)
    for artifact in needed:
        if artifact.digest not in rows:
            raise BadBundle(archive.label, f"lacks {artifact.name}, which its plan needs")
        wanted.setdefault(rows[artifact.digest].str("blob"), []).append(artifact)
    _check_rows(rows, {str(artifact.digest) for artifact in needed}, archive.label)
    names = {INDEX, LOCK, *(BLOBS + name for name in wanted)}
    _check_members(archive, names)
    found = {name: (archive[BLOBS + name], artifacts) for name, artifacts in sorted(wanted.items())}
    for row in rows.values():
        size = found[row.str("blob")][0].size
        if row.int("size") != size:
            row.at("size").fail(f"is {row.int('size')}, but the blob has {size} bytes")
    return found


def _check_rows(rows: Mapping[str, Node], digests: set[str], label: str) -> None:
    stray = sorted(rows.keys() - digests)
    if stray:
        raise BadBundle(label, f"lists {stray[0][:80]}, which its plan does not name")


def _check_members(archive: Archive, names: Iterable[str]) -> None:
    expected = set(names)
    for member in archive.members:
        if member.name not in expected or member.is_link:
            raise BadBundle(archive.label, f"holds {member.name[:120]!r}, which its plan does not name")
    missing = sorted(expected - {member.name for member in archive.members})
    if missing:
        raise BadBundle(archive.label, f"lacks {missing[0][:120]}, which its index names")


def _check_form(path: str, archive: Archive, index: Node) -> None:
    """Between the members there is exactly what `exporting` writes, so that one content has one file and one digest."""
    form = BadBundle(archive.label, "is not laid out as stager lays out bundles")
    if canonical_json(index.value) != content_bytes(archive[INDEX].content):
        raise form
    blobs = sorted(member.name for member in archive.members if member.name.startswith(BLOBS))
    with open(path, "rb") as file:
        for name in (INDEX, LOCK, *blobs):
            size = archive[name].size
            header = outside_file_header(name, size)
            if file.read(len(header)) != header:
                raise form
            file.seek(size, os.SEEK_CUR)
            if file.read(len(padding(size))) != padding(size):
                raise form
        if file.read(len(END) + 1) != END:
            raise form


def _store(archive: Archive, member: Member, name: str, artifacts: list[Artifact], store: Store) -> bool:
    """Check a blob by its own name and by each digest it is pinned by, and store it; whether it was new."""
    states: dict[str, Any] = {one.digest.algorithm: hashlib.new(one.digest.algorithm) for one in artifacts}
    known = store.has(name)
    with store.writer(size=0 if known else member.size) as writer:
        for part in content_chunks(member.content, _CHUNK, archive.label):
            writer.write(part)
            for state in states.values():
                state.update(part)
        if writer.hexdigest() != name:
            raise DigestMismatch(f"{archive.label}: {member.name}", f"sha256:{name}", f"sha256:{writer.hexdigest()}")
        for one in artifacts:
            if states[one.digest.algorithm].hexdigest() != one.digest.hex:
                got = f"{one.digest.algorithm}:{states[one.digest.algorithm].hexdigest()}"
                raise DigestMismatch(f"{archive.label}: {one.name}", one.digest, got)
        writer.commit()
    for one in artifacts:
        if one.digest.algorithm != "sha256":
            store.remember("artifact", one.digest, name)
    return not known


def _give(locked: LockedPlan, root: str, store: Store, label: str) -> str:
    """Write the plan to an app that has none; the file's path, or nothing when the app has this very plan."""
    folder = Folder.read(root, store).aim(locked.plan.stack, locked.plan.architecture)
    check_locked(folder, locked.plan)
    there = folder.lock_bytes()
    if there is None:
        staging.save_lock(folder, locked)
        return os.path.join(folder.root, folder.lock.name)
    if there.replace(b"\r\n", b"\n") != locked.text.encode():
        hint = "Move that file away to use the bundle's, or make a bundle of this app."
        raise BadBundle(label, f"pins another plan than the app's {folder.lock.name}", hint)
    return ""
