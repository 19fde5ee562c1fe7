"""What the configured registries say of a package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from stager.net.errors import NotFound, Unreachable
from stager.net.streaming import entries

if TYPE_CHECKING:
    from stager.ecosystems.record import Pages
    from stager.net.indexes import Indexes

ABBREVIATED = "application/vnd.npm.install-v1+json"
"""npm's short form of a packument."""


class NpmLookup:
    """A `Lookup` that asks the registries."""

    def __init__(self, pages: Pages, indexes: Indexes) -> None:
        self._pages, self._indexes = pages, indexes

    def version(self, name: str, version: str) -> Mapping[str, Any]:
        """The metadata of one published version. Raises NotFound when there is none, and other FetchErrors."""
        found: Any = None
        try:
            with self._pages.opened(f"{self._indexes.npm(name)}/{quote(name, safe='@')}", accept=ABBREVIATED) as page:
                for number, value in entries(page, "versions"):
                    found = value if number == version else found
        except ValueError:
            raise Unreachable(f"the registry's page of {name}", "it is not what npm's registry serves") from None
        if not isinstance(found, dict):
            raise NotFound(f"{name}@{version}")
        return found
