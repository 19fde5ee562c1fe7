"""Members of a workspace: which an app's processes run, what these depend on, and the folders that a runner's filter means."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...ecosystems import ecosystem
from ..buildpacks.vocabulary import Buildpack
from . import appconfig, nested, procfile
from .matching import LONGEST, AppFacts
from .modules import MANIFEST
from .steps import texts

if TYPE_CHECKING:
    from ...tree import SourceTree

_NAMED = re.compile(
    r"\b(?:npm|pnpm|yarn|bun|turbo)\s(?:[^;&|]*\s)?(?:-w|--workspace|--filter|-F|workspace)[ =]([@\w./-]+)"
)
"""How a command line names a member: by its package's name, or by its folder."""
_NEEDS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")


def folders(tree: SourceTree, pack: Buildpack) -> list[str]:
    """The folders of the workspace's members. Raises BadManifest."""
    if not pack.ecosystem or MANIFEST not in tree:
        return []
    record = ecosystem(pack.ecosystem)
    named = any(file in tree for file in record.workspaces[:-1]) or AppFacts(tree).member(MANIFEST, "workspaces")
    return list(record.members(tree)) if named else []


def started(tree: SourceTree, pack: Buildpack) -> list[str]:
    """The members that the app's processes run, or a program of. Raises BadManifest."""
    known, facts = folders(tree, pack), AppFacts(tree)
    if not known:
        return []
    commands = [one.command for one in (*procfile.read(tree), *appconfig.read(tree).processes)]
    commands += ["npm start"] if facts.member(MANIFEST, "scripts.start") else []
    lines = [text[:LONGEST] for command in commands for text in texts(facts, command)]
    named = {name for line in lines for name in _NAMED.findall(line)}
    found = {folder for line in lines for folder in nested.folders(facts, line)} | {*meant(facts, known, named)}
    return [folder for folder in known if folder in found]


def meant(facts: AppFacts, known: Sequence[str], names: Iterable[str]) -> list[str]:
    """The members that these names or folders mean, without what a filter adds to them (`web...`)."""
    plain = {name.strip(".^").removeprefix("/") for name in names}
    return [folder for folder in known if folder in plain or name_of(facts, folder) in plain]


def name_of(facts: AppFacts, folder: str) -> str:
    """What a member's package is called."""
    name = facts.member(f"{folder}/{MANIFEST}", "name")
    return name if isinstance(name, str) else ""


def with_needs(facts: AppFacts, known: Sequence[str], chosen: Iterable[str]) -> list[str]:
    """The chosen members and those that they depend on, each after its own."""
    by_name = {name_of(facts, folder): folder for folder in known}
    found: list[str] = []

    def add(folder: str, above: tuple[str, ...]) -> None:
        if folder in found or folder in above:
            return
        tables = (facts.member(f"{folder}/{MANIFEST}", key) for key in _NEEDS)
        needs = {name for table in tables if isinstance(table, dict) for name in table}
        for name in sorted(needs & by_name.keys()):
            add(by_name[name], (*above, folder))
        found.append(folder)

    for folder in chosen:
        add(folder, ())
    return found


def around(tree: SourceTree, path: str) -> str:
    """The nearest folder above a path that has a package.json of its own, with a final slash; empty for the app's own."""
    folder = posixpath.dirname(posixpath.normpath(path))
    while folder and f"{folder}/{MANIFEST}" not in tree:
        folder = posixpath.dirname(folder)
    return f"{folder}/" if folder else ""
