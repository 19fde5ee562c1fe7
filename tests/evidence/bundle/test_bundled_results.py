"""What builds left travels in a bundle: who gets it stages without running anything; what was tampered with is refused."""

from __future__ import annotations

import json
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from building import build, planned, settings, stage

from stager.digest import canonical_json, sha256
from stager.droplet import built
from stager.errors import StagerError
from stager.evidence.bundle import exporting, importing, results
from stager.evidence.errors import BadBundle
from stager.model import BuildRoot, DebPin
from stager.store import Store
from stager.tree import SourceTree

ROOT = BuildRoot(
    "stack", "debian-12", "2026-01-01T00:00:00Z", (DebPin("a", "1", "amd64", 1, sha256(b"a"), "pool/a_1_amd64.deb"),)
)
JOIN = "mkdir -p static && cat src/*.txt > static/out.txt"


# --- without a sandbox -----------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> tuple[Any, Store, str, dict[str, Any]]:
    """A plan, a store, the key of its build for its files, and the row of a bundle."""
    store = Store(str(tmp_path / "store"))
    plan = planned(tmp_path / "app", {"src/a.txt": "one\n"}, ROOT, build(JOIN, inputs=("src/**",)), store=store)
    record, tree = built.app_builds(plan, store)[0], SourceTree.read(str(tmp_path / "app"))
    key = built.key(record, tree)
    blob = store.put(b"one\n")
    left = ["own", key, blob, [["static/out.txt", False, sha256(b"one\n"), 0, 4]], {}, True, "sha256:" + "0" * 64, 0.0]
    files, links = built.reads(record, tree)
    row = {"kind": "app", "record": left, "blob": blob, "files": [list(one) for one in files], "links": links}
    return plan, store, key, json.loads(canonical_json(row))


def fail(why: str) -> Any:
    raise BadBundle("b.tar", why)


def test_a_row_is_for_its_own_build_alone(made: tuple[Any, Store, str, dict[str, Any]]) -> None:
    plan, store, key, row = made
    found = results.read({key: row}, plan, store, fail)
    results.remember(found, store, fail)
    kept = built.recalled(key, store)
    assert kept is not None
    assert kept.files[0][0] == "static/out.txt"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda row: row["files"][0].__setitem__(0, "src/b.txt"),
            "another stager has built, or what its plan does not build",
        ),
        (lambda row: row["record"].__setitem__(0, "other"), "another stager has built"),
        (lambda row: row["record"][3][0].__setitem__(0, "../x"), "is none of its outputs"),
        (lambda row: row["record"][3][0].__setitem__(0, "src/a.txt"), "is none of its outputs"),
        (lambda row: row["record"][3][0].__setitem__(3, 1), "do not lie one behind the other"),
        (lambda row: row["record"].__setitem__(4, {"static/x": "../../etc"}), "leads outside the app"),
        (lambda row: row["record"].__setitem__(4, {"static/x": "/etc"}), "leads outside the app"),
        (lambda row: row["record"][3][0].__setitem__(2, "sha256:" + "0" * 64), "is not what its row says"),
        (lambda row: row["record"][3].clear(), "has more bytes than its files"),
        (lambda row: row.pop("record"), "cannot be read"),
        (lambda row: row.__setitem__("kind", "artifact"), "cannot be read"),
        (lambda row: row.__setitem__("kind", "bytecode"), "cannot be read"),
        (lambda row: row.__setitem__("blob", "0" * 64), "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused(made: tuple[Any, Store, str, dict[str, Any]], change: Any, why: str) -> None:
    plan, store, key, row = made
    change(row)
    with pytest.raises(StagerError, match=why):
        results.remember(results.read({key: row}, plan, store, fail), store, fail)
    assert built.recalled(key, store) is None


# --- for real --------------------------------------------------------------------------------------------------


@pytest.mark.tools
@pytest.mark.network
def test_a_machine_without_a_sandbox_stages_from_a_bundle(
    tmp_path: Path, shared_store: Path, plain_pins: BuildRoot
) -> None:
    first, second = Store(str(shared_store)), Store(str(tmp_path / "store"))
    files = {"src/a.txt": str(time.time_ns())}
    later = build("tr 0-9 a-j < static/out.txt > loud.txt && ln -s loud.txt link", "loud.txt", "link", name="later")
    planned(tmp_path / "app", files, plain_pins, build(JOIN), later, store=first)
    there = stage(tmp_path / "app", first)
    bundle = str(tmp_path / "bundle.tar")
    done = exporting.export(str(tmp_path / "app"), bundle, settings(first))
    assert exporting.export(str(tmp_path / "app"), bundle, settings(first)).digest == done.digest
    unbelieved = importing.load(bundle, third := Store(str(tmp_path / "third")))
    assert (unbelieved.blobs, unbelieved.unbelieved) == (done.blobs, 2)
    assert not list((tmp_path / "third/v1/memo").glob("built*"))
    assert third.recall("built", there.builds[0].key) is None
    taken = importing.load(bundle, second, trust_builds=True)
    assert (taken.blobs, taken.unbelieved) == (done.blobs, 0)
    here = stage(tmp_path / "app", second)
    assert here.digest == there.digest
    assert [(note.name, note.ran) for note in here.builds] == [("own", False), ("later", False)]
    with tarfile.open(bundle) as archive:
        names = [name for name in archive.getnames() if "blobs/" in name]
    assert len(names) == len(plain_pins.packages) + 2
