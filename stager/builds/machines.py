"""Which machine can run a build: one of the processor that the droplet is for, since what is built is for that."""

from __future__ import annotations

import platform

from ..errors import NeedsBuild

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
