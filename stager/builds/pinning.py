"""What a plan's builds need is pinned when an app is locked: their roots, and what only a resolver or the sandbox can tell.

Planning says which builds there are and what they ask for; nothing here is done again when an app is staged.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from .. import ecosystems
from ..bases import fetch, take_in
from ..ecosystems.record import BuildRequest, Laid, LookRequest, WantedBuilds
from ..errors import BadManifest
from ..facts import stacks
from ..model import APP, ARTIFACT, Build, BuildRoot
from ..planning import surroundings, system_packages
from ..planning.detection import appconfig
from ..planning.layouts import unpacked
from ..planning.plan import indexes_for
from ..resolving import confined
from . import artifacts, machines, recipes, roots

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..droplet.incremental import Folder
    from ..ecosystems.record import Ecosystem, Workplace
    from ..model import Artifact, Plan
    from ..settings import Settings
    from ..tree import SourceTree

STACK, USER = "stack", "user"
"""The stack's own root, and that of builds which would run in it if `stager.yml` named no packages for them."""


def decided(plan: Plan, tree: SourceTree, settings: Settings) -> Plan:
    """The plan with the builds of those artifacts that must be built, of the ones in doubt: they are looked into for that.

    Raises BadManifest, and what fetching and unpacking raise.
    """

    def look(wanted: Sequence[Artifact]) -> list[Laid]:
        take_in(replace(plan, artifacts=tuple(wanted), builds=()), tree, settings.store)
        blobs = fetch(plan, settings, wanted, tree=tree)
        found = []
        for one in wanted:
            with unpacked(one, one.paths[0], blobs[one.digest], settings.store) as what:
                found.append(Laid(one, one.paths[0], what.meta))
        return found

    for one in ecosystems.chosen(plan.artifacts) if plan.unsure else ():
        if one.builds is not None:
            found = one.builds(LookRequest(plan, tree, look))
            plan = replace(
                plan,
                builds=tuple(sorted((*found.builds, *plan.builds), key=lambda build: not recipes.of_runtime(build))),
                roots=(*plan.roots, *found.roots),
                facts=(*plan.facts, *found.facts),
                notes=(*(note for note in plan.notes if note not in found.gone), *found.notes),
            )
    for build in [build for build in plan.builds if build.unsure]:
        around = replace(surroundings.plan_of(plan, build), inputs=plan.inputs, unsure=build.unsure)
        for one in ecosystems.chosen(around.artifacts):
            if one.builds is not None:
                plan = _with_more(plan, one.builds(LookRequest(around, tree, look)))
    builds = tuple(replace(build, unsure=()) if build.unsure else build for build in plan.builds)
    return replace(plan, unsure=(), builds=builds)


def _with_more(plan: Plan, found: WantedBuilds) -> Plan:
    """The plan with the builds of packages that only a build of the app has around it."""
    known = {build.of for build in plan.builds}
    more = tuple(build for build in found.builds if build.of not in known)
    named = {root.name for root in plan.roots}
    roots = tuple(root for root in found.roots if root.name not in named and any(one.root == root.name for one in more))
    first, rest = ([one for one in plan.builds if (one.kind == ARTIFACT) is kind] for kind in (True, False))
    builds = (*first, *more, *rest)
    return replace(plan, builds=builds, roots=(*plan.roots, *roots), notes=(*plan.notes, *found.notes))


def pinned(plan: Plan, previous: Plan | None, folder: Folder, settings: Settings) -> Plan:
    """The plan with its build roots and what builds need besides pinned; as they are in the `previous` one while they fit.

    Raises NeedsBuild, UnknownPackage, IntegrityError, FetchError, LockFailed, BuildFailed, NoSandbox, Cancelled.
    """
    if not plan.roots:
        return plan
    plan = _with_wishes(plan, previous, folder, settings)
    plan = replace(plan, roots=_roots(plan, previous, settings))
    for build, artifact, record in _of_packages(plan):
        if record is None:
            continue
        told = _kept(plan, build, artifact, previous, settings) or record.pin_build(
            _request(plan, build, artifact, previous, folder, settings)
        )
        plan = replace(plan, builds=tuple(told if one is build else one for one in plan.builds))
    return plan


def _of_packages(plan: Plan) -> Iterator[tuple[Build, Artifact | None, Ecosystem | None]]:
    """The builds of packages and runtimes, what each builds (None: what is the app's own), and the ecosystem that knows how.

    That of a runtime (None) is planned wholly.
    """
    for build in plan.builds:
        own = next((one for one in ecosystems.ecosystems() if {*one.own_recipes} & {*build.recipes}), None)
        if build.kind == APP and own:
            yield build, None, own
        artifact = plan.source(build)
        record = ecosystems.of_purl(artifact) if artifact else None
        if build.kind == ARTIFACT and artifact and record and build.command in record.recipes:
            yield build, artifact, record
        elif build.kind == ARTIFACT and recipes.of_runtime(build):
            yield build, artifact, None


# --- roots -----------------------------------------------------------------------------------------------------


def _with_wishes(plan: Plan, previous: Plan | None, folder: Folder, settings: Settings) -> Plan:
    """The plan with the root of each package's build, and with all that is wanted in each root."""
    options = appconfig.read(folder.tree).build_options
    wanted = {root.name: {*root.wants} for root in plan.roots}
    builds = {build.name: build for build in plan.builds}
    headers = [wish.name for wish in system_packages.wishes(folder.tree)[0] if wish.name.endswith("-dev")]
    for build, artifact, record in _of_packages(plan):
        own = options.get(build.name)
        if own and own.off:
            why = f"builds.{build.name}: what is only sources is built, or it is not there"
            raise BadManifest(
                appconfig.NAME, why, "Remove that line, or depend on a version with a package ready for use.", own.line
            )
        root, wants = build.root, tuple[str, ...]()
        if record is None:
            if previous is None or artifact not in previous.artifacts:  # else it may have been built elsewhere
                machines.check(build.name, plan.architecture)
                machines.check_sandbox(settings.engine)
        elif record.wants:
            root, wants = record.wants(_request(plan, build, artifact, previous, folder, settings))
        if own:
            build = replace(
                build, env=tuple(sorted({**dict(build.env), **dict(own.env)}.items())), twice=own.twice is not False
            )
            root = USER if own.packages and root == STACK else root
        wanted.setdefault(root, set()).update(
            wants, own.packages if own else (), headers if record and root != STACK else ()
        )
        builds[build.name] = replace(build, root=root)
    stack = stacks.for_builds(plan.stack)
    made = tuple(BuildRoot(name, stack, "", (), tuple(sorted(wants))) for name, wants in sorted(wanted.items()))
    return replace(plan, builds=tuple(builds[build.name] for build in plan.builds), roots=made)


def _roots(plan: Plan, previous: Plan | None, settings: Settings) -> tuple[BuildRoot, ...]:
    kept = {root.name: root for root in previous.roots} if previous else {}
    making = roots.making(settings)
    return tuple(
        roots.pinned(root, plan.architecture, making, previous=kept.get(root.name), upgrade=settings.upgrade)
        for root in surroundings.used_roots(plan)
    )


# --- packages --------------------------------------------------------------------------------------------------


def _kept(
    plan: Plan, build: Build, artifact: Artifact | None, previous: Plan | None, settings: Settings
) -> Build | None:
    """The build with what the lock so far has around it, where nothing that decides that is another."""
    if previous is None or settings.upgrade or artifact is None or artifact != previous.source(build):
        return None
    known = [(one.name, one.version, one.source) for one in previous.runtimes]
    if known != [(one.name, one.version, one.source) for one in plan.runtimes] or previous.stack != plan.stack:
        return None
    one = next((one for one in previous.builds if (one.of, one.command) == (build.of, build.command)), None)
    if one is None or (one.root, one.env) != (build.root, build.env):  # variables may say what it is built with
        return None
    return replace(build, runtimes=one.runtimes, artifacts=one.artifacts, links=one.links, files=one.files)


def _request(
    plan: Plan, build: Build, artifact: Artifact | None, previous: Plan | None, folder: Folder, settings: Settings
) -> BuildRequest:
    file = ""
    if artifact:
        blobs = fetch(plan, settings, [artifact], tree=folder.tree)
        file = settings.store.path(blobs[artifact.digest])
    indexes = indexes_for(folder.tree, settings.indexes)

    def workplace() -> AbstractContextManager[Workplace]:
        return confined.scratch(indexes, lambda line: settings.tell("lock", line), settings.cancel)

    return BuildRequest(
        plan=plan,
        build=build,
        artifact=artifact,
        file=file,
        tree=folder.tree,
        indexes=indexes,
        previous=next((one for one in previous.builds if one.name == build.name), None) if previous else None,
        workplace=workplace,
        ask=partial(artifacts.asked, plan, artifact, folder, settings) if artifact else _unasked,
    )


def _unasked(_: Build) -> list[str]:
    """What is the app's own is not asked: an edit of it would change the lock."""
    return []
