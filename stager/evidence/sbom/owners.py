"""Which component each file of a droplet belongs to: what `ownership` says, down to the packages inside other packages.

A file that nobody accounts for is an error, so that an SBOM is complete or is not made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ...droplet.ownership import APP as THE_APP
from ...droplet.ownership import BUILT, NOBODY, Owners, above
from ...ecosystems.installed import Inner
from ...formats.errors import BadArchive
from ...model import Plan
from .components import APP, GENERATED
from .contents import HashedFiles


def refs(plan: Plan) -> dict[int, str]:
    """Index of an artifact in the plan → its ref: its package URL, where two share it with the digest or the layout."""
    counts = Counter(one.purl for one in plan.artifacts)
    same = Counter((one.purl, one.digest) for one in plan.artifacts)
    return {
        n: one.purl
        if counts[one.purl] == 1
        else f"{one.purl}#{one.digest if same[one.purl, one.digest] == 1 else one.layout}"
        for n, one in enumerate(plan.artifacts)
    }


def inner_ref(one: Inner) -> str:
    """The ref of a package inside another one."""
    return f"{one.purl}#{one.place}"


def assign(
    contents: HashedFiles, plan: Plan, looked: Mapping[int, Mapping[str, Any]], inner: Iterable[Inner], label: str
) -> dict[str, str]:
    """Path → the ref of its owner, for every file and link. Raises BadArchive for a file without one.

    `looked` is what artifacts say of themselves, by index in the plan: those list their files.
    """
    listed = {n: [path for paths in facts["files"].values() for path in paths] for n, facts in looked.items()}
    owners, known = Owners(plan, contents.texts, listed), refs(plan)
    inside = {one.place: inner_ref(one) for one in inner}
    places = {place for n, one in enumerate(plan.artifacts) if n not in listed for place in one.paths} | inside.keys()
    found = {}
    for one in contents.items:
        owner = owners.find(one.path, one.kind, one.layer)
        if owner == NOBODY:
            raise BadArchive(label, f"holds {one.path}, which nothing in its plan accounts for")
        if isinstance(owner, str):
            found[one.path] = APP if owner == THE_APP or owner.startswith(BUILT) else GENERATED
        else:
            found[one.path] = inside.get(above(one.path, places)) or known[owner]
    return found
