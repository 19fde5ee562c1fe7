"""Handing an image to a container engine, through the docker SDK."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import UsageError
from ...sandbox.engines import answering, connected
from .compose import Shipment
from .layout import archive


def load(shipment: Shipment, name: str, environ: Mapping[str, str]) -> str:
    """Load an image into an engine: its ID there. Raises as `connected`.

    The archive is streamed; nothing is written to disk here.
    """
    hint = "Install it beside stager (pip install docker), or write an archive and use 'docker load'."
    without = UsageError("--load needs the Python package docker", hint)
    with connected(environ, without) as client, answering():
        return str(client.images.load(archive(shipment, name))[0].id)
