"""Container engines through the docker SDK: reaching one, and what it says when it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import UsageError
from .errors import EngineFailed


@contextmanager
def connected(environ: Mapping[str, str], without: UsageError, timeout: int = 60) -> Iterator[Any]:
    """The engine that `environ` names (`DOCKER_HOST`, `DOCKER_TLS_VERIFY` …), with `timeout` seconds for one answer.

    Raises EngineFailed when it cannot be reached, and what to say `without` the docker SDK.
    """
    try:
        import docker
    except ImportError:
        raise without from None
    with answering():
        client: Any = docker.from_env(environment=dict(environ), timeout=timeout)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def answering() -> Iterator[None]:
    """Turn whatever the SDK raises into EngineFailed."""
    import docker

    try:
        yield
    except (docker.errors.DockerException, OSError) as problem:  # what requests raises is an OSError, too
        text = str(getattr(problem, "explanation", None) or problem)
        raise EngineFailed((text.splitlines() or [type(problem).__name__])[0][:300]) from None
