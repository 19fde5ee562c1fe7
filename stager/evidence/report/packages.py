"""The packages of a droplet for its report: what each is, its licence, why it is there, and how large it is.

All of it is what `explain` and `sbom` say, as far as it can be read from the droplet alone: a report asks no store, no index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...ecosystems import chosen
from ...ecosystems.graph import Graph
from ...ecosystems.licence import Licence
from ...errors import StagerError
from ...model import Plan
from ...text.wording import size_text
from ...tree import Link, SourceTree
from ..diff import Contents, Package
from ..diff.wording import shown
from ..explain import Answer
from ..explain.packages import graph, why
from ..sbom import inventory
from .reading import Inside

Values = dict[str, Any]
REASONS = {
    "asked": "the app asks for it",
    "needed": "another package needs it",
    "runtime": "part of a runtime",
    "pinned": "only pinned",
}
"""Why packages are there: a word for the filter, and what people read."""
_FAR = 1 << 20
"""How far from the app a package is that nothing leads to, or a part of a runtime."""


def listed(found: Contents, inside: Inside) -> list[Values] | None:
    """A row for each package, by name and version; None where no plan says what they are."""
    if found.plan is None:
        return None
    plan = found.plan
    said = inventory.ask(plan, inside.texts, inside.links, {})
    locked, installed = _locked(plan, inside), inventory.graphs(plan, said)
    carried: dict[int, list[str]] = {}
    for inner in said.inner:
        words = (*inventory.name_and_version(inner.purl), _licence(inner.licence))
        carried.setdefault(inner.carrier, []).append(shown(" ".join(filter(None, words))))
    rows = []
    for n, artifact in enumerate(plan.artifacts):
        one, answer = Package.of(artifact), why(artifact, plan, locked)
        if not answer.data[
            "path"
        ]:  # a lock may say no more than what is pinned: then the packages themselves are asked
            other = why(artifact, plan, installed)
            answer = other if other.data["path"] else answer
        size = sum(size for _, size in inside.files[artifact.name]) if artifact.name in inside.files else None
        rows.append(
            {
                "name": shown(one.name.removeprefix("debian/")),
                "version": shown(one.version),
                "ecosystem": shown(one.ecosystem),
                "purl": shown(one.purl),
                "file": shown(one.filename.rpartition("/")[2]),
                "digest": one.digest,
                "places": [shown(place) for place in one.places],
                "bytes": -1 if size is None else size,
                "size": "" if size is None else size_text(size),
                "licence": shown(_licence(inventory.licence(n, artifact, said))),
                "carries": carried.get(n, []),
                **_why(answer),
            }
        )
    return sorted(rows, key=lambda row: (str(row["name"]).lower(), row["version"], row["purl"]))


def _licence(one: Licence) -> str:
    return one.expression or ", ".join(one.names)


def _locked(plan: Plan, inside: Inside) -> Mapping[str, Graph | None]:
    """Who needs whom as the locks among the app's files say, by ecosystem; without those that cannot be read."""
    files: dict[str, bytes | Link] = {path: inside.texts[path] for path in inside.asking if path in inside.texts}
    files |= {path: Link(inside.links[path]) for path in inside.asking if path in inside.links}
    found = {}
    for kind in chosen(plan.artifacts):
        try:
            found[kind.name] = graph(kind, SourceTree.of(files), plan)
        except StagerError:  # anybody's slug may say anything here
            continue
    return found


def _why(answer: Answer) -> Values:
    """`explain`'s answer about a package: in few words for its row, and in full."""
    path, needed_by = answer.data["path"], answer.data["needed_by"]
    kind = "runtime" if "runtime" in answer.data else "needed" if len(path) > 1 else "asked" if path else "pinned"
    short = {"runtime": f"part of {answer.data.get('runtime')}", "needed": f"{path[-2]} needs it" if path[1:] else ""}
    return {
        "reason": kind,
        "short": shown(short.get(kind, REASONS[kind])),
        "depth": len(path) or _FAR,
        "why": shown(answer.sentence),
        "needed_by": [shown(name) for name in needed_by],
    }
