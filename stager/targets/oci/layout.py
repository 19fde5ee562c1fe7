"""Writing images: as an OCI image layout, or as one archive that is a layout and what `docker load` takes.

Both are functions of the image and its name alone. Each blob is written once, straight from where it lies.
A layout can be the place of a pull, too: that adds to what is there.
Formats: OCI image-spec 1.1 (image-layout.md); Docker's image specification 1.2 (`manifest.json`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import Cancelled, CannotWrite
from ...files import regular
from ...files.filling import FolderOutput
from ...files.writing import Output, folder_above, never
from ...formats import tar
from ...store.errors import DigestMismatch
from .compose import CONFIG, LAYER, Composed, Shipment
from .image import Blob, Image
from .registry.descriptors import (
    INDEX,
    LARGEST,
    MANIFEST,
    REF_NAME,
    Descriptor,
    ImageManifest,
    canonical,
    digest_of,
    hasher,
    place,
    read_manifest,
)

if TYPE_CHECKING:
    from ...stacks.image import BaseImage

_LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})
_FOLDERS = ("blobs/", "blobs/sha256/")


def index(shipment: Shipment, name: str = "") -> bytes:
    """The layout's `index.json`: one entry, named `name` when that is given.

    `REF_NAME` is the tag, `io.containerd.image.name` the whole name.
    """
    platform = shipment.images[0].platform if len(shipment.images) == 1 else {}
    return _index(shipment.image, platform, {"io.containerd.image.name": name, REF_NAME: tag_of(name)} if name else {})


def _index(image: Image, platform: Mapping[str, str], annotations: Mapping[str, str]) -> bytes:
    facts = {"platform": platform, "annotations": annotations}
    entry = image.manifest.descriptor | {name: table for name, table in facts.items() if table}
    return canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})


def tag_of(name: str) -> str:
    """The tag of an image's name; `latest` when it has none."""
    last = name.rpartition("/")[2]
    return last.partition(":")[2] or "latest"


def docker_manifest(shipment: Shipment, name: str = "") -> bytes:
    """Docker's `manifest.json`. Engines without indexes load every image and give the name to the first."""
    rows = [_docker_row(image, [name] if name and not place else None) for place, image in enumerate(shipment.images)]
    return canonical(rows)


def _docker_row(image: Composed, tags: list[str] | None) -> dict[str, Any]:
    config, *layers = (place(blob.digest) for blob in image.image.blobs)
    return {"Config": config, "Layers": layers, "RepoTags": tags}


# --- writing ---------------------------------------------------------------------------------------------------


def write_layout(shipment: Shipment, out: str, name: str = "", stop: Callable[[], bool] = never) -> None:
    """Write a layout folder at `out`, replacing an older layout. Raises CannotWrite, Cancelled, leaving what was there."""
    with FolderOutput(out, "oci-layout", "something that is no image layout is there") as folder:
        _fill(folder, shipment.image, index(shipment, name), stop)


def write_base(made: BaseImage, out: str) -> None:
    """Write a stack's image as a layout at `out`, where nothing may be. Raises CannotWrite, StoreCorrupt."""
    rows = [(made.config, made.config_size, CONFIG), *((one.digest, one.size, LAYER + "+gzip") for one in made.layers)]
    config, *layers = (Blob(digest, size, kind, partial(made.open, digest)) for digest, size, kind in rows)
    image = Image.of(made.read(made.manifest), (config, *layers), MANIFEST)
    folder_above(out)
    with FolderOutput(out, otherwise="it is there already") as folder:
        _fill(folder, image, _index(image, {"architecture": made.architecture, "os": "linux"}, {REF_NAME: made.name}))


def _fill(folder: str, image: Image, index: bytes, stop: Callable[[], bool] = never) -> None:
    os.makedirs(os.path.join(folder, "blobs", "sha256"))
    for blob in image.everything:
        _write(os.path.join(folder, place(blob.digest)), blob.read(), stop)
    _write(os.path.join(folder, "index.json"), (index,))
    _write(os.path.join(folder, "oci-layout"), (_LAYOUT,))


def write_archive(shipment: Shipment, out: str, name: str = "", stop: Callable[[], bool] = never) -> tuple[str, int]:
    """Write one tar at `out`: its digest and size. Raises CannotWrite, Cancelled.

    The documents come first, then the blobs in the order of their digests; headers are those of droplets.
    """
    state, size = hashlib.sha256(), 0
    with Output(out, stop=stop) as output:
        for part in archive(shipment, name):
            state.update(part)
            size += len(part)
            output.write(part)
    return f"sha256:{state.hexdigest()}", size


def archive(shipment: Shipment, name: str = "") -> Iterator[bytes]:
    """The bytes of the archive, in parts: to be written, or to be given to an engine."""
    documents = {
        "index.json": index(shipment, name),
        "manifest.json": docker_manifest(shipment, name),
        "oci-layout": _LAYOUT,
    }
    for path, data in documents.items():
        yield from _member(path, len(data), (data,))
    for folder in _FOLDERS:
        yield tar.header(folder.encode(), 0, True, b"5")
    for blob in sorted(shipment.image.everything, key=lambda blob: blob.digest):
        yield from _member(place(blob.digest), blob.size, blob.read())
    yield tar.END


def docker_archive(config: bytes, layers: Sequence[Blob], name: str) -> Iterator[bytes]:
    """An image that only an engine gets, without a manifest of its own: what `docker load` takes, in parts.

    An engine knows it by its configuration's digest, whatever its layers are packed with. Raises what reading them raises.
    """
    place = f"{digest_of(config).partition(':')[2]}.json"
    places = [f"{layer.digest.partition(':')[2]}.tar" for layer in layers]
    manifest = canonical([{"Config": place, "Layers": places, "RepoTags": [name]}])
    yield from _member("manifest.json", len(manifest), (manifest,))
    yield from _member(place, len(config), (config,))
    for path, layer in zip(places, layers, strict=True):
        yield from _member(path, layer.size, layer.read())
    yield tar.END


def _member(path: str, size: int, parts: Iterable[bytes]) -> Iterator[bytes]:
    yield tar.header(path.encode(), size, False)
    done = 0
    for part in parts:
        done += len(part)
        yield part
    if done != size:
        raise CannotWrite(path, f"it has {done} bytes instead of {size}")
    yield tar.padding(size)


def _write(path: str, parts: Iterable[bytes], stop: Callable[[], bool] = never) -> None:
    with open(path, "xb", buffering=0) as stream:
        for part in parts:
            if stop():
                raise Cancelled
            view = memoryview(part)
            while view:
                view = view[stream.write(view) :]


# --- by a pull -------------------------------------------------------------------------------------------------------


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
            with regular.opened(os.path.join(self._root, place(digest)), follow=False) as stream:
                if os.fstat(stream.fileno()).st_size != size:
                    return False
                return hashlib.file_digest(stream, partial(hasher, digest)).hexdigest() == digest.partition(":")[2]
        except OSError:
            return False

    def put(self, digest: str, size: int, parts: Iterator[bytes]) -> None:
        """Write content under its digest. Raises CannotWrite, DigestMismatch and what `parts` raises."""
        state, total = hasher(digest), 0

        def checked() -> Iterator[bytes]:
            nonlocal total
            for part in parts:
                state.update(part)
                total += len(part)
                yield part
            got = f"{digest.partition(':')[0]}:{state.hexdigest()}"
            if got != digest or total != size:
                raise DigestMismatch(place(digest), f"{digest} ({size} bytes)", f"{got} ({total} bytes)")

        self._write(place(digest), checked())

    def finish(self, roots: Mapping[str, ImageManifest]) -> None:
        """Write `oci-layout` and `index.json`: name → manifest or index. Entries of other names stay."""
        kept = [one for one in self._entries() if one.annotations.get(REF_NAME) not in roots]
        new = [
            Descriptor(one.media_type, one.digest, len(one.raw), {REF_NAME: name} if name else {})
            for name, one in sorted(roots.items())
        ]
        rows = [one.as_json() for one in (*kept, *new)]
        self._write("oci-layout", iter([_LAYOUT]))
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
