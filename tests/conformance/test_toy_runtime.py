"""Proof that a runtime is a plug: a copy of stager gets one module, one line and a buildpack, and every command knows it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_runtime
from builders import TarEntry, compress, make_tar
from command import Done, stager
from own_copy import ROOT, copied, plugged
from servers import Server, serve
from unpacking import unpack

from stager import runtimes
from stager.droplet import starting
from stager.errors import BadManifest
from stager.planning.detection import foreign
from stager.tree import SourceTree

PROGRAM = b'#!/bin/sh\necho "toy $(cat "${0%/bin/toy}/VERSION") runs $1"\n'
BUILDPACK = {
    "buildpack.yml": """name: toy
version: "1"
looks_for: main.toy
detect: [{file: main.toy, claim: manifest, why: "{file} is a program in Toy"}]
runtimes: [toy]
files: {profile.sh.j2: .profile.d/000-stager-toy.sh}
start: [{for: main.toy, when: [{file: main.toy}], run: toy main.toy, why: "{file} is there"}]
""",
    "inputs.txt": ".toy-version\n",
    "releases.yml": 'supported: {"2": "2099-01", "1": "2098-01"}\nended: {"0": "2020-01"}\n',
    "templates/profile.sh.j2": 'PATH="$HOME/.stager/toy/bin${PATH:+:$PATH}"\nexport PATH\n',
}
VERSIONS = ("0.9.0", "1.2.3", "1.10.0", "2.0.1")


def archive(version: str) -> bytes:
    files = {"bin/toy": PROGRAM, "VERSION": f"{version}\n".encode()}
    return compress(make_tar([TarEntry(f"toy-{version}/{name}", data) for name, data in files.items()]), "gz")


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stager with the runtime: what is written here is all that is added."""
    place = copied(tmp_path_factory.mktemp("toy"))
    shutil.copy(ROOT / "tests" / "support" / "toy_runtime.py", place / "stager" / "runtimes" / "toy.py")
    plugged(place, "runtimes", "nginx", BUILDPACK)
    return place


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        index = {version: f"sha256:{hashlib.sha256(archive(version)).hexdigest()}" for version in VERSIONS}
        server.routes["/toy/index.json"] = serve(json.dumps(index).encode())
        for version in VERSIONS:
            server.routes[f"/toy/toy-{version}.tar.gz"] = serve(archive(version))
        yield server


class Toy:
    """An app in Toy, and the commands about it."""

    def __init__(self, code: Path, server: Server, place: Path) -> None:
        self.app, self.droplet = place / "app", place / "droplet.tgz"
        self._code, self._server, self._store = code, server, place / "store"
        self.app.mkdir()
        (self.app / "main.toy").write_text("hello\n")
        (self.app / ".toy-version").write_text("1\n")

    def run(self, *arguments: object) -> Done:
        variables = {"npm_config_registry": self._server.url, "PYTHONPATH": str(self._code)}
        return stager(*arguments, store=self._store, cwd=self._code, **variables)

    def told(self, *arguments: object) -> dict[str, Any]:
        return self.run(*arguments, "--json").good().document

    def stage(self, *options: object) -> dict[str, Any]:
        return self.told("stage", self.app, "-o", self.droplet, *options)


@pytest.fixture(scope="module")
def toy(code: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Staged; tests leave it as it is."""
    toy = Toy(code, server, tmp_path_factory.mktemp("staged"))
    toy.stage()
    return toy


def test_it_is_detected(toy: Toy) -> None:
    (found,) = toy.told("detect", toy.app)["matched"]
    why = {"file": ".toy-version", "line": 1, "text": ".toy-version asks for Toy 1"}
    assert (found["buildpack"], found["versions"]) == ("toy", [{"runtime": "toy", "wanted": "1", "reason": why}])


def test_an_app_of_it_below_is_pointed_at(code: Path, server: Server, tmp_path: Path) -> None:
    toy = Toy(code, server, tmp_path)
    (toy.app / "shop").mkdir()
    (toy.app / "main.toy").rename(toy.app / "shop" / "main.toy")
    assert "shop" in toy.run("detect", toy.app).err


def test_it_is_planned(toy: Toy) -> None:
    found = toy.told("plan", toy.app)
    assert [(one["name"], one["version"]) for one in found["runtimes"]] == [("toy", "1.10.0")]
    assert [one["command"] for one in found["processes"]] == ["toy main.toy"]


def test_it_is_staged_and_runs(toy: Toy, tmp_path: Path) -> None:
    with tarfile.open(toy.droplet) as droplet:
        unpack(droplet, tmp_path)
    done = subprocess.run([tmp_path / "app/.stager/bin/launch"], capture_output=True, text=True, check=True)
    assert done.stdout == "toy 1.10.0 runs main.toy\n"


def test_the_same_bytes_again_without_the_server(toy: Toy, tmp_path: Path) -> None:
    shutil.copytree(toy.app, tmp_path / "app")
    made = toy.told("stage", tmp_path / "app", "-o", tmp_path / "d.tgz", "--offline", "--locked")
    assert made["digest"] == toy.stage()["digest"]
    assert [one["name"] for one in made["layers"]] == ["skeleton", "toy", "app"]


def test_its_version_file_is_an_input(code: Path, server: Server, tmp_path: Path) -> None:
    """An edit makes the lock stale; what comes then is chosen anew, and the difference is told with its direction."""
    toy = Toy(code, server, tmp_path)
    toy.stage()
    before = toy.droplet.rename(tmp_path / "before.tgz")
    (toy.app / ".toy-version").write_text("2\n")
    stale = toy.run("stage", toy.app, "-o", toy.droplet, "--locked")
    assert "stager.lock is out of step with .toy-version" in stale.err
    toy.stage()
    text = toy.run("diff", before, toy.droplet).out
    assert "1.10.0" in text
    assert "2.0.1" in text


def test_a_line_past_its_end_is_remarked(code: Path, server: Server, tmp_path: Path) -> None:
    toy = Toy(code, server, tmp_path)
    (toy.app / ".toy-version").write_text("0.9\n")
    why = "Toy 0 has had no security fixes since 2020-01 (.toy-version:1 asks for it)"
    assert f"{why}; try Toy 1, which has them until 2098-01" in toy.stage()["notes"]


def test_it_is_explained(toy: Toy) -> None:
    topics = toy.told("explain", "--dir", toy.app)["topics"]
    told = topics["version"][0]
    assert told["answer"].startswith("toy 1.10.0: a toy, which satisfies '1'")
    assert "the rule: the newest toy that every request allows" in told["because"]
    assert "candidate toy 2: refused by '1' (.toy-version:1)" in told["because"]
    package = toy.told("explain", "package", "toy", "--dir", toy.app)["topics"]["package"][0]
    assert package["answer"] == "toy 1.10.0 is part of the runtime toy 1.10.0."


def test_it_is_inspected(toy: Toy) -> None:
    found = toy.told("inspect", toy.droplet)
    assert found["runtimes"] == {"toy": "1.10.0"}
    assert "toy (runtime)" in {one["name"] for one in found["packages"]}
    assert "toy" in {one["name"] for one in found["layers"]}


def test_it_is_in_the_bill_of_materials(toy: Toy) -> None:
    document = json.loads(toy.run("sbom", toy.droplet).good().out)
    parts = {one["bom-ref"]: one for one in document["components"]}
    assert parts["runtime:toy"]["version"] == "1.10.0"
    assert parts["pkg:generic/toy@1.10.0"]["licenses"] == [{"acknowledgement": "declared", "expression": "MIT"}]
    needs = {one["ref"]: one["dependsOn"] for one in document["dependencies"] if one.get("dependsOn")}
    assert needs["runtime:toy"] == ["pkg:generic/toy@1.10.0"]


def test_it_is_reported(toy: Toy, tmp_path: Path) -> None:
    toy.run("report", toy.droplet, "-o", tmp_path / "report.html").good()
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<dt>Toy</dt><dd><bdi>1.10.0</bdi></dd>" in page
    assert "Runtimes" in page


def test_an_app_that_starts_it_without_having_it_is_told_how(code: Path, server: Server, tmp_path: Path) -> None:
    toy = Toy(code, server, tmp_path)
    (toy.app / "main.toy").rename(toy.app / "other")
    (toy.app / "Procfile").write_text("web: toy other\n")
    refused = toy.run("stage", toy.app, "-o", toy.droplet)
    assert "Add a main.toy, so that Toy is in the droplet." in refused.err


def test_a_language_that_a_runtime_brings_is_no_longer_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of languages that stager does not know need no edit when it learns one of them."""
    tree = SourceTree.of({"shard.yml": b""})
    starts = starting.unmet([["web", "Procfile", "1", "program", "crystal", ""]], (), "debian-12")
    assert foreign.found(tree) == [("shard.yml", "Crystal")]
    with pytest.raises(BadManifest, match="it is Crystal's, and stager has no Crystal"):
        starting.check(tree, starts)
    record = replace(toy_runtime.RUNTIME, title="Crystal", commands=frozenset({"crystal"}))
    monkeypatch.setitem(runtimes.MODULES, "toy", "toy_runtime")
    monkeypatch.setattr(toy_runtime, "RUNTIME", record)
    assert foreign.found(tree) == []
    with pytest.raises(BadManifest) as caught:
        starting.check(tree, starts)
    assert caught.value.message == "web starts crystal, which is not in the droplet"
    assert caught.value.hint == record.wish
