"""From the entries of a tar to the items of the model, wherever the archive keeps the app folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator

from ...droplet.ownership import list_test
from ...formats.archive import Limits
from ...formats.tar import BLOCK, MTIME, UID
from ...formats.tar_reader import Entry, Keep, read_entries
from .contents import LAUNCH, Item

FACTS = (LAUNCH, ".stager/stager.lock", ".stager/layers.json")
"""The droplet's own records, by path in the app folder."""
LOOKING = Limits(bytes=1 << 40, ratio=1100)
"""What an archive may come to: everything that deflate can (its best ratio is 1032), as nothing is kept or unpacked."""
Kept = dict[str, bytes]


def place(name: str) -> str:
    """The model's path of an archive's name: relative to the app folder, or beginning with `/` outside it."""
    plain = name.removeprefix("./").strip("/")
    if plain == "app":
        return ""
    return plain.removeprefix("app/") if plain.startswith("app/") else f"/{plain}"


def name_of(item: Item) -> str:
    """How an entry is called in a droplet's archive."""
    name = f".{item.path}" if item.outside else f"./app/{item.path}".removesuffix("/")
    return f"{name}/" if item.kind == "folder" else name


def record_test() -> Callable[[str], bool]:
    """A test of names: whether a file says what others are, as the droplet's own records and packages' lists of files do."""
    is_list = list_test()

    def is_record(name: str) -> bool:
        path = place(name)
        return path in FACTS or path == "/staging_info.yml" or is_list(path)

    return is_record


def read(parts: Iterable[bytes], label: str, kept: Kept, layer: str = "") -> Iterator[Item]:
    """Every entry of an uncompressed tar as an item; in the end `kept` has the bytes of the records, by model path.

    Raises BadArchive.
    """
    keep = Keep(record_test())
    try:
        for entry in read_entries(parts, label, keep=keep):
            yield item(entry, layer)
    finally:
        kept |= {place(name): data for name, data in keep.taken().items()}


_USUAL = {number: number for number in (UID, MTIME, 0o664, 0o775)}
"""What most of 200,000 entries say in their headers, to be held once."""


def item(entry: Entry, layer: str = "") -> Item:
    """An archive's entry in the model."""
    mode = entry.mode & 0o7777
    state = hashlib.sha256(entry.header)
    for key, value in entry.pax:
        state.update(f"{key}={value}\0".encode("utf-8", "surrogateescape"))
    return Item(
        place(entry.name),
        entry.kind,
        _USUAL.get(mode, mode),
        entry.size,
        bytes.fromhex(entry.sha256),
        entry.link,
        _USUAL.get(entry.uid, entry.uid),
        entry.gid,
        entry.uname,
        entry.gname,
        _USUAL.get(entry.mtime, entry.mtime),
        state.digest()[:8],
        layer,
        entry.offset + BLOCK + entry.size + -entry.size % BLOCK,
    )


def files(parts: Iterable[bytes], label: str, paths: Collection[str], most: int) -> Iterator[tuple[str, bytes]]:
    """The bytes of the files at these model paths; one of more than `most` bytes comes empty. Raises BadArchive."""
    keep = Keep(lambda name: place(name) in paths, most)
    for _ in read_entries(parts, label, contents=False, keep=keep):
        pass
    yield from ((place(name), data) for name, data in keep.taken().items())
