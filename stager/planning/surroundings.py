"""What a build has around it, as a plan of its own: the droplet that lies at `/app` while it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..model import APP, DROPLET, NOTHING, Artifact, Build, BuildRoot, Plan, Reason
from ..runtimes import kinds, of_layout
from . import bytecode, lock_builds, lockfile

_NONE = Reason("")


def plan_of(plan: Plan, build: Build) -> Plan:
    """The plan of the droplet in which a build runs: what both share, and what is its alone.

    It has no reasons, processes, inputs and bytecode, so that builds of equal surroundings have equal plans, whatever the app.
    """
    shares = build.on == DROPLET
    own = {_place(one) for one in build.artifacts}
    artifacts = [one for one in plan.artifacts if _shared(one, build) and _place(one) not in own]
    runs_on = [one for one in build.artifacts if of_layout(one.layout) is not None]
    runtimes = {one.name: one for one in (*(plan.runtimes if build.on != NOTHING else ()), *build.runtimes)}
    packs = {one.name: one for one in (*(plan.buildpacks if shares else ()), *build.buildpacks)}
    around = build.artifacts if build.kind == APP else runs_on
    whole = {one.purl for one in (*artifacts, *around)}
    needed = tuple(one for one in plan.builds if one.kind != APP and one.of in whole)
    needed = tuple(one for one in needed if one.name != build.name)
    return replace(
        plan,
        buildpacks=tuple(replace(one, reason=_NONE) for one in packs.values()),
        inputs=(),
        runtimes=tuple(replace(one, reason=_NONE) for one in runtimes.values()),
        artifacts=tuple(
            sorted((*artifacts, *build.artifacts), key=lambda one: (one.purl.encode(), one.digest, one.layout))
        ),
        links=tuple(sorted({**_shared_paths(plan.links, build), **dict(build.links)}.items())),
        files=tuple(sorted({**_shared_paths(plan.files, build), **dict(build.files)}.items())),
        processes=(),
        env=tuple(replace(one, reason=_NONE) for one in plan.env) if shares else (),
        facts=bytecode.without(plan.facts) if shares else (),
        builds=tuple(replace(one, reason=_NONE) for one in needed),
        roots=tuple(root for root in plan.roots if any(one.root == root.name for one in needed)),
        notes=(),
    )


def _place(artifact: Artifact) -> tuple[str, tuple[str, ...]]:
    """What an artifact of a build takes the place of: that package of the droplet's at those places."""
    return artifact.purl, artifact.paths


def _shared(artifact: Artifact, build: Build) -> bool:
    return build.on == DROPLET or (build.on != NOTHING and of_layout(artifact.layout) is not None)


def _shared_paths(rows: Iterable[tuple[str, str]], build: Build) -> dict[str, str]:
    """Those links or files of the droplet that a build has as well: with its runtimes those in their folders."""
    if build.on == DROPLET:
        return dict(rows)
    places = tuple(f"{one.place}/" for one in kinds() if one.place) if build.on != NOTHING else ()
    return {path: value for path, value in rows if path.startswith(places)}


def text(plan: Plan, build: Build) -> str:
    """Everything that goes into a build but files of the app and the artifact itself, as a text: equal for equal builds."""
    return "\n".join(parts(plan, build))


def parts(plan: Plan, build: Build) -> tuple[str, str, str]:
    """The same in its parts, each in TOML: the build itself, its root, the plan of what is around it."""
    return (
        lock_builds.build_block(replace(build, reason=_NONE)),
        lock_builds.root_block(root_of(plan, build)),
        lockfile.dumps(plan_of(plan, build)),
    )


def used_roots(plan: Plan) -> tuple[BuildRoot, ...]:
    """The roots that a plan's builds and its bytecode are made in."""
    names = {build.root for build in plan.builds} | ({bytecode.ROOT} if bytecode.asked(plan) else set())
    return tuple(root for _, root in sorted({root.name: root for root in plan.roots}.items()) if root.name in names)


def root_of(plan: Plan, build: Build) -> BuildRoot:
    """The root that a build runs in."""
    return next(root for root in plan.roots if root.name == build.root)
