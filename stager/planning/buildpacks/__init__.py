"""Loads buildpacks: the data in `buildpacks/<name>/` that says how a language is recognised and laid out.

The vocabulary (`vocabulary`) is small on purpose: *conditions* over the app's files, *start rules* that make a command
from what they find, *servers* that a start rule may use, tables of runtime versions, and templates. Being data, a
buildpack runs no code of its own, and its identity is the digest of its folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache

from ...errors import InvalidDefinition, StagerError
from ...model import BuildpackPin
from ...runtimes import MODULES
from ...text import resources
from ...text.yamltext import parse
from .definition import build
from .vocabulary import Buildpack

__all__ = ["Buildpack", "generated", "load", "load_all", "load_folder"]

_UNKNOWN = "no such buildpack is shipped; there are "
_NO_DEFINITION = "there is no buildpack.yml in this folder"


def load(name: str) -> Buildpack:
    """A shipped buildpack. Raises InvalidDefinition when there is none of that name, or its definition is wrong."""
    if name not in resources.names("buildpacks"):
        file = f"{name}/buildpack.yml"
        raise InvalidDefinition(file, "", _UNKNOWN + ", ".join(resources.names("buildpacks")))
    return load_folder(os.path.join(resources.folder("buildpacks"), name), shipped=True)


def load_pinned(pin: BuildpackPin, root: str) -> Buildpack:
    """The buildpack a plan names, as it is now: a shipped one, or a user's folder relative to the app's folder `root`."""
    return load_folder(os.path.join(root, pin.folder)) if pin.folder else load(pin.name)


def load_all() -> tuple[Buildpack, ...]:
    """Every shipped buildpack, in the order they are asked, and in which their parts of a droplet come.

    That is the order of the runtimes that they bring; those that bring none are last, by name.
    """
    return tuple(sorted(map(load, resources.names("buildpacks")), key=lambda one: (_rank(one), one.name.encode())))


def _rank(buildpack: Buildpack) -> int:
    ranks = [rank for rank, name in enumerate(MODULES) if name in buildpack.runtimes]
    return min(ranks, default=len(MODULES))


def generated(buildpack: Buildpack, values: Mapping[str, object]) -> dict[str, str]:
    """The files this buildpack adds to a droplet: path → text, sorted by path.

    A template sees `values` (facts of the plan), and the buildpack's own `name` and `env`. Raises InvalidDefinition.
    """
    from ...text.render import render_data  # here, since it brings Jinja2, and what it makes is remembered

    known = {"name": buildpack.name, "env": [list(item) for item in buildpack.env], **values}
    files = sorted(buildpack.files, key=lambda item: item[1].encode())
    return {path: render_data(buildpack.templates[name], known, f"{buildpack.name}/{name}") for name, path in files}


def load_folder(path: str, *, shipped: bool = False) -> Buildpack:
    """A buildpack from any folder, such as a user's own. Raises InvalidDefinition with file, line and what is wrong."""
    contents = resources.contents(path, follow=shipped)
    return _parsed(os.path.basename(os.path.abspath(path)), tuple(sorted(contents.items())))


@lru_cache(maxsize=32)
def _parsed(name: str, files: tuple[tuple[str, bytes], ...]) -> Buildpack:
    """The buildpack that these files are, path and bytes: parsed once, however many ask for it."""
    contents = dict(files)
    file = f"{name}/{resources.DEFINITIONS['buildpacks']}"
    text = contents.get("buildpack.yml")
    if text is None:
        raise InvalidDefinition(file, "", _NO_DEFINITION)
    templates = {
        key.removeprefix("templates/"): _text(data, f"{name}/{key}")
        for key, data in contents.items()
        if key.startswith("templates/")
    }
    root = parse(_text(text, file), file, _invalid).root
    inputs = tuple(sorted(set(resources.patterns(contents.get(resources.INPUTS, b""))), key=str.encode))
    return build(root, name, inputs, templates, resources.folder_digest(contents))


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidDefinition(file, "", f"not UTF-8 at byte {error.start}") from error


def _invalid(file: str, why: str, line: int | None) -> StagerError:
    return InvalidDefinition(f"{file}:{line}" if line else file, "", why)
