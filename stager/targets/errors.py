"""Errors that platforms share."""

from __future__ import annotations

from ..errors import TargetError


class Unfit(TargetError):
    """A droplet that a platform would take but could not run."""

    code = "Unfit"

    def __init__(self, what: str, platform: str, why: str, hint: str) -> None:
        super().__init__(f"{what} would not run on {platform}: {why}", hint)


class LoginFailed(TargetError):
    """A platform's login that is missing, incomplete or not accepted."""

    code = "LoginFailed"

    def __init__(self, platform: str, why: str, hint: str, where: str = "") -> None:
        super().__init__(f"no login to {platform}: {why}", hint, where=where)


class Rejected(TargetError):
    """A platform that answered, and refused.

    `status` is the HTTP status, 0 when a later step failed.
    """

    code = "Rejected"

    def __init__(self, what: str, platform: str, why: str, hint: str = "", status: int = 0) -> None:
        super().__init__(f"{platform} refused {what}: {why}", hint or "Correct that and push again.", status=status)


class PlatformUnavailable(TargetError):
    """A platform that does not answer, or says that it cannot now."""

    code = "PlatformUnavailable"
    retryable = True

    def __init__(self, what: str, cause: str, hint: str = "") -> None:
        super().__init__(
            f"{what} failed: {cause}",
            hint or "Check the network and the platform's status, then run the same command again.",
        )


class TookTooLong(TargetError):
    """A platform's work that was not done within the time allowed for it.

    `seconds` is that time.
    """

    code = "TookTooLong"
    retryable = True

    def __init__(self, what: str, seconds: float, hint: str) -> None:
        super().__init__(f"{what} took longer than {seconds:g} seconds", hint, seconds=seconds)


class DeployFailed(TargetError):
    """What was pushed did not come to run."""

    code = "DeployFailed"

    def __init__(self, app: str, why: str, hint: str) -> None:
        super().__init__(f"{app} was not deployed: {why}", hint, app=app)
