"""What a plan and its packages say of themselves is held against each other before they become a base.

What cannot work is refused; what may not is noted. A function of the plan and the unpacked packages alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from urllib.parse import unquote

from ..ecosystems import ecosystems, of_purl
from ..ecosystems.record import Ecosystem, Laid
from ..errors import BadLock
from ..model import Plan
from ..runtimes import of_layout


def check(plan: Plan, laid: Sequence[Laid]) -> None:
    """Raise BadLock when a runtime is another one than its artifact, or a package is for another system; NeedsBuild."""
    _check_runtimes(plan)
    for one, own in by_ecosystem(laid):
        one.check(plan, own)


def notes(plan: Plan, laid: Sequence[Laid], paths: Collection[str]) -> list[str]:
    """Notes on what packages look for and will not find; `paths` are all those of the base."""
    return [note for one, own in by_ecosystem(laid) for note in one.notes(plan, own, paths)]


def by_ecosystem(laid: Sequence[Laid]) -> Iterator[tuple[Ecosystem, list[Laid]]]:
    """Each ecosystem that has packages among what is laid, with these."""
    for one in ecosystems():
        if own := [each for each in laid if each.artifact.layout in one.layouts]:
            yield one, own


def _check_runtimes(plan: Plan) -> None:
    """What the plan says of a runtime goes into the droplet's own description, so it must be what its artifact is."""
    stated = {runtime.name: runtime.version for runtime in plan.runtimes}
    for one in plan.artifacts:
        own = of_layout(one.layout)
        words, version = map(unquote, one.purl.partition("?")[0].partition("@")[::2])
        if own is None or own.name not in stated or not re.fullmatch(own.layouts[one.layout].itself, words):
            continue
        if kind := of_purl(one):
            version = kind.upstream(version)
        if re.split(r"[+~]", version)[0] != stated[own.name]:
            raise BadLock("stager.lock", f"it states {own.name} {stated[own.name]}, but its artifact is {one.name}")
