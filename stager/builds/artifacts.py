"""Builds of artifacts: what they leave takes the artifact's place. They depend on the plan alone, so all apps share them."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import fetching
from ..bases import Ready, fetch
from ..digest import Digest
from ..droplet import built as known
from ..model import ARTIFACT
from . import compare, recipes, running
from .errors import BuildFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..droplet.incremental import Folder
    from ..model import Artifact, Build, Plan
    from ..sandbox.job import Surroundings
    from ..settings import Settings
    from .outputs import Archive
    from .recipes import ArtifactRecipe
    from .running import Place


def built(plan: Plan, folder: Folder, settings: Settings) -> dict[str, Ready]:
    """The plan's artifacts that are built, by their purl; those are built that are not remembered.

    Raises BuildFailed, BuildTooBig, BuildDiffers, NoSandbox, Cancelled, and what making roots and fetching raise.
    """
    ready: dict[str, Ready] = {}
    for build in plan.builds:
        if build.kind == ARTIFACT:
            source = next(one for one in plan.artifacts if one.purl == build.of)
            ready[build.of] = _one(plan, build, source, folder, settings, ready)
    return ready


def _one(
    plan: Plan, build: Build, source: Artifact, folder: Folder, settings: Settings, ready: Mapping[str, Ready]
) -> Ready:
    recipe = recipes.artifact(build.command)
    if recipe is None:
        raise BuildFailed(
            build.name, f"is by {build.command}, which this stager does not know", hint="Run 'stager lock'."
        )
    store = settings.store
    key = known.artifact_key(plan, build, source, store)
    found = _recalled(key, recipe, source, settings)
    if found is None:
        with store.exclusive(f"build {key}", settings.stop):
            found = _recalled(key, recipe, source, settings) or _run(
                plan, build, source, recipe, key, folder, settings, ready
            )
    return found


def _recalled(key: str, recipe: ArtifactRecipe, source: Artifact, settings: Settings) -> Ready | None:
    record = settings.store.recall("built-artifact", key)
    if record is None or not settings.store.has(record["blob"]):
        return None
    return _ready(recipe, source, record["filename"], record["blob"])


def _ready(recipe: ArtifactRecipe, source: Artifact, filename: str, blob: str) -> Ready:
    layout = recipe.layout or source.layout
    return Ready(
        replace(source, filename=filename, digest=Digest(f"sha256:{blob}"), layout=layout, size=None, url=""), blob
    )


def _run(
    plan: Plan,
    build: Build,
    source: Artifact,
    recipe: ArtifactRecipe,
    key: str,
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready],
) -> Ready:
    """Build an artifact, twice unless the app says otherwise, and remember what it left."""
    store, log = settings.store, running.log_path(settings.store, key)
    fetch(plan, settings, [source], tree=folder.tree)
    blob = fetching.resolve(store, [source])[source.digest]
    with running.place(plan, build, folder, settings, ready) as where:
        settings.tell("build", build.name)
        first = _once(build, source, blob, recipe, where, running.FIRST, settings, log)
        if build.twice:
            settings.tell("build", f"{build.name}, again in other surroundings")
            second = _once(build, source, blob, recipe, where, running.SECOND, settings, f"{log}.2")
            compare.same_archive(build.name, first, second)
    made = store.put(first.data)
    record = {"name": build.name, "filename": first.filename, "blob": made, "checked": build.twice}
    store.remember("built-artifact", key, record)
    return _ready(recipe, source, first.filename, made)


def _once(
    build: Build,
    source: Artifact,
    blob: str,
    recipe: ArtifactRecipe,
    where: Place,
    around: Surroundings,
    settings: Settings,
    log: str,
) -> Archive:
    def fill(app: str, reverse: bool) -> None:
        """Nothing of any app is there."""

    inputs = [(settings.store.path(blob), f"/inputs/{os.path.basename(source.filename)}")]
    env = {**recipe.env(build, source), **dict(build.env)}
    with running.once(
        build, where, recipe.command(build, source), around, settings, log, fill=fill, env=env, inputs=inputs,
        provided=recipe.provides(build, source), folder="/tmp", fake_clock=recipe.fake_clock,  # noqa: S108
    ) as run:  # fmt: skip
        return recipe.collect(os.path.join(run.temporary, "out"), build, source)
