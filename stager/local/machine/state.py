"""What is kept beside an app about its machine: the folder `.stager/machine/`, and in it the state, as a value.

Vagrantfile     what Vagrant reads, unless one was ejected into the app's folder
droplet.tgz     what was last put into the machine
guest.tar       scripts, environments and settings for the machine
key, key.pub    this machine's own key
ssh_config      how to reach it
state.json      the values of `State`
made, seal      proof that this folder was made here, see `check`
ejected         is there when this user has taken the app's own Vagrantfile over

All of this decides what runs on this machine, as this user: a Vagrantfile is a program, an ssh configuration may name one.
So a folder that came with an app, or was copied, is not believed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from ...digest import canonical_json
from ...errors import CannotWrite, Unreadable
from ...files import limits, regular, writing
from ...planning.detection.appconfig import Health
from ...store.disk import why
from ...text import parsing
from ...text.typed import Node
from ..errors import BadMachine, MachineBusy, NoMachine

EJECTED = "ejected"
_MADE, _SEAL = "made", "seal"


@dataclass(frozen=True, slots=True)
class MachinePlace:
    """Where everything of an app's machine is; `app` is the absolute folder of the app."""

    app: str

    @property
    def folder(self) -> str:
        """The machine's folder."""
        return os.path.join(self.app, ".stager", "machine")

    def file(self, name: str) -> str:
        """A file of the machine's folder."""
        return os.path.join(self.folder, name)

    @property
    def ejected(self) -> str:
        """Where the app's own Vagrantfile is, if it has one."""
        return os.path.join(self.app, "Vagrantfile")

    def is_ejected(self) -> bool:
        """Whether the app's own Vagrantfile is in force: there, and taken over by this user on this machine."""
        return os.path.lexists(self.ejected) and os.path.lexists(self.file(EJECTED))

    def exists(self) -> bool:
        """Whether there is a machine, or the rest of one."""
        return os.path.isdir(self.folder)


@dataclass(frozen=True, slots=True)
class State:
    """What was last decided and done. `droplet` is the digest that the machine found, `source` that of the app's tree."""

    provider: str
    stack: str
    box: str
    """The stack's name or folder that the box was made of."""
    port: int
    like: str = "cloudfoundry"
    architecture: str = "amd64"
    driver: str = ""
    """libvirt's: `kvm` or `qemu`."""
    image: str = ""
    """The container image, or the box's catalog and version."""
    droplet: str = ""
    source: str = ""
    files: str = ""
    """The digest of the app's tree that is in the machine: dev mode brings files there without a new droplet."""
    laid: str = ""
    """The digest of what the machine was last made and set up from: its Vagrantfile and `guest.tar`."""
    processes: tuple[tuple[str, int], ...] = ()
    """(name such as `web.1`, its port inside)."""
    services: tuple[str, ...] = ()
    scale: dict[str, int] = field(default_factory=dict[str, int])
    env: dict[str, str] = field(default_factory=dict[str, str])
    secrets: dict[str, str] = field(default_factory=dict[str, str])
    drain: str = ""
    health: Health = field(default_factory=Health)

    @property
    def url(self) -> str:
        """Where the app's first web process answers; empty without one."""
        return f"http://127.0.0.1:{self.port}" if any(name == "web.1" for name, _ in self.processes) else ""


def place(app: str) -> MachinePlace:
    """The place of the app in a folder. Raises Unreadable when there is no such folder: it has no machine to tell of."""
    if not os.path.isdir(app):
        raise Unreadable(app, "there is no such folder", "Give the folder that holds the app.")
    return MachinePlace(os.path.abspath(app))


def check(where: MachinePlace) -> None:
    """Raise BadMachine for a machine's folder that was not made here.

    `seal` holds the inode and the time of change of the empty file `made`, which no archive, clone or copy can bring along.
    """
    top = os.path.dirname(where.folder)
    if os.path.lexists(where.folder) and (os.path.islink(top) or os.path.islink(where.folder) or not _is_own(where)):
        hint = "Remove that folder. If its machine still runs, end it with the provider's own program."
        raise BadMachine(where.folder, "came with the app or was copied: what it says is not believed", hint)


def _is_own(where: MachinePlace) -> bool:
    """Whether a folder is sealed, or was just made: then there is nothing in it."""
    try:
        sealed = regular.read(where.file(_SEAL), limits.RECORD, follow=False) == _mark(where)
        return sealed or set(os.listdir(where.folder)) <= {_MADE}
    except FileNotFoundError:
        return os.path.isdir(where.folder) and set(os.listdir(where.folder)) <= {_MADE}
    except OSError:
        return False


def _mark(where: MachinePlace) -> bytes:
    found = os.lstat(where.file(_MADE))
    return f"{found.st_ino} {found.st_ctime_ns}\n".encode()


def prepare(where: MachinePlace) -> None:
    """Make the machine's folder, for this user alone. Raises CannotWrite, and BadMachine as `check` does."""
    top = os.path.join(where.app, ".stager")
    check(where)
    try:
        os.makedirs(where.folder, exist_ok=True)
        if not os.path.exists(where.file(_SEAL)):
            publish(where.file(_MADE), b"")
            publish(where.file(_SEAL), _mark(where))
        os.chmod(where.folder, 0o700)
        if not os.path.exists(os.path.join(top, ".gitignore")):
            publish(os.path.join(top, ".gitignore"), b"*\n")
    except OSError as error:
        raise CannotWrite(where.folder, why(error)) from None


def remove(where: MachinePlace) -> None:
    """Remove the machine's folder, and `.stager` when nothing else is in it. Raises CannotWrite."""
    top = os.path.dirname(where.folder)
    try:
        shutil.rmtree(where.folder, ignore_errors=not where.exists())
        if os.path.isdir(top) and set(os.listdir(top)) <= {".gitignore"}:
            shutil.rmtree(top)
    except OSError as error:
        raise CannotWrite(where.folder, why(error)) from None


def publish(path: str, data: bytes, mode: int = 0o600) -> None:
    """Write a whole file or none. Raises CannotWrite."""
    writing.write(path, data, mode, exact=True)


def save(where: MachinePlace, state: State) -> None:
    """Keep the state. Raises CannotWrite."""
    publish(where.file("state.json"), canonical_json({**asdict(state), "version": 1}) + b"\n")


def load(where: MachinePlace) -> State:
    """The state of the app's machine. Raises NoMachine when there is none, BadMachine when it cannot be read or believed."""
    check(where)
    path = where.file("state.json")
    try:
        data = regular.read(path, limits.RECORD, follow=False)
    except FileNotFoundError:
        raise NoMachine("does not exist") from None
    except OSError as error:
        raise BadMachine(path, f"cannot be read: {error.strerror}") from None
    return _parsed(data, path)


def _parsed(data: bytes, path: str) -> State:
    try:
        loaded = parsing.json(data)
    except (ValueError, RecursionError):
        raise BadMachine(path, "is not JSON") from None
    node = Node(loaded, path, "", BadMachine)
    if node.int("version") != 1:
        raise BadMachine(path, "is of another version of stager")
    health = node.at("health")
    texts = (
        "provider",
        "stack",
        "box",
        "like",
        "architecture",
        "driver",
        "image",
        "droplet",
        "source",
        "files",
        "drain",
    )
    words = {key: node.str(key) for key in texts}
    return State(
        port=node.int("port"),
        processes=tuple((_pair(row)) for row in node.list("processes")),
        services=tuple(node.strings("services")),
        scale={key: _whole(child) for key, child in node.table("scale").items()},
        env={key: _text(child) for key, child in node.table("env").items()},
        secrets={key: _text(child) for key, child in node.table("secrets").items()},
        laid=node.str("laid", ""),
        health=Health(health.str("path"), health.str("command"), health.int("timeout")),
        **words,
    )


def _pair(node: Node) -> tuple[str, int]:
    value = node.value
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)):
        node.fail("expected a name and a port")
    return value[0], value[1]


def _whole(node: Node) -> int:
    value: Any = node.value
    return value if isinstance(value, int) else node.fail("expected a number")


def _text(node: Node) -> str:
    value: Any = node.value
    return value if isinstance(value, str) else node.fail("expected text")


@contextmanager
def alone(where: MachinePlace) -> Iterator[None]:
    """Hold the machine against other stagers. Raises MachineBusy at once when one has it."""
    try:
        descriptor = os.open(where.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotWrite(where.folder, why(error)) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MachineBusy(where.folder) from None
        yield
    finally:
        os.close(descriptor)
