"""Errors of this machine: what is missing on it."""

from __future__ import annotations

from ..errors import TargetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class ProgramMissing(TargetError):
    """A program of the system that is needed for this, and is not installed."""

    code = "ProgramMissing"

    def __init__(self, program: str, purpose: str, package: str) -> None:
        super().__init__(
            f"{program} is not installed; it is needed to {purpose}",
            f"Install it (on Debian: apt-get install {package}), then run the same command again.",
            program=program,
        )


class NoSandbox(TargetError):
    """This machine does not let stager make the namespaces it needs.

    Each attempt is there with the system's own words.
    """

    code = "NoSandbox"

    def __init__(self, purpose: str, attempts: Sequence[tuple[str, str]], hint: str = "") -> None:
        tried = "; ".join(f"{how}: {said}" for how, said in attempts)
        super().__init__(
            f"no namespaces to {purpose}: {tried}",
            hint
            or "Run as root; or allow user namespaces, install uidmap, give this user 65536 ids in /etc/subuid and "
            "/etc/subgid.",
            attempts=[list(row) for row in attempts],
        )
