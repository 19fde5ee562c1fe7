"""Image files as untrusted input: a layout folder, its archive, or what `docker save` writes, read without unpacking.

Every document is checked against the digest that names it, every layer while it is read.
Formats: OCI image-spec 1.1 (image-layout.md), Docker's image specification 1.2 (`manifest.json`).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...droplet import mistaken
from ...errors import StagerError, Unreadable, UsageError
from ...files import regular
from ...formats.errors import BadArchive
from ...formats.tar import BLOCK
from ...formats.tar_reader import read_entries
from ...stacks.errors import BadImage
from ...store.errors import DigestMismatch
from ...text import parsing
from ...text.typed import Node
from .compose import LAYER
from .image import Blob, Image
from .registry.descriptors import INDEXES, LARGEST, REF_NAME, Descriptor, ImageManifest, check, place, read_manifest

_BUFFER = 1 << 20
_DEEPEST = 4
"""Indexes inside indexes that are followed."""
_MOST = 1 << 16
_DOCKER_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER + "+gzip",
}
_LAYERS = {LAYER, LAYER + "+gzip", LAYER + "+zstd"}
_TITLE = "org.opencontainers.image.title"
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


class Source:
    """The files of a layout folder or of a tar, by name; open until the end of its `with` block, or until nobody has it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = os.path.basename(path.rstrip("/")) or path
        try:
            self._fd = os.open(path, regular.FOLDER) if os.path.isdir(path) else regular.descriptor(path)
        except OSError as error:
            raise Unreadable(path, error.strerror or str(error), "Check the name and its permissions.") from None
        self._close = weakref.finalize(self, os.close, self._fd)
        self.is_folder = stat.S_ISDIR(os.fstat(self._fd).st_mode)
        self._places = {} if self.is_folder else self._scan()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _scan(self) -> dict[str, tuple[int, int]]:
        """Where each file lies in the tar: name → (offset, size)."""
        found: dict[str, tuple[int, int]] = {}
        try:
            for entry in read_entries(self._parts(self._fd, 0, None), self.name, contents=False):
                name = entry.name.removeprefix("./").rstrip("/")
                if entry.kind == "file":
                    found[name] = (entry.offset + BLOCK, entry.size)
                elif entry.kind == "link":  # old Docker writes a layer that occurs twice as a link to the first
                    target = os.path.normpath(os.path.join(os.path.dirname(name), entry.link))
                    if target in found:
                        found[name] = found[target]
                if len(found) > _MOST:
                    raise BadImage(self.path, f"it holds more than {_MOST} files")
        except BadArchive as problem:
            kind = mistaken.what_is(self.path)
            why = problem.message.partition(": ")[2] if kind in ("", mistaken.TAR) else f"is {kind}"
            raise BadImage(self.path, f"it is no image: it {why}", _NAMED) from None
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return os.path.isfile(os.path.join(self.path, name)) if self.is_folder else name in self._places

    def size(self, name: str) -> int:
        """A file's size in bytes. Raises BadImage when there is no such file."""
        if not self.is_folder:
            return self._place(name)[1]
        with self._open(name) as fd:
            return os.fstat(int(fd)).st_size

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file's bytes in parts. Raises BadImage when there is no such file or it is cut short."""
        if not self.is_folder:
            yield from self._parts(self._fd, *self._place(name))
            return
        with self._open(name) as fd:
            yield from self._parts(int(fd), 0, None)

    def small(self, name: str) -> bytes:
        """A document of at most 4 MiB. Raises BadImage."""
        if self.size(name) > LARGEST:
            raise BadImage(self.path, f"{name} is larger than {LARGEST} bytes")
        return b"".join(self.chunks(name))

    def json(self, name: str) -> Node:
        """A JSON document. Raises BadImage."""
        return document(self.small(name), f"{self.name}/{name}")

    def blob(self, digest: str) -> bytes:
        """A document by its digest. Raises BadImage, DigestMismatch."""
        return check(self.small(place(digest)), digest, f"{self.name}: {place(digest)}", _REPLACE)

    def checked(self, name: str, digest: str) -> Iterator[bytes]:
        """A file's bytes in parts; raises DigestMismatch at the end when they are not what `digest` says."""
        state = hashlib.new(digest.partition(":")[0])
        for part in self.chunks(name):
            state.update(part)
            yield part
        if state.hexdigest() != digest.partition(":")[2]:
            raise DigestMismatch(
                f"{self.name}: {name}", digest, f"{digest.partition(':')[0]}:{state.hexdigest()}", _REPLACE
            )

    def _place(self, name: str) -> tuple[int, int]:
        if name not in self._places:
            raise BadImage(self.path, f"it has no {name}")
        return self._places[name]

    def _open(self, name: str) -> _Handle:
        return _Handle(self.path, name)

    def _parts(self, fd: int, offset: int, size: int | None) -> Iterator[bytes]:
        while size is None or size:
            try:
                part = os.pread(fd, _BUFFER if size is None else min(_BUFFER, size), offset)
            except OSError as error:
                raise Unreadable(self.path, error.strerror or str(error), "Check the disk.") from None
            if not part:
                if size:
                    raise BadImage(self.path, "it is cut short")
                return
            yield part
            offset, size = offset + len(part), size if size is None else size - len(part)


_NAMED = "Name a layout folder, its archive, or what 'docker save' wrote."
_REPLACE = "The file was changed or damaged after it was written. Do not use it; get it again."


class _Handle:
    """A regular file below a layout folder, opened for reading; links are not followed."""

    def __init__(self, folder: str, name: str) -> None:
        try:
            self._fd = regular.descriptor(os.path.join(folder, name), follow=False)
        except OSError as error:
            raise BadImage(folder, f"its file {name} cannot be read: {error.strerror}") from None

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


@dataclass(frozen=True, slots=True)
class Found:
    """An image in a source: `reference` is its manifest's digest (of `docker save`: its configuration's)."""

    reference: str
    config: Node
    layers: tuple[Blob, ...]
    annotations: Mapping[str, str]
    tag: str = ""

    @property
    def architecture(self) -> str:
        """Go's word, which is Debian's: `amd64`, `arm64`."""
        return str(self.config.str("architecture", ""))

    @property
    def settings(self) -> Node:
        """Its `config` member, empty when it has none."""
        found = self.config.get("config")
        return found if found and found.value else Node({}, self.config.file, "config", self.config.fail_with)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        labels = self.settings.get("Labels")
        if labels is None or labels.value is None:
            return {}
        return {name: node._as(str, "a string") for name, node in labels.members()}

    @property
    def env(self) -> list[str]:
        """Its variables: `NAME=VALUE`."""
        variables = self.settings.get("Env")
        return self.settings.strings("Env") if variables is not None and variables.value else []


def images(source: Source, digest: str = "") -> list[Found]:
    """The images in a source whose layers can be carried over into others: `every` one, and at least one.

    Raises BadImage, also for other layers, DigestMismatch.
    """
    found = every(source, digest)
    if not found:
        raise BadImage(source.path, "it holds no image")
    for kind in sorted({layer.media_type for one in found for layer in one.layers} - _LAYERS):
        raise BadImage(source.path, f"a layer has the media type {kind}, which cannot be carried over")
    return found


def every(source: Source, digest: str = "") -> list[Found]:
    """The images in a source, or those that `digest` names: a manifest's, or an index's with all below it.

    Raises BadImage for what is no image, DigestMismatch for one that is not what its name says.
    """
    try:
        if source.has("index.json"):
            return list(_from_layout(source, digest))
        if source.has("manifest.json"):
            return list(_from_docker(source, digest))
    except BadArchive as problem:
        raise BadImage(source.path, problem.message) from None
    raise BadImage(
        source.path, "it is no image: neither an OCI layout nor an archive of 'docker save'", "Check the name."
    )


def image_of(source: Source, wanted: str = "") -> Image:
    """The image (or index) of a layout, as it is; `wanted` is its digest or name where the layout holds several.

    Its blobs are read from `source` when they are needed. Raises UsageError when it is not clear which is meant, BadImage,
    DigestMismatch.
    """
    try:
        index = read_manifest(source.small("index.json"), "", f"{source.name}/index.json")
        fitting = [one for one in index.children if wanted in ("", one.digest, one.annotations.get(REF_NAME, ""))]
        if len({one.digest for one in fitting}) != 1:
            names = [f"{one.annotations.get(REF_NAME, '')} {one.digest}".strip() for one in index.children]
            hint = f"Name one with --image: {', '.join(names[:12])}." if names else "Export a droplet into it first."
            raise UsageError(f"{source.name} holds {len(fitting)} images that fit", hint)
        return _as_it_is(source, fitting[0], 0)
    except BadArchive as problem:
        raise BadImage(source.path, problem.message) from None


def _as_it_is(source: Source, row: Descriptor, depth: int) -> Image:
    manifest = _manifest(source, row, depth)
    children = tuple(_as_it_is(source, child, depth + 1) for child in manifest.children)
    blobs = (
        Blob(one.digest, one.size, one.media_type, partial(source.chunks, _held(source, one))) for one in manifest.blobs
    )
    return Image.of(manifest.raw, tuple(blobs), manifest.media_type, children)


def _from_layout(source: Source, digest: str) -> Iterator[Found]:
    index = read_manifest(source.small("index.json"), where=f"{source.name}/index.json")
    rows = [row for row in index.children if not digest or row.digest == digest]
    if digest and not rows:
        rows = [row for row in index.children if row.media_type in INDEXES]
        inner = [found for row in rows for found in _below(source, row, 1) if found.reference == digest]
        if not inner:
            listed = ", ".join(row.digest for row in index.children)
            raise DigestMismatch(source.name, digest, listed or "no image", "Check which image is meant.")
        yield from inner
        return
    for row in rows:
        yield from _below(source, row, 0)


def _below(source: Source, row: Descriptor, depth: int) -> Iterator[Found]:
    manifest = _manifest(source, row, depth)
    for child in manifest.children:
        if child.platform.startswith("linux/") or not child.platform:
            yield from _below(source, child, depth + 1)
    if manifest.blobs:
        yield _image(source, manifest, row.annotations)


def _manifest(source: Source, row: Descriptor, depth: int) -> ImageManifest:
    if depth > _DEEPEST:
        raise BadImage(source.path, f"it has more than {_DEEPEST} indexes inside each other")
    return read_manifest(source.blob(row.digest), row.media_type, f"{source.name}: {row.digest}")


def _image(source: Source, manifest: ImageManifest, named: Mapping[str, str]) -> Found:
    first, *rest = manifest.blobs
    config = document(source.blob(first.digest), f"{source.name}: {first.digest}")
    ids = _diff_ids(config, len(rest))
    layers = tuple(_layer(source, row, diff_id) for row, diff_id in zip(rest, ids, strict=True))
    tag = named.get("io.containerd.image.name") or named.get(REF_NAME, "")
    return Found(manifest.digest, config, layers, manifest.annotations, tag)


def _layer(source: Source, row: Descriptor, diff_id: str) -> Blob:
    name = _held(source, row)
    kind, title = _DOCKER_LAYERS.get(row.media_type, row.media_type), row.annotations.get(_TITLE, "")
    return Blob(row.digest, row.size, kind, partial(source.checked, name, row.digest), diff_id, title)


def _held(source: Source, row: Descriptor) -> str:
    """The name of a blob, which has the size that its manifest says."""
    name = place(row.digest)
    if source.size(name) != row.size:
        raise BadImage(source.path, f"its {name} has {source.size(name)} bytes, its manifest says {row.size}")
    return name


def _from_docker(source: Source, digest: str) -> Iterator[Found]:
    """`docker save`: configuration and layers by name; layers are mostly uncompressed, and named after other things."""
    found = False
    for row in source.json("manifest.json"):
        data = source.small(row.str("Config"))
        reference = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest in ("", reference):
            found = True
            config = document(data, f"{source.name}: {row.str('Config')}")
            yield Found(reference, config, tuple(_docker_layers(source, row, config)), {}, _first(row))
    if digest and not found:
        raise DigestMismatch(source.name, digest, "other images", "Use the image's own digest (its ID).")


def _first(row: Node) -> str:
    return str(row.strings("RepoTags")[0]) if row.value.get("RepoTags") else ""


def _docker_layers(source: Source, row: Node, config: Node) -> Iterator[Blob]:
    names = row.strings("Layers")
    for name, diff_id in zip(names, _diff_ids(config, len(names)), strict=True):
        start = next(source.chunks(name), b"")[:4]
        kind = "+gzip" if start[:2] == b"\x1f\x8b" else "+zstd" if start == b"\x28\xb5\x2f\xfd" else ""
        digest = diff_id if not kind else _hash(source, name)
        yield Blob(digest, source.size(name), LAYER + kind, partial(source.checked, name, digest), diff_id)


def _hash(source: Source, name: str) -> str:
    state = hashlib.sha256()
    for part in source.chunks(name):
        state.update(part)
    return f"sha256:{state.hexdigest()}"


def _diff_ids(config: Node, count: int) -> list[str]:
    found = config.at("rootfs").strings("diff_ids")
    if len(found) != count or not all(_SHA256.fullmatch(one) for one in found):
        config.fail(f"lists {len(found)} diffIDs for {count} layers")
    return found


def document(data: bytes, where: str) -> Node:
    """An untrusted JSON document. Raises BadImage."""
    try:
        value: Any = parsing.json(data)
    except (ValueError, RecursionError):
        raise BadImage(where, "it is no JSON") from None
    return Node(value, where, "", _bad)


def _bad(where: str, why: str) -> StagerError:
    return BadImage(where, why)
