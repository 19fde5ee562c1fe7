"""Which files of archives of CPython run, and where they go: of python-build-standalone, of what stager builds, of Debian."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..ecosystems.deb import files as deb
from ..ecosystems.errors import Mislabelled
from ..formats.archive import content_bytes
from ..formats.tar import PieceFile, Unpacked
from . import archives

if TYPE_CHECKING:
    from ..formats.archive import Archive, HeldArchive, Member
    from ..model import Artifact

PROGRAM = r"bin/python3\.\d+"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
"""All certificate authorities in one file, below the runtime's folder; what SSL_CERT_FILE wants."""
_PBS_KEPT = re.compile(r"bin/python3\.\d+|lib/libpython3\.\d+\.so\.1\.0|lib/python3\.\d+/.+|LICENSE.*")
_PBS_DROPPED = re.compile(
    r"lib/python3\.\d+/(?:"
    r"(?:test|idlelib|turtledemo|lib2to3|ensurepip|tkinter)/.*"
    r"|config-3\.[^/]*/.*"
    r"|site-packages/.*"  # pip and its like; the app's own packages lie elsewhere
    r"|lib-dynload/(?:_tkinter|_test[a-z]*|_ctypes_test|_xx[a-z]*|xxlimited[_0-9a-z]*)\.[^/]*"
    r"|EXTERNALLY-MANAGED|(?:.*/)?__pycache__/.*|.*\.pyc)"
)
_STDLIB = re.compile(r"usr/lib/(python3\.\d+)/(.+)")
_INTERPRETER = re.compile(r"usr/bin/(python3\.\d+)")
_CERTIFICATE = re.compile(r"usr/share/ca-certificates/mozilla/[^/]+\.crt")
_ZONE = re.compile(r"usr/share/(zoneinfo/(?!posix/|right/).+)")
_NOT_RUN = re.compile(
    r"EXTERNALLY-MANAGED|sitecustomize\.py"  # rules and hooks of Debian's own installation
    r"|(?:test|idlelib|turtledemo|lib2to3|ensurepip|tkinter)/.*"
    r"|config-3\.[^/]*/.*"  # for building extension modules
    r"|lib-dynload/(?:nis|_test[a-z]*|_ctypes_test|_xx[a-z]*|xxlimited[_0-9a-z]*)\.[^/]*"
    r"|(?:.*/)?__pycache__/.*|.*\.pyc"
)


def _kept(where: str) -> bool:
    return bool(_PBS_KEPT.fullmatch(where)) and not _PBS_DROPPED.fullmatch(where)


def _kept_for_building(where: str) -> bool:
    return where.startswith("include/") or _kept(where)


def _check_identity(archive: Archive, artifact: Artifact) -> None:
    """CPython's own headers must state the version that the plan asks for. Raises Mislabelled, BadArchive."""
    inside = archives.inside(archive)
    name, _, version = unquote(artifact.purl.partition("?")[0]).partition("@")
    version = version.partition("+")[0]
    if name != "pkg:generic/cpython":
        raise Mislabelled(artifact.name, "its layout", "Python", artifact.purl)
    line = version.rpartition(".")[0]
    stated = f"include/python{line}/patchlevel.h"
    if any(re.fullmatch(PROGRAM, where) for where in inside) and f"bin/python{line}" not in inside:
        programs = sorted(where for where in inside if re.fullmatch(PROGRAM, where))
        raise Mislabelled(artifact.name, "the archive", f"it holds {programs[0]}", f"Python {version}")
    if stated in inside:
        text = content_bytes(inside[stated].content, artifact.name)
        found = re.search(rb'^#define\s+PY_VERSION\s+"([^"]*)"', text, re.MULTILINE)
        if found is None or found[1] != version.encode():
            said = found[1].decode("ascii", "replace") if found else "no version"
            raise Mislabelled(artifact.name, stated, said, version)


def _placed(name: str) -> str:
    """Where a file of a Debian package goes below the runtime's folder; empty when it is left out."""
    if found := _STDLIB.fullmatch(name):
        return "" if _NOT_RUN.fullmatch(found[2]) else f"lib/{found[1]}/{found[2]}"
    if found := _INTERPRETER.fullmatch(name):
        return f"bin/{found[1]}"
    if found := _ZONE.fullmatch(name):
        return f"share/{found[1]}"
    return deb.library(name)


def _certificates(members: list[Member], path: str) -> list[PieceFile]:
    """The package's certificate authorities as one PEM file, in the order of their names."""
    found = [content_bytes(member.content) for member in members if _CERTIFICATE.fullmatch(member.name)]
    whole = b"".join(pem if pem.endswith(b"\n") else pem + b"\n" for pem in found)
    return [PieceFile(f"{path}/{CERTIFICATES}", whole)] if found else []


unpack_standalone = archives.recipe(PROGRAM, _kept, _check_identity)
"""`pbs/1`: interpreter, library and standard library."""
unpack_standalone_for_building = archives.recipe(PROGRAM, _kept_for_building, _check_identity)
"""`pbs-build/1`: the same, and the headers that extension modules are compiled with."""
unpack_debian = deb.recipe(PROGRAM, _placed, _certificates)
"""`deb-python/1`: the interpreter, its library, shared libraries, certificates (as one file) and time zones."""
_BUILT = archives.recipe(PROGRAM, _kept_for_building, _check_identity)


def unpack_built(blob: str | HeldArchive, artifact: Artifact, path: str) -> Unpacked:
    """`cpython/1`: as `pbs-build/1`, and the interpreter finds the shared libraries of Debian's packages beside it."""
    found = _BUILT(blob, artifact, path)
    for number, one in enumerate(found.files):
        if re.fullmatch(PROGRAM, one.path.removeprefix(f"{path}/")):
            program = deb.with_library_path(content_bytes(one.content, artifact.name), f"{artifact.name}: {one.path}")
            found.files[number] = PieceFile(one.path, program, True)
    return found
