"""Why a build runs again or is remembered: which of all that goes in is another since it ran last for this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...builds import bytecode, history
from ...builds.history import BuildRun
from ...droplet import built
from ...errors import BadLock, UsageError, listing
from ...model import APP, Build, Plan
from ...planning import lockfile, surroundings
from ...text import parsing
from ..diff import planned
from .answers import Answer, Question, listed, where

if TYPE_CHECKING:
    from ...builds.bytecode import Compiling
    from ...records import AppBuild
    from ...store import Store
    from ...tree import SourceTree


def answer(question: Question) -> tuple[Answer, ...]:
    """One answer a build, in their order. Raises UsageError for a build that there is not."""
    plan, tree, store = question.plan(), question.tree, question.store
    compiling = bytecode.asked(plan)
    builds = [*plan.builds, *(one.build for one in compiling)]
    if not builds:
        return (Answer("all", "The app has nothing that must be built.", data={"builds": 0}),)
    if question.name and question.name not in {build.name for build in builds}:
        names = listing([build.name for build in builds])
        raise UsageError(f"the app has no build {question.name}", f"Its builds are {names}.")
    records = {record.name: record for record in built.app_builds(plan, store)}
    found = []
    known: SourceTree | None = tree
    for build in plan.builds:
        found.append(_one(plan, build, records.get(build.name), known, question))
        if build.kind == APP and known is not None:
            left = built.overlaid(known, (records[build.name],), store)
            known = None if left is None else left[0]
    found += [_compiled(plan, one, question) for one in compiling]
    return tuple(one for one in found if question.name in ("", one.subject))


def _one(plan: Plan, build: Build, record: AppBuild | None, tree: SourceTree | None, question: Question) -> Answer:
    store = question.store
    about = f"it is there because {build.reason.text}" + (f" ({where(build.reason)})" if build.reason.file else "")
    if tree is None:
        text = f"{build.name} comes after a build that has to run: what goes in is not known before."
        data = _data(build, history.last(question.folder.root, build.name, store), store)
        return Answer(build.name, text, (about,), data | {"remembered": None})
    if record is not None:
        key = built.key(record, tree)
        left, reads = built.recalled(key, store) is not None, history.reads(record, question.folder.replace(tree=tree))
    else:
        source = plan.source(build)
        assert source is not None  # as the lock's reader checks
        key = built.artifact_key(plan, build, source, store)
        left, reads = store.recall("built-artifact", key) is not None, {}
    return _ran(plan, build, key, left, reads, about, question)


def _compiled(plan: Plan, one: Compiling, question: Question) -> Answer:
    left = bytecode.is_remembered(plan, question.store)
    about = f"it is there because stager.lock asks for it ({one.made.fact} is {one.amount})"
    return _ran(plan, one.build, one.key(plan, question.store), left, one.reads(plan), about, question)


def _data(build: Build, run: BuildRun | None, store: Store) -> dict[str, Any]:
    return {"build": build.name, "kind": build.kind, "log": built.log_path(store, run.key) if run else ""}


def _ran(
    plan: Plan, build: Build, key: str, left: bool, reads: Mapping[str, str], about: str, question: Question
) -> Answer:
    """Why a build ran, or would: it has this key now, is remembered (`left`) or not, and has `reads` beside the plan."""
    store = question.store
    run = history.last(question.folder.root, build.name, store)
    data = _data(build, run, store) | {"remembered": left, "key": key}
    if left and run is not None and run.key == key:
        because, changed = _why(run, store)
        return Answer(
            build.name, f"{build.name} ran, and is remembered since.", (*because, about), data | {"changed": changed}
        )
    if left:
        text = f"{build.name} is remembered: it ran before with all that goes in now."
        return Answer(build.name, text, (about,), data)
    if run is None:
        return Answer(build.name, f"{build.name} will run: it has not run for this folder.", (about,), data)
    changed = {
        **_files(history.kept_reads(run.reads, store), reads),
        **_plans(history.kept_parts(run.text, store), surroundings.parts(plan, build)),
    }
    because = _told(changed) or _otherwise(run.key == key, run.ended)
    return Answer(build.name, f"{build.name} will run.", (*because, about), data | {"changed": changed})


def _why(run: BuildRun, store: Store) -> tuple[tuple[str, ...], dict[str, str]]:
    """Why the last run was."""
    if run.asked:
        return ("somebody asked for it ('stager build')",), {}
    if run.before is None:
        return ("it had not run for this folder before",), {}
    key, text, reads, ended = run.before
    old, new = history.kept_reads(reads, store), history.kept_reads(run.reads, store)
    changed = {**_files(old, new or {}), **_plans(history.kept_parts(text, store), history.kept_parts(run.text, store))}
    return _told(changed) or _otherwise(key == run.key, ended), changed


def _otherwise(same: bool, ended: str) -> tuple[str, ...]:
    if not same:
        return ("stager itself is another one, or what went in before is not known any more",)
    return ("what it left has been removed from the store",) if ended else ("it did not end well before",)


def _files(old: Mapping[str, str] | None, new: Mapping[str, str]) -> dict[str, str]:
    if old is None:
        return {}
    return {
        path: "came" if path not in old else "went" if path not in new else "changed"
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    }


def _told(changed: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name} {how}" for name, how in list(changed.items())[:20]) + (
        (f"and {len(changed) - 20} more",) if len(changed) > 20 else ()
    )


def _plans(old: Sequence[str] | None, new: Sequence[str] | None) -> dict[str, str]:
    """What of the plan is another: what it is → what happened to it, in words."""
    if old is None or new is None:
        return {}
    found = {f"its {key}": "changed" for key in _keys(old[0], new[0])}
    root = _keys(old[1], new[1])
    found |= {"its root": f"changed ({listed(root)})"} if root else {}
    if old[2] != new[2]:
        try:
            plans = [lockfile.loads(text.encode()).plan for text in (old[2], new[2])]
        except BadLock:
            return found | {"what is around it": "changed"}
        found |= {f"{one.what} {one.name}": one.how for one in planned.plans(*plans)} or {
            "what is around it": "changed"
        }
    return found


def _keys(old: str, new: str) -> list[str]:
    """The keys of the first table of two texts whose values differ."""
    one, other = (next(iter(parsing.toml(text).values()))[0] for text in (old, new))
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
