"""A machine in hand: Vagrant for it, the way into it, what state it is in, and taking it away for good."""

from __future__ import annotations

import glob
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import StagerError
from ...files import limits, programs, regular
from ..errors import NoMachine
from . import driver, providers
from . import state as folder
from .ssh import Guest
from .state import MachinePlace, State

if TYPE_CHECKING:
    from ...settings import Settings


@dataclass(slots=True)
class Context:
    """What a command gives: how to stage, the environment, who is told, and how long each part took, in seconds."""

    settings: Settings
    environ: Mapping[str, str]
    tell: Callable[[str], None]
    times: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the time of a `with` block to a part."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.times[part] = self.times.get(part, 0.0) + time.monotonic() - began


def made(where: MachinePlace, provider: str, state: State | None, context: Context) -> Any:
    """Vagrant for this machine."""
    variables = {"STAGER_MACHINE": label(where)}
    if state is not None:
        kind = "STAGER_IMAGE" if provider == "docker" else "STAGER_BOX"
        variables.update({"STAGER_PORT": str(state.port), kind: state.image, "STAGER_DRIVER": state.driver})
    return driver.make(where, provider, context.environ, variables, context.tell)


def reach(where: MachinePlace) -> Guest:
    """The running machine."""
    return Guest(where.file("ssh_config"))


def machine_state(where: MachinePlace, state: State, context: Context) -> str:
    """Vagrant's word: `running`, `stopped`, `shutoff`, `not_created` …

    The provider itself is asked where it can be, since Vagrant takes seconds to start.
    """
    ids = glob.glob(os.path.join(glob.escape(where.file("vagrant")), "machines", "*", state.provider, "id"))
    if not ids:  # Vagrant's own rule
        return "not_created"
    known = _state(state.provider, ids[0], context.environ) if len(ids) == 1 else ""
    if known:
        return known
    found = made(where, state.provider, state, context).status()
    return str(found[0].state) if found else "not_created"


def _state(provider: str, file: str, environ: Mapping[str, str]) -> str:
    """The state of the machine whose id is in a file, in Vagrant's words; empty when only Vagrant can tell."""
    try:
        name = regular.read(file, limits.RECORD).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    if provider == "libvirt":
        command = [programs.find("virsh", environ) or "virsh", "--connect", providers.uri(environ), "domstate", name]
        status, said = providers.ask(command, environ)
        return said.strip().replace("shut off", "shutoff").replace(" ", "_") if status == 0 else ""
    if provider != "docker":
        return ""
    with providers.engine(environ) as client:
        import docker

        try:
            return "running" if client.containers.get(name).attrs["State"]["Running"] else "stopped"
        except docker.errors.NotFound:
            return "not_created"


def running(app: str, context: Context) -> tuple[MachinePlace, State]:
    """The machine of an app that runs. Raises NoMachine."""
    where = folder.place(app)
    state = folder.load(where)
    found = machine_state(where, state, context)
    if found != "running":
        raise NoMachine(f"is {found.replace('_', ' ')}")
    return where, state


def take_away(where: MachinePlace, provider: str, context: Context) -> bool:
    """Destroy whatever there is of a machine and its folder; False when the provider does not let it."""
    try:
        if os.path.isdir(where.file("vagrant")):
            made(where, provider, None, context).destroy()
        forget_containers(where, provider, context.environ)
        folder.remove(where)
    except (StagerError, subprocess.SubprocessError, OSError):
        return False
    return True


def forget_containers(where: MachinePlace, provider: str, environ: Mapping[str, str]) -> None:
    """Remove containers that Vagrant was making when it was ended, and does not know of."""
    if provider != "docker":
        return
    with providers.engine(environ) as client:
        for container in client.containers.list(all=True, filters={"label": f"io.stager.machine={label(where)}"}):
            container.remove(force=True, v=True)


def label(where: MachinePlace) -> str:
    """What the machine of this folder is marked with."""
    from ...digest import sha256

    return sha256(os.fsencode(where.folder)).hex[:16]
