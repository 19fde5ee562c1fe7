"""Handing an image to a container engine through the docker SDK."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import UsageError
from ..errors import EngineFailed
from .compose import Shipment
from .layout import archive


def load(shipment: Shipment, name: str, environ: Mapping[str, str]) -> str:
    """Load an image into the engine that `environ` names (`DOCKER_HOST`, `DOCKER_TLS_VERIFY` …): its ID there.

    The archive is streamed; nothing is written to disk here. Raises EngineFailed, UsageError without the docker SDK.
    """
    try:
        import docker
    except ImportError:
        hint = "Install it beside stager (pip install docker), or write an archive and use 'docker load'."
        raise UsageError("--load needs the Python package docker", hint) from None
    trouble = (docker.errors.DockerException, OSError)  # what requests raises is an OSError, too
    try:
        client: Any = docker.from_env(environment=dict(environ))
    except trouble as problem:
        raise EngineFailed(_first_line(problem)) from None
    try:
        loaded = client.images.load(archive(shipment, name))
        return str(loaded[0].id)
    except trouble as problem:
        raise EngineFailed(_first_line(problem)) from None
    finally:
        client.close()


def _first_line(problem: Exception) -> str:
    return str(problem).splitlines()[0][:300] if str(problem) else type(problem).__name__
