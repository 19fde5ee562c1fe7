"""The one model of what is inside a droplet, slug, image, box, plan or folder.

A *facet* that a kind of thing cannot have is None, never empty: a plan has no files, a box no packages that could be seen.
What is compared or reported is what both sides have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from ..digest import Digest
from ..formats.archive import Limits
from ..formats.gunzip import Gzipped
from ..formats.tar import BLOCK, GID, MTIME, UID
from ..formats.tar_reader import Keep, TarEntry, read_entries
from ..model import Artifact, Plan
from .ownership import APP, BASE, SKELETON, Owners, list_test

LAUNCH = ".stager/launch.json"
"""What a droplet launches, and what it is for: a file of its skeleton."""
KINDS = ("droplet", "slug", "image", "box", "plan", "folder")
"""What can be looked into."""


@dataclass(frozen=True, slots=True)
class Look:
    """What most entries of a layer have in common: of 200,000 files there are a few."""

    kind: str
    mode: int
    uid: int = UID
    gid: int = GID
    uname: str = ""
    gname: str = ""
    mtime: int = MTIME
    layer: str = ""


_look = lru_cache(4096)(Look)


@dataclass(frozen=True, slots=True)
class Item:
    """One entry: a file, folder or link.

    `path` is relative to the app folder; what lies outside it begins with `/`. `content` is the SHA-256 of a file's content,
    `form` a short digest of the entry's whole header, for what the other fields do not show: bytes, since there may be
    200,000 of each.
    """

    path: str
    look: Look
    size: int = 0
    content: bytes = b""
    link: str = ""
    form: bytes = b""
    end: int = 0
    """Where in its tar the entry ends."""

    def within(self, layer: str) -> Item:
        """The same in a layer of this name."""
        look = self.look
        of = (look.kind, look.mode, look.uid, look.gid, look.uname, look.gname, look.mtime, layer)
        return replace(self, look=_look(*of))

    @property
    def kind(self) -> str:
        """See `Look`."""
        return self.look.kind

    @property
    def mode(self) -> int:
        """See `Look`."""
        return self.look.mode

    @property
    def uid(self) -> int:
        """See `Look`."""
        return self.look.uid

    @property
    def gid(self) -> int:
        """See `Look`."""
        return self.look.gid

    @property
    def uname(self) -> str:
        """See `Look`."""
        return self.look.uname

    @property
    def gname(self) -> str:
        """See `Look`."""
        return self.look.gname

    @property
    def mtime(self) -> int:
        """See `Look`."""
        return self.look.mtime

    @property
    def layer(self) -> str:
        """See `Look`."""
        return self.look.layer

    @property
    def sha256(self) -> str:
        """The hex digest of a file's content; empty for what is none, or has not been hashed."""
        return self.content.hex()

    @property
    def executable(self) -> bool:
        """Whether any x bit is set: the one part of the mode that is content."""
        return bool(self.mode & 0o111)

    @property
    def outside(self) -> bool:
        """Whether it lies beside the app folder."""
        return self.path.startswith("/")


@dataclass(frozen=True, slots=True)
class Extent:
    """Compressed bytes inside a file: `size` of them at `offset`; they inflate to `length` bytes with CRC-32 `crc`."""

    path: str
    offset: int
    size: int
    length: int = 0
    crc: int = 0


Read = Callable[[dict[str, bytes]], Iterable[Item]]
"""Reads a layer's entries in their order, and puts the small files that say whose they are into the table."""


class LayerPart:
    """One layer: its names, where its compressed bytes lie, and how to read its entries.

    `digest` is that of the OCI blob, `diff_id` that of the tar; they are worked out, and the entries read, once and when they
    are asked for. Either may be empty where it cannot be had.
    """

    __slots__ = ("_diff_id", "_digest", "_items", "_read", "_tar", "end", "extent", "forms", "name", "records", "size")

    def __init__(
        self,
        name: str,
        read: Read,
        *,
        digest: str | Callable[[], str] = "",
        diff_id: str = "",
        size: int = 0,
        extent: Extent | None = None,
        tar: Callable[[], Iterator[bytes]] | None = None,
    ) -> None:
        self.name = name
        self._digest = digest
        self.size = size
        self.extent = extent
        self.records: dict[str, bytes] = {}
        """Small files that say which package the layer's other files belong to, by path."""
        self.end = 0
        """Where in its tar the last entry ends, once they have been read."""
        self.forms = ""
        """A digest of all entries' headers and contents, once they have been read."""
        self._diff_id = diff_id
        self._tar = tar
        self._read = read
        self._items: tuple[Item, ...] | None = None

    def walk(self) -> Iterator[Item]:
        """The layer's entries in their order, none of which is held: each walk reads them again. Raises BadArchive."""
        if self._items is not None:
            yield from self._items
            return
        records: dict[str, bytes] = {}
        state = hashlib.sha256()
        for item in self._read(records):
            state.update(item.form + item.content + item.end.to_bytes(8, "little"))
            self.end = item.end
            yield item
        self.records, self.forms = records, state.hexdigest()

    @property
    def items(self) -> tuple[Item, ...]:
        """The layer's entries in their order, from now on held. Raises BadArchive."""
        if self._items is None:
            self._items = tuple(self.walk())
        return self._items

    @property
    def digest(self) -> str:
        """The digest of the layer's OCI blob; empty when it is not known. Raises BadArchive."""
        if not isinstance(self._digest, str):
            self._digest = self._digest()
        return self._digest

    @property
    def diff_id(self) -> str:
        """The digest of the layer's tar, inflating it when nobody has said it; empty when that cannot be."""
        if not self._diff_id and self._tar is not None:
            state = hashlib.sha256()
            for part in self._tar():
                state.update(part)
            self._diff_id = f"sha256:{state.hexdigest()}"
        return self._diff_id

    @property
    def looked_into(self) -> bool:
        """Whether the entries have been read."""
        return bool(self.forms)

    def tar(self) -> Iterator[bytes]:
        """The layer's tar, read again; nothing where that cannot be."""
        return self._tar() if self._tar is not None else iter(())

    @property
    def stated_diff_id(self) -> str:
        """The digest of the layer's tar where it is known already."""
        return self._diff_id


@dataclass(frozen=True, slots=True)
class Package:
    """One package of the plan: `ecosystem` and `name` pair it with another version of itself."""

    ecosystem: str
    """The package URL's type: `pypi`, `npm`, `deb` …"""
    name: str
    version: str
    digest: str
    purl: str
    filename: str
    size: int | None
    places: tuple[str, ...]

    @classmethod
    def of(cls, artifact: Artifact) -> Package:
        """The package that an artifact of a plan is."""
        plain = artifact.purl.partition("?")[0].partition("#")[0]
        kind, _, rest = plain.removeprefix("pkg:").partition("/")
        name, _, version = rest.rpartition("@") if "@" in rest[1:] else (rest, "", "")
        return cls(
            kind,
            unquote(name),
            unquote(version),
            str(artifact.digest),
            artifact.purl,
            artifact.filename,
            artifact.size,
            artifact.paths,
        )


@dataclass(slots=True)
class Contents:
    """What one thing holds. `size` is its bytes on disk, `digest` its own (a folder's is its tree's)."""

    kind: str
    label: str
    """Its file or folder name, for people."""
    digest: Digest
    size: int
    plan: Plan | None = None
    processes: dict[str, str] | None = None
    env: dict[str, str] | None = None
    layers: tuple[LayerPart, ...] | None = None
    rest: LayerPart | None = None
    """What belongs to no layer: the Cloud Foundry envelope, or everything where layers are not known."""
    details: dict[str, str] = field(default_factory=dict)
    """Further facts of this kind, such as an image's user or a box's provider."""
    packing: dict[str, str] = field(default_factory=dict)
    """Facts of the envelope's bytes, such as a gzip header."""
    notes: tuple[str, ...] = ()
    whole: bool = True
    """False when the files are the app's own alone, as in a folder."""
    fetch: Callable[[Collection[str], int], Iterator[tuple[str, bytes]]] | None = None
    """Gives the bytes of the files at these paths, each of at most that many bytes; None where that cannot be."""

    archive: Callable[[], Iterator[bytes]] | None = None
    """The uncompressed archive, read again; None where there is not one."""
    gzip: Gzipped | None = None
    """How the file is, when it was to be read as far as possible: known once its entries have been walked through."""

    @property
    def has_files(self) -> bool:
        """Whether files can be compared at all."""
        return self.layers is not None or self.rest is not None

    @property
    def packages(self) -> tuple[Package, ...] | None:
        """The plan's artifacts as packages; None without a plan."""
        return None if self.plan is None else tuple(Package.of(one) for one in self.plan.artifacts)

    def parts(self) -> tuple[LayerPart, ...]:
        """The layers, then what belongs to none, in the order of the archive."""
        return (*(self.layers or ()), *((self.rest,) if self.rest else ()))

    def items(self) -> Iterator[Item]:
        """Every entry of every part, in order; all are read. Raises BadArchive."""
        for part in self.parts():
            yield from part.items

    def walk(self) -> Iterator[Item]:
        """The same, none of which is held."""
        for part in self.parts():
            yield from part.walk()

    def records(self) -> dict[str, bytes]:
        """The package records of the parts that have been read, by path."""
        return {path: data for part in self.parts() for path, data in part.records.items()}

    def owners(self) -> Callable[[Item], str]:
        """Whose an entry is, for those of the parts that have been read (see `ownership`)."""
        owners = Owners(self.plan, self.records())
        if self.kind != "image":
            return lambda item: owners.of(item.path, item.kind, item.layer)
        # an image calls its layers as it likes; the skeleton is the one that describes the droplet
        first = next((part.name for part in self.parts() if LAUNCH in part.records), "")
        return lambda item: (
            BASE if item.outside else owners.of(item.path, item.kind, SKELETON if item.layer == first else "")
        )

    def of_app(self, items: Iterable[Item]) -> list[Item]:
        """The app's own files and links among the items; folders are left out, since a source tree has none of its own."""
        owner = self.owners()
        return [item for item in items if item.kind in ("file", "link") and not item.outside and owner(item) == APP]


def of_plan(plan: Plan) -> dict[str, Any]:
    """The facets that a plan alone has, as arguments of `Contents`."""
    return {
        "plan": plan,
        "processes": {process.type: process.command for process in plan.processes},
        "env": {variable.name: variable.value for variable in plan.env},
    }


def total(items: Iterable[Item]) -> int:
    """The bytes of all files."""
    return sum(item.size for item in items if item.kind == "file")


# --- from the entries of a tar --------------------------------------------------------------------------------


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


def item(entry: TarEntry, layer: str = "", *, formed: bool = True) -> Item:
    """An archive's entry in the model; unless `formed` without what only comparing two archives asks for."""
    state = hashlib.sha256(entry.header)
    for key, value in entry.pax:
        state.update(f"{key}={value}\0".encode("utf-8", "surrogateescape"))
    mode = entry.mode & 0o7777
    return Item(
        place(entry.name),
        _look(entry.kind, mode, entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime, layer),
        entry.size,
        bytes.fromhex(entry.sha256),
        entry.link,
        state.digest()[:8] if formed else b"",
        entry.offset + BLOCK + entry.size + -entry.size % BLOCK if formed else 0,
    )


def files(parts: Iterable[bytes], label: str, paths: Collection[str], most: int) -> Iterator[tuple[str, bytes]]:
    """The bytes of the files at these model paths; one of more than `most` bytes comes empty. Raises BadArchive."""
    keep = Keep(lambda name: place(name) in paths, most)
    for _ in read_entries(parts, label, contents=False, keep=keep):
        pass
    yield from ((place(name), data) for name, data in keep.taken().items())
