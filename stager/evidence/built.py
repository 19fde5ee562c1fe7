"""What a droplet says of its builds: of what each was made, and what it left, by digests; of the droplet file alone.

Nothing of a store takes part, so whoever has the droplet says the same. What went in counts without the identity of the stager
that built; what the app had where an output lies is not in a droplet, and no part of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..builds import roots
from ..digest import key_of
from ..droplet import built
from ..droplet.ownership import APP_LAYER, Owners, list_test
from ..formats.tar import ROOT
from ..formats.tar_reader import Keep
from ..model import APP, ARTIFACT
from ..planning.surroundings import text
from ..records import AppBuild
from ..tree import SourceTree, within

if TYPE_CHECKING:
    from ..droplet.reader import DropletFile
    from ..formats.tar_reader import TarEntry
    from ..model import Artifact, Plan


def source_of(whole: SourceTree, plan: Plan) -> SourceTree:
    """The app's own files among those of its layer: without what builds left."""
    return _without(whole, [output for build in plan.builds for output in build.outputs])


def _without(tree: SourceTree, outputs: list[str]) -> SourceTree:
    files = {path: file for path, file in tree.files.items() if not within(path, outputs)}
    return SourceTree(files, {path: target for path, target in tree.links.items() if not within(path, outputs)})


def builds(droplet: DropletFile, whole: SourceTree) -> Iterator[dict[str, Any]]:
    """Each build of the plan: the digests of all that went `in` and of all that came `out`, and whether it is built `twice`.

    `whole` is what the app's layer holds. Raises BadArchive.
    """
    plan = droplet.plan
    made = _of_artifacts(droplet, plan)
    coming = [output for build in plan.builds if build.kind == APP for output in build.outputs]
    for build in plan.builds:
        row: dict[str, Any] = {"name": build.name, "kind": build.kind, "root": build.root, "twice": build.twice}
        if build.kind == ARTIFACT:
            one = plan.source(build)
            assert one is not None  # as the lock's reader checks
            digest = key_of(text(plan, build), one.digest, one.filename)
            # what only another build has around it is not in the droplet
            out = {"out": made[build.of]} if one in plan.artifacts else {}
            yield row | {"of": build.of, "in": f"sha256:{digest}", **out}
            continue
        record = AppBuild(build.name, "", build.inputs, build.outputs)
        own, coming = coming[: len(build.outputs)], coming[len(build.outputs) :]
        before = _without(whole, [output for output in coming if output not in own])
        digest = key_of(text(plan, build), *built.reads(record, before))
        yield row | {"in": f"sha256:{digest}", "out": _of_tree(whole, build.outputs)}


def _of_tree(tree: SourceTree, outputs: tuple[str, ...]) -> str:
    """As `builds.outputs` names what a build left."""
    rows: dict[str, list[object]] = {
        path: [path, file.executable, file.digest, file.size]
        for path, file in tree.files.items()
        if within(path, outputs)
    }
    rows |= {path: [path, "link", target] for path, target in tree.links.items() if within(path, outputs)}
    return _named(rows[path] for path in sorted(rows, key=os.fsencode))


def _named(rows: Iterable[list[object]]) -> str:
    return f"sha256:{key_of('left', list(rows))}"


def _of_artifacts(droplet: DropletFile, plan: Plan) -> dict[str, str]:
    """The purl of each artifact that is built → the digest of the list of its files in the droplet."""
    wanted = {build.of for build in plan.builds if build.kind == ARTIFACT}
    if not wanted:
        return {}
    is_list = list_test()
    lists = Keep(lambda name: name.startswith(f"{ROOT}.stager/") and is_list(name.removeprefix(ROOT)))
    entries: list[tuple[str, TarEntry]] = [
        (layer, entry)
        for layer, entry in droplet.layered(keep=lists)
        if layer != APP_LAYER and entry.kind in ("file", "link") and entry.name.startswith(ROOT)
    ]
    owners = Owners(plan, {name.removeprefix(ROOT): data for name, data in lists.taken().items()})
    numbers = {number: one.purl for number, one in enumerate(plan.artifacts) if one.purl in wanted}
    found: dict[str, list[list[object]]] = {purl: [] for purl in wanted}
    for layer, entry in entries:
        path = entry.name.removeprefix(ROOT)
        owner = owners.find(path, entry.kind, layer)
        if isinstance(owner, int) and owner in numbers:
            content: list[object] = (
                ["link", entry.link]
                if entry.kind == "link"
                else [bool(entry.mode & 0o100), f"sha256:{entry.sha256}", entry.size]
            )
            found[numbers[owner]].append([path, *content])
    return {purl: _named(sorted(rows, key=lambda row: os.fsencode(str(row[0])))) for purl, rows in found.items()}


def only_for_builds(plan: Plan) -> dict[str, tuple[Artifact, ...]]:
    """What is pinned and in no droplet, by what has it: `builds/NAME` or `roots/NAME`."""
    found = {f"builds/{build.name}": build.artifacts for build in plan.builds if build.artifacts}
    return found | {f"roots/{root.name}": roots.artifacts(root) for root in plan.roots}
