"""`rebase`: another base below the same layers, from the image alone; there and back gives the first bytes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import in_process
from elf_builder import make_elf
from image_files import AARCH64, base_layout, docker_archive, glibc, layer, read_layout, tar_of
from small_droplets import small_droplet

from stager.droplet.reader import open_droplet
from stager.errors import UsageError
from stager.stacks.errors import BadImage
from stager.targets.oci import export
from stager.targets.oci.base import BaseOptions
from stager.targets.oci.errors import WrongArchitecture, WrongBase
from stager.targets.oci.rebase import Rebased, rebase


class Scene:
    """A droplet that needs glibc 2.34, exported onto base A, and further bases; the droplet is gone afterwards."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "app").mkdir(parents=True)
        (place / "app" / "native.so").write_bytes(
            make_elf(needed=["libc.so.6"], versions={"libc.so.6": ["GLIBC_2.34"]})
        )
        droplet = small_droplet(place)
        self.bases = {
            "A": self.base("A", [glibc(36)], Env=["PATH=/usr/bin", "A=1"], Labels={"io.buildpacks.base.id": "a"}),
            "B": self.base("B", [glibc(41), {"etc/b": b"b"}], Env=["PATH=/bin", "B=2"]),
            "old": self.base("old", [glibc(31)]),
            "arm": self.base("arm", [glibc(41, AARCH64)], architecture="arm64"),
        }
        with open_droplet(str(droplet)) as opened:
            wishes = export.OciOptions(base=self.bases["A"], source="https://git.example/app", name="reg.example/app:7")
            export.export(opened, str(place / "image"), wishes)
            export.export(opened, str(place / "image.tar"), wishes)
            export.export(opened, str(place / "B-direct"), replace(wishes, base=self.bases["B"]))
        droplet.unlink()
        shutil.rmtree(place / "app")

    def base(self, name: str, layers: list[Any], **config: Any) -> str:
        folder = self.place / f"base-{name}"
        return f"{folder}@{base_layout(folder, layers, **config)}"

    def rebase(self, onto: str, image: str = "image", out: str = "") -> Rebased:
        place = str(self.place / image)
        return rebase(place, str(self.place / out) if out else place, BaseOptions(base=self.bases[onto]))

    def files(self, name: str) -> dict[str, bytes]:
        folder = self.place / name
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("rebase"))


@pytest.fixture
def scene(staged: Scene, tmp_path: Path) -> Scene:
    """The scene with images of this test's own."""
    own = Scene.__new__(Scene)
    own.place, own.bases = tmp_path, staged.bases
    shutil.copytree(staged.place / "image", tmp_path / "image")
    shutil.copytree(staged.place / "B-direct", tmp_path / "B-direct")
    shutil.copy(staged.place / "image.tar", tmp_path / "image.tar")
    return own


def test_there_and_back_gives_the_first_image_again(scene: Scene) -> None:
    first = scene.files("image")
    there = scene.rebase("B")
    assert scene.files("image") == scene.files("B-direct") != first
    back = scene.rebase("A")
    assert scene.files("image") == first
    assert (back.digest, back.before) == (there.before, there.digest)


def test_an_archive_goes_there_and_back_too(scene: Scene) -> None:
    first = (scene.place / "image.tar").read_bytes()
    there = scene.rebase("B", "image.tar", "b.tar")
    assert (scene.place / "image.tar").read_bytes() == first
    back = scene.rebase("A", "b.tar")
    assert (scene.place / "b.tar").read_bytes() == first
    assert back.before == there.digest


def test_the_droplets_layers_stay_and_only_the_base_changes(scene: Scene) -> None:
    own = export.layers(str(scene.place / "image"))
    scene.rebase("B")
    assert export.layers(str(scene.place / "image")) == own
    _, config, plain = read_layout(scene.place / "image")
    assert plain[:2] == [layer(glibc(41)), layer({"etc/b": b"b"})]
    assert config["config"]["Env"][:2] == ["PATH=/bin", "B=2"]
    assert "io.buildpacks.base.id" not in config["config"]["Labels"]
    assert config["config"]["Labels"]["org.opencontainers.image.source"] == "https://git.example/app"
    (row,) = json.loads((scene.place / "image" / "index.json").read_text())["manifests"]
    assert row["annotations"]["io.containerd.image.name"] == "reg.example/app:7"


def test_a_base_without_the_abi_is_refused_by_file(scene: Scene) -> None:
    before = scene.files("image")
    with pytest.raises(WrongBase) as caught:
        scene.rebase("old")
    assert caught.value.data["missing"] == {"GLIBC_2.34": ["app/native.so"]}
    assert "GLIBC_2.34 (for app/native.so)" in caught.value.message
    assert scene.files("image") == before


def test_a_base_of_another_architecture_is_refused(scene: Scene) -> None:
    before = scene.files("image")
    with pytest.raises(WrongArchitecture):
        scene.rebase("arm")
    assert scene.files("image") == before


def test_an_image_of_others_is_refused(scene: Scene) -> None:
    base_layout(scene.place / "foreign", [glibc()])
    with pytest.raises(BadImage, match="was not made by stager"):
        scene.rebase("B", "foreign")
    docker_archive(scene.place / "foreign.tar", [glibc()])
    with pytest.raises(BadImage, match="was not made by stager"):
        scene.rebase("B", "foreign.tar")


def test_a_recipe_that_does_not_fit_its_layers_is_refused(scene: Scene) -> None:
    labels = read_layout(scene.place / "image")[1]["config"]["Labels"]
    base_layout(scene.place / "forged", [glibc(), {"app/x": b"x"}], Labels=labels)
    with pytest.raises(BadImage, match="its last layers are not the droplet's"):
        scene.rebase("B", "forged")
    for text in ("{", "[]", '{"version": 2}', json.dumps({**json.loads(labels["stager.image"]), "layers": [["a"]]})):
        shutil.rmtree(scene.place / "forged")
        base_layout(scene.place / "forged", [glibc()], Labels={"stager.image": text})
        with pytest.raises(BadImage):
            scene.rebase("B", "forged")


def test_a_base_must_be_named(scene: Scene) -> None:
    with pytest.raises(UsageError, match="no base is named"):
        rebase(str(scene.place / "image"), str(scene.place / "image"), BaseOptions())


def test_what_docker_saved_again_is_still_rebased(scene: Scene, tmp_path: Path) -> None:
    """Engines write layers uncompressed; the diffIDs, and so the droplet's layers, are the same."""
    _, config, plain = read_layout(scene.place / "image")
    out = tmp_path / "saved"
    (out / "blobs" / "sha256").mkdir(parents=True)
    data = json.dumps(config).encode()
    from image_files import digest

    names = []
    for one in plain:
        (out / "blobs/sha256" / digest(one)[7:]).write_bytes(one)
        names.append(f"blobs/sha256/{digest(one)[7:]}")
    (out / "config.json").write_bytes(data)
    (out / "manifest.json").write_text(json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": names}]))
    tar_of(out, scene.place / "saved.tar")
    done = scene.rebase("B", "saved.tar", "moved.tar")
    assert export.layers(str(scene.place / "moved.tar")) == export.layers(str(scene.place / "image"))
    assert done.before == digest(data)


def test_the_command_says_what_it_was_and_is(scene: Scene) -> None:
    store = scene.place / "store"
    done = (
        in_process("rebase", scene.place / "image", "--onto", scene.bases["B"], "--json", store=store).good().document
    )
    back = in_process("rebase", scene.place / "image", "--onto", scene.bases["A"], store=store).good()
    assert back.out.strip() == done["before"]
    assert f"was {done['digest']}" in back.err
    refused = in_process("rebase", scene.place / "image", "--onto", scene.bases["old"], "--json", store=store)
    assert refused.code == 70
    assert refused.document["error"]["code"] == "WrongBase"
    allowed = in_process(
        *("rebase", scene.place / "image", "--onto", scene.bases["old"], "--allow-missing", "GLIBC_2.34"), store=store
    )
    assert allowed.good().out.startswith("sha256:")
    assert in_process("rebase", scene.place / "image", store=store).code == UsageError.exit_code
