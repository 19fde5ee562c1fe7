"""SBOMs: what is in a droplet, as CycloneDX 1.6 or SPDX 2.3 JSON.

`inventory.take` reads the droplet itself, not somebody's list of what should be in it: every file is a component's or the
app's, or there is no SBOM. The documents are functions of the inventory: no clock, no random serial, keys sorted.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ...digest import canonical_json

if TYPE_CHECKING:
    from .components import Inventory

FORMATS = {"cyclonedx": "CycloneDX 1.6 JSON", "spdx": "SPDX 2.3 JSON"}
"""Format → what it is; each has a module of its name here, with `document(inventory, files) -> JSON value`."""
MEDIA_TYPES = {"cyclonedx": "application/vnd.cyclonedx+json", "spdx": "application/spdx+json"}


def dumps(found: Inventory, kind: str, *, files: bool = False) -> bytes:
    """The SBOM of an inventory in the format `kind`, as canonical JSON; with `files`, down to each file."""
    module = import_module(f"{__name__}.{kind}")
    return canonical_json(module.document(found, files))
