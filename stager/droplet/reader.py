"""Reading a droplet file: its facts, plan and entries, and its layers as the blobs that every target ships.

A droplet's layers are byte ranges of the file (docs/droplet-format.md §4, §5): its own `.stager/layers.json` says how long
each is, so nothing but the file is needed to cut it. A layer's OCI blob is the range between a gzip header and trailer.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from ..digest import Digest
from ..errors import CannotWrite, Unreadable
from ..files import regular
from ..formats import codec
from ..formats.errors import BadArchive
from ..formats.gunzip import drained, inflated
from ..formats.tar import BLOCK, ROOT
from ..formats.tar_reader import Sink, TarEntry, read_entries
from ..model import Layer, LockedPlan, Plan
from ..planning import lockfile
from ..store import Store
from ..text import parsing
from ..text.typed import Node
from . import incremental, mistaken
from .errors import NotADroplet
from .launch import LAYERS, LaunchInfo
from .ownership import APP_LAYER, BEHIND, SKELETON

_FACTS = (".stager/launch.json", LAYERS, ".stager/stager.lock")
_BUFFER = 1 << 20
LARGEST = 8 << 30
"""Bytes of a droplet file that is read. An app has at most 4 GiB (`tree.walk`), and no platform takes a larger droplet."""
_SMALL = 1 << 26
"""The most bytes of a file that `read` returns, and of a skeleton that is searched."""
_LAST = len(codec.trailer(0, 0))
DAMAGED = "It was changed or cut short after it was made, or is another stager's: copy it again, or stage again."
"""How to mend a file that was a droplet."""


@dataclass(frozen=True, slots=True)
class LayerRange:
    """A layer inside the file: `size` bytes of deflate runs at `offset`, `length` bytes of tar with CRC-32 `crc`."""

    offset: int
    size: int
    crc: int
    length: int


@dataclass(frozen=True, slots=True)
class DropletRecord:
    """What was learned of a droplet file when all of it was read; `parts` are by layer, both in the archive's order."""

    launch: LaunchInfo
    plan_text: str
    parts: Mapping[str, LayerRange]
    layers: tuple[Layer, ...]

    def to_json(self) -> dict[str, Any]:
        """What a store keeps of it: `layers` are [name, range, [digest, diffID]]."""
        ranges = {name: [part.offset, part.size, part.crc, part.length] for name, part in self.parts.items()}
        rows = [[one.name, ranges[one.name], [one.digest, one.diff_id]] for one in self.layers]
        return {"facts": self.launch.to_json(), "plan": self.plan_text, "layers": rows}

    @classmethod
    def from_json(cls, record: Any, label: str) -> DropletRecord:
        """What `to_json` gave of the droplet `label`. Raises BadArchive."""
        parts = {name: LayerRange(*part) for name, part, _ in record["layers"]}
        layers = tuple(_layer(name, parts[name], Digest(ids[0]), Digest(ids[1])) for name, _, ids in record["layers"])
        return cls(LaunchInfo.from_json(record["facts"], label), record["plan"], parts, layers)


class Packed:
    """An open file that is joined as a droplet is, as bytes. Methods raise BadArchive when it is not."""

    def __init__(self, path: str, fd: int, size: int) -> None:
        self.path = path
        self.size = size
        self.name = os.path.basename(path)
        self._fd = fd

    def whole(self) -> Iterator[bytes]:
        """The file's own bytes, in parts."""
        yield from self.stretch(0, self.size)

    def stretch(self, offset: int, size: int) -> Iterator[bytes]:
        """So many of the file's bytes, in parts."""
        while size:
            part = os.pread(self._fd, min(_BUFFER, size), offset)
            if not part:
                raise BadArchive(self.name, "changed while it was read")
            yield part
            offset, size = offset + len(part), size - len(part)

    def inflated(self) -> Iterator[bytes]:
        """The whole uncompressed tar, the envelope and end marker included, in parts."""
        head = len(codec.HEADER)
        return inflated(self.stretch(head, self.size - head), self.name)


class DropletFile(Packed):
    """An open droplet file; use as a context manager. Made by `open_droplet`.

    `digest` and `size` are the file's; `launch` is its `launch.json`; `layers` are in the order of the archive.
    Methods raise BadArchive when the file's bytes are not what its own records say.
    """

    def __init__(self, path: str, fd: int, size: int, digest: Digest, record: DropletRecord) -> None:
        super().__init__(path, fd, size)
        self.digest = digest
        self.launch, self.parts, self.layers = record.launch, record.parts, record.layers
        self._plan_text = record.plan_text

    def __enter__(self) -> DropletFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    @property
    def plan(self) -> Plan:
        """The plan that the droplet was made from, as it carries it. Raises BadLock."""
        return self.locked.plan

    @cached_property
    def locked(self) -> LockedPlan:
        """That plan with its text and digest, parsed when it is first asked for. Raises BadLock."""
        return lockfile.loads(self._plan_text.encode())

    def blob(self, layer: Layer) -> Iterator[bytes]:
        """The layer's OCI blob: the gzip file whose SHA-256 is `layer.digest`, in parts."""
        part = self.parts[layer.name]
        yield codec.HEADER
        yield from self.runs(layer)
        yield codec.trailer(part.crc, part.length)

    def runs(self, layer: Layer) -> Iterator[bytes]:
        """The layer's deflate runs as they lie in the file, in parts."""
        part = self.parts[layer.name]
        yield from self.stretch(part.offset, part.size)

    def tar(self, layer: Layer) -> Iterator[bytes]:
        """The layer's uncompressed tar, whose SHA-256 is `layer.diff_id`, in parts; without an end-of-archive marker."""
        part = self.parts[layer.name]
        yield from checked(self.stretch(part.offset, part.size), part, self.name)

    def entries(self, *, contents: bool = True) -> Iterator[TarEntry]:
        """Every entry of the whole archive in its order, the envelope's included; hashed unless not `contents`."""
        return read_entries(self.inflated(), self.name, contents=contents)

    def layered(
        self,
        *,
        contents: bool = True,
        keep: Mapping[str, list[bytes]] | None = None,
        also: Callable[[str], Sink] | None = None,
    ) -> Iterator[tuple[str, TarEntry]]:
        """As `entries`, each with the name of its layer, which behind the layers is `ownership.BEHIND`.

        `keep` and `also` are those of `read_entries`.
        """
        names = [*self.parts, BEHIND]
        ends = list(accumulate(part.length for part in self.parts.values()))
        for entry in read_entries(self.inflated(), self.name, contents=contents, keep=keep, also=also):
            yield names[bisect_right(ends, entry.offset)], entry

    def read(self, path: str) -> bytes:
        """A file of at most 64 MiB by its path in the app folder (`.stager/launch.json`). Raises BadArchive if absent."""
        kept: dict[str, list[bytes]] = {ROOT + path: []}
        for entry in read_entries(self.inflated(), self.name, contents=False, keep=kept):
            if entry.name == ROOT + path and entry.kind == "file" and entry.size <= _SMALL:
                return b"".join(kept[entry.name])
        raise BadArchive(self.name, f"has no file {path}")


def open_droplet(path: str, store: Store | None = None) -> DropletFile:
    """Open a droplet file and cut it into its layers.

    What a `store` remembers of this very file spares inflating it. Raises NoDroplet, Unreadable, NotADroplet, and
    BadArchive for what is one and has been damaged.
    """
    try:
        fd = regular.descriptor(path)
    except OSError as error:
        raise mistaken.unopened(path, error) from None
    try:
        size = os.fstat(fd).st_size
        if os.pread(fd, len(codec.HEADER), 0) != codec.HEADER:  # before all of it is read, whatever its size
            mistaken.check_droplet(path)
            raise NotADroplet(path, "it does not begin as one")
        if size > LARGEST:
            raise BadArchive(os.path.basename(path), f"is no droplet: it is larger than {LARGEST >> 30} GiB")
        digest = _digest(fd, path, store)
        return DropletFile(path, fd, size, digest, _record(Packed(path, fd, size), digest, store))
    except BadArchive as error:
        os.close(fd)
        error.hint = error.hint if isinstance(error, NotADroplet) else DAMAGED
        raise
    except BaseException:
        os.close(fd)
        raise


def _digest(fd: int, path: str, store: Store | None) -> Digest:
    """The file's digest; what a store noted of this very file, untouched since, is not computed again."""
    if store and (known := incremental.known_digest(path, store)):
        return Digest(f"sha256:{known}")
    before = _changing(fd)
    state = hashlib.sha256()
    buffer = memoryview(bytearray(_BUFFER))
    try:
        while count := os.readv(fd, [buffer]):
            state.update(buffer[:count])
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from None
    if store and _changing(fd) == before:
        incremental.note_digest(path, store, state.hexdigest())
    return Digest("sha256:" + state.hexdigest())


def _changing(fd: int) -> tuple[int, int, int]:
    """What differs when a file was written to; its access time also does when it was only read."""
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _record(packed: Packed, digest: Digest, store: Store | None) -> DropletRecord:
    """What the file with this digest holds, remembered if possible."""
    memo = store.recall("opened", digest.hex) if store else None
    if memo is not None:
        return DropletRecord.from_json(memo, packed.name)
    found = _read(packed, digest, store)
    if store:
        with suppress(CannotWrite):  # a memo may always be missing
            store.remember("opened", digest.hex, found.to_json())
    return found


def _read(packed: Packed, digest: Digest, store: Store | None) -> DropletRecord:
    """The same from the file itself; the digests of layers that the store assembled are known."""
    texts, places = cut(packed)
    made = incremental.layers_of_droplet(digest.hex, store) if store else ()
    known = {layer.name: (layer.digest, layer.diff_id) for layer in made}
    parts = dict(places)
    layers = tuple(_layer(name, part, *(known.get(name) or _identify(packed, part))) for name, part in parts.items())
    launch = launch_info(texts[_FACTS[0]], packed.name)
    return DropletRecord(launch, texts[_FACTS[2]].decode("utf-8", "replace"), parts, layers)


def _layer(name: str, part: LayerRange, digest: Digest, diff_id: Digest) -> Layer:
    return Layer(name, digest, diff_id, len(codec.HEADER) + part.size + _LAST)


def launch_info(text: bytes, label: str) -> LaunchInfo:
    """What a droplet's `launch.json` says. Raises BadArchive for what stager does not write."""
    return LaunchInfo.from_json(_json(text, label), label)


def _json(text: bytes, label: str) -> Any:
    try:
        return parsing.json(text, parsing.unique)
    except (ValueError, RecursionError):
        raise BadArchive(label, "one of its own records is no JSON") from None


def cut(droplet: Packed) -> tuple[dict[str, bytes], Iterator[tuple[str, LayerRange]]]:
    """The small files that describe a droplet, and its layers' places in order, which are worked out as they are taken."""
    texts, length = skeleton(droplet.inflated(), droplet.name)
    return texts, _parts(droplet, record_of(texts, droplet.name), length)


def skeleton(tar: Iterable[bytes], label: str) -> tuple[dict[str, bytes], int]:
    """The small files that describe a droplet, by path in the app folder, and the length of its skeleton's tar.

    Raises BadArchive.
    """
    kept: dict[str, list[bytes]] = {ROOT + path: [] for path in _FACTS}
    count = seen = end = 0
    for entry in read_entries(tar, label, contents=False, keep=kept):
        seen += 1
        end = entry.offset + BLOCK + (entry.size + BLOCK - 1) // BLOCK * BLOCK
        if entry.name == ROOT + LAYERS:
            found = _json(b"".join(kept[entry.name]), label)
            count = found.get("entries", 0) if isinstance(found, dict) else 0
        if seen == count or end > _SMALL:
            break
    if not count or seen != count or not all(kept.values()):
        raise BadArchive(label, "is no droplet, or one of an older format: its skeleton does not describe it")
    return {path: b"".join(kept[ROOT + path]) for path in _FACTS}, end


def record_of(texts: Mapping[str, bytes], label: str) -> Node:
    """What a droplet says of its layers. Raises BadArchive."""
    return Node(_json(texts[LAYERS], label), LAYERS, fail_with=lambda _, why: BadArchive(label, why))


def _parts(droplet: Packed, record: Node, length: int) -> Iterator[tuple[str, LayerRange]]:
    """Each layer's place, in order: the skeleton's is found, the plan's are stated, the app's is what is left."""
    part = _front(droplet, length)
    yield SKELETON, part
    position, seen = part.offset + part.size, {SKELETON, APP_LAYER}
    for node in record.list("layers"):
        name, size = node.str("name"), _count(node, "size")
        if not re.fullmatch("[a-z0-9-]{1,64}", name) or name in seen:
            node.fail("its name is none, or there twice")
        seen.add(name)
        yield name, LayerRange(position, size, _count(node, "crc", 0xFFFFFFFF), _count(node, "length"))
        position += size
    left = droplet.size - position - _count(record.at("envelope"), "size") - _count(record, "end") - _LAST
    if left < 0:
        raise BadArchive(droplet.name, f"{LAYERS} says that it is longer than it is")
    if left:
        crc, length = _measure(inflated(droplet.stretch(position, left), droplet.name, open_end=True))
        yield APP_LAYER, LayerRange(position, left, crc, length)


def _count(node: Node, key: str, most: int = 1 << 60) -> int:
    number: int = node.int(key)
    if not 0 <= number <= most:
        node.at(key).fail("is no size")
    return number


def _front(droplet: Packed, length: int) -> LayerRange:
    """The runs at the file's beginning that inflate to `length` bytes: they end with an empty stored block."""
    decoder, begin = zlib.decompressobj(-15), len(codec.HEADER)
    made = crc = done = 0
    for run, marked in _marked(droplet.stretch(begin, min(_SMALL, droplet.size - begin))):
        try:
            for out in drained(decoder, run):
                made, crc = made + len(out), zlib.crc32(out, crc)
                if made > length:
                    break
        except zlib.error:
            break
        done += len(run)
        if made == length and marked:
            return LayerRange(begin, done, crc, length)
        if made > length:
            break
    raise BadArchive(droplet.name, "its skeleton is not joined as stager joins pieces")


def _marked(parts: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The same bytes, cut behind each empty stored block; and whether one ends here."""
    mark, rest = codec.EMPTY_STORED, b""
    for part in parts:
        data, done = rest + part, 0
        while (at := data.find(mark, done)) >= 0:
            yield data[done : at + len(mark)], True
            done = at + len(mark)
        whole = max(done, len(data) - len(mark) + 1)  # a mark may begin in this part and end in the next
        yield data[done:whole], False
        rest = data[whole:]


def _identify(droplet: Packed, part: LayerRange) -> tuple[Digest, Digest]:
    """Digest and diffID of a layer, from its bytes."""
    packed, plain = hashlib.sha256(codec.HEADER), hashlib.sha256()

    def tapped() -> Iterator[bytes]:
        for data in droplet.stretch(part.offset, part.size):
            packed.update(data)
            yield data

    for data in checked(tapped(), part, droplet.name):
        plain.update(data)
    packed.update(codec.trailer(part.crc, part.length))
    return Digest(f"sha256:{packed.hexdigest()}"), Digest(f"sha256:{plain.hexdigest()}")


# --- checking --------------------------------------------------------------------------------------------------


def _measure(parts: Iterable[bytes]) -> tuple[int, int]:
    crc = length = 0
    for part in parts:
        crc, length = zlib.crc32(part, crc), length + len(part)
    return crc, length


def checked(runs: Iterable[bytes], part: LayerRange, label: str) -> Iterator[bytes]:
    """Inflate a layer's runs and make sure that they are what is said of them."""
    crc = length = 0
    for data in inflated(runs, label, open_end=True):
        crc, length = zlib.crc32(data, crc), length + len(data)
        if length > part.length:
            break
        yield data
    if (crc, length) != (part.crc, part.length):
        raise BadArchive(label, f"a layer is not what {LAYERS} says of it")
