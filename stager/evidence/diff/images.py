"""OCI images: a layout folder, a layout in one tar, or what `docker save` writes; and Vagrant boxes.

Images are found by the one reader of them (`targets.oci.source`). Format of boxes: Vagrant's box file format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ...digest import Digest
from ...droplet.contents import LOOKING, Contents, Kept, LayerPart, files, item, read
from ...droplet.contents_reader import facets
from ...files import regular
from ...formats.archive.stream import bounded
from ...formats.errors import BadArchive
from ...formats.tar_reader import Keep, read_entries
from ...stacks.errors import BadImage
from ...store.errors import DigestMismatch
from ...targets.oci.image import Blob
from ...targets.oci.source import Found, Source, every
from ...text import parsing

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@contextmanager
def _looking(label: str) -> Iterator[None]:
    """What an image is refused for, in the words of one that is only looked into: as BadArchive."""
    try:
        yield
    except (BadImage, DigestMismatch) as problem:
        inside = problem.where and problem.where.startswith((f"{label}/", f"{label}: "))
        why = f"{problem.where}: {problem.message}" if inside else problem.message
        raise BadArchive(label, why.removeprefix(f"{label}: ").removeprefix(f"{label}/")) from None


def image(path: str, label: str, digest: Digest | None, size: int) -> Contents:
    """What an image holds. `digest` is the archive's; a layout folder is known by its manifest's. Raises BadArchive."""
    with _looking(label):
        source = Source(path)
        all_of_it = every(source)
        if len(all_of_it) != 1:
            raise BadArchive(label, f"holds {len(all_of_it)} images; stager looks into one at a time")
        (one,) = all_of_it
        details, env = _settings(one), one.env
    # what `docker save` calls a layer's digest is its tar's, which no other form of the layer has
    layers = tuple(_layer(blob, n, label, source.has("index.json")) for n, blob in enumerate(one.layers, 1))
    found = facets(_facts_of(layers), label)
    found.setdefault("env", dict(line.partition("=")[::2] for line in env))
    return Contents(
        "image",
        label,
        digest or Digest(one.reference),
        size,
        layers=layers,
        details=details,
        packing={"manifest": one.reference},
        fetch=lambda paths, most: (pair for layer in layers for pair in files(layer.tar(), label, paths, most)),
        **found,
    )


def _facts_of(layers: tuple[LayerPart, ...]) -> Kept:
    """The droplet's records, which any layer may hold; a later layer hides an earlier one's (image-spec, layer.md)."""
    kept: Kept = {}
    for layer in layers:
        _ = layer.items
        kept |= layer.records
    return kept


def _settings(image: Found) -> dict[str, str]:
    """What a container is started with, one fact a line."""
    found = {"architecture": image.architecture, "os": image.config.str("os", "")}
    for key, name in (("User", "user"), ("WorkingDir", "folder")):
        found[name] = image.settings.str(key, "") or ""
    for key, name in (("Entrypoint", "entrypoint"), ("Cmd", "command")):
        member = image.settings.get(key)
        found[name] = json.dumps(member.value) if member is not None and member.value else ""
    found |= {f"label {name}": value for name, value in sorted(image.labels.items())}
    return {name: value for name, value in found.items() if value}


def _layer(blob: Blob, number: int, label: str, is_named: bool) -> LayerPart:
    name = blob.title or f"layer {number}"

    def tar() -> Iterator[bytes]:
        return _unpacked(blob, label)

    return LayerPart(
        name,
        lambda kept: read(tar(), label, kept, name),
        digest=blob.digest if is_named else "",
        diff_id=blob.diff_id,
        size=blob.size,
        tar=tar,
    )


def _unpacked(blob: Blob, label: str) -> Iterator[bytes]:
    """A layer's tar from its blob, both checked by their digests. Raises BadArchive, also for an unknown compression."""
    with _looking(label):
        parts = blob.read()
        start = next(parts, b"")[:4]
        if blob.digest != blob.diff_id:
            for _ in parts:  # to its end, where it is checked, before anything of it is decompressed
                pass
        state = hashlib.sha256()
        kind = "gz" if start[:2] == _GZIP else "zst" if start == _ZSTD else ""
        for part in bounded(blob.read(), kind, label, LOOKING):
            state.update(part)
            yield part
    if f"sha256:{state.hexdigest()}" != blob.diff_id:
        raise BadArchive(label, f"a layer is not the one with diffID {blob.diff_id} that its config names")


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
