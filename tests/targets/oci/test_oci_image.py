"""An exported image: the droplet's own layers, a configuration that runs anywhere, labels others read, the same bytes."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from image_files import AARCH64, base_layout, digest, docker_archive, glibc, layer, read_layout, tar_of
from small_droplets import small_droplet
from unpacking import unpack

from stager.droplet.reader import open_droplet
from stager.errors import CannotWrite, StagerError, Unreadable, UsageError
from stager.stacks.errors import BadImage, NotBuilt
from stager.store import Store
from stager.store.errors import DigestMismatch
from stager.targets import Exported
from stager.targets.oci import export as oci
from stager.targets.oci.errors import WrongArchitecture


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_droplet(tmp_path_factory.mktemp("droplet"))


def export(droplet: Path, out: Path, **options: Any) -> Exported:
    with open_droplet(str(droplet)) as opened:
        store = options.pop("store", None)
        return oci.export(opened, str(out), oci.OciOptions(**{"base": "scratch", **options}), store=store)


def test_the_layers_are_the_droplets_own_blobs(made: Path, tmp_path: Path) -> None:
    done = export(made, tmp_path / "image")
    manifest, config, plain = read_layout(tmp_path / "image")
    with open_droplet(str(made)) as droplet:
        skeleton, *others = droplet.layers
        raised = [*others, skeleton]  # above all others: it alone has an entry for each folder that layers share
        assert [row["digest"] for row in manifest["layers"]] == [str(one.digest) for one in raised]
        assert [digest(one) for one in plain] == [str(one.diff_id) for one in raised]
        assert list(done.layers) == [str(one.diff_id) for one in droplet.layers]
    assert oci.layers(str(tmp_path / "image")) == done.layers
    assert [entry["created_by"] for entry in config["history"]] == ["stager: layer app", "stager: layer skeleton"]
    assert done.notes[1].startswith("there is no base: the image holds the droplet alone")


def test_the_configuration_runs_anywhere(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "image", port=5000)
    _, config, _ = read_layout(tmp_path / "image")
    labels = config["config"].pop("Labels")
    assert config["config"] == {
        "User": "2000:0",
        "WorkingDir": "/app",
        "Entrypoint": ["/app/.stager/bin/launch"],
        "Cmd": ["web"],
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            "HOME=/app",
            "PORT=5000",
        ],
        "ExposedPorts": {"5000/tcp": {}},
    }
    assert (config["architecture"], config["os"], config["created"]) == ("amd64", "linux", "1980-01-01T00:00:01Z")
    assert labels["io.openshift.expose-services"] == "5000:http"


def test_readers_of_buildpack_labels_find_processes_and_layers(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "image", source="https://git.example/app", revision="0123abc", labels={"team": "blue"})
    manifest, config, _ = read_layout(tmp_path / "image")
    labels = config["config"]["Labels"]
    build = json.loads(labels["io.buildpacks.build.metadata"])
    assert [(row["type"], row["command"], row["direct"]) for row in build["processes"]] == [
        ("web", ["./serve"], False),
        ("worker", ["sleep 600"], False),
    ]
    assert [row["id"] for row in build["buildpacks"]] == ["procfile"]
    lifecycle = json.loads(labels["io.buildpacks.lifecycle.metadata"])
    app, skeleton = config["rootfs"]["diff_ids"]
    assert lifecycle["app"] == [{"sha": app}]
    assert lifecycle["buildpacks"][-1]["layers"] == {"skeleton": {"sha": skeleton, "launch": True}}
    assert lifecycle["runImage"] == {"topLayer": "", "reference": ""}
    assert json.loads(labels["io.buildpacks.project.metadata"])["source"] == {
        "type": "git",
        "version": {"app": app, "commit": "0123abc"},
        "metadata": {"repository": "https://git.example/app"},
    }
    assert (labels["io.buildpacks.stack.id"], labels["team"]) == ("debian-12", "blue")
    with open_droplet(str(made)) as droplet:
        said = {"stager.droplet.digest": str(droplet.digest), "stager.plan.digest": droplet.launch.plan}
    assert labels.items() >= said.items()
    assert manifest["annotations"] == {
        "org.opencontainers.image.created": "1980-01-01T00:00:01Z",
        "org.opencontainers.image.source": "https://git.example/app",
        "org.opencontainers.image.revision": "0123abc",
        "stager.stack": "debian-12",
        **said,
    }


def test_without_web_the_first_type_starts_and_no_port_is_exposed(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path, {"Procfile": "worker: sleep 600\nclock: sleep 60\n"})
    export(droplet, tmp_path / "image")
    _, config, _ = read_layout(tmp_path / "image")
    assert config["config"]["Cmd"] == ["clock"]
    assert "CNB_PROCESS_TYPE=clock" in config["config"]["Env"]
    assert "ExposedPorts" not in config["config"]


def test_the_same_droplet_gives_the_same_bytes_wherever_it_lies(made: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    copy = tmp_path / "other" / "copy.tgz"
    copy.write_bytes(made.read_bytes())
    first = export(made, tmp_path / "a.tar", name="reg.example/app:1")
    second = export(copy, tmp_path / "other" / "b.tar", name="reg.example/app:1")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "other" / "b.tar").read_bytes()
    assert first.digest == second.digest == digest((tmp_path / "a.tar").read_bytes())
    assert first.size == (tmp_path / "a.tar").stat().st_size


def test_an_archive_is_a_layout_and_what_docker_loads(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "image", name="reg.example:5000/team/app:1")
    export(made, tmp_path / "image.tar", name="reg.example:5000/team/app:1")
    with tarfile.open(tmp_path / "image.tar") as archive:
        names = archive.getnames()
        unpack(archive, tmp_path / "out")
    assert len(names) == len(set(names))
    (row,) = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert row["RepoTags"] == ["reg.example:5000/team/app:1"]
    manifest, config, _ = read_layout(tmp_path / "out")
    assert row["Config"].endswith(manifest["config"]["digest"][7:])
    assert [place[-64:] for place in row["Layers"]] == [one["digest"][7:] for one in manifest["layers"]]
    (entry,) = json.loads((tmp_path / "out" / "index.json").read_text())["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "reg.example:5000/team/app:1",
        "org.opencontainers.image.ref.name": "1",
    }
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    (tmp_path / "out" / "manifest.json").unlink()
    listing = [sorted(str(p.relative_to(f)) for p in f.rglob("*")) for f in (tmp_path / "image", tmp_path / "out")]
    assert listing[0] == listing[1]
    assert config["rootfs"]["diff_ids"]


def test_no_blob_is_written_twice(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "root.tar"
    root.write_bytes(layer(glibc()))
    export(made, tmp_path / "image.tar", base="", base_root=str(root))
    with open_droplet(str(made)) as droplet:
        blobs = {one.digest: one.size for one in droplet.layers}
    with tarfile.open(tmp_path / "image.tar") as archive:
        sizes = [member.size for member in archive if member.name.startswith("blobs/") and member.isfile()]
    assert len(sizes) == len(blobs) + 3  # the root, configuration, manifest
    assert (tmp_path / "image.tar").stat().st_size < sum(sizes) + 1024 * (len(sizes) + 8)


# --- bases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["layout", "archive", "docker types", "docker save"])
def test_a_bases_own_blobs_come_first_unchanged(made: Path, tmp_path: Path, form: str) -> None:
    files: list[dict[str, bytes | str]] = [{**glibc()}, {"etc/os": b"base"}]
    if form == "docker save":
        path = tmp_path / "base.tar"
        reference = docker_archive(path, files)
    else:
        path = tmp_path / "base"
        reference = base_layout(path, files, docker=form == "docker types")
        path = tar_of(path, tmp_path / "base.tar") if form == "archive" else path
    export(made, tmp_path / "image", base=f"{path}@{reference}")
    manifest, config, plain = read_layout(tmp_path / "image")
    assert plain[:2] == [layer(one) for one in files]
    assert len(plain) == 4
    assert all(row["mediaType"].startswith("application/vnd.oci.image.layer.v1.tar") for row in manifest["layers"])
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == reference
    lifecycle = json.loads(config["config"]["Labels"]["io.buildpacks.lifecycle.metadata"])
    assert lifecycle["runImage"] == {"topLayer": digest(plain[1]), "reference": reference}
    export(made, tmp_path / "named", base=f"{path}@{reference}", base_name="registry.example/base:12")
    labels = read_layout(tmp_path / "named")[1]["config"]["Labels"]
    assert json.loads(labels["io.buildpacks.lifecycle.metadata"])["runImage"]["image"] == "registry.example/base:12"
    assert config["config"]["Env"][:2] == ["PATH=/usr/bin:/bin", "BASE=yes"]
    assert config["config"]["Cmd"] == ["web"]
    assert config["history"][2] == {"created_by": "CMD bash", "empty_layer": True}


def test_a_name_for_no_base(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--base-name names a base, and there is none"):
        export(made, tmp_path / "image", base_name="registry.example/base:12")


def test_the_bases_labels_that_hold_above_it_are_kept(made: Path, tmp_path: Path) -> None:
    labels = {"io.buildpacks.base.distro.name": "debian", "maintainer": "somebody"}
    reference = base_layout(tmp_path / "base", [glibc()], Labels=labels)
    export(made, tmp_path / "image", base=f"{tmp_path}/base@{reference}")
    found = read_layout(tmp_path / "image")[1]["config"]["Labels"]
    assert found["io.buildpacks.base.distro.name"] == "debian"
    assert "maintainer" not in found


def test_a_plain_root_is_packed_once_and_the_same_everywhere(made: Path, tmp_path: Path) -> None:
    import gzip

    root = tmp_path / "root.tar"
    root.write_bytes(layer({**glibc(), "etc/big": bytes(5_000_000)}))
    packed = tmp_path / "root.tar.gz"
    packed.write_bytes(gzip.compress(root.read_bytes(), 1))
    store = Store(str(tmp_path / "store"))
    first = export(made, tmp_path / "a", base="", base_root=str(root), store=store)
    again = export(made, tmp_path / "b", base="", base_root=str(packed), store=store)
    fresh = export(made, tmp_path / "c", base="", base_root=str(root))
    assert first.digest == again.digest == fresh.digest
    _, _, plain = read_layout(tmp_path / "a")
    assert plain[0] == root.read_bytes()
    assert first.notes[-1] == "the base has glibc 2.36"


def refused(made: Path, tmp_path: Path, **options: Any) -> StagerError:
    with pytest.raises(StagerError) as caught:
        export(made, tmp_path / "image", **options)
    assert not (tmp_path / "image").exists()
    assert [name for name in tmp_path.iterdir() if ".part" in name.name] == []
    return caught.value


def test_a_base_without_a_digest_is_told_its_digest(made: Path, tmp_path: Path) -> None:
    reference = base_layout(tmp_path / "base", [glibc()])
    problem = refused(made, tmp_path, base=str(tmp_path / "base"))
    assert isinstance(problem, UsageError)
    assert problem.hint == f"Write {tmp_path}/base@{reference}"


def test_a_base_with_another_digest_is_refused(made: Path, tmp_path: Path) -> None:
    base_layout(tmp_path / "base", [glibc()])
    problem = refused(made, tmp_path, base=f"{tmp_path}/base@sha256:{'0' * 64}")
    assert isinstance(problem, DigestMismatch)


def test_a_stack_without_an_image_names_the_command_that_makes_one(made: Path, tmp_path: Path) -> None:
    problem = refused(made, tmp_path, base="debian-12")
    assert isinstance(problem, NotBuilt)
    assert problem.hint == "Run 'stager box build debian-12 --arch amd64'."
    assert isinstance(refused(made, tmp_path, base="debian-12", store=Store(str(tmp_path / "store"))), NotBuilt)


def built(store: Store) -> bytes:
    """Put a root of debian-12 into a store, as `stager box build` does; its tar."""
    from stager.stacks import find, lock
    from stager.stacks.root import stack_digest

    definition = find.load("debian-12")
    root = layer({**glibc(), "etc/debian_version": b"12\n"})
    facts = {"digest": f"sha256:{store.put(root)}", "size": len(root), "entries": 3, "packages": 1}
    store.remember("stack-root", stack_digest(definition, lock.load(definition), "amd64", ()), facts)
    return root


@pytest.mark.parametrize("wish", ["debian-12", ""])
def test_a_stacks_own_image_is_taken_when_it_has_been_built(made: Path, tmp_path: Path, wish: str) -> None:
    store = Store(str(tmp_path / "store"))
    root = built(store)
    done = export(made, tmp_path / "image", base=wish, store=store)
    manifest, config, plain = read_layout(tmp_path / "image")
    assert plain[0] == root
    assert manifest["annotations"]["org.opencontainers.image.base.digest"].startswith("sha256:")
    assert config["config"]["Labels"]["io.buildpacks.base.distro.name"] == "debian"
    assert config["config"]["Entrypoint"] == ["/app/.stager/bin/launch"]
    assert done.notes[-1] == "the base has glibc 2.36"


def test_a_base_of_another_architecture_is_refused(made: Path, tmp_path: Path) -> None:
    reference = base_layout(tmp_path / "base", [glibc(machine=AARCH64)], architecture="arm64")
    problem = refused(made, tmp_path, base=f"{tmp_path}/base@{reference}")
    assert isinstance(problem, WrongArchitecture)
    assert problem.message == "is for arm64, the droplet is for amd64"
    (tmp_path / "root.tar").write_bytes(layer(glibc(machine=AARCH64)))
    assert isinstance(refused(made, tmp_path, base="", base_root=f"{tmp_path}/root.tar"), WrongArchitecture)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"base": "/nowhere/base"}, UsageError, "there is no such file and no such stack"),
        ({"base": "/nowhere/base@sha256:" + "0" * 64}, Unreadable, "No such file"),
        ({"base": "x@sha256:zz"}, UsageError, "is no digest"),
        ({"base": "", "base_root": "/nowhere.tar"}, Unreadable, "No such file"),
        ({"base_root": "/x.tar"}, UsageError, "exclude each other"),
        ({"port": 80}, UsageError, "port 80 cannot be used"),
        ({"format": "zip"}, UsageError, "no format 'zip'"),
    ],
)
def test_wishes_that_make_no_sense(
    made: Path, tmp_path: Path, options: dict[str, Any], kind: type[StagerError], said: str
) -> None:
    problem = refused(made, tmp_path, **options)
    assert isinstance(problem, kind)
    assert said in problem.message


def test_something_else_in_the_place_is_left_alone(made: Path, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "mine").write_text("precious")
    with pytest.raises(CannotWrite, match="no image layout"):
        export(made, tmp_path / "image")
    assert [path.name for path in tmp_path.iterdir()] == ["image"]
    assert (tmp_path / "image" / "mine").read_text() == "precious"


def test_an_older_layout_is_replaced_whole(made: Path, tmp_path: Path) -> None:
    export(made, tmp_path / "image", labels={"old": "1"})
    export(made, tmp_path / "image")
    fresh = export(made, tmp_path / "fresh")
    assert {path.name for path in (tmp_path / "image/blobs/sha256").iterdir()} == {
        path.name for path in (tmp_path / "fresh/blobs/sha256").iterdir()
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "image"]
    assert fresh.layers == oci.layers(str(tmp_path / "image"))


def test_what_stager_did_not_make_has_no_layers_to_read(tmp_path: Path) -> None:
    base_layout(tmp_path / "base", [glibc()])
    with pytest.raises(BadImage, match="was not made by stager"):
        oci.layers(str(tmp_path / "base"))


# --- several architectures -------------------------------------------------------------------------------------


def test_two_droplets_become_one_index(made: Path, tmp_path: Path) -> None:
    import stager

    app = made.parent / "app"
    other = str(tmp_path / "arm.tgz")
    stager.stage(str(app), out=other, store=stager.Store(str(tmp_path / "store")), architecture="arm64")
    scratch = oci.OciOptions(base="scratch")
    with open_droplet(str(made)) as one, open_droplet(other) as two:
        first = oci.export(one, str(tmp_path / "a"), scratch, more=(two,))
        second = oci.export(two, str(tmp_path / "b"), scratch, more=(one,))
        with pytest.raises(UsageError, match="two droplets are for one architecture"):
            oci.export(one, str(tmp_path / "c"), scratch, more=(one,))
    assert first.digest == second.digest
    (row,) = json.loads((tmp_path / "a" / "index.json").read_text())["manifests"]
    assert row["mediaType"] == "application/vnd.oci.image.index.v1+json"
    index = json.loads((tmp_path / "a/blobs/sha256" / row["digest"][7:]).read_text())
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
