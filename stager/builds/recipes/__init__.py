"""Recipes: what is done around a command so that it leaves the same each time, and how artifacts are built.

Each recipe has a name with a version, which a lock states, and names the source of difference that it mends. What it leaves
never changes: another result gets another version, and locks keep the former one. The registry has a line for each; a recipe
is a module of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, cast

from ...ecosystems import ecosystems
from ...runtimes import kinds

if TYPE_CHECKING:
    from ...ecosystems.record import BuildRecipe
    from ...model import Build

PROVIDED = "/run/stager"
"""The folder inside a sandbox where the files of recipes are."""
TOOLS: dict[str, str] = {
    "astro/1": f"{__name__}.astro",
    "frozen-clock/1": f"{__name__}.frozen_clock",
    "next/1": f"{__name__}.next_js",
    "nuxt/1": f"{__name__}.nuxt_1",
    "nuxt/2": f"{__name__}.nuxt",
    "own-package/1": f"{__name__}.own_package",
    "sorted-folders/1": f"{__name__}.sorted_folders",
}
"""A recipe for the builds of an app → the module with its `RECIPE`."""
_JOINED = {"NODE_OPTIONS": " ", "PYTHONPATH": ":"}
"""Variables that several recipes may add to, and what stands between their parts."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a recipe may look at."""

    build: Build
    key: str
    """The hex digest of all that goes in; no secret."""
    content: bytes
    """A digest over the contents of the app's files, which stager tells nobody: as secret as they are."""

    def secret(self, label: str, size: int = 32) -> bytes:
        """Bytes that are as secret as the app's files, other ones for each `label`: HMAC-SHA-256 (RFC 2104) in blocks."""
        blocks = (hmac.digest(self.content, f"{label} {number}".encode(), "sha256") for number in range(-(-size // 32)))
        return b"".join(blocks)[:size]

    def identifier(self, label: str) -> str:
        """32 hex digits that are the same for the same build; no secret."""
        return hashlib.sha256(f"{label} {self.key}".encode()).hexdigest()[:32]


def _none(_: Around) -> Mapping[str, str]:
    return {}


def _nothing(_: Around) -> Mapping[str, bytes]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is done around the command of an app's build."""

    name: str
    mends: str
    """The source of difference that it mends, for people."""
    env: Callable[[Around], Mapping[str, str]] = _none
    provides: Callable[[Around], Mapping[str, bytes]] = _nothing
    """Files for reading, by their path below `PROVIDED`."""
    before: Callable[[Around], Mapping[str, bytes]] = _nothing
    """Files that are put into the app's folder first, by path."""
    drops: tuple[str, ...] = ()
    """Patterns of outputs, from the folder of the build on, that are no part of the result."""
    rewrites: Mapping[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    """Pattern of outputs, likewise → what writes their content again in one order."""


def tool(name: str) -> Recipe | None:
    """The recipe of this name for builds of an app; None when there is none."""
    return cast("Recipe", import_module(TOOLS[name]).RECIPE) if name in TOOLS else None


def artifact(command: str) -> BuildRecipe | None:
    """How artifacts with this command are built, as their ecosystem or runtime says; None when none knows it."""
    known = [*(one.recipes for one in ecosystems()), *(one.recipes for one in kinds())]
    return next((one[command] for one in known if command in one), None)


def of_runtime(build: Build) -> bool:
    """Whether a build is that of a runtime, which other builds may have around them."""
    return any(build.command in one.recipes for one in kinds())


def joined(parts: list[Mapping[str, str]]) -> dict[str, str]:
    """The variables of several recipes; what two may add to is put together, else the last one counts."""
    found: dict[str, str] = {}
    for part in parts:
        for name, value in part.items():
            both = name in _JOINED and name in found
            found[name] = f"{found[name]}{_JOINED[name]}{value}" if both else value
    return found
