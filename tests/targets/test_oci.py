"""OCI images with the programs that people use: a real engine, skopeo, umoci; and the commands as they are typed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from all_built import SAYS, AllBuilt
from apps_fixture import expectation, materialise
from command import in_process
from engine import RESTRICTED, Engine, ask, private_engine, serving
from image_files import base_layout, digest, glibc, read_layout
from rootfs import debian_root
from small_droplets import small_droplet

from stager.droplet.reader import open_droplet
from stager.targets.oci import export

APPS = ("flask-requirements", "procfile-perl")


def program(*command: object) -> str:
    """Run a program that must be there and succeed; its standard output."""
    name = str(command[0])
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with private_engine() as started:
        yield started


Podman = Callable[..., str]


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    """Podman with images and state of the tests' own, on overlayfs as users have it."""
    folder = Path(tempfile.mkdtemp(prefix="po-", dir="/tmp"))  # the path of what it runs may have 50 characters
    own = (
        "--root",
        folder / "data",
        "--runroot",
        folder / "run",
        "--storage-driver=overlay",
        "--runtime=runc",
        "--cgroup-manager=cgroupfs",
        "--log-level=error",
    )
    yield lambda *words: program("podman", *own, *words)
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()]
    for place in sorted((one for one in mounted if one.startswith(f"{folder}/")), reverse=True):
        program("umount", place)  # it mounts its own folder privately, and leaves that
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory, shared_store: Path) -> dict[str, Path]:
    """Real apps staged and exported onto a real Debian root, as archives `<name>.tar` beside their droplets."""
    root = debian_root(tmp_path_factory)
    folder = tmp_path_factory.mktemp("images")
    for name in APPS:
        app = materialise(name, folder)
        in_process("stage", app, "-o", folder / f"{name}.tgz", "--quiet", store=shared_store).good()
        command = ("export", "oci", folder / f"{name}.tgz", "--base-root", root, "-t", f"apps/{name}:1")
        in_process(*command, "-o", folder / f"{name}.tar", store=shared_store).good()
    return {name: folder / f"{name}.tar" for name in APPS}


def unpacked(folder: Path) -> dict[str, tuple[str, ...]]:
    """Every path below `folder/app` with its kind, mode and content or target."""
    found: dict[str, tuple[str, ...]] = {}
    for path in [folder / "app", *(folder / "app").rglob("*")]:
        facts = path.lstat()
        owner = f"{facts.st_uid}:{facts.st_gid}"
        mode = f"{stat.S_IMODE(facts.st_mode):o}"
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path), owner)
        elif path.is_dir():
            found[name] = ("folder", mode, owner)
        else:
            found[name] = ("file", mode, owner, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def of_droplet(droplet: Path) -> dict[str, tuple[str, ...]]:
    """The same, as the droplet's own headers say it."""
    found: dict[str, tuple[str, ...]] = {}
    with open_droplet(str(droplet)) as opened:
        for entry in opened.entries():
            name = entry.name.removeprefix("./").rstrip("/")
            if name.partition("/")[0] != "app":
                continue
            owner, mode = f"{entry.uid}:{entry.gid}", f"{entry.mode:o}"
            rows = {
                "link": ("link", entry.link, owner),
                "folder": ("folder", mode, owner),
                "file": ("file", mode, owner, entry.sha256),
            }
            found[name] = rows[entry.kind]
    return found


def droplet_layers(archive: Path) -> list[str]:
    with open_droplet(str(archive.with_suffix(".tgz"))) as droplet:
        return [str(layer.diff_id) for layer in droplet.layers]


def image_layers(archive: Path) -> list[str]:
    """The droplet's diffIDs in the order in which an image has them."""
    skeleton, *others = droplet_layers(archive)
    return [*others, skeleton]


# --- an engine -------------------------------------------------------------------------------------------------


@pytest.mark.tools
@pytest.mark.network
def test_what_was_built_answers_under_openshifts_rules(
    engine: Engine, all_built: AllBuilt, shared_store: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    command = ("export", "oci", all_built.droplet, "--base-root", debian_root(tmp_path_factory), "-t", "apps/built:1")
    in_process(*command, "-o", tmp_path / "built.tar", store=shared_store).good()
    with (tmp_path / "built.tar").open("rb") as stream:
        (image,) = engine.client.images.load(stream)
    with serving(engine, image.id, **RESTRICTED) as (port, container):
        code, body = ask(port, "/", container)
        assert (code, SAYS in body) == (200, True), body


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("rules", ["plain", "restricted"])
def test_an_engine_loads_and_runs_it(engine: Engine, images: dict[str, Path], name: str, rules: str) -> None:
    with images[name].open("rb") as stream:
        (image,) = engine.client.images.load(stream)
    assert image.tags == [f"apps/{name}:1"]
    assert image.attrs["RootFS"]["Layers"][1:] == image_layers(images[name])
    expected = expectation(name)["http"]
    options: dict[str, Any] = RESTRICTED if rules == "restricted" else {}
    with serving(engine, image.id, **options) as (port, container):
        code, body = ask(port, expected["path"], container)
        assert (code, expected["body"] in body) == (expected["status"], True), body
        user = container.top()["Processes"][0][0] if rules == "plain" else ""
        assert user in ("2000", "")


@pytest.mark.tools
@pytest.mark.network
def test_any_process_type_or_command_starts_by_name(engine: Engine, images: dict[str, Path]) -> None:
    with images["procfile-perl"].open("rb") as stream:
        (image,) = engine.client.images.load(stream)
    run = engine.client.containers.run
    options = {"network_mode": "host", "remove": True, **RESTRICTED}
    assert run(image.id, ["--", "sh", "-c", "echo $HOME; id -u; id -g"], **options) == b"/app\n1000660000\n0\n"
    with pytest.raises(Exception, match="no process type 'worker' in this droplet; it has: web"):
        run(image.id, ["worker"], **options)


WRITING = """set -e
for place in /app /app/.stager /app/made/by/the/app; do
  mkdir -p $place; echo x >$place/written; mv $place/written $place/moved
done
.stager/python/bin/python3 -c "import sqlite3; c = sqlite3.connect('app.db'); c.execute('create table t (n)'); c.commit()"
stat -c '%a %u:%g' /app
"""
"""What an app does that keeps its data in its own folder. SQLite makes a journal beside the file, so the folder counts."""
USERS = ("2000:0", "1000660000:0")


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("user", USERS)
def test_an_app_can_write_into_its_folder_under_docker(engine: Engine, images: dict[str, Path], user: str) -> None:
    with images["flask-requirements"].open("rb") as stream:
        (image,) = engine.client.images.load(stream)
    options = {"network_mode": "host", "remove": True, "user": user, "cap_drop": ["ALL"]}
    assert engine.client.containers.run(image.id, ["--", "sh", "-c", WRITING], **options) == b"775 2000:0\n"


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("user", USERS)
def test_an_app_can_write_into_its_folder_under_podman(images: dict[str, Path], user: str, podman: Podman) -> None:
    podman("load", "--quiet", "--input", images["flask-requirements"])
    run = (
        "run",
        "--rm",
        "--network=host",
        "--cgroups=enabled",
        "--cgroup-manager=cgroupfs",
        "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=512:512",
        f"--user={user}",
        "--cap-drop=ALL",
    )
    assert podman(*run, "localhost/apps/flask-requirements:1", "--", "sh", "-c", WRITING) == "775 2000:0\n"


@pytest.mark.tools
@pytest.mark.network
def test_the_command_loads_it_into_an_engine(engine: Engine, images: dict[str, Path], shared_store: Path) -> None:
    droplet = images["procfile-perl"].with_suffix(".tgz")
    command = ("export", "oci", droplet, "--base", "scratch", "-t", "loaded:2", "--load", "--json")
    done = in_process(*command, store=shared_store, cwd=droplet.parent, DOCKER_HOST=engine.host).good().document
    image = engine.client.images.get("loaded:2")
    assert image.id == done["loaded"]
    assert image.attrs["RootFS"]["Layers"] == image_layers(images["procfile-perl"])
    assert done["images"][0]["layers"] == droplet_layers(images["procfile-perl"])
    assert not (droplet.parent / "image.tar").exists()


def test_an_engine_that_is_not_there_is_a_typed_error(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path)
    command = ("export", "oci", droplet, "--base", "scratch", "--load", "--json")
    done = in_process(*command, store=tmp_path / "store", DOCKER_HOST=f"unix://{tmp_path}/none")
    assert done.code == 70
    assert done.document["error"]["code"] == "EngineFailed"
    assert "DOCKER_HOST" in done.document["error"]["hint"]


# --- skopeo and umoci ------------------------------------------------------------------------------------------


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("name", APPS)
def test_skopeo_reads_every_form_and_copies_the_very_blobs(images: dict[str, Path], name: str, tmp_path: Path) -> None:
    archive = images[name]
    seen = [json.loads(program("skopeo", "inspect", f"{kind}:{archive}")) for kind in ("oci-archive", "docker-archive")]
    assert len(seen[0]["Layers"]) == len(droplet_layers(archive)) + 1
    assert seen[0]["Labels"] == seen[1]["Labels"]
    program("skopeo", "copy", "--quiet", f"oci-archive:{archive}", f"dir:{tmp_path}/dir")
    manifest = json.loads((tmp_path / "dir" / "manifest.json").read_text())
    with open_droplet(str(archive.with_suffix(".tgz"))) as droplet:
        skeleton, *others = droplet.layers
        assert [row["digest"] for row in manifest["layers"][1:]] == [str(one.digest) for one in (*others, skeleton)]
        for layer in droplet.layers:
            assert (tmp_path / "dir" / layer.digest.hex).read_bytes() == b"".join(droplet.blob(layer))
    assert digest((tmp_path / "dir" / "manifest.json").read_bytes()) == seen[0]["Digest"]


@pytest.mark.tools
@pytest.mark.network
@pytest.mark.parametrize("name", APPS)
def test_umoci_unpacks_the_droplets_files(images: dict[str, Path], name: str, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("owners can only be given by root")
    droplet = images[name].with_suffix(".tgz")
    with open_droplet(str(droplet)) as opened:
        export.export(opened, str(tmp_path / "image"), export.OciOptions(base="scratch", name="x:latest"))
    program("umoci", "unpack", "--image", f"{tmp_path}/image:latest", tmp_path / "bundle")
    assert unpacked(tmp_path / "bundle" / "rootfs") == of_droplet(droplet)


@pytest.mark.tools
@pytest.mark.network
def test_skopeo_reads_an_index_and_a_rebased_image(images: dict[str, Path], tmp_path: Path, shared_store: Path) -> None:
    store: dict[str, Any] = {"store": shared_store}
    app = materialise("procfile-perl", tmp_path)
    for arch in ("amd64", "arm64"):
        in_process("stage", app, "--arch", arch, "-o", tmp_path / f"{arch}.tgz", "--quiet", **store).good()
    both = (tmp_path / "amd64.tgz", tmp_path / "arm64.tgz")
    done = in_process("export", "oci", *both, "--base", "scratch", "-o", tmp_path / "both", "--json", **store).good()
    raw = program("skopeo", "inspect", "--raw", f"oci:{tmp_path}/both")
    assert digest(raw.encode()) == done.document["digest"]
    for arch in ("amd64", "arm64"):
        seen = json.loads(program("skopeo", "--override-arch", arch, "inspect", f"oci:{tmp_path}/both"))
        assert seen["Architecture"] == arch
        assert seen["Digest"] == done.document["digest"]
        assert len(seen["Layers"]) == len(done.document["images"][0]["layers"])
    archive = tmp_path / "a.tar"
    shutil.copy(images["procfile-perl"], archive)
    base_layout(tmp_path / "base", [{**glibc(41), "bin/sh": b"#!"}])
    (row,) = json.loads((tmp_path / "base" / "index.json").read_text())["manifests"]
    moved = in_process("rebase", archive, "--onto", f"{tmp_path}/base@{row['digest']}", **store).good()
    assert json.loads(program("skopeo", "inspect", f"oci-archive:{archive}"))["Digest"] == moved.out.strip()


# --- the command -----------------------------------------------------------------------------------------------


def test_the_command_writes_what_it_says(tmp_path: Path) -> None:
    droplet = small_droplet(tmp_path)
    store: dict[str, Any] = {"store": tmp_path / "store", "cwd": tmp_path}
    done = in_process("export", "oci", "--base", "scratch", "--json", **store).good().document
    assert (tmp_path / "image.tar").is_file()
    assert done["file"] == {
        "path": "image.tar",
        "digest": digest((tmp_path / "image.tar").read_bytes()),
        "size": (tmp_path / "image.tar").stat().st_size,
    }
    (image,) = done["images"]
    assert (image["architecture"], image["base_layers"]) == ("amd64", 0)
    assert image["droplet"] == digest(droplet.read_bytes())
    again = in_process(
        "export", "oci", droplet, "-o", "layout", "--base", "scratch", "--label", "a=b=c", **store
    ).good()
    _, config, _ = read_layout(tmp_path / "layout")
    assert config["config"]["Labels"]["a"] == "b=c"
    assert again.out.startswith("sha256:")
    assert "note: there is no base" in again.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--label", "x"], "argument --label: 'x' has no value"),
        (["--label", "x=1", "--label", "x=2"], "--label 'x' is given twice"),
        (["--base", "debian-13"], "stager box build debian-13"),
        (["--base", "nothing-such"], "no such file and no such stack"),
    ],
)
def test_wishes_that_make_no_sense(tmp_path: Path, options: list[str], said: str) -> None:
    done = in_process("export", "oci", small_droplet(tmp_path), *options, store=tmp_path / "store", cwd=tmp_path)
    assert done.code in (2, 70)
    assert said in done.err
    assert not (tmp_path / "image.tar").exists()
