"""Ports of this host that lead into a machine."""

from __future__ import annotations

from ...errors import UsageError
from ..errors import PortInUse
from ..running import chosen_port

HOST = "127.0.0.1"


def choose(wanted: int) -> int:
    """The port to forward: the `wanted` one, or any free one for 0. Raises as `check`, and UsageError for what is none."""
    if not 0 <= wanted < 65536:
        raise UsageError(f"--port {wanted} is no port", "Choose 1 to 65535.")
    return check(wanted, asked=True)


def check(port: int, *, asked: bool) -> int:
    """The port. Raises PortInUse when something listens on it, PortForbidden when this user may not."""
    return chosen_port(port, host=HOST, taken=lambda port: PortInUse(port, asked))
