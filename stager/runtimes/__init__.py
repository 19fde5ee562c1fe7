"""What a droplet carries to run an app: interpreters and servers, one module each with a frozen record of what is special.

Every request for a version must be satisfied, and the files must run on the stack: nothing is substituted silently. What
`stager.lock` holds already is kept while it satisfies the app, so that no deploy changes a runtime by itself.

The registry names modules instead of importing them: an app uses one or two.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from ..errors import UsageError

if TYPE_CHECKING:
    from .record import RuntimeKind

MODULES = {
    "python": "stager.runtimes.python",
    "node": "stager.runtimes.node",
    "npm": "stager.runtimes.npm",
    "pnpm": "stager.runtimes.pnpm",
    "yarn": "stager.runtimes.yarn",
    "bun": "stager.runtimes.bun",
    "nginx": "stager.runtimes.nginx",
}
"""A runtime's name → the module with its `RUNTIME`, in the order of droplets' layers and of the buildpacks that bring them."""


def kind(name: str) -> RuntimeKind:
    """The record of a runtime. Raises UsageError for a name that is not in `MODULES`."""
    if name not in MODULES:
        message = f"no runtime is called {name!r}"
        raise UsageError(message)
    return cast("RuntimeKind", import_module(MODULES[name]).RUNTIME)


def known(name: str) -> RuntimeKind | None:
    """The record of a runtime; None for a name that is not in `MODULES`."""
    return kind(name) if name in MODULES else None


def of_layout(layout: str) -> RuntimeKind | None:
    """The runtime that artifacts of a layout make up; None for a package's."""
    return next((one for one in kinds() if layout in one.layouts), None)


def places() -> dict[str, RuntimeKind]:
    """Folder of the app → the runtime that it is of, in the order of droplets' layers."""
    return {one.place: one for one in kinds() if one.place}


def compiled_of(path: str) -> str:
    """The path of the file whose bytecode a path of the app is that of; empty when it is none's."""
    return next((found for one in kinds() if one.bytecode and (found := one.bytecode.source(path))), "")


def kinds() -> tuple[RuntimeKind, ...]:
    """Every runtime there is."""
    return tuple(map(kind, MODULES))
