"""Pinning what an sdist is built with, which no lock of the Python world does: for that sdist alone, wheels only, once.

The versions obey the app's own `build-constraint-dependencies` and the operator's constraint files; those that an earlier lock
of stager's pins stay, while they fit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from stager.ecosystems.errors import LockFailed
from stager.ecosystems.record import APP
from stager.errors import NeedsBuild
from stager.net.errors import BadSettings
from stager.net.indexes import default_pypi, uv_program

from .document import toml
from .lookup import resolve
from .manifest import PYPROJECT, dig
from .pins import normalise_index
from .pylock import read_pylock
from .resolver import UV_FIXED, variables
from .selection import select

if TYPE_CHECKING:
    from stager.ecosystems.record import BuildRequest
    from stager.model import Artifact
    from stager.tree import SourceTree

    from .target import Target

LOCK = "pylock.build.toml"
_GLIBC = (17, 28, *range(31, 41))
"""Minor versions of glibc that uv has a platform for."""


def resolved(request: BuildRequest, wanted: Sequence[str], target: Target) -> tuple[Artifact, ...]:
    """The wheels for build requirements and what they need, by the ecosystem's resolver, of which no code of theirs is run.

    Raises NeedsBuild where one has no fitting wheel, LockFailed with the resolver's words, BadSettings, Cancelled.
    """
    hard = [*_of_app(request.tree), *_of_operator(request.indexes.build_constraints)]
    kept = [f"{name}=={version}" for name, version in _kept(request)]
    try:
        text = _compiled(request, wanted, [*hard, *kept], target)
    except LockFailed:
        if not kept:
            raise
        text = _compiled(request, wanted, hard, target)
    tree = request.tree.with_files({LOCK: text})
    reading = read_pylock(tree, LOCK, target, (), ())
    indexes = frozenset(normalise_index(url) for url in (*request.indexes.pypi(), default_pypi()))
    pins = resolve(reading.pins, None, target, LOCK, indexes)
    found = select(reading._replace(pins=tuple(pins)), target, LOCK, indexes)
    if found.builds:
        needs = [
            (one.of.rpartition("/")[2], f"only an sdist, and wanted to build {request.label}") for one in found.builds
        ]
        raise NeedsBuild(
            needs, "Name a version that has a wheel in tool.uv.build-constraint-dependencies of pyproject.toml."
        )
    return found.artifacts


def _compiled(request: BuildRequest, wanted: Sequence[str], constraints: Sequence[str], target: Target) -> bytes:
    """A pylock for the requirements."""
    minor = max(number for number in _GLIBC if number <= target.stack.glibc[1])
    files = {"requirements.txt": _lines(wanted), "constraints.txt": _lines(constraints)}
    command = ["pip", "compile", "requirements.txt", "-c", "constraints.txt", "--only-binary", ":all:", "--no-header"]
    command += ["--python-version", target.full, "--python-platform", f"{target.stack.machine}-manylinux_2_{minor}"]
    command += ["--format", "pylock.toml", "-o", LOCK]
    what = f"the build requirements of {request.label}"
    with request.workplace() as place:
        place.write({f"{APP}/{name}": text for name, text in files.items()})
        uv = uv_program()
        own = {"UV_CACHE_DIR": f"{place.root}/cache", **UV_FIXED, **variables(request.indexes, has_default=False)}
        done = place.run(what, [uv, *command, "--python", place.python], own, [uv])
        if done.code:
            raise done.failure(what)
        return place.read(LOCK)


def _lines(texts: Sequence[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def _kept(request: BuildRequest) -> Iterator[tuple[str, str]]:
    """(name, version) that the earlier lock built this package with."""
    for one in request.previous.artifacts if request.previous else ():
        name, _, version = one.purl.removeprefix("pkg:pypi/").partition("@")
        yield unquote(name), unquote(version)


def _of_app(tree: SourceTree) -> Iterator[str]:
    """The build constraints of the app's own settings of uv, the stronger file first."""
    for file, keys in (("uv.toml", ()), (PYPROJECT, ("tool", "uv"))):
        table = dig(toml(tree, file), *keys) if file in tree.files else None
        if table is not None and table.get("build-constraint-dependencies") is not None:
            for one in table.list("build-constraint-dependencies"):
                yield one.value if isinstance(one.value, str) else one.str("name")
            return


def _of_operator(files: Iterable[str]) -> Iterator[str]:
    """The lines of the constraint files that this machine's configuration names."""
    for path in files:
        try:
            with open(os.path.expanduser(path), encoding="utf-8") as file:
                lines = [line.split(" #")[0].strip() for line in file]
        except (OSError, UnicodeDecodeError) as error:
            why = f"cannot be read: {getattr(error, 'strerror', '') or 'it is not UTF-8'}"
            raise BadSettings(
                path, why, "Correct UV_BUILD_CONSTRAINT or PIP_BUILD_CONSTRAINT, which names it."
            ) from None
        yield from (line for line in lines if line and not line.startswith("#"))
