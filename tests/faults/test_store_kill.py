"""SIGKILL before and after every system call of the store's operations: afterwards nothing is half there.

Each case runs in a forked child whose `os` functions count themselves and end the process at the chosen call.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stager.store import Store

CALLS = [
    "open",
    "write",
    "fsync",
    "fchmod",
    "rename",
    "unlink",
    "mkdir",
    "close",
    "ftruncate",
    "lseek",
    "posix_fallocate",
    "lstat",
    "fstat",
    "listdir",
    "utime",
    "pread",
]
OLD, NEW = b"old" * 1000, b"new" * 1000


def hex_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(store: Store) -> None:
    store.put(NEW)


def put_piece(store: Store) -> None:
    store.put(NEW, durable=False)


def put_again(store: Store) -> None:
    store.put(OLD, durable=True)


def stream(store: Store) -> None:
    with store.writer(size=1 << 16) as writer:
        writer.write(b"wrong")
        writer.restart()
        for _ in range(10):
            writer.write(b"new" * 100)
        writer.commit(hex_of(NEW))


def adopt(store: Store) -> None:
    path = store.temp()
    with open(path, "wb") as file:
        file.write(NEW)
    store.adopt(path, hex_of(NEW))


def remember(store: Store) -> None:
    store.remember("kind", "key", "new")


def gc(store: Store) -> None:
    store.gc(0)


def verify(store: Store) -> None:
    store.verify()


def die_at(number: int, after: bool) -> None:
    """Make the n-th counted call of this process its last one."""
    seen = 0

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            mine = seen
            try:
                return real(*arguments, **named)
            finally:
                if mine == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    for name in CALLS:
        setattr(os, name, counting(getattr(os, name)))


def run_and_die(root: str, work: Callable[[Store], None], number: int, after: bool) -> bool:
    """True when the child was killed; False when it finished before its n-th call."""
    child = os.fork()
    if not child:
        die_at(number, after)
        try:
            work(Store(root))
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def prepare(root: Path, fresh: bool) -> None:
    shutil.rmtree(root, ignore_errors=True)
    if not fresh:
        store = Store(str(root))
        store.put(OLD, durable=False)
        store.remember("kind", "key", "old")
        bad = store.put(b"to be damaged", durable=False)
        os.chmod(store.path(bad), 0o600)
        Path(store.path(bad)).write_bytes(b"damaged")


def check(root: Path, work: Callable[[Store], None], fresh: bool) -> None:
    """Reopen: what is visible is right, what was there is there, and the same work succeeds now."""
    store = Store(str(root))
    for name in os.listdir(root / "v1/blobs/sha256") if (root / "v1/blobs/sha256").exists() else []:
        if name != hex_of(b"to be damaged"):
            assert hex_of(Path(store.path(name)).read_bytes()) == name
    assert store.recall("kind", "key") in (None, "old", "new")
    if not fresh and work is not gc:
        assert store.has(hex_of(OLD))
        assert store.recall("kind", "key") in ("old", "new")
    work(store)
    if work in (put, put_piece, stream, adopt):
        assert store.has(hex_of(NEW))
    store.verify()
    store.gc()
    assert os.listdir(root / "v1/tmp") == []
    assert os.listdir(root / "v1/trash") == []
    assert store.verify()["damaged"] == []


CASES = [(work, fresh) for work in (put, put_piece, stream, adopt, remember) for fresh in (True, False)]
CASES += [(put_again, False), (gc, False), (verify, False)]
LEAST = 40
"""Kills that each case comes to at least: 500 and more in all."""


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("work", "fresh"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_killed_at_every_call(tmp_path: Path, work: Callable[[Store], None], fresh: bool, step: int) -> None:
    """At every call, before and after it; in the quick tests at every third, other ones before than after."""
    root, kills = tmp_path / "cache", 0
    for after in (False, True):
        number = 2 if after and step > 1 else 1
        while True:
            prepare(root, fresh)
            if not run_and_die(str(root), work, number, after):
                break
            kills += 1
            check(root, work, fresh)
            number += step
        assert number > 5, "the counting reaches the work"
    assert kills * step >= LEAST
