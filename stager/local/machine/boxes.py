"""The box that a machine is made of: built when it is not in the store yet, from exactly what the stack's lock pins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...stacks import boxes as formats
from ...stacks import find, lock, root
from ...stacks.build_context import Making
from . import image

if TYPE_CHECKING:
    from ...settings import Settings
    from ...stacks.definition import Definition
    from .state import State

_FORMATS = {"docker": "docker", "libvirt": "libvirt", "virtualbox": "virtualbox", "vmware_desktop": "vmware"}
"""Vagrant's provider → stager's name of the box's format."""


def definition(reference: str) -> Definition:
    """The stack by name or folder. Raises UsageError, InvalidDefinition."""
    return find.load(reference)


def container(
    stack: Definition, architecture: str, services: Sequence[str], settings: Settings, environ: Mapping[str, str]
) -> str:
    """The tag of the stack's image, which is in the engine afterwards. Raises what building and loading raise."""
    with settings.store.lease():
        made = root.build(stack, lock.load(stack), architecture, making(settings), _sets("docker", services))
        composed = image.compose(stack, made)
        image.load(composed, settings.store, environ)
    return composed.tag


def disk(stack: Definition, state: State, settings: Settings, vagrant: Any) -> str:
    """The name of the stack's box with a disk, which Vagrant has afterwards. Raises Refused when Vagrant finds other bytes.

    The name holds the box's digest: vagrant-libvirt never uploads an image again whose box has the same name and version.
    """
    form = _FORMATS[state.provider]
    with settings.store.lease():
        pinned = lock.load(stack)
        made = root.build(stack, pinned, state.architecture, making(settings), _sets(form, state.services))
        box = formats.build(stack, made, [form], making(settings))[0]
        name = f"stager-{stack.name}-{box.digest.hex[:16]}"
        if name not in {known.name for known in vagrant.box_list()}:
            add(vagrant, name, state.provider, settings.store.path(box.digest.hex), box.digest.hex)
    return name


def add(vagrant: Any, name: str, provider: str, path: str, digest: str) -> None:
    """Have Vagrant take a box file, if its SHA-256 (hex) is this. python-vagrant's own `box_add` cannot say which."""
    options = ["--name", name, "--provider", provider, "--checksum-type", "sha256", "--checksum", digest]
    vagrant._call_vagrant_command(["box", "add", *options, path])


def _sets(form: str, services: Sequence[str]) -> list[str]:
    """What the stack's root needs on top; a service is a set of its own name."""
    return [formats.SETS[form], *services]


def making(settings: Settings) -> Making:
    """What building needs, from what staging has."""
    return Making(
        settings.store, settings.indexes, settings.offline, settings.jobs or 8, settings.progress, settings.cancel
    )
