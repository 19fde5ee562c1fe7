"""`droplets`: a droplet file is cut into its layers by what it says of itself, with and without a store's memory."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from apps_fixture import materialise

import stager
from stager.droplet.incremental import known_digest
from stager.droplet.reader import open_droplet
from stager.errors import Unreadable
from stager.formats import codec
from stager.formats.errors import BadArchive
from stager.store import Store


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> tuple[stager.Droplet, Store]:
    folder = tmp_path_factory.mktemp("droplets")
    app = materialise("procfile-perl", folder / "app")
    (app / "data.bin").write_bytes(random.Random(1).randbytes(3_000_000))
    store = Store(str(folder / "store"))
    return stager.stage(str(app), out=str(folder / "droplet.tgz"), store=store), store


def sha256(parts: Iterable[bytes]) -> str:
    return "sha256:" + hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("remembered", [True, False])
def test_the_layers_are_those_that_staging_reported(staged: tuple[stager.Droplet, Store], remembered: bool) -> None:
    made, store = staged
    with open_droplet(made.path, store if remembered else None) as droplet:
        assert (droplet.digest, droplet.size, droplet.layers) == (made.digest, made.size, made.layers)
        for layer in droplet.layers:
            blob = b"".join(droplet.blob(layer))
            assert (sha256([blob]), len(blob)) == (layer.digest, layer.size)
            assert sha256(droplet.tar(layer)) == layer.diff_id == sha256([gzip.decompress(blob)])


def test_the_layers_are_the_whole_archive_but_its_envelope(staged: tuple[stager.Droplet, Store]) -> None:
    made, _ = staged
    whole = gzip.decompress(Path(made.path).read_bytes())
    with open_droplet(made.path) as droplet:
        joined = b"".join(part for layer in droplet.layers for part in droplet.tar(layer))
        assert whole.startswith(joined)
        names = [entry.name for entry in droplet.entries()]
    assert names[0] == "./app/"
    assert names[-5:] == ["./deps/", "./logs/", "./profile.d/", "./staging_info.yml", "./tmp/"]


def test_the_skeletons_end_is_found_wherever_the_parts_that_are_read_are_cut(
    staged: tuple[stager.Droplet, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = staged
    with open_droplet(made.path) as droplet:
        parts, size = droplet.parts, droplet.parts["skeleton"].size
    for buffer in (*range(size - len(codec.EMPTY_STORED), size + 2), 101):
        monkeypatch.setattr("stager.droplet.reader._BUFFER", buffer)
        with open_droplet(made.path) as again:
            assert (again.parts, again.layers) == (parts, made.layers), buffer


def test_facts_plan_and_files_are_read(staged: tuple[stager.Droplet, Store]) -> None:
    made, _ = staged
    with open_droplet(made.path) as droplet:
        assert droplet.launch.processes == made.processes
        assert droplet.plan.stack == made.stack
        assert droplet.plan is droplet.locked.plan is droplet.plan  # parsed once
        assert droplet.read("Procfile").startswith(b"web:")
        with pytest.raises(BadArchive, match="no file nothing"):
            droplet.read("nothing")


def test_a_second_opening_uses_the_memory_and_a_store_that_is_full_does_no_harm(
    staged: tuple[stager.Droplet, Store], tmp_path: Path
) -> None:
    made, _ = staged
    store = Store(str(tmp_path / "another"))
    with open_droplet(made.path, store) as first, open_droplet(made.path, store) as second:
        assert first.layers == second.layers == made.layers
        assert (first.launch, first.parts, first.locked) == (second.launch, second.parts, second.locked)
        assert store.recall("opened", made.digest.partition(":")[2])


def test_what_is_no_droplet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        open_droplet(str(tmp_path / "missing"))
    for content in (b"", b"text", gzip.compress(b"x" * 2000), bytes.fromhex("1f8b08000000000000ff"), bytes(5000)):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(BadArchive):
            open_droplet(str(tmp_path / "file"))


@pytest.mark.parametrize("seed", range(60))
def test_damage_is_a_typed_error_or_harmless(staged: tuple[stager.Droplet, Store], tmp_path: Path, seed: int) -> None:
    made, _ = staged
    dice = random.Random(seed)
    data = bytearray(Path(made.path).read_bytes())
    if seed % 3 == 0:
        del data[dice.randrange(len(data)) :]
    else:
        data[dice.randrange(3000) if seed % 3 == 1 else dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    (tmp_path / "droplet.tgz").write_bytes(data)
    with contextlib.suppress(BadArchive), open_droplet(str(tmp_path / "droplet.tgz")) as droplet:
        assert droplet.digest != made.digest
        list(droplet.entries())


def test_what_stager_0_1_0_noted_of_a_file_is_passed_over(staged: tuple[stager.Droplet, Store], tmp_path: Path) -> None:
    made, _ = staged
    store = Store(str(tmp_path / "store"))
    digest = made.digest.partition(":")[2]
    store.remember("stamp", os.path.realpath(made.path), {"stamp": [], "taken": 1, "digest": digest})
    store.remember("droplet", digest, {"plan": "0" * 64, "app": []})
    with open_droplet(made.path, store) as droplet:
        assert droplet.layers == made.layers


def test_an_untouched_file_is_not_hashed_again_and_a_touched_one_is(
    staged: tuple[stager.Droplet, Store], tmp_path: Path
) -> None:
    made, _ = staged
    store, path = Store(str(tmp_path / "another")), tmp_path / "droplet.tgz"
    data = Path(made.path).read_bytes()
    path.write_bytes(data)
    assert known_digest(str(path), store) is None
    with open_droplet(str(path), store):
        assert known_digest(str(path), store) is None, "so young a file may change again within its stamp's resolution"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    memo = store.recall("noted", str(path))
    assert memo is not None
    stamp = [
        str(path),
        *(getattr(path.stat(), f"st_{name}") for name in ("dev", "ino", "size", "mtime_ns", "ctime_ns")),
    ]
    store.remember("noted", str(path), [stamp, stamp[5] + 3_000_000_000, memo[2]])
    assert known_digest(str(path), store) == made.digest.partition(":")[2]
    path.write_bytes(data + b"x")
    assert known_digest(str(path), store) is None


@pytest.mark.parametrize("start", [b"", codec.HEADER])
def test_a_sparse_file_of_a_tebibyte_is_not_read_to_its_end(tmp_path: Path, start: bytes) -> None:
    with open(tmp_path / "x.tgz", "wb") as file:
        file.write(start)
        file.truncate(1 << 40)
    with pytest.raises(BadArchive, match="is no droplet: it "):
        open_droplet(str(tmp_path / "x.tgz"))
