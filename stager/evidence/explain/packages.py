"""Why a package is in the droplet: the shortest path of dependencies from what the app asks for to it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ...ecosystems import chosen, repository
from ...ecosystems.graph import Graph, Node
from ...errors import UsageError
from ...model import Artifact, Plan
from ...runtimes import of_layout
from ..diff import Package
from .answers import Answer, Question, listed

if TYPE_CHECKING:
    from ...ecosystems.record import Ecosystem
    from ...tree import SourceTree


def answer(question: Question) -> tuple[Answer, ...]:
    """One answer for each version of the package. Raises UsageError for a name the plan does not have, and BadLock."""
    plan = question.plan()
    if not question.name:
        raise UsageError("which package?", "Write stager explain package NAME.")
    wanted = question.name.lower().replace("_", "-")
    found = [(one, Package.of(one)) for one in plan.artifacts]
    fitting = [(one, pack) for one, pack in found if wanted in _names(pack)]
    if not fitting:
        names = sorted({pack.name for _, pack in found})
        near = get_close_matches(wanted, names, 3)
        hint = f"Did you mean {listed(near)}?" if near else f"It has: {listed(names, 12) or 'none'}."
        raise UsageError(f"the plan has no package {question.name!r}", hint)
    graphs = {kind.name: graph(kind, question.tree, plan) for kind in chosen([one for one, _ in fitting])}
    return tuple(why(one, plan, graphs) for one, _ in fitting)


def _names(pack: Package) -> set[str]:
    """How people may call a package: with its version or without, and a Debian package without `debian/`."""
    plain = {pack.name.lower(), pack.name.lower().removeprefix("debian/")}
    return plain | {f"{name}@{pack.version.lower()}" for name in plain}


def graph(kind: Ecosystem, tree: SourceTree, plan: Plan) -> Graph | None:
    """Who needs whom, as the app's lock says, or the plan; None when neither does. Raises BadLock, BadManifest."""
    lock = next(iter(kind.find_locks(tree)), "")
    return kind.needs(tree, lock, plan) if kind.needs and (lock or not kind.locks) else None


def why(one: Artifact, plan: Plan, graphs: Mapping[str, Graph | None]) -> Answer:
    """Why an artifact is in the plan; `graphs` are by ecosystem. Its data name the `path` and who else needs it."""
    pack, own = Package.of(one), of_layout(one.layout)
    runtime = own.name if own else ""
    label = f"{pack.name.removeprefix('debian/')} {pack.version}"
    data = {"package": pack.name, "version": pack.version, "places": list(pack.places), "path": [], "needed_by": []}
    if runtime:
        version = next((one.version for one in plan.runtimes if one.name == runtime), "")
        return Answer(label, f"{label} is part of the runtime {runtime} {version}.", data={**data, "runtime": runtime})
    graph = graphs.get(pack.ecosystem)
    if graph is None:
        return Answer(label, f"{label} is in the plan, but no lock file of the app says why.", data=data)
    path = graph.path_to(pack.name, pack.version)
    if path is None:
        return Answer(label, f"{label} is pinned by {graph.lock}, {graph.silence}.", data=data)
    root = f"the app asks for it ({graph.roots[path[0]]})"
    others = sorted({graph.label(node) for node in graph.needed_by(path[-1])} - {graph.label(n) for n in path})
    because = [f"also needed by {listed(others)}"] if others else []
    if repository.is_from(one.url):
        source = repository.of(one.url)
        because.append(f"it is commit {source.commit} of {source.url}")
        data |= {"repository": source.url, "commit": source.commit}
    data |= {"path": [graph.label(node) for node in path], "asked_in": graph.roots[path[0]]}
    data |= {"needed_by": sorted({graph.label(node) for node in graph.needed_by(path[-1])})}
    if len(path) == 1:
        return Answer(label, f"{label} is in the droplet because {root}.", tuple(because), data)
    return Answer(label, f"{label} is in the droplet because {_chain(graph, path)}.", tuple(because), data)


def _chain(graph: Graph, path: list[Node]) -> str:
    """`the app asks for flask 3.1.2 (pyproject.toml:4), which needs jinja2 3.1.6, which needs it`."""
    first = f"the app asks for {graph.label(path[0])} ({graph.roots[path[0]]})"
    return ", which needs ".join([first, *(graph.label(node) for node in path[1:-1]), "it"])
