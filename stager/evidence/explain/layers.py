"""Why a layer is made again or reused: which input changed since the last staging, or since an earlier droplet.

What is known of the last staging is what the store remembers of the folder: its files' digests, its plan's digest, and where
its droplet went. Nothing is kept for this alone, so an earlier plan is read from that droplet, or is not known.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...droplet import assembly, built, reader
from ...droplet.base import layer_of
from ...errors import StagerError, UsageError
from ...model import APP, LockedPlan, Plan
from ...planning import lockfile
from ...planning.inputs import changed_files
from ...records import Last
from ...runtimes import MODULES
from ...tree import SourceTree, index
from ..diff import Contents, Package, planned, read
from .answers import Answer, Question, listed


@dataclass(frozen=True, slots=True)
class EarlierStaging:
    """What an earlier staging was made from. `plan` is None when only its digest is known."""

    label: str
    plan_digest: str
    plan: Plan | None
    files: Mapping[str, str]
    """Path → digest of the app's files."""
    tree: str = ""
    """The digest of the whole tree, where it is known."""


def answer(question: Question) -> tuple[Answer, ...]:
    """One answer for the whole, then one a layer. Raises BadArchive for a droplet that cannot be read."""
    before = _of_droplet(question) if question.droplet else _of_memo(question)
    if before is None:
        text = "This folder has not been staged with this store: nothing is known of an earlier staging."
        hint = "every layer will be made; packages that other apps have brought into the store are reused"
        return (Answer("all", text, (hint, "--droplet FILE compares with a droplet you have"), {"known": False}),)
    tree = question.folder.tree
    files = _changed(before.files, {path: file.digest for path, file in tree.files.items()})
    plan: LockedPlan | None = None
    failure, waiting = "", False
    try:
        folder, plan = question.planned()
        tree, waiting = _whole_tree(folder.tree, plan.plan, question)
    except StagerError as error:
        failure = error.message
    if not question.droplet and not files and plan is not None and plan.digest == before.plan_digest:
        earlier = _before_last(question)
        if earlier is not None and before.tree == tree.digest and not waiting:
            before, files = earlier
    return (_whole(before, files, plan, tree), *_layers(before, files, plan, failure, tree))


def _whole_tree(tree: SourceTree, plan: Plan, question: Question) -> tuple[SourceTree, bool]:
    """The tree with what its builds leave, as droplets have it; or as it is, and that one of them has to run first."""
    if not any(build.kind == APP for build in plan.builds):
        return tree, False
    found = built.overlaid(tree, built.app_builds(plan, question.store), question.store)
    return (tree, True) if found is None else (found[0], False)


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Path → what happened to it."""
    found = {}
    for path in sorted({*old, *new}):
        if old.get(path) != new.get(path):
            found[path] = "came" if path not in old else "went" if path not in new else "changed"
    return found


# --- what was before -------------------------------------------------------------------------------------------


def _of_droplet(question: Question) -> EarlierStaging:
    found = read(question.droplet)
    if found.plan is None or not found.has_files:
        raise _no_droplet(found)
    items = _apps(found)
    return EarlierStaging(found.label, lockfile.plan_digest(found.plan), found.plan, items)


def _no_droplet(found: Contents) -> StagerError:
    message = f"layers cannot be compared with the {found.kind} {found.label}: it has no plan, or no files"
    return UsageError(message, "Give a droplet, a slug or an image that stager made.")


def _apps(found: Contents) -> dict[str, str]:
    return {item.path: f"sha256:{item.sha256}" for item in found.of_app([*found.items()]) if item.kind == "file"}


def _of_memo(question: Question) -> EarlierStaging | None:
    memo, last = question.folder.memo, question.folder.memo.last
    if last is None:
        return None
    plan = _plan_of(last.plan, last.digest, question) or _plan_in_file(last)
    label = f"the last staging (sha256:{last.digest[:12]}…)"
    return EarlierStaging(label, last.plan, plan, dict(index.files(memo.index or {})), last.tree)


def _before_last(question: Question) -> tuple[EarlierStaging, dict[str, str]] | None:
    """When nothing changed since the last staging: the one before it, and what happened to the files in between."""
    memo = question.folder.memo.before
    if memo is None:
        return None
    label = f"the last staging but one (sha256:{memo.digest[:12]}…)"
    return EarlierStaging(label, memo.plan, _plan_of(memo.plan, memo.digest, question), {}, memo.tree), dict(memo.files)


def _plan_of(digest: str, droplet: str, question: Question) -> Plan | None:
    """The plan with this digest: the folder's lock, what the store remembers of it, or of the droplet made from it."""
    texts: list[bytes] = []
    if (lock := question.folder.lock_bytes()) is not None:
        texts.append(lock)
    if kept := question.store.recall("plan", digest):
        texts.append(kept.encode())
    opened = question.store.recall("opened", droplet)
    if opened is not None:
        texts.append(opened["plan"].encode())
    for text in texts:
        if f"sha256:{hashlib.sha256(text).hexdigest()}" == digest:
            return lockfile.loads(text).plan
    return None


def _plan_in_file(last: Last) -> Plan | None:
    """The plan inside the droplet that the last staging wrote, if it is there and still the same."""
    if last.out is None or not os.path.isfile(last.out.path):
        return None
    try:
        with reader.open_droplet(last.out.path) as droplet:
            return droplet.plan if droplet.digest == f"sha256:{last.digest}" else None
    except StagerError:
        return None


# --- the whole -------------------------------------------------------------------------------------------------


def _whole(before: EarlierStaging, files: Mapping[str, str], plan: LockedPlan | None, tree: SourceTree) -> Answer:
    same_plan = plan is not None and plan.digest == before.plan_digest
    data = {"known": True, "since": before.label, "files": dict(files), "plan_changed": not same_plan}
    quiet = not files and (not before.tree or before.tree == tree.digest)
    if quiet and same_plan:
        text = f"Nothing changed since {before.label}: every layer is reused."
        return Answer("all", text, ("--droplet FILE compares with an earlier droplet",), data)
    because = [f"{path} {how}" for path, how in list(files.items())[:20]]
    if len(files) > 20:
        because.append(f"and {len(files) - 20} more files")
    if not files and not quiet:
        because.append(_otherwise(plan))
    inputs = _inputs(before, tree)
    if not same_plan:
        because.append(f"the plan changed{': ' + inputs if inputs else ', though none of its input files did'}")
    count = f"{len(files)} file{'' if len(files) == 1 else 's'} changed" if files else "The inputs changed"
    return Answer("all", f"{count} since {before.label}.", tuple(because), data)


def _inputs(before: EarlierStaging, tree: SourceTree) -> str:
    """Which of the files that decide the plan changed, as a part of a sentence."""
    if before.plan is None:
        return ""
    changed = changed_files(before.plan, tree)
    return f"it rests on {listed(changed)}" if changed else ""


# --- each layer ------------------------------------------------------------------------------------------------


def _layers(
    before: EarlierStaging, files: Mapping[str, str], plan: LockedPlan | None, failure: str, tree: SourceTree
) -> Iterator[Answer]:
    if plan is None:
        text = "What the plan's layers will hold is not known: there is no plan of the app as it is now."
        yield Answer("plan", text, (failure,), {"made": None})
    elif plan.digest == before.plan_digest:
        names = ["skeleton", *_contents(plan.plan)]
        for name in names:
            yield Answer(name, f"{name} is reused: the plan is the same.", data={"layer": name, "made": False})
    elif before.plan is None:
        text = "The plan changed, but the earlier one is gone with its droplet: which package changed cannot be told."
        yield Answer("plan", text, ("--droplet FILE compares with a droplet you have",), {"made": None})
    else:
        yield from _of_plans(before.plan, plan.plan, tree)
    yield _app(files, before, tree, plan)


def _of_plans(old: Plan, new: Plan, tree: SourceTree) -> Iterator[Answer]:
    changed = changed_files(old, tree)
    why = f"the plan it holds changed, as {listed(changed)} did" if changed else "the plan it holds changed"
    yield Answer("skeleton", f"skeleton is made again: {why}.", data={"layer": "skeleton", "made": True})
    before, after = _contents(old), _contents(new)
    for name in sorted({*before, *after}, key=lambda name: (name not in MODULES, name)):
        rows = [*planned.packages(before.get(name, ()), after.get(name, ()))]
        data = {"layer": name, "made": bool(rows) and name in after, "packages": [one.name for one in rows]}
        if name not in after:
            yield Answer(name, f"{name} is gone: {_told(rows)}.", data=data)
        elif rows:
            how = "made again" if name in before else "new"
            yield Answer(name, f"{name} is {how}: {_told(rows)}.", data=data)
        else:
            count = len(after[name])
            packages = f"{count} package{'' if count == 1 else 's'}"
            yield Answer(name, f"{name} is reused: none of its {packages} changed.", data=data)


def _told(rows: Iterable[planned.Change]) -> str:
    """Changed packages as a part of a sentence."""
    texts = []
    for one in rows:
        name = one.name.partition(":")[2]
        if one.how in ("added", "removed"):
            texts.append(f"{name} {one.after or one.before} {'came' if one.how == 'added' else 'went'}")
        else:
            texts.append(f"{name} {one.before} → {one.after}")
    return listed(texts)


def _contents(plan: Plan) -> dict[str, tuple[Package, ...]]:
    """Layer → the packages in it, by the rule of docs/droplet-format.md §4."""
    found: dict[str, list[Package]] = {}
    for artifact in plan.artifacts:
        for path in artifact.paths:
            rows = found.setdefault(layer_of(artifact, path), [])
            if (one := Package.of(artifact)) not in rows:
                rows.append(one)
    return {name: tuple(rows) for name, rows in sorted(found.items(), key=lambda row: (row[0] not in MODULES, row[0]))}


def _otherwise(plan: LockedPlan | None) -> str:
    """What changed when no file of the app's has another content."""
    built_ = plan is not None and any(build.kind == APP for build in plan.plan.builds)
    return f"{'what its builds leave, ' if built_ else ''}an executable bit or a link changed"


def _app(files: Mapping[str, str], before: EarlierStaging, tree: SourceTree, plan: LockedPlan | None) -> Answer:
    """The app's layer: which of its groups hold what changed."""
    groups = list(assembly.groups(tree))
    touched = [group for group in groups if any(path in files for path in group)]
    kept = len(groups) - len(touched)
    data = {"layer": "app", "made": bool(files), "groups": len(groups), "made_groups": len(touched)}
    if not files and before.tree not in ("", str(tree.digest)):
        text = f"app is made again: {_otherwise(plan)}."
        return Answer("app", text, data=data | {"made": True})
    if not files:
        return Answer("app", "app is reused: none of the app's files changed.", data=data)
    told = listed(f"{path} {how}" for path, how in files.items())
    count = "1 group" if len(groups) == 1 else f"{len(groups)} groups"
    because = (f"its files lie in {count}, of which {kept} {'is' if kept == 1 else 'are'} reused",)
    return Answer("app", f"app is made again: {told}.", because, data)
