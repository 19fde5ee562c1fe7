"""What builds of an app left, laid over its files: by the digest of all that went in, so nothing is run to find it.

On the warm path: imports nothing heavy. `builds` makes what is missing here.
"""

from __future__ import annotations

from ..digest import key_of
from ..records import AppBuild, BuildNote, Built
from ..store import rules
from ..tree import File, SourceTree, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from typing import Any

    from ..model import Artifact, Build, Plan
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

    return rules.key(
        store, "artifact-build", surroundings.text(plan, build), source.digest, source.filename, source.layout
    )


def key(build: AppBuild, tree: SourceTree) -> str:
    """The digest of all that goes into a build of a tree, which has the outputs of the builds before."""
    return key_of(build.prefix, *reads(build, tree))


def reads(build: AppBuild, tree: SourceTree) -> tuple[list[tuple[str, bool, str]], list[tuple[str, str]]]:
    """What goes in of a tree: files as (path, whether it is executable, digest), links as (path, target)."""
    files, links = inputs(build, tree)
    return (
        [(path, tree.files[path].executable, tree.files[path].digest) for path in files],
        [(path, tree.links[path]) for path in links],
    )


def log_path(store: Store, key: str) -> str:
    """Where the log of the last run of the build with this key is; that of its second run has `.2` behind it."""
    return f"{store.root}/v1/logs/{key}.log"


def note(found: Built, ran: bool, store: Store, kept: str = "") -> BuildNote:
    """What there is to say of a build of the app."""
    return BuildNote(found.name, "app", found.key, ran, found.checked, found.seconds, log_path(store, found.key), kept)


def artifact_note(key: str, record: Mapping[str, Any], ran: bool, store: Store, kept: str = "") -> BuildNote:
    """What there is to say of the build of an artifact, from its memo."""
    log = log_path(store, key)
    return BuildNote(record["name"], "artifact", key, ran, record["checked"], record["seconds"], log, kept)


def artifact_notes(plan: str, store: Store) -> tuple[BuildNote, ...]:
    """The same of all of a plan's, which has this digest, as far as they are known."""
    keys = store.recall("artifact-builds", plan) or []
    found = [(key, store.recall("built-artifact", key)) for key in keys]
    return tuple(artifact_note(key, record, False, store) for key, record in found if record is not None)


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


def overlaid(
    tree: SourceTree, builds: Sequence[AppBuild], store: Store
) -> tuple[SourceTree, tuple[BuildNote, ...]] | None:
    """The tree with what its builds left, and what to say of them; None when one of them has to run."""
    notes = []
    for build in builds:
        found = recalled(key(build, tree), store)
        if found is None:
            return None
        tree = laid_over(tree, build, found, store)
        notes.append(note(found, False, store))
    return tree, tuple(notes)


def laid_over(tree: SourceTree, build: AppBuild, found: Built, store: Store) -> SourceTree:
    """The tree with what one build left."""
    return tree.with_built(build.outputs, found.files, found.links, store.path(found.blob))
