"""Reading a project's simple page: JSON (PEP 691, PEP 700) or HTML (PEP 503, PEP 592, PEP 658)."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from typing import IO, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from stager.net.errors import Unreachable
from stager.net.streaming import STEP, entries

from .lookup import IndexFile, Keep

JSON = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
"""The Accept header: JSON if there is any."""


_LONGEST = 1 << 20
"""Characters of HTML that may be held without coming to the end of a tag or a text."""


def read_page(body: bytes | IO[bytes], url: str, keep: Keep | None = None) -> list[IndexFile]:
    """The files a page lists, their URLs made absolute against `url`; entries that are no files are left out.

    Of an open file no more is held than one entry, and the files to `keep`. Raises Unreachable for a page that is
    neither form.
    """
    page = BytesIO(body) if isinstance(body, bytes) else body
    read = _json if _begins_as_json(page) else _html
    return [file for file in read(page, url) if keep is None or keep(file)]


def _begins_as_json(page: IO[bytes]) -> bool:
    begin = page.tell()
    while (part := page.read(STEP)) and not (part := part.lstrip()):
        pass
    page.seek(begin)
    return part.startswith(b"{")


def _json(page: IO[bytes], url: str) -> Iterator[IndexFile]:
    try:
        for _, entry in entries(page, "files"):
            if isinstance(entry, dict) and (file := _file(entry, url)):
                yield file
    except ValueError:
        raise Unreachable(_name(url), "its index page is not what PEP 691 describes") from None


def _html(page: IO[bytes], url: str) -> Iterator[IndexFile]:
    parser, decoder = _Page(url), getincrementaldecoder("utf-8")("replace")
    while part := page.read(STEP):
        parser.feed(decoder.decode(part))
        if len(parser.rawdata) > _LONGEST:
            raise Unreachable(_name(url), "its index page has a tag or a text without an end")
        yield from parser.taken()
    parser.feed(decoder.decode(b"", True))
    parser.close()
    if not parser.html:
        raise Unreachable(_name(url), "its index page is neither JSON nor HTML")
    yield from parser.taken()


def _file(entry: dict[str, Any], url: str) -> IndexFile | None:
    name, place, hashes = entry.get("filename"), entry.get("url"), entry.get("hashes")
    if not isinstance(name, str) or not isinstance(place, str):
        return None
    known = hashes.items() if isinstance(hashes, dict) else ()
    size, requires = entry.get("size"), entry.get("requires-python")
    return _made(
        url,
        name,
        place,
        {key: value.lower() for key, value in known if isinstance(value, str)},
        size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        bool(entry.get("yanked")),
        requires if isinstance(requires, str) else "",
    )


def _made(
    base: str, name: str, place: str, hashes: dict[str, str], size: int | None, yanked: bool, requires: str
) -> IndexFile | None:
    try:
        absolute = urldefrag(urljoin(base, place)).url
        urlsplit(absolute).port  # noqa: B018 - asking is what finds a malformed one
    except ValueError:
        return None
    return IndexFile(name, absolute, hashes, size, yanked, requires)


class _Page(HTMLParser):
    """Every `<a href>` with a file name; `<base href>` is honoured, as pip does."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self._base = url
        self.files: list[IndexFile] = []
        self.html = False

    def taken(self) -> list[IndexFile]:
        """What has been found since the last time."""
        found, self.files = self.files, []
        return found

    def handle_decl(self, decl: str) -> None:
        self.html = self.html or decl.lower().startswith("doctype html")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.html = self.html or tag in ("html", "a", "body")
        if tag == "base" and given.get("href"):
            self._base = _absolute(self._base, given["href"])
        elif tag == "a" and given.get("href"):
            self._link(given)

    def _link(self, given: dict[str, str]) -> None:
        place, _, fragment = given["href"].partition("#")
        name = unquote(place.partition("?")[0].rpartition("/")[2])
        algorithm, _, value = fragment.partition("&")[0].partition("=")
        hashes = {algorithm: value.lower()} if value and algorithm.isalnum() else {}
        if name:
            requires = given.get("data-requires-python", "")
            made = _made(self._base, name, place, hashes, None, "data-yanked" in given, requires)
            self.files += [made] if made else []


def _absolute(base: str, place: str) -> str:
    try:
        return urljoin(base, place)
    except ValueError:
        return base


def _name(url: str) -> str:
    return f"the index page of {unquote(urlsplit(url).path.rstrip('/').rpartition('/')[2])}"
