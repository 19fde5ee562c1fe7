"""Builds by hand: what `stager build` does with the builds of an app's plan, one of them or all.

That of its bytecode is no build of the plan, and comes after those of its artifacts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..droplet import built as known
from ..errors import UsageError, listing
from ..model import ARTIFACT
from ..planning import lockfile
from . import apps, artifacts, bytecode
from .running import Asked

if TYPE_CHECKING:
    from ..droplet.incremental import Folder
    from ..model import Build, Plan
    from ..records import BuildNote
    from ..settings import Settings


def named(plan: Plan, name: str) -> Build:
    """The plan's build of that name. Raises UsageError."""
    known = [*plan.builds, *(one.build for one in bytecode.asked(plan))]
    for build in known:
        if build.name == name:
            return build
    names = listing([build.name for build in known])
    hint = f"Its builds are {names}." if known else "The app has nothing built; 'build:' in stager.yml would."
    raise UsageError(f"the app has no build {name}", hint)


def run(
    plan: Plan, folder: Folder, settings: Settings, name: str = "", again: bool = False, keep: bool = False
) -> tuple[BuildNote, ...]:
    """Run the plan's builds in their order, or the one with this name after those that it needs; what to say of each.

    With `again` they (or it) run though they are remembered, with `keep` their folders stay. Raises what builds raise.
    """
    wanted = named(plan, name) if name else None
    asked = Asked(frozenset({name} if name else ()), again, keep, name)
    ready = artifacts.built(plan, folder, settings, asked)
    notes = tuple(one.note for one in ready.values())
    if wanted is not None and wanted.of:
        return notes[-1:]
    if bytecode.asked(plan) and (wanted is None or wanted not in plan.builds):
        _, made = bytecode.based(lockfile.locked(plan), folder, settings, ready, asked)
        notes = (*notes, *made)
    if wanted is not None and wanted not in plan.builds:
        return tuple(note for note in notes if note.name == name)
    _, more = apps.built(plan, known.app_builds(plan, settings.store), folder, settings, asked)
    return (*notes, *more)


def shell(plan: Plan, folder: Folder, settings: Settings, name: str) -> int:
    """A shell where a build runs, as it is before its command, on this process's terminal: its exit status."""
    build = named(plan, name)
    if build not in plan.builds:
        hint = f"'stager build {name} --keep' leaves its folder, and 'stager log {name}' has what was said."
        raise UsageError(f"{name} is stager's own program, which has no shell", hint)
    if build.kind == ARTIFACT:
        return artifacts.shell(plan, build, folder, settings)
    records = known.app_builds(plan, settings.store)
    place = next(index for index, record in enumerate(records) if record.name == name)
    if place:
        tree, _ = apps.built(plan, records, folder, settings, Asked(until=records[place - 1].name))
        folder = folder.replace(tree=tree)
    return apps.shell(plan, build, records[place], folder, settings)
