"""What `inspect` tells of a droplet, as a value, as a document and as text."""

from __future__ import annotations

import tarfile
from dataclasses import replace

import pytest
from small_droplets import small_droplet

import stager
from stager.cli.text import inspection_text
from stager.droplet.inspecting import Inspection, PackageSize, inspect
from stager.text.wording import size_text


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[stager.Droplet, Inspection]:
    folder = tmp_path_factory.mktemp("inspected")
    out = small_droplet(folder, {"big.txt": "0123456789" * 20_000, "stager.yml": "env: {COLOUR: red}\n"})
    made = stager.stage(str(folder / "app"), out=str(out), store=stager.Store(str(folder / "store")))
    return made, inspect(made.path)


def test_the_document_is_what_staging_said_and_the_archive_holds(staged: tuple[stager.Droplet, Inspection]) -> None:
    made, found = staged
    with tarfile.open(made.path) as archive:
        files = [one for one in archive if one.isfile() and one.name.startswith("./app/")]
    assert sorted(one.name for one in found.packages) == ["stager", "the app"]
    assert found.as_json() == {
        **{
            key: made.as_json()[key]
            for key in ("digest", "size", "plan", "stack", "architecture", "runtimes", "layers")
        },
        "buildpacks": list(made.buildpacks),
        "processes": {"web": "./serve", "worker": "sleep 600"},
        "env": made.env,
        "unpacked": sum(one.size for one in files),
        "files": len(files),
        "packages": [{"name": one.name, "unpacked": one.unpacked} for one in found.packages],
    }
    assert found.launch.env["COLOUR"] == "red"


def test_the_text_says_the_same_and_counts_the_small_ones(staged: tuple[stager.Droplet, Inspection]) -> None:
    made, found = staged
    many = replace(found, packages=tuple(PackageSize(f"p{number:02}", 2000 - number) for number in range(22)))
    lines = inspection_text(many).splitlines()
    assert lines[:4] == [
        f"digest     {made.digest}",
        f"size       {size_text(made.size)} ({size_text(22 * 2000 - 231)} in {found.files} files unpacked)",
        f"plan       {made.plan}",
        f"stack      {made.stack}/{made.architecture}",
    ]
    assert {"runtimes   none", "process    worker: sleep 600", "env        COLOUR=red"} <= set(lines)
    layers = [f"layer      {one.name}: {one.digest} {size_text(one.size)}" for one in made.layers]
    packages = [f"package    p{number:02}: 2.0 kB unpacked" for number in range(20)]
    assert lines[-21 - len(layers) :] == [*layers, *packages, "           and 2 smaller ones (--json lists them)"]
