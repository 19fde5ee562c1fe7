"""Errors of making stacks."""

from __future__ import annotations

from ..errors import BuildpackError, TargetError, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class UnknownPackage(BuildpackError):
    """A stack asks for packages that its signed index does not have, or whose dependencies it cannot meet."""

    code = "UnknownPackage"

    def __init__(self, file: str, suite: str, names: Sequence[str], why: str = "") -> None:
        super().__init__(
            f"the signed index of {suite} has no {listing(names)}{why}",
            f"Correct {file}; packages of other suites cannot be mixed in.",
            where=file,
            names=list(names),
        )


class StackFailed(BuildpackError):
    """A root filesystem that could not be made of what its definition and lock say.

    `said` is the tool's own explanation.
    """

    code = "StackFailed"

    def __init__(self, stack: str, step: str, said: str, hint: str = "") -> None:
        super().__init__(
            f"stack {stack}: {step} failed: {said}", hint or "Correct its box.yml, lock it and build it again."
        )


class NoRoom(TargetError):
    """Too little memory or disk for what is being made.

    Sizes are in bytes.
    """

    code = "NoRoom"
    retryable = True

    def __init__(self, what: str, needed: int, there: int, of: str) -> None:
        super().__init__(
            f"{what} needs {needed // 1000000} MB of {of}; {there // 1000000} MB are free",
            f"Free some {of}, then run the same command again.",
            needed=needed,
            there=there,
        )


class NotBuilt(TargetError):
    """A stack's root filesystem or image that is not in the store."""

    code = "NotBuilt"

    def __init__(self, stack: str, architecture: str) -> None:
        super().__init__(
            f"the root filesystem of {stack} for {architecture} is not in the store",
            f"Run 'stager box build {stack} --arch {architecture}'.",
        )


class BadImage(TargetError):
    """An image or root filesystem that cannot be used: damaged, of an unknown form, or not made by stager."""

    code = "BadImage"

    def __init__(self, path: str, why: str, hint: str = "") -> None:
        super().__init__(why, hint or "Make it again with the tool that wrote it.", where=path)
