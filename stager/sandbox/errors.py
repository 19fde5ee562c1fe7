"""Errors of what sandboxes are made with."""

from __future__ import annotations

from ..errors import TargetError


class EngineFailed(TargetError):
    """A container engine that does not answer, or does not take an image."""

    code = "EngineFailed"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the container engine failed: {why}",
            "See that it runs and that DOCKER_HOST names it; 'docker version' shows both.",
        )
