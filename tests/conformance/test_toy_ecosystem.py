"""Proof that an ecosystem is a plug: a copy of stager gets a folder, a line and a buildpack; every command knows it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import TarEntry, make_tar
from command import Done, stager
from own_copy import ROOT, copied, plugged
from servers import Server, serve
from unpacking import unpack

BUILDPACK = {
    "buildpack.yml": """name: toy
version: "1"
ecosystem: toy
looks_for: toys.json
detect: [{file: toys.json, claim: manifest, why: "{file} asks for toys"}]
start: [{for: a hat, when: [{installed: hat}], run: sh .stager/toys/hat/run, why: there is a hat}]
""",
    "inputs.txt": "toys.json\ntoys.lock\n",
}
NEEDS = {"hat@1.2": ["wool@3"], "hat@1.10": ["wool@3"], "wool@3": [], "ball@1": []}
"""Every toy there is, with what it needs."""


def archive(pin: str) -> bytes:
    name, _, version = pin.partition("@")
    described = {"name": name, "version": version, "needs": NEEDS[pin], "licence": "MIT"}
    files = {"toy.json": json.dumps(described).encode(), "run": f"echo {pin} on its head\n".encode()}
    return make_tar([TarEntry(path, data) for path, data in files.items()])


def pinned(*pins: str) -> dict[str, Any]:
    return {pin: {"digest": f"sha256:{hashlib.sha256(archive(pin)).hexdigest()}", "needs": NEEDS[pin]} for pin in pins}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stager with the ecosystem: what is written here is all that is added."""
    place = copied(tmp_path_factory.mktemp("toy"))
    shutil.copytree(ROOT / "tests" / "support" / "toy_ecosystem", place / "stager" / "ecosystems" / "toy")
    plugged(place, "ecosystems", "deb", BUILDPACK)
    return place


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        server.routes["/toys/index.json"] = serve(json.dumps(pinned(*NEEDS)).encode())
        for pin in NEEDS:
            server.routes[f"/toys/{pin.replace('@', '-')}.tar"] = serve(archive(pin))
        yield server


class Toys:
    """An app that asks for a hat, and the commands about it."""

    def __init__(self, code: Path, server: Server, place: Path) -> None:
        self.app, self.droplet = place / "app", place / "droplet.tgz"
        self._code, self._server, self._store = code, server, place / "store"
        self.app.mkdir()
        (self.app / "toys.json").write_text('{"wants": ["hat"]}\n')

    def pin(self, *pins: str) -> None:
        (self.app / "toys.lock").write_text(json.dumps({"wants": ["hat"], "toys": pinned(*pins)}))

    def run(self, *arguments: object) -> Done:
        variables = {"STAGER_INDEX_TOY": f"{self._server.url}/toys", "PYTHONPATH": str(self._code)}
        return stager(*arguments, store=self._store, cwd=self._code, **variables)

    def told(self, *arguments: object) -> dict[str, Any]:
        return self.run(*arguments, "--json").good().document

    def stage(self, *options: object) -> dict[str, Any]:
        return self.told("stage", self.app, "-o", self.droplet, *options)


@pytest.fixture(scope="module")
def toys(code: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Toys:
    """Staged; tests leave it as it is."""
    toys = Toys(code, server, tmp_path_factory.mktemp("staged"))
    toys.pin("hat@1.2", "wool@3")
    toys.stage()
    return toys


def test_it_is_detected(toys: Toys) -> None:
    (found,) = toys.told("detect", toys.app)["matched"]
    why = {"file": "toys.json", "line": None, "text": "toys.json asks for toys"}
    assert (found["buildpack"], found["lock"], found["reason"]) == ("toy", "toys.lock", why)


def test_it_is_planned(toys: Toys) -> None:
    found = toys.told("plan", toys.app)
    assert [one["purl"] for one in found["artifacts"]] == ["pkg:toy/hat@1.2", "pkg:toy/wool@3"]
    assert [one["command"] for one in found["processes"]] == ["sh .stager/toys/hat/run"]
    assert sorted(found["inputs"]) == ["toys.json", "toys.lock"]


def test_an_app_without_a_lock_gets_one_by_its_own_resolver(code: Path, server: Server, tmp_path: Path) -> None:
    toys = Toys(code, server, tmp_path)
    toys.run("lock", toys.app).good()
    assert json.loads((toys.app / "toys.lock").read_text()) == {"wants": ["hat"], "toys": pinned("hat@1.10", "wool@3")}
    assert toys.stage("--locked")["processes"] == {"web": "sh .stager/toys/hat/run"}


def test_without_a_lock_and_without_its_resolver_it_is_refused(code: Path, server: Server, tmp_path: Path) -> None:
    toys = Toys(code, server, tmp_path)
    refused = toys.run("stage", toys.app, "-o", toys.droplet, "--offline")
    assert (refused.code, "toys.json" in refused.err, "hat" in refused.err) == (20, True, True)


def test_a_lock_that_its_manifest_has_left_behind_is_refused(code: Path, server: Server, tmp_path: Path) -> None:
    toys = Toys(code, server, tmp_path)
    toys.pin("hat@1.2", "wool@3")
    (toys.app / "toys.json").write_text('{"wants": ["hat", "ball"]}\n')
    refused = toys.run("stage", toys.app, "-o", toys.droplet)
    assert "toys.lock is out of step with toys.json" in refused.err


def test_it_is_staged_and_runs(toys: Toys, tmp_path: Path) -> None:
    with tarfile.open(toys.droplet) as droplet:
        unpack(droplet, tmp_path)
    done = subprocess.run([tmp_path / "app/.stager/bin/launch"], capture_output=True, text=True, check=True)
    assert done.stdout == "hat@1.2 on its head\n"


def test_the_same_bytes_again_without_the_server(toys: Toys, tmp_path: Path) -> None:
    shutil.copytree(toys.app, tmp_path / "app")
    made = toys.told("stage", tmp_path / "app", "-o", tmp_path / "d.tgz", "--offline", "--locked")
    assert made["digest"] == toys.stage()["digest"]
    names = [one["name"] for one in made["layers"]]
    assert (names[0], names[-1], {name.partition("-")[0] for name in names[1:-1]}) == ("skeleton", "app", {"toy"})


def test_what_its_index_no_longer_has_is_told_with_its_own_advice(code: Path, server: Server, tmp_path: Path) -> None:
    toys = Toys(code, server, tmp_path)
    gone = {"gone@1": {"digest": f"sha256:{'0' * 64}", "needs": []}}
    (toys.app / "toys.lock").write_text(json.dumps({"wants": ["hat"], "toys": pinned("hat@1.2", "wool@3") | gone}))
    refused = toys.run("stage", toys.app, "-o", toys.droplet)
    assert refused.code == 40
    assert "It was taken off the shelf. Pin another toy." in refused.err


def test_it_is_explained(toys: Toys) -> None:
    (answer,) = toys.told("explain", "package", "wool", "--dir", toys.app)["topics"]["package"]
    sentence = "wool 3 is in the droplet because the app asks for hat 1.2 (toys.json), which needs it."
    assert answer["answer"] == sentence


def test_two_droplets_differ_by_a_version_with_its_direction(code: Path, server: Server, tmp_path: Path) -> None:
    toys = Toys(code, server, tmp_path)
    toys.pin("hat@1.2", "wool@3")
    toys.stage()
    before = toys.droplet.rename(tmp_path / "before.tgz")
    toys.pin("hat@1.10", "wool@3")
    toys.stage()
    assert "↑ toy:hat 1.2 → 1.10\n" in toys.run("diff", before, toys.droplet).out


def test_it_is_inspected(toys: Toys) -> None:
    names = {one["name"] for one in toys.told("inspect", toys.droplet)["packages"]}
    assert names >= {"hat@1.2", "wool@3"}
    assert "no package" not in names


def test_it_is_in_the_bill_of_materials(toys: Toys) -> None:
    document = json.loads(toys.run("sbom", toys.droplet).good().out)
    parts = {one["bom-ref"]: one for one in document["components"]}
    assert parts["pkg:toy/hat@1.2"]["licenses"] == [{"acknowledgement": "declared", "expression": "MIT"}]
    needs = {one["ref"]: one["dependsOn"] for one in document["dependencies"] if one.get("dependsOn")}
    assert needs["pkg:toy/hat@1.2"] == ["pkg:toy/wool@3"]
    assert needs["app"] == ["generated", "pkg:toy/hat@1.2"]


def test_it_has_a_heading_in_the_report(toys: Toys, tmp_path: Path) -> None:
    toys.run("report", toys.droplet, "-o", tmp_path / "report.html").good()
    assert "Toy packages" in (tmp_path / "report.html").read_text()


def test_the_doctor_asks_its_index(toys: Toys) -> None:
    found: Any = toys.told("doctor")
    (row,) = [one for one in found if one["name"] == "index: Toy"]
    assert row["state"] == "ok"
