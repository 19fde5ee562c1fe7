"""A Heroku slug: the droplet's layers, byte for byte, as one gzipped tar without Cloud Foundry's envelope.

A slug is a tar.gz whose files lie under `./app`; what lies beside is ignored. The layers' deflate runs are copied as they are
(docs/droplet-format.md §5), so nothing is compressed again and the layers' bytes cannot change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...droplet.reader import DropletFile
from ...files.writing import never
from ...formats import tar
from .. import Exported
from ..cutting import file_parts, gunzipped, layer_ids
from ..envelopes import Gzip, publishing


def export(droplet: DropletFile, out: str, options: Mapping[str, Any]) -> Exported:
    """Write the slug to `out`; there are no options. Raises CannotWrite."""
    with publishing(out, options.get("stop", never)) as sink:
        slug = Gzip(sink.write)
        for layer in droplet.layers:
            part = droplet.parts[layer.name]
            slug.runs(droplet.runs(layer), part.crc, part.length)
        slug.add(tar.END)
        slug.finish()
    ids = tuple(layer.diff_id for layer in droplet.layers)
    return Exported("heroku", out, sink.digest, sink.size, ids)


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the droplet's layers in a slug. Raises Unreadable, BadArchive."""
    return layer_ids(gunzipped(file_parts(path), path), path)
