"""What builds of a plan left, carried in a bundle: so that a machine without a sandbox stages what another one has built.

What is pinned is checked by its digest; what was built is pinned by nobody: who takes it over believes whoever made the
bundle, and has to say so. It can speak for nothing but builds of the bundle's own plan: each key is worked out again from
the plan and from what the row says of the app's files. But apps that have the same packages built share what was built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from ... import staging
from ...builds import apps
from ...builds import bytecode as compiling
from ...digest import Digest, key_of
from ...droplet import built
from ...model import APP, ARTIFACT
from ...names import path_fault
from ...planning import bytecode
from ...records import Built
from ...tree import within

if TYPE_CHECKING:
    from ...droplet.incremental import Folder
    from ...model import LockedPlan, Plan
    from ...settings import Settings
    from ...store import Store

BYTECODE = "bytecode"
"""The kind of a row beside the two kinds of builds."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a build of a `kind` left: its memo's value and its blob; of the app's, the files and links that went in."""

    kind: str
    record: Any
    blob: str
    files: tuple[tuple[str, bool, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As `bundle.json` has it."""
        reads = {"files": [list(row) for row in self.files], "links": [list(row) for row in self.links]}
        return {"kind": self.kind, "record": self.record, "blob": self.blob, **(reads if self.kind == APP else {})}


def has(plan: Plan) -> bool:
    """Whether anything of a plan is built."""
    return bool(plan.builds or bytecode.asked(plan))


def collect(locked: LockedPlan, folder: Folder, settings: Settings) -> dict[str, Result]:
    """Key → what each build of the plan leaves for this folder; those run that are not remembered. Raises what they raise."""
    plan, store = locked.plan, settings.store
    base, _ = staging.make_base(locked, folder, settings)
    found = dict(_others(locked, store))
    if len(found) < sum(1 for build in plan.builds if build.kind == ARTIFACT) + bool(bytecode.asked(plan)):
        staging.forget_base(locked, store)  # it is remembered, but no longer from what: once more
        base, _ = staging.make_base(locked, folder, settings)
        found = dict(_others(locked, store))
    tree = folder.tree
    _, notes = apps.built(plan, base.builds, folder, settings) if base.builds else (tree, ())
    for record, note in zip(base.builds, notes, strict=True):
        left = built.recalled(note.key, store)
        assert left is not None
        files, links = built.reads(record, tree)
        found[note.key] = Result(APP, left.replace(seconds=0.0).to_json(), left.blob, tuple(files), tuple(links))
        tree = built.laid_over(tree, record, left, store)
    return found


def _others(locked: LockedPlan, store: Store) -> Iterator[tuple[str, Result]]:
    for key in store.recall("artifact-builds", locked.digest) or []:
        record = store.recall("built-artifact", key)
        if record is not None and store.has(record["blob"]):
            yield key, Result(ARTIFACT, {**record, "seconds": 0.0}, record["blob"])
    for key in store.recall("bytecode-builds", locked.digest) or []:
        blob = store.recall(compiling.NAME, key)
        if blob is not None and store.has(blob):
            yield key, Result(BYTECODE, blob, blob)


# --- the way back ----------------------------------------------------------------------------------------------


def read(rows: Mapping[str, Any], plan: Plan, store: Store, fail: Callable[[str], NoReturn]) -> dict[str, Result]:
    """The rows of `bundle.json`, each of them for a build of the plan as this very stager knows it; `fail` raises."""
    found: dict[str, Result] = {}
    known = _Keys(plan, rows, store)
    for key, row in rows.items():
        try:
            one = _row(row)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            fail(f"what it says of the build {key[:80]} cannot be read")
        if not known.has(key, one):
            fail("it holds what another stager has built, or what its plan does not build; use the stager that made it")
        if why := _fault(one, plan):
            fail(f"what it says of the build {key[:80]} cannot be: {why}")
        found[key] = one
    return found


def _row(row: Any) -> Result:
    files = tuple((str(path), bool(executable), str(digest)) for path, executable, digest in row.get("files", ()))
    links = tuple((str(path), str(target)) for path, target in row.get("links", ()))
    record, blob = row["record"], str(row["blob"])
    if row["kind"] == APP:
        blob = Built.from_json(record).blob
    elif row["kind"] == ARTIFACT:
        blob = record["blob"]
        if {*record} != {"name", "filename", "blob", "checked", "seconds"} or not isinstance(record["filename"], str):
            raise ValueError(record)
    elif row["kind"] != BYTECODE or record != blob:
        raise ValueError(row)
    if blob != row["blob"]:
        raise ValueError(blob)
    return Result(row["kind"], record, blob, files, links)


class _Keys:
    """The keys of a plan's builds."""

    def __init__(self, plan: Plan, rows: Mapping[str, Any], store: Store) -> None:
        self._prefixes = {one.name: one.prefix for one in built.app_builds(plan, store)}
        found = ((one, plan.source(one)) for one in plan.builds if one.kind == ARTIFACT)
        sources = {one: source for one, source in found if source}
        builds = {built.artifact_key(plan, one, source, store): one for one, source in sources.items()}
        self._artifacts = {key: one.name for key, one in builds.items()}
        made = []
        for key in builds.keys() & rows.keys():
            with suppress(KeyError, TypeError, ValueError):  # `_row` tells what cannot be read
                record = rows[key]["record"]
                digest = Digest(f"sha256:{record['blob']}")
                made.append(replace(sources[builds[key]], filename=str(record["filename"]), digest=digest))
        self._compiled = set(compiling.keys(plan, made, store))

    def has(self, key: str, one: Result) -> bool:
        """Whether it is the key of what a row says."""
        if one.kind == BYTECODE:
            return key in self._compiled
        if one.kind == ARTIFACT:
            return key in self._artifacts and self._artifacts[key] == one.record["name"]
        left = Built.from_json(one.record)
        prefix = self._prefixes.get(left.name)
        return prefix is not None and left.key == key == key_of(prefix, one.files, one.links)


def _fault(one: Result, plan: Plan) -> str:
    """Why no build can have left this; empty for what one can."""
    if one.kind == ARTIFACT:
        return "its file has a folder" if "/" in one.record["filename"] else path_fault(one.record["filename"])
    if one.kind != APP:
        return ""
    left = Built.from_json(one.record)
    outputs = next(build.outputs for build in plan.builds if build.name == left.name)
    at = 0
    for _, _, _, offset, size in left.files:
        if offset != at or not isinstance(size, int) or size < 0:
            return "its files do not lie one behind the other"
        at += size
    for path in (*(row[0] for row in left.files), *left.links):
        if path_fault(path) or not within(path, outputs):
            return f"{path[:80]!r} is none of its outputs"
    for path, target in left.links.items():
        depth, up = path.count("/"), 0
        for part in target.split("/"):
            up += 1 if part == ".." else -1 if part not in ("", ".") else 0
            if up > depth or target.startswith("/"):
                return f"{path[:80]!r} leads outside the app"
    return ""


def remember(found: Mapping[str, Result], store: Store, fail: Callable[[str], NoReturn]) -> None:
    """Keep the results, whose blobs are in the store by now and are what they are called. Files are checked one by one."""
    kinds = {BYTECODE: compiling.NAME, ARTIFACT: "built-artifact", APP: "built"}
    for key, one in found.items():
        if store.recall(kinds[one.kind], key) is not None:
            continue  # what this machine has built itself stays
        if one.kind == BYTECODE:
            store.remember(compiling.NAME, key, one.blob)
        elif one.kind == ARTIFACT:
            store.remember("built-artifact", key, one.record)
        else:
            _check_files(Built.from_json(one.record), store, fail)
            store.remember("built", key, one.record)


def _check_files(left: Built, store: Store, fail: Callable[[str], NoReturn]) -> None:
    with open(store.path(left.blob), "rb") as file:
        for path, _, digest, _, size in left.files:
            state = hashlib.sha256()
            while size and (part := file.read(min(size, 1 << 20))):
                state.update(part)
                size -= len(part)
            if size or f"sha256:{state.hexdigest()}" != digest:
                fail(f"the built file {path[:80]!r} is not what its row says")
        if file.read(1):
            fail(f"what {left.name} left has more bytes than its files")
