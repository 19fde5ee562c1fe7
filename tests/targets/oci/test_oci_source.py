"""Image files are untrusted: whatever is damaged, forged or of an unknown form is a typed error that says where."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from image_files import base_layout, digest, glibc, layer, tar_of

from stager.errors import StagerError, Unreadable
from stager.stacks.errors import BadImage
from stager.store.errors import DigestMismatch
from stager.targets.oci.image import Blob
from stager.targets.oci.inflating import plain
from stager.targets.oci.layout import docker_archive
from stager.targets.oci.source import Found, Source, images


def read(path: Path, wanted: str = "") -> list[Found]:
    """The images, all their layers read to the end."""
    with Source(str(path)) as source:
        found = images(source, wanted)
        for image in found:
            for one in image.layers:
                for _ in one.read():
                    pass
        return found


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base_layout(tmp_path / "base", [glibc()])
    return tmp_path / "base"


def manifest_of(base: Path) -> tuple[Path, dict[str, Any]]:
    (row,) = json.loads((base / "index.json").read_text())["manifests"]
    path = base / "blobs" / "sha256" / row["digest"][7:]
    return path, json.loads(path.read_text())


def forge(base: Path, change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    """Change manifest and configuration, and give every document its right digest again."""
    path, manifest = manifest_of(base)
    blobs = path.parent
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    change(manifest, config)
    data = json.dumps(config).encode()
    (blobs / digest(data)[7:]).write_bytes(data)
    if manifest.get("config"):
        manifest["config"].update(digest=digest(data), size=len(data))
    data = json.dumps(manifest).encode()
    (blobs / digest(data)[7:]).write_bytes(data)
    index = json.loads((base / "index.json").read_text())
    index["manifests"][0].update(digest=digest(data), size=len(data))
    (base / "index.json").write_text(json.dumps(index))


FORGERIES: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "a layer of an unknown kind": lambda m, c: m["layers"][0].update(mediaType="application/x-rar"),
    "a layer that must be fetched elsewhere": lambda m, c: m["layers"][0].update(
        mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    ),
    "a size that is not the layer's": lambda m, c: m["layers"][0].update(size=3),
    "a digest that leads out of the folder": lambda m, c: m["layers"][0].update(digest="sha256:../../etc/passwd"),
    "a layer that is not there": lambda m, c: m["layers"][0].update(digest="sha256:" + "0" * 64),
    "more diffIDs than layers": lambda m, c: c["rootfs"]["diff_ids"].append("sha256:" + "0" * 64),
    "a diffID that is none": lambda m, c: c["rootfs"].update(diff_ids=["sha256:x"]),
    "no root filesystem": lambda m, c: c.pop("rootfs"),
    "no configuration": lambda m, c: m.pop("config"),
    "layers that are no list": lambda m, c: m.update(layers={}),
    "another schema": lambda m, c: m.update(schemaVersion=1),
}


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("form", ["layout", "archive"])
def test_forged_documents(base: Path, tmp_path: Path, name: str, form: str) -> None:
    forge(base, FORGERIES[name])
    path = base if form == "layout" else tar_of(base, tmp_path / "base.tar")
    with pytest.raises(StagerError) as caught:
        read(path)
    assert caught.value.exit_code in (50, 60, 70)
    assert caught.value.hint


@pytest.mark.parametrize("which", ["manifest", "config", "layers"])
@pytest.mark.parametrize("form", ["layout", "archive"])
def test_a_changed_byte_is_found(base: Path, tmp_path: Path, which: str, form: str) -> None:
    path, manifest = manifest_of(base)
    rows = {"config": manifest["config"], "layers": manifest["layers"][0]}
    target = path.parent / rows[which]["digest"][7:] if which in rows else path
    data = bytearray(target.read_bytes())
    data[-1] ^= 1
    target.write_bytes(data)
    with pytest.raises(DigestMismatch) as caught:
        read(base if form == "layout" else tar_of(base, tmp_path / "base.tar"))
    assert caught.value.data["expected"] == f"sha256:{target.name}"


def test_links_and_folders_in_a_layout_are_not_followed(base: Path, tmp_path: Path) -> None:
    path, _ = manifest_of(base)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(BadImage, match="cannot be read"):
        read(base)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadImage, match="Is a directory"):
        read(base)


@pytest.mark.parametrize("data", [b"", b"no tar" * 500, bytes(10240), b"\x1f\x8b\x08" + bytes(2000)])
def test_what_is_no_image(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(data)
    with pytest.raises(BadImage) as caught:
        read(tmp_path / "x.tar")
    assert caught.value.where == str(tmp_path / "x.tar")


def test_an_empty_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="it is no image"):
        read(tmp_path)
    with pytest.raises(Unreadable):
        read(tmp_path / "absent")


@pytest.mark.parametrize("depth", [0, 1])
def test_an_index_of_nothing_is_no_image(base: Path, depth: int) -> None:
    data = b'{"schemaVersion":2,"manifests":[]}'
    for _ in range(depth):
        (base / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
        row = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(data), "size": len(data)}
        data = json.dumps({"schemaVersion": 2, "manifests": [row]}).encode()
    (base / "index.json").write_bytes(data)
    with pytest.raises(BadImage, match="it holds no image"):
        read(base)


def test_what_an_engine_alone_gets_is_an_archive_of_docker_save(tmp_path: Path) -> None:
    tars = [layer({"etc/x": b"x"}), layer({"etc/y": b"y" * 1000})]
    config = {"architecture": "arm64", "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]}}
    data = json.dumps(config).encode()
    packed = [Blob.of(tars[0]), Blob.of(gzip.compress(tars[1]))]
    (tmp_path / "x.tar").write_bytes(b"".join(docker_archive(data, packed, "stager/x:1")))
    (found,) = read(tmp_path / "x.tar")
    assert (found.reference, found.tag, found.architecture) == (digest(data), "stager/x:1", "arm64")
    with Source(str(tmp_path / "x.tar")) as source:
        assert [b"".join(plain(one)) for one in images(source)[0].layers] == tars


def test_an_archive_of_no_images_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "manifest.json").write_text("[]")
    with pytest.raises(BadImage, match="it holds no image"):
        read(tar_of(tmp_path / "saved", tmp_path / "saved.tar"))


def test_an_archive_cut_short(base: Path, tmp_path: Path) -> None:
    archive = tar_of(base, tmp_path / "base.tar")
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(BadImage):
        read(archive)


def test_an_index_that_names_itself_ends(base: Path) -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    row: dict[str, Any] = {"mediaType": kind, "digest": "", "size": 0}
    (leaf,) = json.loads((base / "index.json").read_text())["manifests"]
    for _ in range(8):
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [leaf]}).encode()
        (base / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
        leaf = {**row, "digest": digest(data), "size": len(data)}
    (base / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [leaf]}))
    with pytest.raises(BadImage, match="indexes inside each other"):
        read(base)


def test_one_image_of_many_is_found_by_its_digest(base: Path, tmp_path: Path) -> None:
    other = base_layout(tmp_path / "other", [glibc(38)], architecture="arm64")
    (mine,) = json.loads((base / "index.json").read_text())["manifests"]
    for path in (tmp_path / "other/blobs/sha256").iterdir():
        path.rename(base / "blobs/sha256" / path.name)
    (theirs,) = json.loads((tmp_path / "other/index.json").read_text())["manifests"]
    rows = [
        {**mine, "platform": {"os": "linux", "architecture": "amd64"}},
        {**theirs, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {**mine, "platform": {"os": "unknown", "architecture": "unknown"}},
    ]
    data = json.dumps({"schemaVersion": 2, "manifests": rows}).encode()
    (base / "blobs/sha256" / digest(data)[7:]).write_bytes(data)
    top = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(data), "size": len(data)}
    (base / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    assert [image.architecture for image in read(base)] == ["amd64", "arm64"]
    assert [image.architecture for image in read(base, other)] == ["arm64"]
    assert [image.architecture for image in read(base, digest(data))] == ["amd64", "arm64"]
    with pytest.raises(DigestMismatch):
        read(base, "sha256:" + "0" * 64)


def test_layers_packed_in_any_way_are_unpacked() -> None:
    from test_oci_abi import blob

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    data = layer({"etc/x": b"x" * 300_000, "etc/y": os.urandom(200_000)})
    half = len(data) // 2
    packed = {
        "+gzip": gzip.compress(data[:half]) + gzip.compress(data[half:]),
        "+zstd": zstd.compress(data[:half]) + zstd.compress(data[half:]),
        "": data,
    }
    for kind, content in packed.items():
        for step in (1000, len(content)):
            one = blob({})
            parts = [content[at : at + step] for at in range(0, len(content), step)]
            one = type(one)(one.digest, len(content), one.media_type + kind, lambda parts=parts: iter(parts))  # type: ignore[misc]
            assert b"".join(plain(one)) == data
        if kind:
            broken: Iterable[bytes] = [content[: len(content) // 3]]
            short = type(one)(one.digest, 1, one.media_type, lambda broken=broken: iter(broken))  # type: ignore[misc]
            with pytest.raises(BadImage, match="cut short"):
                b"".join(plain(short))


def test_old_dockers_links_between_equal_layers_are_followed(tmp_path: Path) -> None:
    tar = layer({"etc/x": b"x"})
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(tar)] * 2}}
    row = {"Config": "c.json", "RepoTags": None, "Layers": ["one/layer.tar", "two/layer.tar"]}
    with tarfile.open(tmp_path / "saved.tar", "w") as archive:
        for name, data in (
            ("one/layer.tar", tar),
            ("c.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps([row]).encode()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("two/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../one/layer.tar"
        archive.addfile(link)
    (found,) = read(tmp_path / "saved.tar")
    assert [one.digest for one in found.layers] == [digest(tar)] * 2
