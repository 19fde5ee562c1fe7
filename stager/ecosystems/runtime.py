"""Runtimes that come as one archive: Node, npm and bun from the npm registry, CPython from python-build-standalone.

Only what runs is kept: headers, manuals and tests are most of these archives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..archive import content_bytes, read_tar
from ..errors import BadArchive, Mislabelled
from ..tar import Entry, Unpacked

if TYPE_CHECKING:
    from ..archive import Archive, Held, Member
    from ..model import Artifact

_NPM_DROPPED = re.compile(r"(?:docs|man|html|test|tap-snapshots)/.*|bin/[^/]*\.(?:cmd|ps1)")
_PBS_KEPT = re.compile(r"bin/python3\.\d+|lib/libpython3\.\d+\.so\.1\.0|lib/python3\.\d+/.+|LICENSE.*")
_PBS_DROPPED = re.compile(
    r"lib/python3\.\d+/(?:"
    r"(?:test|idlelib|turtledemo|lib2to3|ensurepip|tkinter)/.*"
    r"|config-3\.[^/]*/.*"
    r"|site-packages/.*"  # pip and its like; the app's own packages lie elsewhere
    r"|lib-dynload/(?:_tkinter|_test[a-z]*|_ctypes_test|_xx[a-z]*|xxlimited[_0-9a-z]*)\.[^/]*"
    r"|EXTERNALLY-MANAGED|(?:.*/)?__pycache__/.*|.*\.pyc)"
)


_PYTHON = re.compile(r"bin/python3\.\d+")
_PROGRAM = re.compile(r"bin/(?:node|bun|python3\.\d+|np[mx]-cli\.js)")


def unpack(blob: str | Held, artifact: Artifact, path: str) -> Unpacked:
    """The files of a runtime's gzipped tar at `path` in the app folder, by the artifact's layout.

    `node/1` keeps `bin/node` and the licence, `bun/1` `bin/bun`, `npm-cli/1` the package without manuals and tests, and
    `pbs/1` interpreter, library and standard library. The archive's top folder, whatever its name, is left out.
    Symlinks to something left out are dropped and named in `meta["dropped"]`. Raises BadArchive (also when the
    program itself is missing), UnsafeEntry, and Mislabelled for another package or version.
    """
    keep, program = _LAYOUTS[artifact.layout]
    archive = read_tar(blob, artifact.name, "gz")
    try:
        _check_identity(archive, artifact)
    except BaseException:
        archive.close()
        raise
    placed = {where: member for member in archive.members if keep(where := member.name.partition("/")[2])}
    if not any(re.fullmatch(program, where) and not placed[where].is_link for where in placed):
        archive.close()
        raise BadArchive(artifact.name, f"holds no program {_readable(program)}")
    files = [
        Entry(f"{path}/{where}", member.content, member.executable or bool(_PROGRAM.fullmatch(where)))
        for where, member in placed.items()
        if not member.is_link
    ]
    links, dropped = _links(placed)
    meta: dict[str, object] = {"dropped": dropped} if dropped else {}
    return Unpacked(files, {f"{path}/{where}": target for where, target in links.items()}, meta, (archive,))


def _check_identity(archive: Archive, artifact: Artifact) -> None:
    """What an archive says of itself must be what the plan asks for: a `package.json`, or CPython's own headers."""
    inside = {member.name.partition("/")[2]: member for member in archive.members}
    if artifact.layout != "pbs/1":
        from .npm.tarball import check_identity, manifest_of

        if "package.json" not in inside:
            raise BadArchive(artifact.name, "has no package.json")
        return check_identity(manifest_of(inside["package.json"].content, "package.json", artifact.name), artifact)
    name, _, version = unquote(artifact.purl.partition("?")[0]).partition("@")
    version = version.partition("+")[0]
    if name != "pkg:generic/cpython":
        raise Mislabelled(artifact.name, "its layout", "Python", artifact.purl)
    line = version.rpartition(".")[0]
    stated = f"include/python{line}/patchlevel.h"
    if any(_PYTHON.fullmatch(where) for where in inside) and f"bin/python{line}" not in inside:
        programs = sorted(where for where in inside if _PYTHON.fullmatch(where))
        raise Mislabelled(artifact.name, "the archive", f"it holds {programs[0]}", f"Python {version}")
    if stated in inside:
        text = content_bytes(inside[stated].content, artifact.name)
        found = re.search(rb'^#define\s+PY_VERSION\s+"([^"]*)"', text, re.MULTILINE)
        if found is None or found[1] != version.encode():
            said = found[1].decode("ascii", "replace") if found else "no version"
            raise Mislabelled(artifact.name, stated, said, version)
    return None


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


def _keep_node(where: str) -> bool:
    return where in ("bin/node", "LICENSE")


def _keep_bun(where: str) -> bool:
    return where == "bin/bun" or where.startswith("LICENSE")


def _keep_npm(where: str) -> bool:
    return bool(where) and not _NPM_DROPPED.fullmatch(where)


def _keep_pbs(where: str) -> bool:
    return bool(_PBS_KEPT.fullmatch(where)) and not _PBS_DROPPED.fullmatch(where)


_LAYOUTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "node/1": (_keep_node, r"bin/node"),
    "bun/1": (_keep_bun, r"bin/bun"),
    "npm-cli/1": (_keep_npm, r"bin/npm-cli\.js"),
    "pbs/1": (_keep_pbs, r"bin/python3\.\d+"),
}
"""Layout → which files are kept, and the program that must be among them."""
