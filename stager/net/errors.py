"""Errors of the network: who cannot be reached, what is not there."""

from __future__ import annotations

from ..errors import FetchError, listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Unreachable(FetchError):
    """An index or file server that does not answer as it should."""

    code = "Unreachable"

    def __init__(self, what: str, cause: str, hint: str = "") -> None:
        super().__init__(
            f"{what} could not be fetched: {cause}",
            hint or "Check the network, the proxy and the index settings, then run the same command again.",
        )


class NotFound(FetchError):
    """An index that answers, but has no such page: a misspelt name, or another index."""

    code = "NotFound"
    retryable = False

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(f"{what} does not exist", hint or "Check the name and the index settings.")


class Gone(FetchError):
    """A pinned file that the index no longer has."""

    code = "Gone"
    retryable = False

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what} is pinned, but its index no longer has it", hint)


class BadSettings(FetchError):
    """The machine's own configuration of an index (pip.conf, .npmrc, an environment variable …) that cannot be used."""

    code = "BadSettings"
    retryable = False

    def __init__(self, place: str, why: str, hint: str = "") -> None:
        super().__init__(why, hint or f"Correct {place}.", where=place)


class NotCached(FetchError):
    """`--offline`, and an artifact is not in the store."""

    code = "NotCached"
    retryable = False

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"not in the store, and --offline is set: {listing(names)}",
            "Run the same command once without --offline, or import a store that has them.",
            names=list(names),
        )
