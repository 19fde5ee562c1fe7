"""Base images made by hand, as other tools write them: small libraries, layers, layouts, archives of `docker save`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

X86_64, AARCH64 = 62, 183
LIBC, LOADER = "usr/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."


def make_library(soname: str, defines: Sequence[str] = (), machine: int = X86_64) -> bytes:
    """A 64-bit ELF library that defines symbol versions (LSB core, 10.7.3), the first entry being its own name."""
    names = [soname, *defines]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    at = [1 + sum(len(name) + 1 for name in names[:place]) for place in range(len(names))]
    verdef = b""
    for place, offset in enumerate(at):
        step = 28 if place + 1 < len(at) else 0
        verdef += struct.pack("<HHHHIII", 1, place == 0, place + 1, 1, 0, 20, step) + struct.pack("<II", offset, 0)
    at_strings = 64 + 2 * 56
    at_verdef = at_strings + len(strings)
    at_dynamic = at_verdef + len(verdef)
    rows = [(14, at[0]), (5, at_strings), (10, len(strings)), (0x6FFFFFFC, at_verdef), (0x6FFFFFFD, len(names)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *row) for row in rows)
    end = at_dynamic + len(dynamic)
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, end, end, 8)
    dyn = struct.pack("<IIQQQQQQ", 2, 6, at_dynamic, at_dynamic, at_dynamic, len(dynamic), len(dynamic), 8)
    return head + load + dyn + strings + verdef + dynamic


def glibc(newest: int = 36, machine: int = X86_64) -> dict[str, bytes]:
    """The files of a glibc that defines `GLIBC_2.17` up to `GLIBC_2.<newest>`."""
    versions = [f"GLIBC_2.{minor}" for minor in range(17, newest + 1)]
    folder = {X86_64: "x86_64", AARCH64: "aarch64"}[machine]
    loader = {X86_64: "ld-linux-x86-64.so.2", AARCH64: "ld-linux-aarch64.so.1"}[machine]
    return {
        f"usr/lib/{folder}-linux-gnu/libc.so.6": make_library("libc.so.6", versions, machine),
        f"usr/lib/{folder}-linux-gnu/{loader}": make_library(loader, [], machine),
    }


def layer(files: Mapping[str, bytes | str]) -> bytes:
    """A layer's tar; a text is the target of a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                archive.addfile(info)
            else:
                info.size, info.mode = len(content), 0o755
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def configuration(layers: Sequence[bytes], architecture: str = "amd64", **settings: Any) -> dict[str, Any]:
    """A base's configuration as tools write it: with a time, and a history that has an empty layer."""
    history = [{"created": "2024-01-01T00:00:00Z", "created_by": "ADD file"} for _ in layers]
    return {
        "architecture": architecture,
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/bin:/bin", "BASE=yes"], "Cmd": ["bash"], **settings},
        "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in layers]},
        "history": [*history, {"created_by": "CMD bash", "empty_layer": True}],
    }


def base_layout(
    folder: Path, layers: Sequence[Mapping[str, bytes | str]], *, docker: bool = False, **config: Any
) -> str:
    """A layout folder with one image: its manifest's digest. `docker`: Docker's media types."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    plain = [layer(files) for files in layers]

    def put(data: bytes, kind: str) -> dict[str, Any]:
        (blobs / digest(data)[7:]).write_bytes(data)
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    kinds = (
        [
            DOCKER + "container.image.v1+json",
            DOCKER + "image.rootfs.diff.tar.gzip",
            DOCKER + "distribution.manifest.v2+json",
        ]
        if docker
        else [OCI + "config.v1+json", OCI + "layer.v1.tar+gzip", OCI + "manifest.v1+json"]
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": kinds[2],
        "config": put(json.dumps(configuration(plain, **config)).encode(), kinds[0]),
        "layers": [put(gzip.compress(one, 1, mtime=7), kinds[1]) for one in plain],
    }
    row = put(json.dumps(manifest, indent=1).encode(), kinds[2])
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [row]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(row["digest"])


def tar_of(folder: Path, out: Path) -> Path:
    """A folder as a tar, as `docker save` and `skopeo copy` pack one."""
    with tarfile.open(out, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, str(path.relative_to(folder)), recursive=False)
    return out


def docker_archive(out: Path, layers: Sequence[Mapping[str, bytes | str]], **config: Any) -> str:
    """An archive of old `docker save`: uncompressed layers in folders of their own. Its image's ID."""
    plain = [layer(files) for files in layers]
    data = json.dumps(configuration(plain, **config)).encode()
    names = [f"{number:064x}/layer.tar" for number, _ in enumerate(plain)]
    row: dict[str, Any] = {"Config": f"{digest(data)[7:]}.json", "RepoTags": ["base:1"], "Layers": names}
    with tarfile.open(out, "w") as archive:
        for name, content in [
            *zip(names, plain, strict=True),
            (row["Config"], data),
            ("manifest.json", json.dumps([row]).encode()),
        ]:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return digest(data)


def read_layout(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[bytes]]:
    """Manifest, configuration and uncompressed layers of a layout with one image, every digest checked on the way."""

    def blob(row: Mapping[str, Any]) -> bytes:
        data: bytes = (folder / "blobs" / "sha256" / row["digest"][7:]).read_bytes()
        assert (digest(data), len(data)) == (row["digest"], row["size"])
        return data

    (row,) = json.loads((folder / "index.json").read_text())["manifests"]
    manifest = json.loads(blob(row))
    config = json.loads(blob(manifest["config"]))
    plain = [gzip.decompress(blob(one)) if "gzip" in one["mediaType"] else blob(one) for one in manifest["layers"]]
    assert config["rootfs"]["diff_ids"] == [digest(one) for one in plain]
    assert sum(not entry.get("empty_layer") for entry in config["history"]) == len(plain)
    return manifest, config, plain
