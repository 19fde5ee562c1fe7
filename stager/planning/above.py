"""Whether an app's folder is a member of a workspace above it, whose lock pins its packages.

Looked at only when an app has no lock of its own, to say which folder to stage: nothing above an app's folder ever takes part
in a droplet, and nothing is written there.
"""

from __future__ import annotations

import os

from ..ecosystems import ecosystem
from ..errors import StagerError
from ..files import limits, regular
from ..tree import SourceTree
from .errors import WorkspaceMember

_MOST = 16
"""Folders above that are looked at; a repository's own folder is the last in any case."""


def refuse_member(root: str, name: str) -> None:
    """Raise WorkspaceMember when `root` is a member of a workspace of the ecosystem `name` in a folder above."""
    if not ecosystem(name).workspaces:
        return
    folder, member = root, ""
    for steps in range(1, _MOST + 1):
        parent, base = os.path.split(folder)
        if not base or os.path.lexists(os.path.join(folder, ".git")):
            return
        folder, member = parent, f"{base}/{member}".rstrip("/")
        if manifest := _claims(folder, member, name):
            up = "/".join([".."] * steps)
            raise WorkspaceMember(member, up, f"{up}/{manifest}", ecosystem(name).starts_member.format(member=member))


def _claims(folder: str, member: str, name: str) -> str:
    """The manifest in a folder that names a folder below it as a member; empty when there is none, or it is unreadable."""
    format_ = ecosystem(name)
    manifest = format_.workspaces[-1]
    found: dict[str, str | bytes] = {f"{member}/{manifest}": "{}" if manifest.endswith(".json") else ""}
    for file in format_.workspaces:
        try:
            found[file] = regular.read(os.path.join(folder, file), limits.most(file))
        except OSError:
            continue
    try:
        claimed = member in format_.members(SourceTree.of(found))
    except StagerError:  # not the app's file, and no reason to refuse the app
        return ""
    return next(file for file in format_.workspaces if file in found) if claimed else ""
