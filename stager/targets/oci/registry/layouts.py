"""OCI image layouts (image-spec, "Image Layout"): what is pushed from one, and one as the place of a pull."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Protocol

from ....errors import CannotWrite, UsageError
from ....files import regular
from ....files.writing import Output, folder_above
from ....formats.errors import BadArchive
from ....store.errors import DigestMismatch
from ..image import Blob, Image
from ..layout import LAYOUT
from .descriptors import INDEXES, LARGEST, Descriptor, ImageManifest, canonical, check, read_manifest

_NAME = "org.opencontainers.image.ref.name"
_DEEPEST = 2
_BUFFER = 1 << 20


class Reader(Protocol):
    """A layout's files by name (`blobs/sha256/…`), from a folder or out of an archive."""

    name: str

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def size(self, name: str) -> int:
        """Its size in bytes."""

    def small(self, name: str) -> bytes:
        """A document, whole."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Its bytes in parts."""


# --- from a layout ---------------------------------------------------------------------------------------------


def image_of(source: Reader, wanted: str = "") -> Image:
    """The image (or index) of a layout; `wanted` is its digest or name where the layout holds several.

    Its blobs are read from `source` while they are pushed. Raises UsageError when it is not clear which is meant, BadArchive,
    DigestMismatch.
    """
    index = read_manifest(source.small("index.json"), "", f"{source.name}/index.json")
    fitting = [one for one in index.children if wanted in ("", one.digest, one.annotations.get(_NAME, ""))]
    if len({one.digest for one in fitting}) != 1:
        names = [f"{one.annotations.get(_NAME, '')} {one.digest}".strip() for one in index.children]
        hint = f"Name one with --image: {', '.join(names[:12])}." if names else "Export a droplet into it first."
        raise UsageError(f"{source.name} holds {len(fitting)} images that fit", hint)
    return _image(source, fitting[0], 0)


def _image(source: Reader, descriptor: Descriptor, depth: int) -> Image:
    raw = _document(source, descriptor)
    manifest = read_manifest(raw, descriptor.media_type, f"{source.name}/{_path(descriptor.digest)}")
    if manifest.media_type not in INDEXES:
        return Image.of(raw, tuple(_blob(source, one) for one in manifest.blobs), manifest.media_type)
    if depth > _DEEPEST:
        raise BadArchive(source.name, "holds indexes within indexes")
    children = tuple(_image(source, child, depth + 1) for child in manifest.children)
    return Image.of(raw, (), manifest.media_type, children)


def _document(source: Reader, descriptor: Descriptor) -> bytes:
    path = _path(descriptor.digest)
    if not source.has(path):
        raise BadArchive(source.name, f"has no {path}")
    if source.size(path) > LARGEST:
        raise BadArchive(source.name, f"has a manifest larger than {LARGEST} bytes")
    return check(source.small(path), descriptor.digest, f"{source.name}: {path}")


def _blob(source: Reader, descriptor: Descriptor) -> Blob:
    path = _path(descriptor.digest)
    if not source.has(path) or source.size(path) != descriptor.size:
        raise BadArchive(source.name, f"has no {path} of {descriptor.size} bytes")
    return Blob(descriptor.digest, descriptor.size, descriptor.media_type, lambda: source.chunks(path))


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


# --- into a layout ---------------------------------------------------------------------------------------------


class LayoutSink:
    """A layout folder as the place of a pull; made when there is none. Files appear whole, under their final names."""

    def __init__(self, path: str) -> None:
        self._root = path
        try:
            os.makedirs(os.path.join(path, "blobs", "sha256"), exist_ok=True)
        except OSError as error:
            raise CannotWrite(path, error.strerror or str(error)) from None

    def has(self, digest: str, size: int) -> bool:
        """Whether the file is there and true; it is read."""
        try:
            with regular.opened(os.path.join(self._root, _path(digest)), follow=False) as stream:
                if os.fstat(stream.fileno()).st_size != size:
                    return False
                state = hashlib.new(digest.partition(":")[0])
                while part := stream.read(_BUFFER):
                    state.update(part)
        except OSError:
            return False
        return f"{digest.partition(':')[0]}:{state.hexdigest()}" == digest

    def put(self, digest: str, size: int, parts: Iterator[bytes]) -> None:
        """Write content under its digest. Raises CannotWrite, DigestMismatch and what `parts` raises."""
        state, total = hashlib.new(digest.partition(":")[0]), 0

        def checked() -> Iterator[bytes]:
            nonlocal total
            for part in parts:
                state.update(part)
                total += len(part)
                yield part
            got = f"{digest.partition(':')[0]}:{state.hexdigest()}"
            if got != digest or total != size:
                raise DigestMismatch(_path(digest), f"{digest} ({size} bytes)", f"{got} ({total} bytes)")

        self._write(_path(digest), checked())

    def finish(self, roots: Mapping[str, ImageManifest]) -> None:
        """Write `oci-layout` and `index.json`: name → manifest or index. Entries of other names stay."""
        kept = [one for one in self._entries() if one.annotations.get(_NAME) not in roots]
        new = [
            Descriptor(one.media_type, one.digest, len(one.raw), {_NAME: name} if name else {})
            for name, one in sorted(roots.items())
        ]
        rows = [one.as_json() for one in (*kept, *new)]
        self._write("oci-layout", iter([LAYOUT]))
        self._write("index.json", iter([canonical({"schemaVersion": 2, "manifests": rows})]))

    def _entries(self) -> tuple[Descriptor, ...]:
        path = os.path.join(self._root, "index.json")
        try:
            return read_manifest(regular.read(path, LARGEST), "", path).children
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise CannotWrite(path, error.strerror or str(error)) from None

    def _write(self, name: str, parts: Iterator[bytes]) -> None:
        final = os.path.join(self._root, name)
        folder_above(final)
        with Output(final) as output:
            for part in parts:
                output.write(part)
