"""Packaging formats: one module each knows how to read its lock files and unpack its archives.

The registries name modules and functions instead of importing them: an app uses one or two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from stager.archive import Held
    from stager.model import Artifact, Stack
    from stager.tar import Unpacked

    Unpack = Callable[[str | Held, Artifact, str], Unpacked]

ECOSYSTEMS: Mapping[str, str] = {"pypi": "stager.ecosystems.pypi", "npm": "stager.ecosystems.npm"}
"""A buildpack's `ecosystem` → the module with `LOCKS`, `find_locks`, `read_lock`, `declared` and `check_drift`."""

LAYOUTS: Mapping[str, str] = {
    "wheel/1": "stager.ecosystems.pypi:unpack",
    "npm/1": "stager.ecosystems.npm:unpack",
}
"""Layout of a package → its recipe, `unpack(blob, artifact, path) -> Unpacked`; a recipe never changes its output."""


def ecosystem(name: str) -> ModuleType:
    """The module of a packaging format; KeyError for a name that is not in `ECOSYSTEMS`."""
    return import_module(ECOSYSTEMS[name])


def layout(name: str) -> Unpack:
    """The unpack recipe called `name`; KeyError for one that is not in `LAYOUTS`."""
    module, _, function = LAYOUTS[name].partition(":")
    return cast("Unpack", getattr(import_module(module), function))


Placed = Sequence[tuple[str, Mapping[str, object]]]
"""(path, what unpacking said) of npm packages."""


def link_packages(placed: Placed, links: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Links to the commands of npm packages that are placed at these paths: link path → relative target.

    `links` are those of the plan, through which pnpm's packages are reached.
    """
    from .npm import bin_links

    return bin_links(placed, links) if placed else {}


def covered(path: str, files: Sequence[str], places: Collection[str]) -> list[str]:
    """Those of an npm package's files that lie where the lock places another package, and so belong to that one."""
    from .npm import covered

    return covered(path, files, places)


def unbuilt(placed: Placed, stack: Stack, direct: Collection[str]) -> list[tuple[str, str]]:
    """npm packages (name, why) that would have to be compiled on the stack; `direct` are those the app itself asks for."""
    from .npm import needs_build

    return needs_build(placed, stack, direct) if placed else []


def unfit(placed: Placed, stack: Stack, direct: Collection[str]) -> list[tuple[str, str]]:
    """npm packages (name, what they run on) that the app needs and that do not run on the stack."""
    from .npm.natives import misfits

    return misfits(placed, stack, direct) if placed else []


def absent(placed: Placed, stack: Stack) -> list[str]:
    """Notes on npm packages whose add-on for the stack the lock does not have."""
    from .npm.natives import absent

    again = "make the lock again without node_modules: 'rm -r node_modules package-lock.json && npm install'"
    rows = absent(placed, stack) if placed else []
    return [f"{name} wants {wanted} on this stack, which the lock file does not have; {again}" for name, wanted in rows]


def former(packages: Placed, paths: Collection[str], inputs: Collection[str]) -> list[str]:
    """Notes on Python packages (label, what unpacking said) that import what nothing among the droplet's paths brings."""
    from .pypi.former import remarks

    return remarks(packages, paths, inputs) if any(meta.get("former") for _, meta in packages) else []
