"""An OCI image layout (image-spec, "Image Layout") as the place of a pull."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping

from ....errors import CannotWrite
from ....files import regular
from ....files.writing import Output, folder_above
from ....store.errors import DigestMismatch
from ..layout import LAYOUT
from .descriptors import LARGEST, Descriptor, ImageManifest, canonical, read_manifest

_NAME = "org.opencontainers.image.ref.name"
_BUFFER = 1 << 20


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


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
