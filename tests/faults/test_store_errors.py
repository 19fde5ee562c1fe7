"""Errors of the file system at every call, and a disk that is really full: typed, harmless, and mended by a retry."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stager import store as store_module
from stager.errors import CannotWrite, StagerError
from stager.store import Store
from stager.store import disk as disk_module

ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.EROFS, errno.EACCES]
CALLS = ("open", "write", "fsync", "fchmod", "rename", "mkdir", "makedirs", "posix_fallocate", "ftruncate", "lstat")
DATA = b"data" * 1000
NAME = hashlib.sha256(DATA).hexdigest()


class Failing:
    """The real `os`, whose n-th call of those that may fail does; writes are short besides."""

    def __init__(self, number: int, code: int) -> None:
        self.left = number
        self.code = code

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self.counted(real) if name in CALLS else real

    def counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise OSError(self.code, os.strerror(self.code))
            if real is os.write:
                arguments = (arguments[0], arguments[1][: max(1, len(arguments[1]) // 2)])
            return real(*arguments, **named)

        return call


def stream(store: Store) -> None:
    with store.writer(size=len(DATA) + 1) as writer:
        writer.write(DATA)
        assert writer.commit(NAME) == NAME


def piece(store: Store) -> None:
    store.put(DATA, durable=False)


def adopt(store: Store) -> None:
    path = store.temp()
    Path(path).write_bytes(DATA)
    try:
        store.adopt(path, NAME)
    except StagerError:
        Path(path).unlink(missing_ok=True)  # it belongs to the caller until it is adopted
        raise


def remember(store: Store) -> None:
    store.remember("kind", "key", "value")


def outcome(work: Callable[[Store], None], store: Store) -> StagerError | None:
    try:
        work(store)
    except StagerError as error:
        return error
    return None


@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("work", [stream, piece, adopt, remember])
def test_every_call_may_fail(
    tmp_path: Path, work: Callable[[Store], None], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = 0
    while True:
        root = tmp_path / f"cache{points}"
        failing = Failing(points + 1, code)
        with monkeypatch.context() as patch:
            patch.setattr(store_module, "os", failing)
            patch.setattr(disk_module, "os", failing)
            error = outcome(work, Store(str(root)))
        if error is not None:
            assert error.exit_code in (50, 70)
            assert str(root) in error.where
            assert os.strerror(code) in error.message
        if failing.left > 0:
            break
        points += 1
        temporary = root / "v1/tmp"
        assert not temporary.exists() or not list(temporary.iterdir())
        store = Store(str(root))
        assert store.verify()["damaged"] == []
        work(store)
        assert not store.lease().held
    assert points > 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=40", "none", str(place)], check=False)
    if made.returncode:
        pytest.skip("a file system cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def write_much(store: Store, size: int | None) -> None:
    with store.writer(size=size) as writer:
        for _ in range(40):
            writer.write(bytes(100_000))
        writer.commit()


def put_many(store: Store) -> None:
    for number in range(100):
        store.put(str(number).encode())


@pytest.mark.tools
@pytest.mark.parametrize("size", [None, 4 << 20], ids=["streamed", "reserved"])
def test_a_disk_that_is_really_full(small_disk: Path, size: int | None) -> None:
    store = Store(str(small_disk / "cache"))
    kept = store.put(b"kept" * 1000)
    with pytest.raises(CannotWrite) as caught:
        write_much(store, size)
    assert caught.value.message == "cannot be written: No space left on device"
    assert (caught.value.hint, caught.value.where) == ("Free some space or choose another place.", store.root)
    assert os.listdir(f"{store.root}/v1/tmp") == []
    os.close(store.open(kept))
    assert store.verify()["damaged"] == []
    assert store.put(DATA) == NAME


@pytest.mark.tools
def test_a_disk_without_room_for_another_file(small_disk: Path) -> None:
    store = Store(str(small_disk / "cache"))
    with pytest.raises(CannotWrite, match="No space left on device"):
        put_many(store)
    assert os.listdir(f"{store.root}/v1/tmp") == []
    store.remember("kind", "key", "value")
    assert store.recall("kind", "key") is None
    assert store.verify()["damaged"] == []
    assert store.gc(0)["bytes"] == 0
    assert store.put(DATA) == NAME


@pytest.mark.tools
def test_a_disk_that_became_read_only(small_disk: Path) -> None:
    store = Store(str(small_disk / "cache"))
    name = store.put(DATA)
    store.remember("kind", "key", "value")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    again = Store(store.root)
    with again.lease():
        os.close(again.open(name))
        assert again.recall("kind", "key") == "value"
        again.remember("kind", "key", "other")
        with pytest.raises(CannotWrite, match="Read-only file system"):
            again.put(b"more")
    with pytest.raises(CannotWrite, match=r"[Rr]ead-only"):
        again.gc()


def test_a_file_over_the_limit(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            store.put(bytes(20_000))
        except CannotWrite as error:
            os._exit(0 if error.message == "cannot be written: File too large" else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert os.listdir(f"{store.root}/v1/tmp") == []


def test_no_descriptor_left(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    name = store.put(DATA)
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        codes = []
        for call in (lambda: store.open(name), lambda: store.put(b"x")):
            try:
                call()
            except StagerError as error:
                codes.append((error.code, error.message))
        expected = [
            ("CannotRead", "cannot be read: Too many open files"),
            ("CannotWrite", "cannot be written: Too many open files"),
        ]
        os._exit(0 if codes == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
