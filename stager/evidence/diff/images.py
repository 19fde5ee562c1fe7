"""OCI images: a layout folder, a layout in one tar, or what `docker save` writes; and Vagrant boxes.

Formats: OCI image-spec (image layout, manifest, config), Docker's archive with `manifest.json`, Vagrant's box file format.
Blobs are looked up by name inside the archive and their digests are checked as they are read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...digest import Digest
from ...droplet.contents import LOOKING, Contents, Extent, Kept, LayerPart, files, item, read
from ...droplet.contents_reader import facets
from ...files import regular
from ...formats.archive.stream import decompressed
from ...formats.errors import BadArchive
from ...formats.tar_reader import Keep, TarEntry, read_entries
from ...text import parsing
from ...text.typed import Node

_MOST = 4 << 20
"""Bytes of an index, manifest or config that are read (image-spec: registries accept at least 4 MiB)."""
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
Bytes = Callable[[], Iterator[bytes]]


class Blobs:
    """The files of a layout, wherever they lie: as extents of files on disk, by path."""

    def __init__(self, label: str, extents: Mapping[str, Extent]) -> None:
        self.label = label
        self.extents = extents

    def __contains__(self, path: str) -> bool:
        return path in self.extents

    def extent(self, path: str) -> Extent:
        """Where a file of the layout is. Raises BadArchive when it has none of that name."""
        if path not in self.extents:
            raise BadArchive(self.label, f"has no {path}, which its own documents name")
        return self.extents[path]

    def document(self, path: str) -> Node:
        """A JSON document of the layout. Raises BadArchive."""
        extent = self.extent(path)
        if extent.size > _MOST:
            raise BadArchive(self.label, f"{path} is larger than {_MOST} bytes")
        data = _whole(extent)
        algorithm, _, wanted = path.removeprefix("blobs/").partition("/")
        if algorithm in ("sha256", "sha512") and hashlib.new(algorithm, data).hexdigest() != wanted:
            raise BadArchive(self.label, f"{path} has other bytes than its name says")
        try:
            document = parsing.json(data)
        except (ValueError, RecursionError):
            raise BadArchive(self.label, f"{path} is no JSON") from None
        return Node(document, path, fail_with=lambda file, why: BadArchive(self.label, f"{file}: {why}"))


def _whole(extent: Extent) -> bytes:
    with open(extent.path, "rb") as file:
        file.seek(extent.offset)
        return file.read(extent.size)


def of_folder(root: str, label: str) -> Blobs:
    """The files of a layout folder; no link is followed."""
    found = {}
    for name in ("oci-layout", "index.json"):
        if os.path.isfile(place := os.path.join(root, name)) and not os.path.islink(place):
            found[name] = Extent(place, 0, os.path.getsize(place))
    blobs = os.path.join(root, "blobs")
    for algorithm in sorted(os.listdir(blobs)) if os.path.isdir(blobs) else ():
        folder = os.path.join(blobs, algorithm)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            place = os.path.join(folder, name)
            if os.path.isfile(place) and not os.path.islink(place):
                found[f"blobs/{algorithm}/{name}"] = Extent(place, 0, os.path.getsize(place))
    return Blobs(label, found)


def of_tar(path: str, label: str, entries: Iterator[TarEntry]) -> Blobs:
    """The files of a layout in an uncompressed tar at `path`."""
    from ...formats.tar import BLOCK

    found = {
        entry.name.removeprefix("./"): Extent(path, entry.offset + BLOCK, entry.size)
        for entry in entries
        if entry.kind == "file"
    }
    return Blobs(label, found)


# --- images ----------------------------------------------------------------------------------------------------


def image(blobs: Blobs, digest: Digest | None, size: int) -> Contents:
    """What an image holds. `digest` is the archive's; a layout folder is known by its manifest's. Raises BadArchive."""
    if "manifest.json" in blobs and "index.json" not in blobs:
        config, layers, own = _docker(blobs)
    else:
        config, layers, own = _oci(blobs)
    kept = _facts_of(layers)
    found = facets(kept, blobs.label)
    settings = config.get("config") or Node({}, "config")
    if "env" not in found:
        found["env"] = dict(line.partition("=")[::2] for line in settings.strings("Env"))
    return Contents(
        "image",
        blobs.label,
        digest or own,
        size,
        layers=layers,
        details=_settings(config, settings),
        packing={"manifest": str(own)},
        fetch=lambda paths, most: (pair for layer in layers for pair in files(layer.tar(), blobs.label, paths, most)),
        **found,
    )


def _facts_of(layers: tuple[LayerPart, ...]) -> Kept:
    """The droplet's records, which any layer may hold; a later layer hides an earlier one's (image-spec, layer.md)."""
    kept: Kept = {}
    for layer in layers:
        _ = layer.items
        kept |= layer.records
    return kept


def _settings(config: Node, settings: Node) -> dict[str, str]:
    """What a container is started with, one fact a line."""
    found = {"architecture": config.str("architecture", ""), "os": config.str("os", "")}
    for key, name in (("User", "user"), ("WorkingDir", "folder")):
        found[name] = settings.str(key, "") or ""
    for key, name in (("Entrypoint", "entrypoint"), ("Cmd", "command")):
        member = settings.get(key)
        found[name] = json.dumps(member.value) if member is not None and member.value else ""
    labels = settings.get("Labels")
    for name, value in sorted((labels.value if labels is not None and isinstance(labels.value, dict) else {}).items()):
        found[f"label {name}"] = str(value)
    return {name: value for name, value in found.items() if value}


def _oci(blobs: Blobs) -> tuple[Node, tuple[LayerPart, ...], Digest]:
    """Config, layers and manifest digest of the one image of a layout (image-spec, image-layout.md)."""
    entries = [_blob_name(node, blobs) for node in blobs.document("index.json").list("manifests")]
    manifests: list[tuple[str, Node]] = []
    for _ in range(2):  # an index may name an index, but not endlessly
        documents = [(name, blobs.document(name)) for name in entries]
        manifests += [(name, node) for name, node in documents if node.get("layers") is not None]
        entries = [_blob_name(inner, blobs) for _, node in documents for inner in node.list("manifests")]
    if len(manifests) != 1:
        why = f"holds {len(manifests)} images; stager looks into one at a time"
        raise BadArchive(blobs.label, why)
    name, manifest = manifests[0]
    config = blobs.document(_blob_name(manifest.at("config"), blobs))
    ids = config.at("rootfs").strings("diff_ids")
    rows = manifest.list("layers")
    if len(ids) != len(rows):
        raise BadArchive(blobs.label, "its config and its manifest name different numbers of layers")
    layers = tuple(
        _layer(blobs, _blob_name(row, blobs), str(diff_id), row.str("digest"), _title(row, number))
        for number, (row, diff_id) in enumerate(zip(rows, ids, strict=True))
    )
    return config, layers, Digest("sha256:" + hashlib.sha256(_whole(blobs.extent(name))).hexdigest())


def _title(row: Node, number: int) -> str:
    annotations = row.get("annotations")
    table = annotations.value if annotations is not None and isinstance(annotations.value, dict) else {}
    title = table.get("org.opencontainers.image.title")
    return title if isinstance(title, str) and title else f"layer {number + 1}"


def _blob_name(node: Node, blobs: Blobs) -> str:
    try:
        digest = Digest(node.str("digest"))
    except ValueError:
        raise BadArchive(blobs.label, f"{node.path}: not a digest") from None
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _docker(blobs: Blobs) -> tuple[Node, tuple[LayerPart, ...], Digest]:
    """The same of what `docker save` writes."""
    images = [*blobs.document("manifest.json")]
    if len(images) != 1:
        raise BadArchive(blobs.label, f"holds {len(images)} images; stager looks into one at a time")
    name = images[0].str("Config")
    config = blobs.document(name)
    ids, rows = config.at("rootfs").strings("diff_ids"), images[0].strings("Layers")
    if len(ids) != len(rows):
        raise BadArchive(blobs.label, "its config and its manifest name different numbers of layers")
    layers = tuple(
        _layer(blobs, row, str(diff_id), "", f"layer {number + 1}")
        for number, (row, diff_id) in enumerate(zip(rows, ids, strict=True))
    )
    return config, layers, Digest("sha256:" + hashlib.sha256(_whole(blobs.extent(name))).hexdigest())


def _layer(blobs: Blobs, path: str, diff_id: str, digest: str, name: str) -> LayerPart:
    extent = blobs.extent(path)

    def tar() -> Iterator[bytes]:
        return _unpacked(extent, blobs.label, digest, diff_id)

    return LayerPart(
        name,
        lambda kept: read(tar(), blobs.label, kept, name),
        digest=digest,
        diff_id=diff_id,
        size=extent.size,
        tar=tar,
    )


def _unpacked(extent: Extent, label: str, digest: str, diff_id: str) -> Iterator[bytes]:
    """A layer's tar from its blob, both checked by their digests. Raises BadArchive, also for an unknown compression."""
    fd = os.open(extent.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        start = os.pread(fd, 4, extent.offset)
        kind = "gz" if start[:2] == _GZIP else "zst" if start == _ZSTD else ""
        if digest and _digest_of(fd, extent) != digest:
            raise BadArchive(label, f"its blob {digest} has other bytes than its name says")
        state = hashlib.sha256()
        for part in decompressed(fd, extent.offset, extent.size, kind, label, LOOKING):
            state.update(part)
            yield part
        if f"sha256:{state.hexdigest()}" != diff_id:
            raise BadArchive(label, f"a layer is not the one with diffID {diff_id} that its config names")
    finally:
        os.close(fd)


def _digest_of(fd: int, extent: Extent) -> str:
    state, offset, left = hashlib.sha256(), extent.offset, extent.size
    while left and (part := os.pread(fd, min(1 << 20, left), offset)):
        state.update(part)
        offset, left = offset + len(part), left - len(part)
    return f"sha256:{state.hexdigest()}"


# --- boxes -----------------------------------------------------------------------------------------------------


def box(parts: Iterator[bytes], label: str, digest: Digest, size: int) -> Contents:
    """What a Vagrant box holds: its metadata, and its files by name and digest. The disk inside stays closed."""
    keep = Keep(lambda name: name.removeprefix("./") in ("metadata.json", "info.json", "Vagrantfile"))
    items = []
    for entry in read_entries(parts, label, keep=keep):
        found = item(entry, "")
        items.append(replace(found, path="/" + entry.name.removeprefix("./").strip("/")))
    kept = {name.removeprefix("./"): data for name, data in keep.taken().items()}
    rest = LayerPart("", lambda _: items, size=size)
    details = _table(kept.get("metadata.json", b""), "") | _table(kept.get("info.json", b""), "info ")
    notes = ("the disk of a box is compared by its digest, not looked into",)
    return Contents("box", label, digest, size, rest=rest, details=details, notes=notes)


def _table(data: bytes, prefix: str) -> dict[str, str]:
    """The members of a small JSON object as texts; nothing for what is none."""
    try:
        found: Any = parsing.json(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {f"{prefix}{name}": value if isinstance(value, str) else json.dumps(value) for name, value in pairs}


def plain(path: str) -> Iterator[bytes]:
    """The bytes of an uncompressed file, in parts."""
    with regular.opened(path) as file:
        while part := file.read(1 << 20):
            yield part
