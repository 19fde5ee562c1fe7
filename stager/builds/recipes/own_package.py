"""A package of the app's own is built by its own build backend, in place; mends the order in which folders are listed."""

from __future__ import annotations

from ...ecosystems.pypi.building import OWN, programs
from . import Recipe

_FOLDER = "own-package"

RECIPE = Recipe(
    name=OWN,
    mends="the order in which the file system lists folders",
    provides=lambda _: {f"{_FOLDER}/{name}": text for name, text in programs().items()},
)
