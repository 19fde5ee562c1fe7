"""Builds of an app: what they leave becomes files of the app's layer."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..droplet import built as known
from ..errors import CannotWrite
from ..files import below
from ..model import APP, ARTIFACT
from ..sandbox.job import APP as PLACE
from . import artifacts, history, outputs, recipes, running
from .errors import BuildFailed
from .recipes import Around, Recipe
from .running import NOTHING_ASKED, Asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..bases import Ready
    from ..droplet.incremental import Folder
    from ..model import Build, Plan
    from ..records import AppBuild, BuildNote, Built
    from ..settings import Settings
    from ..tree import SourceTree
    from .outputs import Left
    from .running import LaidOut, Turn


def built(
    plan: Plan, records: Sequence[AppBuild], folder: Folder, settings: Settings, asked: Asked = NOTHING_ASKED
) -> tuple[SourceTree, tuple[BuildNote, ...]]:
    """The folder's tree with what its builds leave, and what to say of each; those run that are not remembered.

    `records` are the plan's builds of the app, as `droplet.built` knows them. Raises BuildFailed, BuildTooBig, BuildDiffers,
    NoSandbox, Cancelled, and what making roots and fetching raise.
    """
    tree, notes = folder.tree, []
    around: dict[str, Ready] | None = None
    builds = [build for build in plan.builds if build.kind == APP]
    for record, build in zip(records, builds, strict=True):
        key = known.key(record, tree)
        found, ran, kept = None if asked.runs(build) else known.recalled(key, settings.store), False, ""
        if found is None:
            with settings.store.exclusive(f"build {key}", settings.stop):
                if not asked.runs(build):
                    found = known.recalled(key, settings.store)  # another process may have made it meanwhile
                if found is None:
                    if around is None:
                        around = ready(plan, folder, settings)
                    found, kept = run(plan, build, record, key, folder.replace(tree=tree), settings, around, asked)
                    ran = True
        notes.append(known.note(found, ran, settings.store, kept))
        tree = known.laid_over(tree, record, found, settings.store)
        if build.name == asked.until:
            break
    return tree, tuple(notes)


def ready(plan: Plan, folder: Folder, settings: Settings) -> dict[str, Ready]:
    """The built artifacts, for the droplets around builds."""
    return artifacts.built(plan, folder, settings) if any(one.kind == ARTIFACT for one in plan.builds) else {}


def run(
    plan: Plan,
    build: Build,
    record: AppBuild,
    key: str,
    folder: Folder,
    settings: Settings,
    ready: dict[str, Ready],
    asked: Asked = NOTHING_ASKED,
) -> tuple[Built, str]:
    """Run a build of the app, twice unless the app says otherwise, and remember what it left; and the folder that is kept."""
    store, steps = settings.store, _recipes(build)
    laid = _laid(build, record, key, folder.tree, steps)
    with (
        history.noted(plan, build, history.reads(record, folder), key, folder, settings, asked.runs(build)),
        running.place(plan, build, folder, settings, ready, asked) as where,
    ):

        @contextmanager
        def attempt(turn: Turn) -> Iterator[Left]:
            with running.once(build, where, build.command, turn, settings, **laid) as run:
                yield outputs.collect(build.name, run.app, build.outputs, build.folder, steps)

        definition = "" if asked.runs(build) else record.prefix
        with running.compared(build, key, attempt, settings, definition) as (left, seconds):
            made = outputs.stored(left, build.name, key, build.twice, store, seconds)
        store.remember("built", key, made.to_json())
    return made, where.kept


def shell(plan: Plan, build: Build, record: AppBuild, folder: Folder, settings: Settings) -> int:
    """A shell where a build runs, on this process's terminal, with the folder's tree as it is: its exit status."""
    laid = _laid(build, record, known.key(record, folder.tree), folder.tree, _recipes(build))
    with running.place(plan, build, folder, settings, ready(plan, folder, settings)) as where:
        return running.by_hand(where, settings, **laid)


def _recipes(build: Build) -> list[Recipe]:
    found = []
    for name in build.recipes:
        recipe = recipes.tool(name)
        if recipe is None:
            raise BuildFailed(
                build.name, f"has the recipe {name}, which this stager does not know", hint="Run 'stager lock'."
            )
        found.append(recipe)
    return found


def _content(tree: SourceTree, record: AppBuild) -> bytes:
    """A digest over the contents of what a build reads, other than any that stager shows."""
    state = hashlib.sha256(b"stager: the contents that a build reads\0")
    for path in known.inputs(record, tree)[0]:
        state.update(f"{path}\0{tree.files[path].size}\0".encode())
        for part in tree.chunks(path):
            state.update(part)
    return state.digest()


def _laid(build: Build, record: AppBuild, key: str, tree: SourceTree, steps: Sequence[Recipe]) -> LaidOut:
    """What a build of the app has beside the droplet around it."""
    around = Around(build, key, _content(tree, record))
    provided = {path: data for step in steps for path, data in step.provides(around).items()}
    before = {path: data for step in steps for path, data in step.before(around).items()}
    env = recipes.joined([*(step.env(around) for step in steps), dict(build.env)])

    def fill(app: str, reverse: bool) -> None:
        lay(tree, record, app, reverse)
        for path, data in before.items():
            write(app, path, data)

    folder = f"{PLACE}/{build.folder}" if build.folder else PLACE
    return {"fill": fill, "env": env, "provided": provided, "folder": folder}


def lay(tree: SourceTree, record: AppBuild, app: str, reverse: bool) -> None:
    """Write what a build reads below the folder `app`, in the order of paths or the other way round.

    Links of the app, and of builds before, are laid last and never followed. Raises CannotWrite.
    """
    files, links = known.inputs(record, tree)
    try:
        for path in reversed(files) if reverse else files:
            with below.writing(app, path, 0o755 if tree.files[path].executable else 0o644) as file:
                for part in tree.chunks(path):
                    file.write(part)
        for path in links:
            below.link(app, path, tree.links[path])
    except OSError as error:
        raise CannotWrite(app, error.strerror or str(error)) from None


def write(app: str, path: str, data: bytes) -> None:
    """Write a file below the folder `app`, instead of what is there. Raises CannotWrite."""
    try:
        with below.writing(app, path, 0o644, instead=True) as file:
            file.write(data)
    except OSError as error:
        raise CannotWrite(f"{app}/{path}", error.strerror or str(error)) from None
