"""The files of an app that determine its plan, and whether a plan still fits them. On the warm path; imports nothing heavy."""

from __future__ import annotations

from ..text.resources import input_patterns, is_input
from ..tree import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..model import Plan
    from ..tree import SourceTree

DEFAULT_STACK, DEFAULT_ARCHITECTURE = "debian-12", "amd64"
"""What an app is planned for when nobody says otherwise."""


def inputs_of(tree: SourceTree) -> dict[str, str]:
    """The files of a tree that determine its plan, with their digests; of a link to one, the file that it leads to."""
    patterns = input_patterns()
    found = {path: file.digest for path, file in tree.files.items() if is_input(path, patterns)}
    linked = [tree.resolve(link) for link in tree.links if is_input(link, patterns)]
    return found | {path: tree.files[path].digest for path in linked if path in tree.files}


def changed_files(plan: Plan, tree: SourceTree) -> list[str]:
    """The files by which a plan no longer fits the tree."""
    return changed_inputs({path: str(digest) for path, digest in plan.inputs}, tree, grounds(plan))


def grounds(plan: Plan) -> list[str]:
    """The files that a plan rests on by being there: by which buildpacks know the app, and which commands start or serve."""
    reasons = (*(pin.reason for pin in plan.buildpacks), *(process.reason for process in plan.processes))
    built = [output for build in plan.builds for output in build.outputs]
    return sorted(file for file in {reason.file for reason in reasons} if file and not within(file, built))


def changed_inputs(recorded: Mapping[str, str], tree: SourceTree, needed: Sequence[str] = ()) -> list[str]:
    """The inputs that changed, are new or are gone, and those of the `needed` files that are gone.

    A plan records more than names tell: also the files that its manifests include.
    """
    now = inputs_of(tree)
    now |= {path: tree.files[path].digest for path in recorded if path not in now and path in tree.files}
    changed = {path for path in {*recorded, *now} if recorded.get(path) != now.get(path)}
    return sorted(changed.union(path for path in needed if path not in tree))
