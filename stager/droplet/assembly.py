"""Assembling a droplet: the part that the plan determines, then the app's own files, joined into one gzip member.

What the plan alone determines is a *base* (made by `base`, kept as a memo): layers of pieces with their sizes and
checksums. The app's files are cut into groups at paths chosen by a hash of the path, so that an edit touches one
group and an added file shifts no other. A restage rebuilds the changed group and joins; it opens no archive, parses no
lock and makes no socket. This module is on the warm path and imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from functools import partial

from ..digest import Digest, key_of
from ..errors import Cancelled
from ..files import writing
from ..formats import codec, tar
from ..records import Layer, Piece
from ..store import rules
from ..store.errors import StoreCorrupt
from . import linking, pieces
from .errors import PathConflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..records import Base
    from ..store import Store
    from ..tree import SourceTree

GROUPING = 32
"""A group of app files ends before every path whose CRC-32 is divisible by this."""
BUFFER = 1 << 20


class Damaged(Exception):
    """Blobs that a memo points at are missing or not what their names say; the memo is worth nothing."""

    def __init__(self, *blobs: str) -> None:
        super().__init__(*blobs)
        self.blobs = blobs


# --- the app's own pieces --------------------------------------------------------------------------------------


def groups(tree: SourceTree) -> Iterator[list[str]]:
    """The app's file paths in byte order, cut into groups by a rule that looks at each path alone."""
    group: list[str] = []
    for path in tree.files:
        if group and zlib.crc32(path.encode()) % GROUPING == 0:
            yield group
            group = []
        group.append(path)
    if group:
        yield group


def app_pieces(
    tree: SourceTree, base: Base, store: Store, known: Mapping[str, Piece], stop: Callable[[], bool]
) -> dict[str, Piece]:
    """The app layer's pieces: a skeleton of folders and links, then the groups.

    Each by its key, in their order; `known` are those of the last staging of the same folder. Raises
    PathConflict, UnsafeLinks, Cancelled, and Damaged when what is known of the base is not whole.
    """
    _check_conflicts(tree, base)
    if not linking.check(tree, base.linked, store):
        raise Damaged
    shared = set(base.folders)
    folders = [path for path in tree.folders() if path not in shared]
    made: dict[str, Piece] = {}
    if folders or tree.links:
        key = rules.key(store, "skeleton", folders, tree.links)
        build = partial(pieces.build, (), store, "the app's folders", skeleton(folders, tree.links), stop)
        made[key] = _piece(key, known, build, store, stop)
    for group in groups(tree):
        key = rules.key(store, "app", [(path, tree.files[path].executable, tree.files[path].digest) for path in group])
        made[key] = _piece(
            key, known, partial(pieces.build, _entries(tree, group), store, "the app", stop=stop), store, stop
        )
    return made


def _piece(
    key: str,
    known: Mapping[str, Piece],
    build: Callable[[], tuple[Piece, object]],
    store: Store,
    stop: Callable[[], bool],
) -> Piece:
    """A piece that is known, or that the store remembers, if it is still there; else it is built."""
    if stop():
        raise Cancelled
    piece = known.get(key)
    if piece is None and (record := store.recall("group", key)):
        piece = Piece.from_json(record)
    if piece is None or not store.has(piece.blob):
        piece, _ = build()
        store.remember("group", key, piece.to_json())
    return piece


def skeleton(folders: Iterable[str], links: Mapping[str, str]) -> bytes:
    """Tar headers of folders, then links; both in byte order."""
    parts = [tar.folder_header(path) for path in folders]
    parts += [tar.link_header(path, links[path]) for path in sorted(links, key=str.encode)]
    return b"".join(parts)


def _entries(tree: SourceTree, group: list[str]) -> Iterator[tar.PieceFile]:
    for path in group:
        file = tree.files[path]
        small = file.size <= codec.CHUNK
        content = tree.read_bytes(path) if small else tar.Parts(file.size, partial(tree.chunks, path))
        yield tar.PieceFile(path, content, file.executable)


def _check_conflicts(tree: SourceTree, base: Base) -> None:
    """No path twice in a droplet: not as two files, nor as a file here and a folder there."""
    for path in base.files:
        if path in tree.files or path in tree.links:
            raise PathConflict(path, ("the app", base.files[path]))
    for path in base.folders:
        if path in tree.files or path in tree.links:
            raise PathConflict(path, ("the app, as a file", "a folder of what the plan adds"))
    if base.files:
        for path in tree.folders():
            if path in base.files:
                raise PathConflict(path, ("the app, as a folder", base.files[path]))


# --- joining ---------------------------------------------------------------------------------------------------


def join(
    base: Base, app: Iterable[Piece], store: Store, out: str, stop: Callable[[], bool] = writing.never
) -> tuple[str, int, str]:
    """Write the droplet file; its hex SHA-256, its size, and the `prefix` that its base has. Reads and hashes every byte once.

    The base's bytes are the file's beginning, so one hash state serves both: copied where the base ends, it proves
    that no blob of the base has rotted. Raises Damaged for a blob that is missing or wrong, Cancelled, and CannotWrite
    for the rest.
    """
    with writing.Output(out, stop=stop) as output:
        return _write(_Sink(output, stop), base, app, store)


class _Sink:
    """A file being written, with its hash. Raises Cancelled before a write when `stop` says so."""

    __slots__ = ("buffer", "output", "size", "state", "stop")

    def __init__(self, output: writing.Output, stop: Callable[[], bool]) -> None:
        self.output = output
        self.stop = stop
        self.state = hashlib.sha256()
        self.size = 0
        self.buffer = memoryview(bytearray(BUFFER))

    def write(self, data: bytes | memoryview) -> None:
        if self.stop():
            raise Cancelled
        self.state.update(data)
        self.size += len(data)
        self.output.write(data)

    def copy(self, blob: str, size: int, store: Store, check: bool) -> None:
        """Append a blob; with `check`, make sure of its digest as well."""
        own = hashlib.sha256() if check else None
        done = 0
        try:
            source = store.open(blob)
        except StoreCorrupt:
            raise Damaged(blob) from None
        try:
            while count := self._fill(source, blob):
                part = self.buffer[:count]
                if own:
                    own.update(part)
                self.write(part)
                done += count
        finally:
            os.close(source)
        if done != size or (own and own.hexdigest() != blob):
            raise Damaged(blob)

    def _fill(self, source: int, blob: str) -> int:
        try:
            return os.readv(source, [self.buffer])
        except OSError:  # a bad disk
            raise Damaged(blob) from None


def _write(sink: _Sink, base: Base, app: Iterable[Piece], store: Store) -> tuple[str, int, str]:
    sink.write(codec.HEADER)
    for layer in base.layers:
        for piece in layer.pieces:
            sink.copy(piece.blob, piece.size, store, check=not base.prefix)
    prefix = sink.state.copy().hexdigest()
    if base.prefix and prefix != base.prefix and (rotten := _rotten(base, store)):
        raise Damaged(*rotten)  # if none is rotten, it is the remembered value that is wrong
    crc, length = base.crc, base.length
    for piece in [*app, base.envelope]:
        sink.copy(piece.blob, piece.size, store, check=True)
        crc, length = codec.crc32_combine(crc, piece.crc, piece.length), length + piece.length
    sink.write(bytes.fromhex(base.end))
    crc = codec.crc32_combine(crc, zlib.crc32(tar.END), len(tar.END))
    sink.write(codec.trailer(crc, length + len(tar.END)))
    return sink.state.hexdigest(), sink.size, prefix


def _rotten(base: Base, store: Store) -> list[str]:
    """Which of the base's blobs are damaged."""
    found = []
    for piece in base.pieces()[:-1]:
        try:
            with store.prove(piece.blob):
                continue
        except StoreCorrupt:
            found.append(piece.blob)
    return found


# --- layers ----------------------------------------------------------------------------------------------------


def measured(name: str, joined: Sequence[Piece], store: Store) -> Layer:
    """A layer of these pieces as an OCI blob: `digest` and `size` of its gzip file, `diff_id` of its tar. Remembered."""
    key = key_of("layer", codec.CODEC, [piece.blob for piece in joined])
    found = store.recall("measured", key)
    if found is None:
        found = _measure(joined, store)
        store.remember("measured", key, found)
    digest, diff_id, size = found
    return Layer(name, Digest(digest), Digest(diff_id), size)


def _measure(joined: Sequence[Piece], store: Store) -> tuple[str, str, int]:
    packed, plain = hashlib.sha256(codec.HEADER), hashlib.sha256()
    crc = length = 0
    size = len(codec.HEADER)
    for piece in joined:
        decoder = zlib.decompressobj(-15)
        try:
            for part in store.parts(piece.blob):
                packed.update(part)
                while part:
                    plain.update(decoder.decompress(part, 4 * BUFFER))
                    part = decoder.unconsumed_tail
        except (StoreCorrupt, zlib.error):
            raise Damaged(piece.blob) from None
        crc = codec.crc32_combine(crc, piece.crc, piece.length)
        length, size = length + piece.length, size + piece.size
    end = codec.trailer(crc, length)
    packed.update(end)
    return f"sha256:{packed.hexdigest()}", f"sha256:{plain.hexdigest()}", size + len(end)
