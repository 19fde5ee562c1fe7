"""Everything a droplet holds, in two passes: which entries there are, then their digests and the texts worth reading."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from ..droplets import DropletFile
from ..errors import BadArchive
from ..tar import ROOT

_METADATA = re.compile(r".*\.dist-info/(?:METADATA|RECORD)|(?:.*/)?node_modules/(?:@[^/]+/)?[^/@][^/]*/package\.json")
_LARGEST = 32 << 20
"""Bytes of one such text; a larger one is not read."""
_MOST = 512 << 20
"""Bytes of all of them."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file or link: its path in the archive without `./`, the layer it is in, its size and digests, where it leads."""

    path: str
    layer: str
    size: int
    sha256: str
    sha1: str
    target: str

    @property
    def place(self) -> str:
        """The path in the app folder; of the envelope's files, nothing."""
        return self.path.removeprefix("app/") if self.path.startswith("app/") else ""


@dataclass(frozen=True, slots=True)
class Contents:
    """All files and links by their order in the archive, and the metadata files' texts by place."""

    held: tuple[Held, ...]
    texts: dict[str, bytes]


class _Tap(list[bytes]):
    """Receives a file's bytes: hashes them, and keeps them when they are wanted."""

    def __init__(self, keep: bool) -> None:
        super().__init__()
        self.sha1 = hashlib.sha1(usedforsecurity=False)
        self.keep = keep

    def append(self, data: bytes) -> None:
        self.sha1.update(data)
        if self.keep:
            super().append(data)


def read(droplet: DropletFile) -> Contents:
    """Read a droplet. Raises BadArchive when a path is there twice, is not UTF-8, or is no file, folder or link."""
    taps = _taps(droplet)
    held, texts = [], {}
    for layer, entry in droplet.layered(keep=taps):
        if entry.kind == "folder":
            continue
        path = entry.name.removeprefix("./")
        tap = taps.get(entry.name)
        held.append(
            Held(path, layer, entry.size, entry.sha256, "" if tap is None else tap.sha1.hexdigest(), entry.link)
        )
        if tap is not None and tap.keep:
            texts[held[-1].place] = b"".join(tap)
    return Contents(tuple(held), texts)


def _taps(droplet: DropletFile) -> dict[str, _Tap]:
    """Name → what receives its bytes, for every file."""
    taps: dict[str, _Tap] = {}
    seen: set[str] = set()
    total = 0
    for entry in droplet.entries(contents=False):
        _check(entry.name, entry.kind, droplet.name)
        _encodable(entry.link, droplet.name)
        if entry.name in seen:
            raise BadArchive(droplet.name, f"has {entry.name} twice")
        seen.add(entry.name)
        if entry.kind == "file":
            keep = entry.size <= _LARGEST and _METADATA.fullmatch(entry.name.removeprefix(ROOT)) is not None
            total += entry.size if keep else 0
            if total > _MOST:
                raise BadArchive(droplet.name, f"has more than {_MOST} bytes of package metadata")
            taps[entry.name] = _Tap(keep)
    return taps


def _check(name: str, kind: str, label: str) -> None:
    _encodable(name, label)
    if kind not in ("file", "folder", "link"):
        raise BadArchive(label, f"holds {name!r}, which is neither a file nor a link nor a folder")


def _encodable(text: str, label: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadArchive(label, f"has a name that is not UTF-8: {text!r}") from None
