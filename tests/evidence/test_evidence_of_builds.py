"""Evidence about a droplet with built files: receipt, statement and bill of materials name the builds and what they had."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from building import build, planned
from command import stager

from stager.droplet.reader import open_droplet
from stager.evidence import receipt
from stager.model import BuildRoot
from stager.store import Store
from stager.tree import SourceTree

pytestmark = [pytest.mark.tools, pytest.mark.network]
FILES = {"src/a.txt": "one\n", "README": "a text\n"}
JOIN = "mkdir -p static && cat src/*.txt > static/out.txt && ln -s out.txt static/link"


@pytest.fixture
def app(tmp_path: Path, shared_store: Path, plain_pins: BuildRoot) -> Path:
    later = build("tr a-z A-Z < static/out.txt > loud.txt", "loud.txt", name="later", twice=False)
    planned(tmp_path / "app", FILES, plain_pins, build(JOIN, inputs=("src/**",)), later, store=Store(str(shared_store)))
    stager("stage", tmp_path / "app", "-o", tmp_path / "droplet.tgz", store=shared_store).good()
    return tmp_path / "app"


def test_a_receipt_says_what_was_built_of_what(app: Path, shared_store: Path, plain_pins: BuildRoot) -> None:
    droplet = app.parent / "droplet.tgz"
    made = stager("receipt", droplet, store=shared_store).good().document
    own, later = made["builds"]
    assert (own["name"], own["twice"], later["name"], later["twice"]) == ("own", True, "later", False)
    tree = SourceTree.read(str(app))
    assert made["source"]["digest"] == tree.digest
    assert "static/out.txt" not in made["source"]["files"]
    built = stager("stage", app, "-o", droplet, "--json", store=shared_store).good().document["builds"]
    store = Store(str(shared_store))
    assert [one["out"] for one in made["builds"]] == [(store.recall("built", one["key"]) or [])[6] for one in built]
    assert [one["file"] for one in made["built_with"]["roots/stack"]] == [pin.path for pin in plain_pins.packages]
    (app / "README").write_text("another\n")
    stager("stage", app, "-o", droplet, store=shared_store).good()
    with open_droplet(str(droplet)) as opened:
        again = receipt.make(opened)["builds"]
    assert again[0] == own
    assert again[1]["in"] != later["in"]
    assert again[1]["out"] == later["out"]


def test_a_statement_lists_what_builds_had(app: Path, shared_store: Path, plain_pins: BuildRoot) -> None:
    stager("attest", "--make-key", app.parent / "key", store=shared_store).good()
    droplet = app.parent / "droplet.tgz"
    done = stager(
        "attest", droplet, "--source", app, "--key", app.parent / "key", "--offline", store=shared_store
    ).good()
    payload = json.loads(base64.b64decode(done.document["payload"]))
    definition = payload["predicate"]["buildDefinition"]
    assert [one["name"] for one in definition["internalParameters"]["builds"]] == ["own", "later"]
    names = [one["name"] for one in definition["resolvedDependencies"]]
    assert sum(name.startswith("roots/stack/") for name in names) == len(plain_pins.packages)


def test_a_bill_of_materials_has_what_builds_had(app: Path, shared_store: Path, plain_pins: BuildRoot) -> None:
    droplet = app.parent / "droplet.tgz"
    bom = stager("sbom", droplet, "--files", "--offline", store=shared_store).good().document
    own = next(one for one in bom["components"] if one["bom-ref"] == "app")
    assert {"app/static/out.txt", "app/loud.txt"} <= {one["name"] for one in own["components"]}
    builds = [one for one in bom["components"] if one["bom-ref"].startswith("build:")]
    assert len(builds) == len(plain_pins.packages)
    assert {one["scope"] for one in builds} == {"excluded"}
    spdx = stager("sbom", droplet, "--format", "spdx", "--offline", store=shared_store).good().document
    kinds = [one["relationshipType"] for one in spdx["relationships"]]
    assert kinds.count("BUILD_DEPENDENCY_OF") == len(plain_pins.packages)


def test_who_changed_a_file(app: Path, shared_store: Path) -> None:
    first, second = app.parent / "droplet.tgz", app.parent / "second.tgz"
    (app / "src/a.txt").write_text("two\n")
    stager("stage", app, "-o", second, store=shared_store).good()
    found = stager("diff", first, second, "--json", store=shared_store)
    owners = {one["path"]: one["owner"] for one in found.document["files"]}
    assert owners == {"src/a.txt": "the app", "static/out.txt": "built by own", "loud.txt": "built by later"}
    page = app.parent / "page.html"
    stager("report", first, "-o", page, store=shared_store).good()
    assert "built by own" in page.read_text()
    sizes = stager("inspect", first, "--json", store=shared_store).good().document["packages"]
    assert "built by own" in {one["name"] for one in sizes}
    layers = stager("explain", "layer", "-C", app, "--json", store=shared_store).good().document["topics"]["layer"]
    assert layers[0]["data"]["files"] == {"src/a.txt": "changed"}
