"""Everything a droplet holds, in one pass: which entries there are, their digests, and the texts worth reading."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from ...droplet.contents import Item, item
from ...droplet.reader import DropletFile
from ...ecosystems import ecosystems
from ...formats.errors import BadArchive
from ...formats.tar import ROOT

_LARGEST = 32 << 20
"""Bytes of one such text; a larger one is not read."""
_MOST = 512 << 20
"""Bytes of all of them."""


@dataclass(frozen=True, slots=True)
class HashedFiles:
    """All files and links in their order, the SHA-1 of each (empty for a link), and the metadata files' texts by path."""

    items: tuple[Item, ...]
    sha1: tuple[bytes, ...]
    texts: dict[str, bytes]

    @property
    def links(self) -> dict[str, str]:
        """Symbolic links of the app folder: path → where they lead."""
        return {one.path: one.link for one in self.items if one.link and not one.outside}


class _Tap:
    """Receives one file's bytes after the other's: hashes them, and keeps those of metadata."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._left = _MOST
        self._kinds = ecosystems()
        self.begin("")

    def begin(self, name: str) -> Callable[[bytes], None]:
        """The next file, by its name in the archive; what its bytes are to be given to."""
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._size = 0
        place = name.removeprefix(ROOT)
        self._kept: list[bytes] | None = [] if any(one.tells(place) for one in self._kinds) else None
        return self._add

    def _add(self, data: bytes) -> None:
        self._sha1.update(data)
        self._size += len(data)
        if self._kept is not None:
            self._kept.append(data)
            if self._size > _LARGEST:
                self._kept = None

    def end(self) -> tuple[bytes, bytes | None]:
        """The SHA-1 of the file, and its text where it is wanted. Raises BadArchive when there is too much text."""
        if self._kept is None:
            return self._sha1.digest(), None
        self._left -= self._size
        if self._left < 0:
            raise BadArchive(self._label, f"has more than {_MOST} bytes of package metadata")
        return self._sha1.digest(), b"".join(self._kept)


def read(droplet: DropletFile) -> HashedFiles:
    """Read a droplet. Raises BadArchive when a path is there twice, is not UTF-8, or is no file, folder or link."""
    items, sha1, texts = list[Item](), list[bytes](), dict[str, bytes]()
    seen, tap = set[str](), _Tap(droplet.name)
    for layer, entry in droplet.layered(also=tap.begin):
        _check(entry.name, entry.kind, droplet.name)
        _encodable(entry.link, droplet.name)
        one = item(entry, layer, formed=False)
        if one.path in seen:
            raise BadArchive(droplet.name, f"has {entry.name} twice")
        seen.add(one.path)
        if one.kind == "folder":
            continue
        digest = b""
        if one.kind == "file":
            if not one.size:
                tap.begin(entry.name)
            digest, text = tap.end()
            if text is not None:
                texts[one.path] = text
        items.append(one)
        sha1.append(digest)
    return HashedFiles(tuple(items), tuple(sha1), texts)


def _check(name: str, kind: str, label: str) -> None:
    _encodable(name, label)
    if kind not in ("file", "folder", "link"):
        raise BadArchive(label, f"holds {name!r}, which is neither a file nor a link nor a folder")


def _encodable(text: str, label: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadArchive(label, f"has a name that is not UTF-8: {text!r}") from None
