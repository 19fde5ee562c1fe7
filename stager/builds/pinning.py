"""What a plan's builds need is pinned when an app is locked: their roots, and what only a resolver or the sandbox can tell.

Planning says which builds there are and what they ask for; nothing here is done again when an app is staged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..stacks.build_context import Making
from . import roots

if TYPE_CHECKING:
    from ..model import Plan
    from ..settings import Settings


def pinned(plan: Plan, previous: Plan | None, settings: Settings) -> Plan:
    """The plan with its build roots pinned; as they are in the `previous` one while they fit.

    Raises UnknownPackage, IntegrityError, FetchError, Cancelled.
    """
    if not plan.roots:
        return plan
    kept = {root.name: root for root in previous.roots} if previous else {}
    used = {build.root for build in plan.builds}
    found = tuple(
        roots.pinned(root, plan.architecture, making(settings), previous=kept.get(root.name), upgrade=settings.upgrade)
        for root in sorted(plan.roots, key=lambda root: root.name)
        if root.name in used
    )
    return replace(plan, roots=found)


def making(settings: Settings) -> Making:
    """What making and pinning a root needs."""
    jobs = max(8, settings.jobs)
    return Making(settings.store, settings.indexes, settings.offline, jobs, settings.progress, settings.cancel)
