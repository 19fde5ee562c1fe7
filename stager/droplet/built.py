"""What builds of an app left, laid over its files: by the digest of all that went in, so nothing is run to find it.

On the warm path: imports nothing heavy. `builds` makes what is missing here.
"""

from __future__ import annotations

from ..digest import key_of
from ..records import AppBuild, Built
from ..store import rules
from ..tree import File, SourceTree, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from ..model import Artifact, Build, Plan
    from ..records import Base
    from ..store import Store


def app_builds(plan: Plan, store: Store) -> tuple[AppBuild, ...]:
    """The plan's builds of the app, each with the digest of what goes in but the app's files."""
    from ..model import APP
    from ..planning import surroundings  # here, since a warm restage has them from its base

    return tuple(
        AppBuild(build.name, rules.key(store, "app-build", surroundings.text(plan, build)), build.inputs, build.outputs)
        for build in plan.builds
        if build.kind == APP
    )


def artifact_key(plan: Plan, build: Build, source: Artifact, store: Store) -> str:
    """The digest of all that goes into the build of an artifact; no app has a part in it."""
    from ..planning import surroundings

    return rules.key(store, "artifact-build", surroundings.text(plan, build), source.digest, source.filename)


def key(build: AppBuild, tree: SourceTree) -> str:
    """The digest of all that goes into a build of a tree, which has the outputs of the builds before."""
    files, links = inputs(build, tree)
    return key_of(
        build.prefix,
        [(path, tree.files[path].executable, tree.files[path].digest) for path in files],
        [(path, tree.links[path]) for path in links],
    )


def inputs(build: AppBuild | Build, tree: SourceTree) -> tuple[list[str], list[str]]:
    """The files and the links of a tree that a build reads, in their order.

    What the app has in place of an output is none of them, unless a pattern names that place: then the build adds to it.
    """
    added: set[str] = set()
    if build.inputs == ("**",):
        chosen: Container[str] = _All()
        left: Container[str] = ()
    else:
        names = SourceTree(tree.files | {path: File(False, 0, "") for path in tree.links}, {})
        chosen = {path for one in build.inputs if not one.startswith("!") for path in names.glob(one)}
        left = {path for one in build.inputs if one.startswith("!") for path in names.glob(one[1:])}
        added = {path for one in build.inputs if within(one, build.outputs) for path in names.glob(one)}

    def reads(path: str) -> bool:
        return path in chosen and path not in left and (path in added or not within(path, build.outputs))

    return [path for path in tree.files if reads(path)], [path for path in tree.links if reads(path)]


class _All:
    """Holds everything."""

    def __contains__(self, _: object) -> bool:
        return True


def recalled(known: str, store: Store) -> Built | None:
    """What a build with this key left; None when that is not known any more."""
    record = store.recall("built", known)
    found = None if record is None else Built.from_json(record)
    return found if found is not None and store.has(found.blob) else None


def overlaid(tree: SourceTree, builds: Sequence[AppBuild], store: Store) -> SourceTree | None:
    """The tree with what its builds left; None when one of them has to run."""
    for build in builds:
        found = recalled(key(build, tree), store)
        if found is None:
            return None
        tree = laid_over(tree, build, found, store)
    return tree


def laid_over(tree: SourceTree, build: AppBuild, found: Built, store: Store) -> SourceTree:
    """The tree with what one build left."""
    return tree.with_built(build.outputs, found.files, found.links, store.path(found.blob))


def of_base(folder_tree: SourceTree, base: Base, store: Store) -> SourceTree | None:
    """The tree as it is in the droplet of a base."""
    return overlaid(folder_tree, base.builds, store)
