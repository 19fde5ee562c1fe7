"""Cloud Foundry: the droplet file, checked, as the platform's launcher and `cf push --droplet` take it.

A droplet of `stager stage` carries the platform's envelope already; the export is therefore the file itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...droplet.reader import DropletFile
from ...files.writing import never
from ...store.errors import DigestMismatch
from .. import Exported
from ..cutting import file_parts, gunzipped, layer_ids
from ..envelopes import publishing
from .preflight import LARGEST, check


def export(droplet: DropletFile, out: str, options: Mapping[str, Any]) -> Exported:
    """Check a droplet and write it to `out` as `cf push --droplet` and the API take it.

    Options: `store` remembers checks, `limit` is the largest size in bytes. Raises Unfit, TooLarge, CannotWrite, and
    DigestMismatch when the droplet changed meanwhile.
    """
    found = check(droplet, limit=options.get("limit") or LARGEST, store=options.get("store"))
    with publishing(out, options.get("stop", never)) as sink:
        for part in file_parts(droplet.path):
            sink.write(part)
        if sink.digest != droplet.digest:
            hint = "It changed while it was read; export again."
            raise DigestMismatch(f"droplet {droplet.name}", droplet.digest, sink.digest, hint)
    ids = tuple(layer.diff_id for layer in droplet.layers)
    return Exported("cloudfoundry", os.path.abspath(out), droplet.digest, droplet.size, ids, found.notes)


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the droplet's layers in an exported file. Raises Unreadable, BadArchive."""
    return layer_ids(gunzipped(file_parts(path), path), path)
