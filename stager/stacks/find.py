"""Finding a stack: a shipped one by its name, or a user's own by its folder, which may extend another.

An own folder has the shape of a shipped one: `box.yml`, `box.lock`, and the files that `box.yml` names. With `extends` it says
only what it adds; everything else, glibc and signed archive included, is the other stack's.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace

from ..errors import InvalidDefinition, UsageError
from ..facts import stacks
from ..files import limits, regular
from ..text import resources, yamltext
from ..text.typed import Node
from .definition import Definition, StackPart, merged
from .reading import only, read

_OWN = {"summary", "extends", "root", "vagrant", "services"}
_DEEPEST = 8
"""Stacks that extend one another, in a row."""


def load(reference: str) -> Definition:
    """The stack `reference`: a shipped one's name, or the path of a folder (it holds a slash, or is `.` or `..`).

    Raises UsageError when there is none, and InvalidDefinition.
    """
    found = _load(reference, 0)
    names = {part.name for part in found.sets}
    for part in found.sets:
        if missing := sorted(set(part.needs) - names):
            raise InvalidDefinition(found.where, part.name, f"there is no set {missing[0]!r} that it could come with")
    return found


def is_folder(reference: str) -> bool:
    """Whether a reference means a folder, not a name."""
    return os.sep in reference or reference in (".", "..")


def _load(reference: str, depth: int) -> Definition:
    if is_folder(reference):
        return _own(os.path.abspath(reference), depth)
    found = stacks.read(reference)
    folder = os.path.join(resources.folder("boxes"), reference)
    top = yamltext.parse(_text(folder), f"boxes/{reference}/box.yml", stacks.invalid).root
    return read(reference, top, found, folder)


def _own(folder: str, depth: int) -> Definition:
    file = os.path.join(folder, "box.yml")
    if not os.path.isfile(file):
        raise UsageError(f"there is no {file}", "Name a shipped stack, or a folder with a box.yml.")
    name, text = os.path.basename(folder), _text(folder)
    top = yamltext.parse(text, file, stacks.invalid).root
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,62}", name) or name in stacks.names():
        why = f"a stack is called as its folder; {name!r} is a shipped stack's name, or not of lower-case letters and digits"
        raise InvalidDefinition(file, "", why)
    if top.get("extends") is None:
        keyrings = os.path.join(folder, "keyrings")
        keyrings = keyrings if os.path.isdir(keyrings) else os.path.join(resources.folder("boxes"), "keyrings")
        return read(name, top, stacks.parse(name, text, keyrings, file), folder)
    return _extended(name, top, folder, depth)


def _extended(name: str, top: Node, folder: str, depth: int) -> Definition:
    only(top, _OWN)
    parent = top.str("extends")
    if depth >= _DEEPEST:
        top.at("extends").fail("leads in a circle, or through too many stacks")
    base = _load(os.path.normpath(os.path.join(folder, parent)) if is_folder(parent) else parent, depth + 1)
    if not base.root.packages:
        top.at("extends").fail(f"{base.name} has no root filesystem of stager's making")
    own = read(name, top, replace(base.box, name=name, summary=top.str("summary", base.box.summary)), folder)
    return replace(
        own,
        root=merged(base.root, own.root),
        sets=_sets(base.sets, own.sets),
        merged_usr=base.merged_usr or own.merged_usr,
        locale=own.locale if top.get("root") and top.at("root").get("locale") else base.locale,
        env=tuple(sorted((dict(base.env) | dict(own.env)).items())),
        steps=(*base.steps, *own.steps),
        extends=base.name,
    )


def _sets(base: tuple[StackPart, ...], own: tuple[StackPart, ...]) -> tuple[StackPart, ...]:
    found = {part.name: part for part in base}
    for part in own:
        found[part.name] = merged(found[part.name], part) if part.name in found else part
    return tuple(found.values())


def _text(folder: str) -> str:
    path = os.path.join(folder, "box.yml")
    try:
        return regular.read(path, limits.SETTINGS).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDefinition(path, "", f"cannot be read: {error}") from None
