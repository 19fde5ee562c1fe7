"""Builds of an app: what they leave becomes files of the app's layer."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..droplet import built as known
from ..errors import CannotWrite
from ..model import APP, ARTIFACT
from ..sandbox.job import APP as PLACE
from . import artifacts, outputs, recipes, running
from .errors import BuildFailed
from .recipes import Around, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from ..bases import Ready
    from ..droplet.incremental import Folder
    from ..model import Build, Plan
    from ..records import AppBuild, Base, Built
    from ..sandbox.job import Surroundings
    from ..settings import Settings
    from ..tree import SourceTree
    from .outputs import Left
    from .running import Place, Run


def built(plan: Plan, base: Base, folder: Folder, settings: Settings) -> SourceTree:
    """The folder's tree with what its builds leave; those run that are not remembered.

    Raises BuildFailed, BuildTooBig, BuildDiffers, NoSandbox, Cancelled, and what making roots and fetching raise.
    """
    tree = folder.tree
    around: dict[str, Ready] | None = None
    builds = [build for build in plan.builds if build.kind == APP]
    for record, build in zip(base.builds, builds, strict=True):
        key = known.key(record, tree)
        found = known.recalled(key, settings.store)
        if found is None:
            with settings.store.exclusive(f"build {key}", settings.stop):
                found = known.recalled(key, settings.store)  # another process may have made it meanwhile
                if found is None:
                    if around is None:
                        around = ready(plan, folder, settings)
                    found = run(plan, build, record, key, folder.replace(tree=tree), settings, around)
        tree = known.laid_over(tree, record, found, settings.store)
    return tree


def ready(plan: Plan, folder: Folder, settings: Settings) -> dict[str, Ready]:
    """The built artifacts, for the droplets around builds."""
    return artifacts.built(plan, folder, settings) if any(one.kind == ARTIFACT for one in plan.builds) else {}


def run(
    plan: Plan, build: Build, record: AppBuild, key: str, folder: Folder, settings: Settings, ready: dict[str, Ready]
) -> Built:
    """Run a build of the app, twice unless the app says otherwise, and remember what it left."""
    store, steps = settings.store, _recipes(build)
    around = Around(build, key, _content(folder.tree, record))
    with running.place(plan, build, folder, settings, ready) as where:

        @contextmanager
        def attempt(surroundings: Surroundings, log: str, stop: Callable[[], bool]) -> Iterator[Left]:
            with _once(build, record, where, folder.tree, around, steps, surroundings, settings, log, stop) as run:
                yield outputs.collect(build.name, run.app, build.outputs, build.folder, steps)

        with running.compared(build, key, attempt, settings) as left:
            made = outputs.stored(left, build.name, key, build.twice, store)
    store.remember("built", key, made.to_json())
    return made


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


def _once(
    build: Build,
    record: AppBuild,
    where: Place,
    tree: SourceTree,
    around: Around,
    steps: Sequence[Recipe],
    surroundings: Surroundings,
    settings: Settings,
    log: str,
    stop: Callable[[], bool],
) -> AbstractContextManager[Run]:
    provided = {path: data for step in steps for path, data in step.provides(around).items()}
    before = {path: data for step in steps for path, data in step.before(around).items()}
    env = recipes.joined([*(step.env(around) for step in steps), dict(build.env)])

    def fill(app: str, reverse: bool) -> None:
        lay(tree, record, app, reverse)
        for path, data in before.items():
            write(os.path.join(app, path), data)

    folder = f"{PLACE}/{build.folder}" if build.folder else PLACE
    return running.once(
        build,
        where,
        build.command,
        surroundings,
        settings,
        log,
        fill=fill,
        env=env,
        provided=provided,
        folder=folder,
        stop=stop,
    )


def lay(tree: SourceTree, record: AppBuild, app: str, reverse: bool) -> None:
    """Write what a build reads below the folder `app`, in the order of paths or the other way round."""
    files, links = known.inputs(record, tree)
    try:
        for path in reversed(files) if reverse else files:
            place = os.path.join(app, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            mode = 0o755 if tree.files[path].executable else 0o644
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                os.fchmod(file.fileno(), mode)
                for part in tree.chunks(path):
                    file.write(part)
        for path in links:
            place = os.path.join(app, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            os.symlink(tree.links[path], place)
    except OSError as error:
        raise CannotWrite(app, error.strerror or str(error)) from None


def write(place: str, data: bytes) -> None:
    """Write a file and the folders above it. Raises CannotWrite."""
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(data)
    except OSError as error:
        raise CannotWrite(place, error.strerror or str(error)) from None
