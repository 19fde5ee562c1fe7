"""Which packages of a lock may have to be compiled: by what the lock says of install scripts, and by what they depend on.

Only their tarballs tell (see `natives`); these are the ones that are looked into when an app is locked. npm's locks may say
which packages have install scripts, as may a registry for Yarn 2+, and pnpm 8 does; elsewhere an add-on is known by the
helpers that it is compiled with or found by. The rest is found when the packages are laid out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .graph import Unit

_HELPERS = frozenset(
    {
        *("bindings", "nan", "node-addon-api", "napi-macros", "node-api-headers", "node-gyp", "cmake-js", "buildcheck"),
        *("node-gyp-build", "node-gyp-build-optional-packages", "prebuild-install", "prebuildify", "pkg-prebuilds"),
        *("node-pre-gyp", "@mapbox/node-pre-gyp", "@discordjs/node-pre-gyp", "require-addon"),
    }
)
"""Packages that only add-ons depend on: what they are written with, compiled by, and loaded by."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A package of a lock as far as this question goes."""

    name: str
    version: str
    needs: Collection[str]
    """Names that it depends on firmly."""
    wants: Collection[str]
    """Those that it goes on without."""
    scripts: bool | None = None
    """Whether it has install scripts; None where the lock does not say."""

    @property
    def may_compile(self) -> bool:
        """Whether it may have to be compiled."""
        if self.scripts is not None:
            return self.scripts
        return not _HELPERS.isdisjoint({*self.needs, *self.wants})


def unsure(packages: Iterable[Suspect], direct: Collection[str], named: Collection[str] = ()) -> list[str]:
    """The `name@version`s that may have to be compiled; without those that the rest goes on without, as npm does.

    `direct` are the names that the app itself needs firmly, `named` those that it says are to be built.
    """
    found = list(packages)
    firm = {name for one in found for name in one.needs} | set(direct)
    loose = {name for one in found for name in one.wants} - firm
    return [
        f"{one.name}@{one.version}" for one in found if one.name not in loose and (one.may_compile or one.name in named)
    ]


def of_units(units: Mapping[str, Unit], scripts: Mapping[str, bool] | None = None) -> list[Suspect]:
    """The packages of a graph; `scripts` says by id which of them have install scripts."""
    said = scripts or {}
    return [
        Suspect(unit.name, unit.version, unit.needs.keys() - unit.wants, unit.wants, said.get(key))
        for key, unit in units.items()
    ]
