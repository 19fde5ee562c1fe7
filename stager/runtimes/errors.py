"""Errors of runtimes: versions that cannot be met."""

from __future__ import annotations

from ..errors import BuildpackError, SourceError, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class VersionError(SourceError):
    """A runtime version that is malformed, unknown or at the end of its life."""

    code = "VersionError"

    def __init__(self, runtime: str, wanted: str, why: str, hint: str, where: str = "") -> None:
        super().__init__(f"{runtime} {wanted}: {why}", hint, where=where, runtime=runtime, wanted=wanted)


class NoRuntime(BuildpackError):
    """No runtime fits what the app asks for on this stack."""

    code = "NoRuntime"

    def __init__(
        self, runtime: str, wanted: str, stack: str, available: Sequence[str], where: str = "", hint: str = ""
    ) -> None:
        super().__init__(
            f"no {runtime} {wanted} for stack {stack}",
            hint or f"Ask for one of: {listing(available)}.",
            where=where,
            available=list(available),
        )
