"""Builds of artifacts: what they leave takes the artifact's place. They depend on the plan alone, so all apps share them."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import fetching
from ..bases import Ready, fetch
from ..digest import Digest
from ..droplet import built as known
from ..errors import NeedsBuild
from ..files import below, limits
from ..model import ARTIFACT
from ..planning import lockfile, surroundings
from ..planning.layouts import unpacked
from ..sandbox.job import TMP
from ..store import rules
from ..text import parsing
from . import abi, history, outputs, recipes, running
from .compare import FIRST
from .errors import BuildFailed
from .recipes import PROVIDED
from .running import NOTHING_ASKED, Asked, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..droplet.incremental import Folder
    from ..ecosystems.record import BuildRecipe
    from ..model import Artifact, Build, Plan
    from ..records import BuildNote
    from ..sandbox.job import Ended
    from ..settings import Settings
    from .outputs import Left
    from .running import LaidOut, Place

_OUT = f"{TMP}/out"
"""Where a recipe leaves what it makes."""


def built(plan: Plan, folder: Folder, settings: Settings, asked: Asked = NOTHING_ASKED) -> dict[str, Ready]:
    """The plan's artifacts that are built, by their purl; those are built that are not remembered.

    Raises BuildFailed, BuildTooBig, BuildDiffers, NoSandbox, Cancelled, and what making roots and fetching raise.
    """
    ready: dict[str, Ready] = {}
    for build in plan.builds:
        if build.kind == ARTIFACT:
            source = plan.source(build)
            assert source is not None  # as the lock's reader checks
            ready[build.of] = _one(plan, build, source, folder, settings, ready, asked)
            if build.name == asked.until:
                return ready
    if ready:
        digest = lockfile.locked(plan).digest
        settings.store.remember("artifact-builds", digest, [one.note.key for one in ready.values()])
    return ready


def _recipe(build: Build) -> BuildRecipe:
    recipe = recipes.artifact(build.command)
    if recipe is None:
        why = f"is by {build.command}, which this stager does not know"
        raise BuildFailed(build.name, why, hint="Run 'stager lock'.")
    return recipe


def _one(
    plan: Plan,
    build: Build,
    source: Artifact,
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready],
    asked: Asked,
) -> Ready:
    recipe, store, forced = _recipe(build), settings.store, asked.runs(build)
    key = known.artifact_key(plan, build, source, store)
    found = None if forced else _recalled(key, recipe, source, settings)
    if found is None:
        with store.exclusive(f"build {key}", settings.stop):
            if not forced:
                found = _recalled(key, recipe, source, settings)
            found = found or _run(plan, build, source, recipe, key, folder, settings, ready, asked)
    _check(plan, build, found, folder, settings)
    return found


_MISFIT = (
    "Its own build says so: ask for a version that is for this Python, or, where the name is only a setting of its build's, "
    "set that by 'env' of the build in stager.yml."
)


def _check(plan: Plan, build: Build, made: Ready, folder: Folder, settings: Settings) -> None:
    """Raise BuildFailed for what says that it is for another target, NeedsBuild for what neither the stack nor the droplet
    can load. Another app's droplet may have had more."""
    if wrong := _recipe(build).misfit(plan, made.artifact.filename):
        raise BuildFailed(build.name, f"left {made.artifact.filename}, which is {wrong}", hint=_MISFIT)
    try:
        abi.check(plan, made.artifact, made.blob, settings.store)
    except NeedsBuild:
        names = [pin.name for pin in surroundings.root_of(plan, build).packages]
        brought = _brought(plan, made.artifact, folder, settings)
        abi.check(plan, made.artifact, made.blob, settings.store, brought, names)


def _brought(plan: Plan, made: Artifact, folder: Folder, settings: Settings) -> Iterator[str]:
    """The names of libraries that packages of the droplet bring to where the loader looks for what was made."""
    apart = {build.of for build in plan.builds}
    wanted = [one for one in plan.artifacts if one.purl not in apart]
    blobs = fetch(plan, settings, wanted, tree=folder.tree)
    for one in wanted:
        with unpacked(one, one.paths[0], blobs[one.digest], settings.store) as found:
            names = found.meta.get("sonames")
            yield from map(str, names) if isinstance(names, dict) else ()
            if one.paths == made.paths:  # of one runtime, which finds what lies beside it
                yield from (path.rpartition("/")[2] for path in (*(file.path for file in found.files), *found.links))


def _recalled(key: str, recipe: BuildRecipe, source: Artifact, settings: Settings) -> Ready | None:
    record = settings.store.recall("built-artifact", key)
    if record is None or not settings.store.has(record["blob"]):
        return None
    return _ready(recipe, source, record, known.artifact_note(key, record, False, settings.store))


def _ready(recipe: BuildRecipe, source: Artifact, record: Mapping[str, Any], note: BuildNote) -> Ready:
    made, digest = record["filename"], Digest(f"sha256:{record['blob']}")
    artifact = replace(source, filename=made, digest=digest, layout=recipe.gives, size=None, url="")
    return Ready(artifact, record["blob"], note)


def _run(
    plan: Plan,
    build: Build,
    source: Artifact,
    recipe: BuildRecipe,
    key: str,
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready],
    asked: Asked,
) -> Ready:
    """Build an artifact, twice unless the app says otherwise, and remember what it left."""
    store = settings.store
    fetch(plan, settings, [source], tree=folder.tree)
    blob = fetching.resolve(store, [source])[source.digest]
    with (
        history.noted(plan, build, {}, key, folder, settings, asked.runs(build)),
        running.place(plan, build, folder, settings, ready, asked) as where,
    ):

        @contextmanager
        def attempt(turn: Turn) -> Iterator[Left]:
            with _once(build, source, blob, recipe, recipe.line, where, turn, settings) as (out, _):
                archive = outputs.archive(build.name, out, os.path.basename(_OUT))
            yield outputs.opened(build.name, archive)

        with running.compared(build, key, attempt, settings) as (left, seconds):
            assert left.archive is not None
            first = left.archive
        record = {"name": build.name, "filename": first.filename, "blob": store.put(first.data), "checked": build.twice}
        record["seconds"] = seconds
        made = _ready(recipe, source, record, known.artifact_note(key, record, True, store, where.kept))
        store.remember("built-artifact", key, record)
    return made


def _runtimes(plan: Plan, folder: Folder, settings: Settings) -> dict[str, Ready]:
    """The plan's runtimes that are built; these builds come first."""
    first = [build.name for build in plan.builds if recipes.of_runtime(build)]
    return built(plan, folder, settings, Asked(until=first[-1])) if first else {}


def shell(plan: Plan, build: Build, folder: Folder, settings: Settings) -> int:
    """A shell where the build of an artifact runs, on this process's terminal: its exit status."""
    source, recipe = plan.source(build), _recipe(build)
    assert source is not None  # as the lock's reader checks
    before = [one.name for one in plan.builds if one.kind == ARTIFACT]
    place = before.index(build.name)
    ready = built(plan, folder, settings, Asked(until=before[place - 1])) if place else {}
    fetch(plan, settings, [source], tree=folder.tree)
    blob = fetching.resolve(settings.store, [source])[source.digest]
    with running.place(plan, build, folder, settings, ready) as where:
        return running.by_hand(where, settings, **_laid(build, source, blob, recipe, settings))


def asked(plan: Plan, source: Artifact, folder: Folder, settings: Settings, build: Build) -> Any:
    """What an artifact's own code says before it is built, in the sandbox. Raises BuildFailed for no answer, NoSandbox."""
    recipe = recipes.artifact(build.command)
    assert recipe is not None
    plan = replace(plan, builds=tuple(build if one.name == build.name else one for one in plan.builds))
    key = rules.key(settings.store, "ask", known.artifact_key(plan, build, source, settings.store), recipe.ask)
    if (told := settings.store.recall("asked", key)) is not None:
        return told["answer"]
    settings.tell("lock", f"what {build.name} is built with")
    blob = fetch(plan, settings, [source], tree=folder.tree)[source.digest]
    turn = Turn(FIRST, running.log_path(settings.store, key), settings.stop)
    with (
        running.place(plan, build, folder, settings, _runtimes(plan, folder, settings)) as where,
        _once(build, source, blob, recipe, recipe.ask, where, turn, settings) as (out, ended),
    ):
        try:
            with below.reading(out, f"{os.path.basename(_OUT)}/answer.json") as file:
                answer = parsing.json(file.read(limits.SETTINGS))
        except (OSError, ValueError) as error:
            raise BuildFailed(
                build.name, f"left no answer to what it is built with: {error}", ended.last, turn.log
            ) from None
    settings.store.remember("asked", key, {"answer": answer})
    return answer


@contextmanager
def _once(
    build: Build,
    source: Artifact,
    blob: str,
    recipe: BuildRecipe,
    line: str,
    where: Place,
    turn: Turn,
    settings: Settings,
) -> Iterator[tuple[str, Ended]]:
    """Run a line of a recipe: the folder that was `/tmp`, which has what it leaves, and how it ended."""
    words = {"programs": PROVIDED, "artifact": shlex.quote(_inside(source)), "out": _OUT}
    words["folder"] = shlex.quote(build.folder)
    command = f"mkdir {_OUT} && {line.format(**words)}"
    laid = _laid(build, source, blob, recipe, settings)
    with running.once(build, where, command, turn, settings, **laid) as run:
        yield run.temporary, run.ended


def _inside(source: Artifact) -> str:
    return f"/inputs/{os.path.basename(source.filename)}"


def _laid(build: Build, source: Artifact, blob: str, recipe: BuildRecipe, settings: Settings) -> LaidOut:
    """What the build of an artifact has beside the droplet around it."""

    def fill(app: str, reverse: bool) -> None:
        """Nothing of any app is there."""

    return {
        "fill": fill,
        "env": {**dict(recipe.env), **dict(build.env)},
        "inputs": [(settings.store.path(blob), _inside(source))],
        "provided": recipe.programs(),
        "folder": TMP,
    }
