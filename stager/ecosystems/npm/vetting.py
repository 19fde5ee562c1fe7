"""What npm packages say of themselves is held against the stack: what cannot work is refused, what may not is noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from stager.errors import BadLock, NeedsBuild
from stager.facts import stacks

from .compiling import is_around
from .direct import direct, unbuilt
from .natives import absent, misfits, needs_build
from .said import PackageSaid

if TYPE_CHECKING:
    from stager.ecosystems.record import Laid
    from stager.model import Plan


def check(plan: Plan, laid: Sequence[Laid]) -> None:
    """Raise BadLock for a package that the app needs and that is for another system, NeedsBuild for those not compiled."""
    stack, firm = stacks.load(plan.stack, plan.architecture), direct(plan)
    placed = [(one.path, PackageSaid.from_json(one.meta)) for one in laid]
    for name, runs_on in misfits(placed, stack, firm):
        raise BadLock(
            "package.json",
            f"{name} runs on {runs_on} only, and stack {stack.name} is linux {stack.architecture} glibc",
            "Move the package that needs it to optionalDependencies, or remove it, and make the lock again.",
        )
    if is_around(plan):
        return
    built, left = {build.of for build in plan.builds}, unbuilt(plan)
    ready = {one.path for one in laid if one.artifact.purl in built}
    open_ones = [(path, said if path not in ready else replace(said, native="")) for path, said in placed]
    needs = [(name, why) for name, why in needs_build(open_ones, stack, firm) if name.rpartition("@")[0] not in left]
    if needs:
        raise NeedsBuild(needs, _HINT)


_HINT = (
    "Run 'stager lock', which plans to compile it, and commit stager.lock. Or choose a version that ships a prebuilt "
    "binary for this stack, or replace the package."
)


def notes(plan: Plan, laid: Sequence[Laid]) -> list[str]:
    """Notes on packages whose add-on for the stack the lock does not have."""
    stack = stacks.load(plan.stack, plan.architecture)
    again = "make the lock again without node_modules: 'rm -r node_modules package-lock.json && npm install'"
    return [
        f"{name} wants {wanted} on this stack, which the lock file does not have; {again}"
        for name, wanted in absent((PackageSaid.from_json(one.meta) for one in laid), stack)
    ]
