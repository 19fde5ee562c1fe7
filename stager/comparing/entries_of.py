"""From the entries of a tar to the items of the model, wherever the archive keeps the app folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator

from ..archive import Limits
from ..entries import Entry, read_entries
from ..tar import BLOCK
from .contents import Item

FACTS = (".stager/launch.json", ".stager/stager.lock", ".stager/layers.json")
"""The droplet's own records, by path in the app folder."""
MOST_RECORD = 8 << 20
"""Bytes of a kept file beyond which it is not believed to be one of ours."""
LOOKING = Limits(bytes=1 << 40, ratio=1100)
"""What an archive may come to: everything that deflate can (its best ratio is 1032), as nothing is kept or unpacked."""
Kept = dict[str, bytes]


class _Bounded(list[bytes]):
    """The parts of a kept file; one that is too large is let go of instead of filling the memory."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def append(self, part: bytes) -> None:
        """Keep a part, unless there are too many already."""
        self._left -= len(part)
        if self._left >= 0:
            super().append(part)
        else:
            self.clear()


class Keep(dict[str, list[bytes]]):
    """Which files' bytes `read_entries` is to keep: it asks by name, and the names are not known before."""

    def __init__(self, wanted: Callable[[str], bool], most: int = MOST_RECORD) -> None:
        super().__init__()
        self._wanted = wanted
        self._most = most

    def __bool__(self) -> bool:
        return True

    def get(self, key: str, default: object = None) -> list[bytes] | None:  # type: ignore[override]  # noqa: ARG002
        """A list for the file's bytes, or None. A path that comes twice counts as it came last."""
        if not self._wanted(key):
            return None
        self[key] = _Bounded(self._most)
        return self[key]


def place(name: str) -> str:
    """The model's path of an archive's name: relative to the app folder, or beginning with `/` outside it."""
    plain = name.removeprefix("./").strip("/")
    if plain == "app":
        return ""
    return plain.removeprefix("app/") if plain.startswith("app/") else f"/{plain}"


def is_record(name: str) -> bool:
    """Whether a file says what others are: the droplet's own records, and wheels' lists of files (PEP 376)."""
    path = place(name)
    return path in FACTS or path == "/staging_info.yml" or path.endswith(".dist-info/RECORD")


def read(
    parts: Iterable[bytes], label: str, layer: str = "", wanted: Callable[[str], bool] = is_record
) -> tuple[tuple[Item, ...], Kept]:
    """Every entry of an uncompressed tar as an item, and the bytes of the files that are `wanted`, by model path.

    Raises BadArchive.
    """
    keep = Keep(wanted)
    items = tuple(item(entry, layer) for entry in read_entries(parts, label, keep=keep))
    return items, {place(name): b"".join(found) for name, found in keep.items()}


def item(entry: Entry, layer: str = "") -> Item:
    """An archive's entry in the model."""
    state = hashlib.sha256(entry.header)
    for key, value in entry.pax:
        state.update(f"{key}={value}\0".encode("utf-8", "surrogateescape"))
    return Item(
        place(entry.name),
        entry.kind,
        entry.mode & 0o7777,
        entry.size,
        entry.sha256,
        entry.link,
        entry.uid,
        entry.gid,
        entry.uname,
        entry.gname,
        entry.mtime,
        state.hexdigest()[:16],
        layer,
        entry.offset + BLOCK + entry.size + -entry.size % BLOCK,
    )


def files(parts: Iterable[bytes], label: str, paths: Collection[str], most: int) -> Iterator[tuple[str, bytes]]:
    """The bytes of the files at these model paths; one of more than `most` bytes comes empty. Raises BadArchive."""
    keep = Keep(lambda name: place(name) in paths, most)
    for _ in read_entries(parts, label, contents=False, keep=keep):
        pass
    yield from ((place(name), b"".join(found)) for name, found in keep.items())
