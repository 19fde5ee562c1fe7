from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from debian_archive import MIRRORS
from made import BOX, EPOCH, archive, folder

from stager.digest import Digest
from stager.errors import CannotWrite, LockMissing
from stager.stacks import find, image, lock, resolve, root, tree
from stager.stacks.errors import NotBuilt
from stager.stacks.image import BaseImage
from stager.stacks.root import Root
from stager.stacks.tree import RootItem, Tree
from stager.store import Store
from stager.store.errors import StoreCorrupt
from stager.targets.oci import layout

TEXT = BOX.replace("  locale: C\n", '  locale: C\n  env: {PATH: "/usr/bin:/bin"}\n')


def stack(place: Path, store: Store) -> str:
    """A stack's folder whose root, a few files, is in the store as if it had been built."""
    mine = folder(place, TEXT)
    found = find.load(str(mine))
    pinned = resolve.pin(found, archive(), MIRRORS)[0]
    (mine / lock.NAME).write_text(lock.dumps(pinned))
    made = Tree()
    made.put("", RootItem("folder", 0o755))
    made.put("etc/os-release", RootItem("file", 0o644, data=b"ID=debian\n" * 1000))
    made.put("bin/sh", RootItem("link", 0o777, target="bash"))
    with store.writer() as writer:
        entries = tree.write(made, EPOCH, writer.write)
        size, name = writer.size, writer.commit()
    facts = {"digest": f"sha256:{name}", "size": size, "entries": entries, "packages": 4}
    store.remember("stack-root", root.stack_digest(found, pinned, "amd64"), facts)
    return str(mine)


def test_the_image_is_one_layer_and_what_a_platform_needs_to_know(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    name = stack(tmp_path, store)
    found = image.base_image(name, "amd64", store)
    layer = found.layers[0]
    packed = b"".join(found.open(layer.digest))
    assert (hashlib.sha256(packed).hexdigest(), len(packed)) == (layer.digest.hex, layer.size)
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == layer.diff_id.hex
    manifest, config = json.loads(found.read(found.manifest)), json.loads(found.read(found.config))
    assert manifest == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "digest": found.config, "size": found.config_size,
        },
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer.digest, "size": layer.size}
        ],
    }  # fmt: skip
    assert config == {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-11-21T02:10:46Z",
        "history": [{"created": "2026-11-21T02:10:46Z", "created_by": "stager box build mine"}],
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "config": {
            "Cmd": ["/bin/bash"],
            "Env": ["LANG=C", "PATH=/usr/bin:/bin"],
            "Labels": {
                "io.buildpacks.stack.id": "mine",
                "io.buildpacks.base.distro.name": "debian",
                "io.stager.stack.digest": found.stack,
            },
            "User": "2000:0",
            "WorkingDir": "/app",
        },
    }
    assert found.manifest_size == len(found.read(found.manifest))


def test_two_stores_hold_the_same_image(tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        store = Store(str(tmp_path / name))
        found = image.base_image(stack(tmp_path / f"in {name}", store), "amd64", store)
        digests.add((found.manifest, found.config, found.layers))
    assert len(digests) == 1


def test_a_stack_that_was_not_built(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    with pytest.raises(NotBuilt) as caught:
        image.base_image("debian-12", "arm64", store)
    assert caught.value.message == "the root filesystem of debian-12 for arm64 is not in the store"
    assert caught.value.hint == "Run 'stager box build debian-12 --arch arm64'."
    with pytest.raises(LockMissing):
        image.base_image(str(folder(tmp_path)), "amd64", store)


def test_a_damaged_root_makes_no_image(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    name = stack(tmp_path, store)
    found = find.load(name)
    made = root.find(found, lock.load(found), "amd64", store)
    path = Path(store.path(made.digest.hex))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"ID=debian", b"ID=hacked", 1))
    with pytest.raises(StoreCorrupt):
        image.base_image(name, "amd64", store)


def made_image(place: Path) -> tuple[BaseImage, Root, Store]:
    store = Store(str(place / "store"))
    found = find.load(stack(place, store))
    made = root.find(found, lock.load(found), "amd64", store)
    return image.of(found, made, store), made, store


def test_the_layout_is_complete_and_never_overwrites(tmp_path: Path) -> None:
    found, made, store = made_image(tmp_path)
    out = tmp_path / "out" / "image"
    layout.write_base(found, str(out))
    image.write_root(made, str(tmp_path / "out" / "root.tar"), store)
    assert hashlib.sha256((tmp_path / "out" / "root.tar").read_bytes()).hexdigest() == made.digest.hex
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    digests = (found.manifest, found.config, found.layers[0].digest)
    assert files == {"index.json", "oci-layout", *(f"blobs/sha256/{digest.hex}" for digest in digests)}
    for digest in digests:
        assert (
            Digest(f"sha256:{hashlib.sha256((out / 'blobs' / 'sha256' / digest.hex).read_bytes()).hexdigest()}")
            == digest
        )
    with pytest.raises(CannotWrite, match="cannot be written: it is there already"):
        layout.write_base(found, str(out))
    with pytest.raises(CannotWrite):
        layout.write_base(found, str(tmp_path / "out" / "root.tar" / "x"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"image", "root.tar"}


@pytest.mark.tools
def test_skopeo_and_umoci_read_the_layout(tmp_path: Path) -> None:
    found, made, _ = made_image(tmp_path)
    layout.write_base(found, str(tmp_path / "image"))
    for program in ("skopeo", "umoci"):
        assert shutil.which(program)
    shown = subprocess.run(
        ["skopeo", "inspect", f"oci:{tmp_path}/image:mine"], capture_output=True, text=True, check=True, timeout=60
    )
    facts = json.loads(shown.stdout)
    assert (facts["Digest"], facts["Os"], facts["Architecture"]) == (found.manifest, "linux", "amd64")
    assert facts["Labels"]["io.buildpacks.stack.id"] == "mine"
    subprocess.run(
        ["umoci", "unpack", "--rootless", "--image", f"{tmp_path}/image:mine", str(tmp_path / "bundle")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    unpacked = tmp_path / "bundle" / "rootfs"
    assert (unpacked / "etc" / "os-release").read_bytes() == b"ID=debian\n" * 1000
    assert made.entries == 1 + sum(1 for _ in unpacked.rglob("*"))
