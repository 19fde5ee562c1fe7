"""`guest.tar`: the scripts and settings that make a bare box the app's machine. A function of the state and the droplet."""

from __future__ import annotations

from collections.abc import Iterable

from ...stacks.tree import RootItem, Tree, write
from ...text import templates
from . import environment
from .state import State

EPOCH = 315532801
"""What everything in it is dated, as in a droplet: 1980-01-01T00:00:01Z."""
_SCRIPTS = (
    "again", "as", "configure", "finish", "log", "end", "run", "start", "states", "stop", "supervise", "sync", "unpack",
)  # fmt: skip
_PLAIN = ("logger", "stager.service")
SERVICES = ("postgresql", "redis")


def script(name: str) -> bytes:
    """One of the shipped scripts."""
    return templates.read(__file__, name)


def archive(state: State, app: str) -> bytes:
    """The tar for this state; `state.droplet` is the digest that the machine must find."""
    tree = Tree({"": RootItem("folder", 0o755)})
    for name in _SCRIPTS:
        tree.put(name, RootItem("file", 0o755, data=script(name)))
    for name in _PLAIN:
        tree.put(name, RootItem("file", 0o644, data=script(name)))
    for service in SERVICES:
        for name in ("run", "check"):
            tree.put(f"services/{service}/{name}", RootItem("file", 0o755, data=script(f"services/{service}/{name}")))
    for path, (data, mode) in settings(state, app).items():
        tree.put(path, RootItem("file", mode, data=data))
    parts: list[bytes] = []
    write(tree, EPOCH, parts.append)
    return b"".join(parts)


def settings(state: State, app: str) -> dict[str, tuple[bytes, int]]:
    """Path → (content, mode) of what differs from machine to machine."""
    found: dict[str, tuple[bytes, int]] = {
        "droplet.sha256": (f"{state.droplet.removeprefix('sha256:')}\n".encode(), 0o644),
        "etc/processes": (_lines([name for name, _ in state.processes]), 0o644),
        "etc/services": (_lines(state.services), 0o644),
        "etc/drain": (f"{state.drain}\n".encode() if state.drain else b"", 0o644),
        "etc/secrets/none": (b"", 0o600),
    }
    passwords = {name: state.secrets[name] for name in state.services}
    for name, password in passwords.items():
        found[f"etc/secrets/{name}"] = (f"{password}\n".encode(), 0o600)
    for name, port in (*state.processes, ("run.1", environment.FIRST_PORT)):
        values = environment.variables(name, port, state.like, app, passwords, state.env, state.droplet)
        found[f"etc/env.d/{name}"] = (environment.exports(values).encode(), 0o600)
    return found


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()
