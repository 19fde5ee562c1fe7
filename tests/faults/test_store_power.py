"""Power cuts, modelled: the store's real calls are recorded, and every state a disk could be left in is examined.

The model is weaker than common file systems on purpose (ALICE, OSDI 2014): whatever was not synced may be there or not,
in any combination; a file whose bytes were not synced may be whole, empty, zeros, or half. What is asked of each state:
no blob is visible with wrong bytes, and no blob is missing that a durable `put` had acknowledged. The same is asked of
versions of the store with one deliberate mistake each, and there the model must find fault.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

SOURCE = Path(__file__).parents[2] / "stager"
MODULES = {
    "names": "names.py",
    "errors": "errors.py",
    "store.errors": "store/errors.py",
    "store.disk": "store/disk.py",
    "store.locks": "store/locks.py",
    "store": "store/__init__.py",
}


class Op(NamedTuple):
    kind: str
    """`mkdir`, `name`, `gone`: entries of folders; `write`, `sync`: bytes; `syncdir`; `ack`."""
    path: str
    inode: int = 0


class Recorder:
    """The real `os`, writing down what changes the disk."""

    def __init__(self) -> None:
        self.trace: list[Op] = []
        self.open_files: dict[int, tuple[str, int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        self.open_files[descriptor] = (os.path.realpath(path), os.fstat(descriptor).st_ino)
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        self.trace.append(Op("write", *self.open_files[descriptor]))
        return os.write(descriptor, data)

    def ftruncate(self, descriptor: int, size: int) -> None:
        self.trace.append(Op("write", *self.open_files[descriptor]))
        os.ftruncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        path, inode = self.open_files[descriptor]
        self.trace.append(Op("syncdir" if os.path.isdir(path) else "sync", path, inode))

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(path, mode)
        self.trace.append(Op("mkdir", os.path.realpath(path)))

    def makedirs(self, path: str, mode: int, exist_ok: bool) -> None:
        if not os.path.isdir(path):
            self.makedirs(os.path.dirname(path), 0o777, True)
            self.mkdir(path, mode)

    def rename(self, old: str, new: str) -> None:
        inode = os.stat(old).st_ino
        os.rename(old, new)
        self.trace += [Op("gone", os.path.realpath(old)), Op("name", os.path.realpath(new), inode)]

    def unlink(self, path: str) -> None:
        os.unlink(path)
        self.trace.append(Op("gone", os.path.realpath(path)))


class Store:
    """A store of the (perhaps mistaken) source, working through a recorder."""

    def __init__(self, package: str, root: str) -> None:
        self.recorder = Recorder()
        self.store = sys.modules[f"{package}.store"].Store(root)
        self.bytes: dict[int, bytes] = {}
        for name in ("store.disk", "store"):
            vars(sys.modules[f"{package}.{name}"])["os"] = self.recorder

    def put(self, data: bytes, durable: bool = True) -> None:
        before = len(self.recorder.trace)
        with self.store.writer(durable=durable, size=len(data) + 10) as writer:
            for part in (data[: len(data) // 2], data[len(data) // 2 :]):
                writer.write(part)
            name = writer.commit()
        for op in self.recorder.trace[before:]:
            if op.kind == "write":
                self.bytes[op.inode] = data
        if durable:
            self.recorder.trace.append(Op("ack", os.path.realpath(self.store.path(name))))


def load(package: str, changes: dict[str, tuple[str, str]]) -> str:
    """Load the store's modules as another package, with a passage of one of them replaced."""
    for name in (package, f"{package}.store"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = []
    for name, path in MODULES.items():
        text = (SOURCE / path).read_text("utf-8")
        for old, new in [changes[name]] if name in changes else []:
            assert text.count(old) == 1, f"{path} no longer has {old!r} once; adapt this mutant"
            text = text.replace(old, new)
        dotted = f"{package}.{name}"
        if name != "store":
            spec = importlib.util.spec_from_loader(dotted, None)
            assert spec
            sys.modules[dotted] = importlib.util.module_from_spec(spec)
        module = sys.modules[dotted]
        module.__package__ = dotted if name == "store" else dotted.rpartition(".")[0]
        parent, _, leaf = dotted.rpartition(".")
        setattr(sys.modules[parent], leaf, module)
        exec(compile(text, f"{package}/{path}", "exec"), vars(module))
    return package


def crashes(trace: list[Op], root: str) -> Iterator[tuple[list[Op], set[int], set[str]]]:
    """Every (entry operations that reached the disk, inodes whose bytes did, acknowledged paths), per cut and choice."""
    for cut in range(len(trace) + 1):
        entries: list[tuple[Op, bool]] = []  # (operation, certainly on disk)
        synced: set[int] = set()
        acked: set[str] = set()
        for op in trace[:cut]:
            if op.kind in ("mkdir", "name", "gone") and relevant(op.path, root):
                entries.append((op, False))
            elif op.kind == "syncdir":
                entries = [(one, sure or os.path.dirname(one.path) == op.path) for one, sure in entries]
            elif op.kind == "write":
                synced.discard(op.inode)
            elif op.kind == "sync":
                synced.add(op.inode)
            elif op.kind == "ack":
                acked.add(op.path)
        unsure = [number for number, (_, sure) in enumerate(entries) if not sure]
        for choice in itertools.product((True, False), repeat=len(unsure)):
            lost = {number for number, kept in zip(unsure, choice, strict=True) if not kept}
            yield [op for number, (op, _) in enumerate(entries) if number not in lost], synced, acked


def relevant(path: str, root: str) -> bool:
    """Entries on the way to a blob; the others do not decide whether one is there."""
    return path.startswith(f"{root}/v1/blobs") or f"{root}/v1/blobs".startswith(path)


def visible(entries: list[Op], root: str) -> dict[str, int]:
    """The blobs' paths and inodes after these entry operations, given that the folders on the way are there."""
    folders = {op.path for op in entries if op.kind == "mkdir"}
    if not {root, f"{root}/v1", f"{root}/v1/blobs", f"{root}/v1/blobs/sha256"} <= folders:
        return {}
    names: dict[str, int] = {}
    for op in entries:
        if op.kind == "name":
            names[op.path] = op.inode
        elif op.kind == "gone":
            names.pop(op.path, None)
    return {path: inode for path, inode in names.items() if len(os.path.basename(path)) == 64}


def faults(store: Store, root: str, durable: set[str]) -> tuple[int, set[str]]:
    """(states examined, what is wrong in any of them). Only blobs in `durable` promise their bytes."""
    count, wrong = 0, set()
    for entries, synced, acked in crashes(store.recorder.trace, root):
        there = visible(entries, root)
        for path, inode in there.items():
            name = os.path.basename(path)
            whole = store.bytes[inode]
            states = [whole] if inode in synced else [whole, b"", bytes(len(whole)), whole[: len(whole) // 2]]
            count += len(states)
            if name in durable and any(hashlib.sha256(state).hexdigest() != name for state in states):
                wrong.add("wrong bytes are visible")
        if acked - set(there):
            wrong.add("an acknowledged blob is lost")
        count += 1
    return count, wrong


ONE, TWO = b"one" * 50, b"two" * 50
DURABLE = {hashlib.sha256(data).hexdigest() for data in (ONE, TWO)}


def fresh(store: Store) -> None:
    store.put(ONE)


def twice(store: Store) -> None:
    store.put(ONE)
    store.put(TWO)
    store.put(ONE)


def after_pieces(store: Store) -> None:
    store.put(b"piece", durable=False)
    store.put(ONE)


def piece_of_the_same_bytes(store: Store) -> None:
    store.put(ONE)
    store.put(ONE, durable=False)


SCENARIOS = (fresh, twice, after_pieces, piece_of_the_same_bytes)


def examine(package: str, folder: Path, scenario: Callable[[Store], None]) -> tuple[int, set[str]]:
    root = os.path.realpath(folder / "cache")
    store = Store(package, root)
    scenario(store)
    return faults(store, root, DURABLE)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_power_cut_shows_a_wrong_blob_or_loses_an_acknowledged_one(
    tmp_path: Path, scenario: Callable[[Store], None]
) -> None:
    count, wrong = examine(load("stager_as_it_is", {}), tmp_path, scenario)
    assert wrong == set()
    assert count > 50


RESERVED = "            if self._reserved > self.size:\n"
PUBLISH = "            self._store._publish(self._descriptor, self.path, found, self._durable)\n"
LOST, WRONG = "an acknowledged blob is lost", "wrong bytes are visible"
MUTANTS = {
    "the file is not synced": ("store", "        disk.sync(descriptor)\n", "", WRONG),
    "the blobs' folder is not synced": (
        "store",
        '        disk.sync_folder(f"{self.root}/v1/blobs/sha256")\n',
        "",
        LOST,
    ),
    "another folder is synced": (
        "store",
        'disk.sync_folder(f"{self.root}/v1/blobs/sha256")',
        'disk.sync_folder(f"{self.root}/v1/tmp")',
        LOST,
    ),
    "the folders above are not synced": ("store", "        self._root_folders()\n", "", LOST),
    "the folders above count as synced": (
        "store",
        "        self._rooted = False\n",
        "        self._rooted = True\n",
        LOST,
    ),
    "the folder of the blobs' folder is not synced": ("store", '("/v1/blobs", "/v1", "")', '("/v1", "")', LOST),
    "the store's root is not synced": ("store", '("/v1/blobs", "/v1", "")', '("/v1/blobs", "/v1")', LOST),
    "the root's parents are not synced": ("store", "        disk.sync_parents(self.root)\n", "", LOST),
    "a piece replaces a durable blob": ("store", "replace=not self._intact(hex)", "replace=True", WRONG),
    "nothing is durable": ("store", "self._durable = durable", "self._durable = False", LOST),
    "syncing a file does nothing": (
        "store.disk",
        "        os.fsync(descriptor)\n    finally",
        "        pass\n    finally",
        LOST,
    ),
    "the name is given before the sync": (
        "store",
        "        disk.sync(descriptor)\n        self._root_folders()\n        self._name(path, hex, replace=True)",
        "        self._root_folders()\n        self._name(path, hex, replace=True)\n        disk.sync(descriptor)",
        WRONG,
    ),
    "bytes are cut after the sync": (
        "store",
        f"{RESERVED}                os.ftruncate(self._descriptor, self.size)\n{PUBLISH}",
        f"{PUBLISH}            os.ftruncate(self._descriptor, self.size)\n",
        WRONG,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_model_finds_each_deliberate_mistake(tmp_path: Path, name: str) -> None:
    module, old, new, expected = MUTANTS[name]
    package = load("stager_mistaken", {module: (old, new)})
    found: set[str] = set()
    for scenario in SCENARIOS:
        found |= examine(package, tmp_path / scenario.__name__, scenario)[1]
    assert expected in found
