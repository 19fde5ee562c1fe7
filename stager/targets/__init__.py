"""Targets: the platforms a droplet is exported to. Each adds an envelope around the droplet's layers, never a change inside.

A target is one record (`record.Platform`) in its folder's `export`, which is imported when somebody asks for it.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import UsageError
from .record import Exported as Exported
from .record import Options as Options
from .record import Platform

TARGETS = {
    "oci": "oci",
    "openshift": "openshift",
    "cloudfoundry": "cloudfoundry",
    "heroku": "heroku",
    "bosh": "bosh",
    "tar": "plain",
    "systemd": "plain",
    "plain": "plain",
}
"""Every target's name and its folder here, in whose `export` its record has that name in capitals."""


def load(name: str) -> Platform[Any]:
    """The target `name`. Raises UsageError when there is no such target."""
    if name not in TARGETS:
        raise UsageError(f"there is no target {name!r}", f"Targets: {', '.join(TARGETS)}.")
    found: Platform[Any] = getattr(importlib.import_module(f"{__name__}.{TARGETS[name]}.export"), name.upper())
    return found
