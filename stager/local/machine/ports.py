"""Ports of this host."""

from __future__ import annotations

import socket

from ...errors import UsageError
from ..errors import PortForbidden, PortInUse
from ..running import free_port

HOST = "127.0.0.1"


def choose(wanted: int) -> int:
    """The port to forward: the `wanted` one, which must be free, or any free one. Raises PortInUse, UsageError."""
    if not wanted:
        return free_port()
    if not 0 < wanted < 65536:
        raise UsageError(f"--port {wanted} is no port", "Choose 1 to 65535.")
    check(wanted, asked=True)
    return wanted


def check(port: int, *, asked: bool) -> None:
    """Raise PortInUse when something listens on the port, PortForbidden when this user may not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise PortForbidden(port) from None
        except OSError:
            raise PortInUse(port, asked) from None
