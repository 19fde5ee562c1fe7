"""Writing a shipment: as an OCI image layout, or as one archive that is a layout and what `docker load` takes.

Both are functions of the shipment and its name alone. Each blob is written once, straight from where it lies.
Formats: OCI image-spec 1.1 (image-layout.md); Docker's image specification 1.2 (`manifest.json`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ...errors import Cancelled, CannotWrite
from ...files.filling import FolderOutput
from ...files.writing import Output, never
from ...formats import tar
from .compose import Composed, Shipment
from .registry.descriptors import INDEX, canonical

LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})
_FOLDERS = ("blobs/", "blobs/sha256/")


def index(shipment: Shipment, name: str = "") -> bytes:
    """The layout's `index.json`: one entry, named `name` when that is given.

    `org.opencontainers.image.ref.name` is the tag (image-layout.md), `io.containerd.image.name` the whole name.
    """
    entry: dict[str, Any] = shipment.image.manifest.descriptor
    if len(shipment.images) == 1:
        entry["platform"] = shipment.images[0].platform
    if name:
        entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag_of(name)}
    return canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]})


def tag_of(name: str) -> str:
    """The tag of an image's name; `latest` when it has none."""
    last = name.rpartition("/")[2]
    return last.partition(":")[2] or "latest"


def docker_manifest(shipment: Shipment, name: str = "") -> bytes:
    """Docker's `manifest.json`. Engines without indexes load every image and give the name to the first."""
    rows = [_docker_row(image, [name] if name and not place else None) for place, image in enumerate(shipment.images)]
    return canonical(rows)  # type: ignore[arg-type]


def _docker_row(image: Composed, tags: list[str] | None) -> dict[str, Any]:
    config, *layers = (_place(blob.digest) for blob in image.image.blobs)
    return {"Config": config, "Layers": layers, "RepoTags": tags}


def _place(digest: str) -> str:
    return f"blobs/sha256/{digest.partition(':')[2]}"


# --- writing ---------------------------------------------------------------------------------------------------


def write_layout(shipment: Shipment, out: str, name: str = "", stop: Callable[[], bool] = never) -> None:
    """Write a layout folder at `out`, replacing an older layout. Raises CannotWrite, Cancelled, leaving what was there."""
    with FolderOutput(out, "oci-layout", "something that is no image layout is there") as folder:
        os.makedirs(os.path.join(folder, "blobs", "sha256"))
        for blob in shipment.image.everything:
            _write(os.path.join(folder, _place(blob.digest)), blob.read(), stop)
        _write(os.path.join(folder, "index.json"), (index(shipment, name),))
        _write(os.path.join(folder, "oci-layout"), (LAYOUT,))


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
        "oci-layout": LAYOUT,
    }
    for path, data in documents.items():
        yield from _member(path, len(data), (data,))
    for folder in _FOLDERS:
        yield tar.header(folder.encode(), 0, True, b"5")
    for blob in sorted(shipment.image.everything, key=lambda blob: blob.digest):
        yield from _member(_place(blob.digest), blob.size, blob.read())
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
