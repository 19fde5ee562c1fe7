"""What a plan's builds need is pinned when an app is locked: their roots, and what only a resolver or the sandbox can tell.

Planning says which builds there are and what they ask for; nothing here is done again when an app is staged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import ecosystems
from ..bases import fetch, take_in
from ..ecosystems.record import Laid, LookRequest
from ..planning import bytecode
from ..planning.layouts import unpacked
from ..stacks.build_context import Making
from . import roots

if TYPE_CHECKING:
    from ..model import Artifact, Plan
    from ..settings import Settings
    from ..tree import SourceTree


def decided(plan: Plan, tree: SourceTree, settings: Settings) -> Plan:
    """The plan with the builds of those artifacts that must be built, of the ones in doubt: they are looked into for that.

    Raises BadManifest, and what fetching and unpacking raise.
    """

    def look(artifacts: Sequence[Artifact]) -> list[Laid]:
        take_in(replace(plan, artifacts=tuple(artifacts), builds=()), tree, settings.store)
        blobs = fetch(plan, settings, artifacts, tree=tree)
        found = []
        for one in artifacts:
            with unpacked(one, one.paths[0], blobs[one.digest], settings.store) as what:
                found.append(Laid(one, one.paths[0], what.meta))
        return found

    for one in ecosystems.chosen(plan.artifacts) if plan.unsure else ():
        if one.builds is not None:
            wanted = one.builds(LookRequest(plan, tree, look))
            plan = replace(
                plan,
                builds=(*wanted.builds, *plan.builds),
                roots=(*plan.roots, *wanted.roots),
                facts=(*plan.facts, *wanted.facts),
                notes=(*plan.notes, *wanted.notes),
            )
    return replace(plan, unsure=())


def pinned(plan: Plan, previous: Plan | None, settings: Settings) -> Plan:
    """The plan with its build roots pinned; as they are in the `previous` one while they fit.

    Raises UnknownPackage, IntegrityError, FetchError, Cancelled.
    """
    if not plan.roots:
        return plan
    kept = {root.name: root for root in previous.roots} if previous else {}
    used = {build.root for build in plan.builds} | ({bytecode.ROOT} if bytecode.asked(plan) else set())
    found = tuple(
        roots.pinned(root, plan.architecture, making(settings), previous=kept.get(root.name), upgrade=settings.upgrade)
        for _, root in sorted({root.name: root for root in plan.roots}.items())
        if root.name in used
    )
    return replace(plan, roots=found)


def making(settings: Settings) -> Making:
    """What making and pinning a root needs."""
    jobs = max(8, settings.jobs)
    return Making(settings.store, settings.indexes, settings.offline, jobs, settings.progress, settings.cancel)
