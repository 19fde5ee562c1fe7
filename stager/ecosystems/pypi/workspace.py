"""Workspaces: the folders that one lock at their root is made for, as uv, pdm and rye name them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from .manifest import PYPROJECT, dig, pyproject

if TYPE_CHECKING:
    from stager.tree import SourceTree

_TOOLS = ("uv", "pdm", "rye")


def members(tree: SourceTree, tools: Iterable[str] = _TOOLS) -> list[str]:
    """The folders of the workspace at the tree's root, by its `members` and `exclude` patterns; none without one."""
    document, found = pyproject(tree), dict[str, None]()
    for tool in tools:
        workspace = dig(document, "tool", tool, "workspace")
        if workspace is None:
            continue
        named, without = workspace.strings("members"), workspace.strings("exclude")
        for path in tree.files:
            folder = path.removesuffix("/" + PYPROJECT)
            if folder != path and _matches(folder, named) and not _matches(folder, without):
                found[folder] = None
    return list(found)


def _matches(folder: str, patterns: Iterable[str]) -> bool:
    return any(_fits(folder.split("/"), posixpath.normpath(pattern).split("/")) for pattern in patterns)


def _fits(parts: list[str], patterns: list[str]) -> bool:
    """Whether a folder fits a pattern: `*`, `?`, `[…]` within a part, `**` for any number of parts; all ways at once."""
    reached = {0}
    for pattern in patterns:
        if pattern == "**":
            reached = {at for start in reached for at in range(start, len(parts) + 1)}
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], pattern)}
    return len(parts) in reached
