"""Loads buildpacks: the data in `buildpacks/<name>/` that says how a language is recognised and laid out.

The vocabulary (`vocabulary`) is small on purpose: *conditions* over the app's files, *start rules* that make a command
from what they find, *servers* that a start rule may use, tables of runtime versions, and templates. Being data, a
buildpack runs no code of its own, and its identity is the digest of its folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from .. import resources
from ..digest import Digest, canonical_json, sha256
from ..errors import InvalidDefinition, StagerError
from ..model import BuildpackPin
from ..render import render
from ..yamltext import parse
from .definition import build
from .vocabulary import Buildpack

__all__ = ["ORDER", "Buildpack", "folder_digest", "generated", "load", "load_all", "load_folder"]

ORDER = ("python", "nodejs", "static", "procfile")
"""The shipped buildpacks in the order they are asked, and in which their parts of a droplet come."""
_UNKNOWN = "no such buildpack is shipped; there are "
_NO_DEFINITION = "there is no buildpack.yml in this folder"


def load(name: str) -> Buildpack:
    """A shipped buildpack. Raises InvalidDefinition when there is none of that name, or its definition is wrong."""
    if name not in resources.names("buildpacks"):
        file = f"{name}/buildpack.yml"
        raise InvalidDefinition(file, "", _UNKNOWN + ", ".join(ORDER))
    return load_folder(os.path.join(resources.folder("buildpacks"), name))


def load_pinned(pin: BuildpackPin, root: str) -> Buildpack:
    """The buildpack a plan names, as it is now: a shipped one, or a user's folder relative to the app's folder `root`."""
    return load_folder(os.path.join(root, pin.folder)) if pin.folder else load(pin.name)


def pinned_digest(pin: BuildpackPin, root: str) -> Digest:
    """The digest of the folder of a buildpack that a plan names, as it is now; nothing is parsed."""
    shipped = os.path.join(resources.folder("buildpacks"), pin.name)
    return folder_digest(_contents(os.path.join(root, pin.folder) if pin.folder else shipped))


def load_all() -> tuple[Buildpack, ...]:
    """Every shipped buildpack, in the fixed order of `ORDER`, others after it by name."""
    names = sorted(resources.names("buildpacks"), key=lambda name: (_rank(name), name.encode()))
    return tuple(load(name) for name in names)


def _rank(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


def generated(buildpack: Buildpack, values: Mapping[str, object]) -> dict[str, str]:
    """The files this buildpack adds to a droplet: path → text, sorted by path.

    A template sees `values` (facts of the plan), and the buildpack's own `name` and `env`. Raises InvalidDefinition.
    """
    known = {"name": buildpack.name, "env": [list(item) for item in buildpack.env], **values}
    files = sorted(buildpack.files, key=lambda item: item[1].encode())
    return {path: render(buildpack.templates[name], known, f"{buildpack.name}/{name}") for name, path in files}


def load_folder(path: str) -> Buildpack:
    """A buildpack from any folder, such as a user's own. Raises InvalidDefinition with file, line and what is wrong."""
    contents = _contents(path)
    name = os.path.basename(os.path.abspath(path))
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
    inputs = tuple(sorted(set(resources.read_patterns(path)), key=str.encode))
    return build(root, name, inputs, templates, folder_digest(contents))


def folder_digest(contents: Mapping[str, bytes]) -> Digest:
    """The identity of a folder of data: SHA-256 over the canonical JSON of its sorted (path, digest) pairs."""
    return sha256(canonical_json([[path, sha256(contents[path])] for path in sorted(contents, key=str.encode)]))


def _contents(root: str) -> dict[str, bytes]:
    """Every regular file below `root` by its path, hidden ones left out."""
    found: dict[str, bytes] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in files:
            if not name.startswith("."):
                path = os.path.join(folder, name)
                found[os.path.relpath(path, root).replace(os.sep, "/")] = _read(path)
    return found


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidDefinition(path, "", f"cannot be read: {error.strerror}") from error


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidDefinition(file, "", f"not UTF-8 at byte {error.start}") from error


def _invalid(file: str, why: str, line: int | None) -> StagerError:
    return InvalidDefinition(f"{file}:{line}" if line else file, "", why)
