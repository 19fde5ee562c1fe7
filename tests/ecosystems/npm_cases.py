"""What the npm tests share: stacks, made-up digests, small tarballs, a registry that answers from a table."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from stager.digest import Digest
from stager.ecosystems.npm.names import filename, purl
from stager.model import Artifact, Stack
from stager.tree import SourceTree

AMD64 = Stack("debian-12", "amd64", (2, 36), "debian", "bookworm")
ARM64 = Stack("debian-12", "arm64", (2, 36), "debian", "bookworm")


def sri(seed: str, algorithm: str = "sha512") -> str:
    """A well-formed integrity value that depends on `seed`."""
    return f"{algorithm}-{b64encode(hashlib.new(algorithm, seed.encode()).digest()).decode()}"


def digest(seed: str, algorithm: str = "sha512") -> Digest:
    """The digest that `sri(seed)` means."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, seed.encode()).hexdigest()}")


def tree(files: Mapping[str, object]) -> SourceTree:
    """A source tree in memory; values that are not text become JSON."""
    return SourceTree.of(
        {
            path: value if isinstance(value, (str, bytes)) else json.dumps(value, indent=2)
            for path, value in files.items()
        }
    )


class Registry:
    """Answers `Lookup.version` from a table and remembers what it was asked."""

    def __init__(self, table: Mapping[str, Mapping[str, object]]) -> None:
        self.table = table
        self.asked: list[str] = []

    def version(self, name: str, version: str) -> Mapping[str, object]:
        """The table's entry for `name@version`."""
        self.asked.append(f"{name}@{version}")
        return self.table[f"{name}@{version}"]


def pack(
    folder: Path, files: Mapping[str, object], *, top: str = "package", links: Mapping[str, str] | None = None
) -> str:
    """Write a tarball as npm's registry serves it; a name that ends in `*` is executable. Returns its path."""
    path = folder / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, value in files.items():
            data = (
                value if isinstance(value, bytes) else (value if isinstance(value, str) else json.dumps(value)).encode()
            )
            info = tarfile.TarInfo(f"{top}/{name.removesuffix('*')}")
            info.size, info.mode = len(data), 0o755 if name.endswith("*") else 0o644
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return str(path)


def artifact(name: str = "tool", version: str = "1.0.0") -> Artifact:
    """An artifact that `unpack` is given; its digest does not matter there."""
    return Artifact(purl(name, version), filename(name, version), digest(name), "npm/1", ("node_modules/" + name,))
