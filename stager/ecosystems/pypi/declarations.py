"""What an app's manifests ask for, all together: the project, requirements files with what they include, workspace members."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .manifest import (
    PYPROJECT,
    DeclaredDependency,
    dig,
    pipfile_wanted,
    poetry_table,
    project_wanted,
    pyproject,
    setup_requires,
)
from .requirements import names_in, wanted_in
from .workspace import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stager.tree import SourceTree


def declared(tree: SourceTree) -> frozenset[str]:
    """Normalised names of the packages that the app's manifests ask for at run time; for detection.

    Looks at `pyproject.toml` (standard and Poetry's table; of uv's workspace members as well), `requirements.txt` and
    `requirements.in` with what they include, `Pipfile` and `setup.cfg`. Raises BadManifest for one that cannot be read.
    """
    document = pyproject(tree)
    found = {wanted.name for folder in ("", *members(tree, ("uv",))) for wanted in project_wanted(tree, folder=folder)}
    found |= {wanted.name for wanted in poetry_table(dig(document, "tool", "poetry", "dependencies"))}
    for path in ("requirements.txt", "requirements.in"):
        if path in tree:
            found |= names_in(tree, path)
    found |= {wanted.name for wanted in (*pipfile_wanted(tree), *setup_wanted(tree))}
    return frozenset(found)


def setup_wanted(tree: SourceTree) -> list[DeclaredDependency]:
    """What `install_requires` of `setup.cfg` asks for, be it a list or `file:` with requirements files."""
    lines, files = setup_requires(tree)
    found = [DeclaredDependency.of_requirement(line, "setup.cfg") for line in lines]
    return found + [wanted for file in files for wanted in wanted_in(tree, file)]


class ManifestOrigin(NamedTuple):
    """The manifest that a lock was made from, where the lock does not record it; and the command that makes it again."""

    file: str
    wanted: list[DeclaredDependency]
    command: str


def origin(tree: SourceTree, lock: str, groups: Iterable[str] = ()) -> ManifestOrigin | None:
    """What a `pylock.toml` or a hashed requirements file was made from; None when nothing in the app says that.

    `groups` are the groups and extras that are installed besides.
    """
    standard = lock.rpartition("/")[2].startswith("pylock.")
    to = f"--output-file {lock}" if standard else f"--generate-hashes --output-file {lock}"
    again = f"rm {lock} && stager lock"
    project = project_wanted(tree, tuple(groups), known=True) if PYPROJECT in tree else []
    export = f"uv export --format pylock.toml --output-file {lock}"
    of_project = ManifestOrigin(PYPROJECT, project, export if standard else f"uv pip compile {PYPROJECT} {to}")
    if standard and project:
        return of_project
    if standard and "requirements.txt" in tree:
        return ManifestOrigin("requirements.txt", wanted_in(tree, "requirements.txt"), again)
    if "requirements.in" in tree:
        return ManifestOrigin(
            "requirements.in", wanted_in(tree, "requirements.in"), f"uv pip compile requirements.in {to}"
        )
    if setup := setup_wanted(tree):
        return ManifestOrigin("setup.cfg", setup, again if standard else f"uv pip compile setup.cfg {to}")
    return of_project if project else None
