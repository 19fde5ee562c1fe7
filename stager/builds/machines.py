"""Which machine can run a build: one of the processor that the droplet is for, with a sandbox."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from ..errors import NeedsBuild, UsageError
from ..files.errors import NoSandbox, ProgramMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def check(name: str, architecture: str) -> None:
    """Raise NeedsBuild when the build `name` for an architecture, in Debian's word, does not run here."""
    machine = platform.machine()
    here = _NAMES.get(machine, machine)
    if here != architecture:
        hint = (
            f"Stage on a machine of that architecture, or for --arch {here}. What another machine built is used where its "
            "store or its bundle is."
        )
        raise NeedsBuild([(name, f"only {architecture} can run this build, and this machine is {here}")], hint)


def check_sandbox(engine: Mapping[str, str] | None) -> None:
    """Raise NoSandbox, with the remedy, when this machine gives none; `engine` is as in `sandbox.Job`.

    For what is sure to be built, so that nobody learns of it after the lock is made.
    """
    from ..sandbox import engines, remedies, running
    from ..sandbox.errors import EngineFailed

    attempts: list[tuple[str, str]] = []
    try:
        way, failed = running.possible()
        if way:
            return
        attempts += failed
    except ProgramMissing as missing:
        attempts.append(("with bubblewrap", missing.message))
    if engine is not None:
        try:
            with engines.connected(engine, UsageError("a container engine needs the docker SDK", "")):
                return
        except (EngineFailed, UsageError) as error:
            attempts.append(("in a container", error.message))
    raise NoSandbox(running.PURPOSE, attempts, remedies.remedy(attempts))
