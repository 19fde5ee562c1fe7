"""Errors of images and registries."""

from __future__ import annotations

from ...errors import TargetError, UsageError, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class BadReference(UsageError):
    """The name of an image in a registry that cannot be one."""

    code = "BadReference"

    def __init__(self, text: str, why: str) -> None:
        super().__init__(
            f"{text!r} names no image: {why}", "Write HOST[:PORT]/NAME[:TAG][@DIGEST], such as localhost:5000/shop:1."
        )


class WrongBase(TargetError):
    """A base that the droplet cannot run on."""

    code = "WrongBase"

    def __init__(self, base: str, missing: Sequence[tuple[str, Sequence[str]]], command: str = "") -> None:
        lacks = "; ".join(f"{name} (for {listing(files, 3)})" for name, files in missing[:12])
        rest = f" and {len(missing) - 12} more" if len(missing) > 12 else ""
        again = f"run '{command}' in the app's folder" if command else "stage for this one"
        super().__init__(
            f"the droplet needs what this base does not have: {lacks}{rest}",
            f"Choose a base of the stack the droplet was staged for, {again}, or name what the app does without by "
            "--allow-missing.",
            where=base,
            missing={name: list(files) for name, files in missing},
        )


class WrongArchitecture(TargetError):
    """A base, or a second droplet, of an architecture that does not fit."""

    code = "WrongArchitecture"

    def __init__(self, what: str, wanted: str, found: str) -> None:
        super().__init__(
            f"is for {found or 'an unknown architecture'}, the droplet is for {wanted}",
            f"Choose one for {wanted}, or stage with --arch.",
            where=what,
        )


class RegistryError(TargetError):
    """A registry that did not do what it was asked."""

    code = "RegistryError"


class RegistryDown(RegistryError):
    """A registry that cannot be reached, or does not answer as one should.

    `lasting` when time will not mend that.
    """

    code = "RegistryDown"

    def __init__(self, what: str, cause: str, hint: str = "", *, lasting: bool = False) -> None:
        super().__init__(
            f"{what}: {cause}",
            hint
            or "Check the registry's name, the network and the proxy, then run the same command again: "
            "what has arrived is not sent again.",
        )
        self.retryable = not lasting


class RegistryRefused(RegistryError):
    """A registry that understood and said no.

    `said` is its own explanation.
    """

    code = "RegistryRefused"

    def __init__(self, what: str, status: int, said: str = "", hint: str = "") -> None:
        super().__init__(
            f"{what}: the registry answered {status}" + (f" ({said})" if said else ""),
            hint or "Check the name of the image, the registry's rules and your rights there.",
            status=status,
        )


class AccessDenied(RegistryError):
    """A registry that wants other credentials, or any."""

    code = "AccessDenied"

    def __init__(self, what: str, host: str, why: str) -> None:
        super().__init__(
            f"{what}: {why}",
            f"Run 'docker login {host}' with an account that may do this, or correct Docker's config.json.",
        )


class RegistryFull(RegistryError):
    """A registry without room for what is pushed."""

    code = "RegistryFull"

    def __init__(self, what: str, host: str, said: str = "") -> None:
        super().__init__(
            f"{what}: the registry {host} has no room left" + (f" ({said})" if said else ""),
            "Free some space there or raise the quota, then run the same command again.",
        )
