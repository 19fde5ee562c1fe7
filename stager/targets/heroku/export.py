"""A Heroku slug: the droplet's layers, byte for byte, as one gzipped tar without Cloud Foundry's envelope.

A slug is a tar.gz whose files lie under `./app`; what lies beside is ignored. The layers' deflate runs are copied as they are
(docs/droplet-format.md §5), so nothing is compressed again and the layers' bytes cannot change.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...droplet.cutting import layer_ids
from ...droplet.reader import DropletFile
from ...files import temporary, whole
from ...files.writing import never
from ...formats import tar
from ...formats.gunzip import gunzipped
from ...store.errors import DigestMismatch
from ..envelopes import Gzip, publishing
from ..record import DeployRequest, Exported, HeldDroplet, Options, Platform

if TYPE_CHECKING:
    from ...store import Store


def export(
    droplet: DropletFile,
    out: str,
    options: Options = Options(),  # noqa: ARG001,B008 - there are none
    *,
    store: Store | None = None,  # noqa: ARG001
    stop: Callable[[], bool] = never,
) -> Exported:
    """Write the slug to `out`. Raises CannotWrite."""
    with publishing(out, stop) as sink:
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
    return layer_ids(gunzipped(whole.parts(path), path), path)


def deploy(droplet: DropletFile, where: str, context: DeployRequest) -> HeldDroplet:
    """Release it on an app; the slug that runs states its SHA-256, and that slug's layers are read back from the file."""
    from ...net.indexes import Indexes
    from . import apps
    from .api import HerokuApi
    from .login import find
    from .push import ReleaseWaiting, SlugUpload, push

    network = Indexes.from_environment(context.environ, home=context.home)
    stopping = context.cancel.is_set if context.cancel is not None else never
    api = HerokuApi(find(context.environ, context.home), network, stopping=stopping)
    with temporary.folder("slug") as folder:
        made = export(droplet, os.path.join(folder, "slug.tgz"))
        offer = SlugUpload.of(made.path, made.size, made.digest, droplet.digest, droplet.launch)
        live = push(api, where, offer, ReleaseWaiting(), any_stack=context.any_stack, targets=context.targets)
        running = apps.slug(api, where, live.slug)
        if running.checksum != offer.checksum:
            raise DigestMismatch(f"heroku={where}", offer.checksum, running.checksum or "no checksum")
        held = layers(made.path)
    return HeldDroplet(
        f"{live.app} v{live.version}", held, "the app's slug has the checksum of the one with these layers"
    )


HEROKU = Platform("heroku", "write a Heroku slug", Options, export, layers, "slug.tgz", deploy)
