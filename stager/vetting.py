"""What a plan and its packages say of themselves is held against each other before they become a base.

What cannot work is refused; what may not is noted. A function of the plan and the unpacked packages alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from .ecosystems import absent, former, unbuilt, unfit
from .errors import BadLock, NeedsBuild
from .model import Artifact, Plan, Stack
from .runtimes import of_layout

Packages = Sequence[tuple[Artifact, str, Mapping[str, Any]]]
"""(artifact, place, what unpacking said) of everything that is placed."""


def check(plan: Plan, packages: Packages) -> None:
    """Raise BadLock when a runtime is another one than its artifact, or a package is for another system; NeedsBuild."""
    _check_runtimes(plan)
    if found := _npm(packages):
        _check_packages(plan, found)


def notes(plan: Plan, packages: Packages, paths: Collection[str]) -> list[str]:
    """Notes on what packages look for and will not find; `paths` are all those of the base."""
    inputs = dict(plan.inputs)
    wheels = [(one.name, meta) for one, _, meta in packages if one.layout.startswith("wheel/")]
    found = _npm(packages)
    return former(wheels, paths, inputs) + (absent(found, _stack(plan)) if found else [])


def _npm(packages: Packages) -> list[tuple[str, Mapping[str, Any]]]:
    return [(path, meta) for one, path, meta in packages if one.layout.startswith("npm/")]


def _stack(plan: Plan) -> Stack:
    from .box import load  # here, since a Python app does without

    return load(plan.stack, plan.architecture)


def _check_runtimes(plan: Plan) -> None:
    """What the plan says of a runtime goes into the droplet's own description, so it must be what its artifact is."""
    stated = {runtime.name: runtime.version for runtime in plan.runtimes}
    for one in plan.artifacts:
        own = of_layout(one.layout)
        words, version = map(unquote, one.purl.partition("?")[0].partition("@")[::2])
        if own is None or own.name not in stated or not re.fullmatch(own.layouts[one.layout].itself, words):
            continue
        if one.layout.startswith("deb-"):
            version = (version.rpartition("-")[0] or version).rpartition(":")[2]
        if re.split(r"[+~]", version)[0] != stated[own.name]:
            raise BadLock("stager.lock", f"it states {own.name} {stated[own.name]}, but its artifact is {one.name}")


def _check_packages(plan: Plan, packages: list[tuple[str, Mapping[str, Any]]]) -> None:
    stack, direct = _stack(plan), dict(plan.facts).get("nodejs.direct", "").split()
    for name, runs_on in unfit(packages, stack, direct):
        raise BadLock(
            "package.json",
            f"{name} runs on {runs_on} only, and stack {stack.name} is linux {stack.architecture} glibc",
            "Move the package that needs it to optionalDependencies, or remove it, and make the lock again.",
        )
    needs = unbuilt(packages, stack, direct)
    if needs:
        hint = (
            "stager runs no install scripts. Choose a version that ships a prebuilt binary for this stack, "
            "or replace the package."
        )
        raise NeedsBuild(needs, hint)
