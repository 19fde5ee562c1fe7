"""Targets: the platforms a droplet is exported to. Each adds an envelope around the droplet's layers, never a change inside.

A target is one folder here, whose module `export` has two functions:

- `export(droplet, out, options) -> Exported` writes the platform's format to `out`;
- `layers(path) -> tuple[str, ...]` reads the diffIDs of the droplet's layers back from what was written.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..digest import Digest
from ..droplet.reader import DropletFile
from ..errors import UsageError

TARGETS: dict[str, str] = {
    "oci": "an OCI image, as a layout folder or one archive",
    "openshift": "the OCI image with OpenShift and Kubernetes manifests",
    "cloudfoundry": "the droplet as Cloud Foundry's launcher wants it",
    "heroku": "a Heroku slug",
    "bosh": "a BOSH release",
    "plain": "a tar and systemd units for a bare Debian machine",
}
"""Every target's name with a summary, in the order that help shows."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote: `digest` and `size` (bytes) of the file `path` (of its main document where it is a folder),
    and the diffIDs of the droplet's layers in it, in order."""

    target: str
    path: str
    digest: Digest
    size: int
    layers: tuple[str, ...]
    notes: tuple[str, ...] = ()


class Target(Protocol):
    """What the module `export` of every target offers."""

    def export(self, droplet: DropletFile, out: str, options: Mapping[str, Any]) -> Exported:
        """Write `droplet` in the platform's format. Raises a TargetError."""

    def layers(self, path: str) -> tuple[str, ...]:
        """The diffIDs of the droplet's layers, read back from an exported file or folder. Raises BadArchive."""


def load(name: str) -> Target:
    """The target `name`. Raises UsageError when there is no such target."""
    if name not in TARGETS:
        raise UsageError(f"there is no target {name!r}", f"Targets: {', '.join(TARGETS)}.")
    module: Any = importlib.import_module(f"{__name__}.{name}.export")
    return module  # type: ignore[no-any-return]
