"""The Vagrantfile: rendered from the stack's template, or the one that the user has taken over."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...errors import InvalidDefinition
from ...files import limits, regular
from ...text import resources
from ...text.render import render_data
from .state import EJECTED, MachinePlace, State, publish

if TYPE_CHECKING:
    from ...stacks.definition import Definition

NAME = "Vagrantfile.j2"


def template(definition: Definition) -> tuple[str, str]:
    """(path, text) of a stack's template: its own, else that of the stack it extends. Raises InvalidDefinition."""
    folders = [definition.folder]
    if definition.extends:
        folders.append(os.path.join(resources.folder("boxes"), definition.extends))
    for folder in folders:
        path = os.path.join(folder, NAME)
        if os.path.isfile(path):
            return path, regular.read(path, limits.SETTINGS).decode()
    raise InvalidDefinition(definition.where, "", f"stack {definition.name} has no {NAME}, so it gives no machine")


def text(definition: Definition, state: State, *, ejected: bool) -> str:
    """The Vagrantfile for a state. It names files relative to itself, so it differs by where it will be."""
    path, source = template(definition)
    values = {
        "stack": definition.name,
        "provider": state.provider,
        "driver": state.driver,
        "image": state.image,
        "port": state.port,
        "files": ".stager/machine" if ejected else ".",
    }
    return render_data(source, values, path)


def write(where: MachinePlace, definition: Definition, state: State) -> str:
    """Write the machine's Vagrantfile, unless one was ejected, which is left alone; the path of the one in force."""
    if where.is_ejected():
        return where.ejected
    publish(where.file("Vagrantfile"), text(definition, state, ejected=False).encode())
    return where.file("Vagrantfile")


def eject(where: MachinePlace, definition: Definition, state: State) -> bool:
    """Put the Vagrantfile in the app's folder in force, and write it first; False when there is one already."""
    publish(where.file(EJECTED), b"")
    if os.path.lexists(where.ejected):
        return False
    publish(where.ejected, text(definition, state, ejected=True).encode(), 0o644)
    return True
