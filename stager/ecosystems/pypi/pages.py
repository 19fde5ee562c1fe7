"""Python's simple pages (PEP 503, PEP 691) of the configured indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from stager.net.errors import NotFound

from .lookup import IndexFile, Keep
from .simple import JSON, read_page

if TYPE_CHECKING:
    from stager.ecosystems.record import Pages
    from stager.net.indexes import Indexes


class PypiLookup:
    """A `Lookup` that asks the indexes."""

    def __init__(self, pages: Pages, indexes: Indexes) -> None:
        self._pages, self._indexes = pages, indexes

    def files(self, name: str, index: str = "", keep: Keep | None = None) -> list[IndexFile]:
        """The files of a project on one index, or on all configured ones in their order; empty when none has it.

        A caller must choose among them by digest: several indexes may offer the same name; with `keep`, others are not even
        held. Raises a FetchError.
        """
        found: list[IndexFile] = []
        for base in (index,) if index else self._indexes.pypi():
            try:
                found += self._page(f"{base.rstrip('/')}/{quote(name)}/", keep)
            except NotFound:
                continue
        return found

    def _page(self, url: str, keep: Keep | None) -> list[IndexFile]:
        with self._pages.opened(url, accept=JSON) as page:
            return read_page(page, url, keep)
