"""Errors of evidence: bundles, signatures, and staging again."""

from __future__ import annotations

from ..errors import IntegrityError, StagerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class BadEvidence(IntegrityError):
    """A receipt, attestation or key that is malformed, or says something else than what it stands beside."""

    code = "BadEvidence"

    def __init__(self, file: str, why: str, hint: str = "") -> None:
        super().__init__(why, hint or "Do not rely on it. Ask whoever made it for a new one.", where=file)


class NotAttested(IntegrityError):
    """Fewer trusted keys than demanded have signed that this droplet is what its source and plan say."""

    code = "NotAttested"

    def __init__(self, digest: str, found: int, wanted: int, rejected: Sequence[tuple[str, str]]) -> None:
        reasons = "; ".join(f"{name}: {why}" for name, why in rejected[:12])
        super().__init__(
            f"{digest}: {found} of {wanted} wanted signers agree" + (f" ({reasons})" if reasons else ""),
            "Do not deploy it until enough independent rebuilders have signed 'stager attest' for this digest.",
            found=found,
            wanted=wanted,
            rejected=[list(row) for row in rejected],
        )


class BadBundle(IntegrityError):
    """A bundle of inputs that is incomplete, altered, or made for another stager."""

    code = "BadBundle"

    def __init__(self, file: str, why: str, hint: str = "") -> None:
        super().__init__(
            why, hint or "Do not use it. Run 'stager bundle export' again and copy the whole file.", where=file
        )


class CannotRebuild(StagerError):
    """A droplet could not be staged again, so nothing is known about it.

    `exit_code` is the second staging's.
    """

    code = "CannotRebuild"
    exit_code = 70

    def __init__(self, why: str, hint: str = "", exit_code: int = 70) -> None:
        super().__init__(
            f"staging again failed: {why}", hint or "Run 'stager stage --locked' on the source: it has to work first."
        )
        self.exit_code = exit_code
