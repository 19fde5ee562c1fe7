"""Runtimes that come as one gzipped tar: Node, npm and bun from the npm registry, CPython from python-build-standalone.

Only what runs is kept: headers, manuals and tests are most of these archives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..formats.archive import read_tar
from ..formats.errors import BadArchive
from ..formats.tar import PieceFile, Unpacked

if TYPE_CHECKING:
    from ..ecosystems import Unpack
    from ..formats.archive import Archive, HeldArchive, Member
    from ..model import Artifact


def recipe(
    program: str, keep: Callable[[str], bool], check: Callable[[Archive, Artifact], None], executable: str = ""
) -> Unpack:
    """How such an archive is unpacked: `unpack(blob, artifact, path)` gives the files that `keep`, at `path` in the app.

    The archive's top folder, whatever its name, is left out. `program` is a regular expression of the file that must be there;
    what fits it, or `executable`, may be run. `check` refuses an archive of another package or version. Symlinks to something
    left out are dropped and named in `meta["dropped"]`. What is made raises BadArchive (also when the program itself is
    missing), UnsafeEntry, and what `check` raises.
    """
    runs = re.compile(executable or program)

    def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
        archive = read_tar(blob, artifact.name, "gz")
        try:
            check(archive, artifact)
            placed = {where: member for member in archive.members if keep(where := member.name.partition("/")[2])}
            if not any(re.fullmatch(program, where) and not placed[where].is_link for where in placed):
                raise BadArchive(artifact.name, f"holds no program {_readable(program)}")
        except BaseException:
            archive.close()
            raise
        files = [
            PieceFile(f"{path}/{where}", member.content, member.executable or bool(runs.fullmatch(where)))
            for where, member in placed.items()
            if not member.is_link
        ]
        links, dropped = _links(placed)
        meta: dict[str, object] = {"dropped": dropped} if dropped else {}
        return Unpacked(files, {f"{path}/{where}": target for where, target in links.items()}, meta, (archive,))

    return unpack


def inside(archive: Archive) -> dict[str, Member]:
    """The archive's members by their path below its top folder."""
    return {member.name.partition("/")[2]: member for member in archive.members}


def _readable(pattern: str) -> str:
    return pattern.replace(r"\d+", "*").replace("\\", "")


def _links(placed: dict[str, Member]) -> tuple[dict[str, str], list[str]]:
    """The symlinks whose target is kept, and the names of the others."""
    folders = {os.path.dirname(where) for where in placed}
    links, dropped = {}, []
    for where, member in placed.items():
        if member.is_link:
            target = os.path.normpath(os.path.join(os.path.dirname(where), member.target))
            if target in placed or target in folders:
                links[where] = member.target
            else:
                dropped.append(f"{where} -> {member.target}")
    return links, dropped
