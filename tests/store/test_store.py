"""The store: whole blobs, disposable memos, leases, cleaning and checking."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from stager.errors import Cancelled, CannotWrite, StagerError, UsageError
from stager.model import Event
from stager.store import Store, locks
from stager.store.errors import DigestMismatch, StoreBusy, StoreCorrupt, StoreUnsafe

FORK = get_context("fork")


def hex_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content(store: Store, name: str) -> bytes:
    descriptor = store.open(name)
    with open(descriptor, "rb") as stream:
        return stream.read()


def without_byte_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    monkeypatch.delattr(fcntl, "F_OFD_SETLK", raising=False)


def leftovers(store: Store) -> list[str]:
    return os.listdir(f"{store.root}/v1/tmp")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "cache"))


def test_a_blob_is_found_under_its_digest(store: Store) -> None:
    name = store.put(b"bytes")
    assert name == hex_of(b"bytes")
    assert store.path(name) == f"{store.root}/v1/blobs/sha256/{name}"
    assert store.has(name)
    assert content(store, name) == b"bytes"
    assert not leftovers(store)


def test_only_the_owner_can_reach_it_and_nobody_writes_a_blob(store: Store) -> None:
    old = os.umask(0)
    try:
        name = store.put(b"bytes")
    finally:
        os.umask(old)
    assert os.stat(store.root).st_mode & 0o777 == 0o700
    assert os.stat(f"{store.root}/v1/blobs/sha256").st_mode & 0o777 == 0o700
    assert os.stat(store.path(name)).st_mode & 0o777 == 0o444


def test_nothing_is_made_by_reading(store: Store) -> None:
    assert not store.has(hex_of(b""))
    assert store.recall("kind", "key") is None
    assert store.info()["bytes"] == 0
    assert not os.path.exists(store.root)


def test_a_missing_blob_is_named(store: Store) -> None:
    with pytest.raises(StoreCorrupt) as caught:
        store.open("0" * 64)
    assert caught.value.message == f"the store's blob sha256:{'0' * 64}: is missing"
    assert caught.value.hint == "Run 'stager cache verify' to remove what is damaged."


@pytest.mark.parametrize("name", ["", "abc", "../" * 21 + "x", "G" * 64, "A" * 64])
def test_only_digests_are_names(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        store.has(name)


def test_a_writer_hashes_counts_and_commits(store: Store) -> None:
    with store.writer(size=4) as writer:
        writer.write(b"ab")
        writer.write(memoryview(b"cd"))
        assert (writer.size, writer.hexdigest()) == (4, hex_of(b"abcd"))
        assert writer.commit(hex_of(b"abcd")) == hex_of(b"abcd")
    assert content(store, hex_of(b"abcd")) == b"abcd"


def test_reserved_space_that_was_not_used_is_cut_off(store: Store) -> None:
    with store.writer(size=1 << 20) as writer:
        writer.write(b"short")
        name = writer.commit()
    assert os.stat(store.path(name)).st_size == 5


def test_a_writer_can_start_again(store: Store) -> None:
    with store.writer(size=100) as writer:
        writer.write(b"wrong")
        writer.restart()
        writer.write(b"right")
        assert writer.commit() == hex_of(b"right")
    assert content(store, hex_of(b"right")) == b"right"


def test_wrong_bytes_get_no_name(store: Store) -> None:
    with store.writer() as writer:
        writer.write(b"evil")
        with pytest.raises(DigestMismatch) as caught:
            writer.commit(hex_of(b"good"))
    assert caught.value.data == {"expected": f"sha256:{hex_of(b'good')}", "got": f"sha256:{hex_of(b'evil')}"}
    assert not leftovers(store)
    assert not store.has(hex_of(b"evil"))


def test_leaving_without_commit_leaves_nothing(store: Store) -> None:
    with store.writer() as writer:
        writer.write(b"half")
        assert len(leftovers(store)) == 1
    assert not leftovers(store)
    assert not store.lease().held


@pytest.mark.parametrize("durable", [True, False])
def test_putting_again_heals_damage(store: Store, durable: bool) -> None:
    name = store.put(b"bytes")
    os.chmod(store.path(name), 0o600)
    Path(store.path(name)).write_bytes(b"bytez")
    store.put(b"bytes", durable=durable)
    assert content(store, name) == b"bytes"


def test_a_durable_blob_is_not_replaced_by_one_that_is_not(store: Store) -> None:
    name = store.put(b"bytes")
    inode = os.stat(store.path(name)).st_ino
    store.put(b"bytes", durable=False)
    assert os.stat(store.path(name)).st_ino == inode
    assert not leftovers(store)


def test_a_finished_file_is_adopted(store: Store) -> None:
    path = store.temp(".tgz")
    assert path.endswith(".tgz")
    Path(path).write_bytes(b"droplet")
    store.adopt(path, hex_of(b"droplet"))
    assert content(store, hex_of(b"droplet")) == b"droplet"
    assert not leftovers(store)


def test_what_is_no_file_is_not_adopted(store: Store, tmp_path: Path) -> None:
    os.symlink("/etc/hostname", tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "absent"):
        with pytest.raises(CannotWrite):
            store.adopt(str(tmp_path / name), "0" * 64)


# --- memos ---------------------------------------------------------------------------------------------------------


def test_a_memo_is_recalled_by_kind_and_key(store: Store) -> None:
    store.remember("plan", "key", {"a": [1, None, "ü"]})
    assert store.recall("plan", "key") == {"a": [1, None, "ü"]}
    assert store.recall("plan", "other") is None
    assert store.recall("other", "key") is None
    assert json.loads(memo_of(store).read_text("utf-8"))[1] == ["plan", "key", {"a": [1, None, "ü"]}]


def memo_of(store: Store) -> Path:
    (path,) = Path(store.root, "v1/memo").iterdir()
    return path


def test_every_damaged_memo_is_a_miss(store: Store) -> None:
    store.remember("plan", "key", {"size": 100})
    whole = memo_of(store).read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        memo_of(store).write_bytes(changed)
        assert store.recall("plan", "key") in (None, {"size": 100})
        memo_of(store).write_bytes(whole[:place])
        assert store.recall("plan", "key") is None
    memo_of(store).write_bytes(whole.replace(b"100", b"999"))
    assert store.recall("plan", "key") is None


def test_another_keys_memo_in_its_place_is_a_miss(store: Store) -> None:
    store.remember("plan", "one", 1)
    one = memo_of(store)
    moved = one.read_bytes()
    one.unlink()
    store.remember("plan", "two", 2)
    memo_of(store).write_bytes(moved)
    assert store.recall("plan", "two") is None


def test_a_folder_or_pipe_for_a_memo_is_a_miss(store: Store) -> None:
    store.remember("plan", "key", 1)
    path = memo_of(store)
    path.unlink()
    path.mkdir()
    assert store.recall("plan", "key") is None
    store.remember("plan", "key", 3)
    assert store.recall("plan", "key") == 3
    path.unlink()
    os.mkfifo(path)
    assert store.recall("plan", "key") is None
    store.remember("plan", "key", 2)
    assert store.recall("plan", "key") == 2
    assert not leftovers(store)


# --- hostile stores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["v1", "v1/blobs", "v1/blobs/sha256", "v1/memo", "v1/tmp", "v1/trash"])
@pytest.mark.parametrize("what", ["link", "file", "shared"])
def test_a_prepared_folder_is_refused(tmp_path: Path, folder: str, what: str) -> None:
    root, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    Store(str(root)).put(b"before")
    elsewhere.mkdir()
    place = root / folder
    if what == "shared":
        place.chmod(0o770)
    else:
        place.rename(tmp_path / "moved")
        place.symlink_to(elsewhere) if what == "link" else place.write_bytes(b"")
    why = {"link": "is a symbolic link", "file": "is not a folder", "shared": "may be written by other users"}[what]
    calls: list[Callable[[Store], object]] = [
        lambda store: store.put(b"x"),
        lambda store: store.has("0" * 64),
        lambda store: store.open("0" * 64),
        lambda store: store.recall("kind", "key"),
        lambda store: store.gc(0),
    ]
    for call in calls:
        with pytest.raises((StoreUnsafe, CannotWrite)) as caught:
            call(Store(str(root)))
        if isinstance(caught.value, StoreUnsafe):
            assert (caught.value.message, caught.value.where) == (f"the store's folder {why}", str(place))
    assert not list(elsewhere.iterdir())


@pytest.mark.tools  # root gives a folder to another user
def test_somebody_elses_store_is_refused(store: Store) -> None:
    store.put(b"x")
    os.chown(f"{store.root}/v1", 12345, 12345)
    with pytest.raises(StoreUnsafe) as caught:
        Store(store.root).has("0" * 64)
    assert caught.value.message == "the store's folder belongs to user 12345"


@pytest.mark.parametrize("what", ["folder", "pipe", "link", "device"])
def test_what_is_no_file_is_not_a_blob(store: Store, what: str, tmp_path: Path) -> None:
    name = store.put(b"x")
    path = Path(store.path(name))
    path.unlink()
    if what == "folder":
        (path / "deep").mkdir(parents=True)
    elif what == "pipe":
        os.mkfifo(path)
    else:
        (tmp_path / "secret").write_bytes(b"x")
        path.symlink_to("/dev/null" if what == "device" else tmp_path / "secret")
    assert not store.has(name)
    for call in (store.open, lambda name: store.prove(name).__enter__(), lambda name: list(store.parts(name))):
        with pytest.raises(StoreCorrupt) as caught:
            call(name)
        assert caught.value.message == f"the store's blob sha256:{name}: is not a regular file"
    assert [entry["name"] for entry in store.verify()["damaged"]] == [name]
    assert not store.has(name)
    store.put(b"x")
    assert content(store, name) == b"x"
    store.gc()
    assert store.info()["trash"]["count"] == 0


def test_a_folder_in_a_blobs_place_is_moved_away_by_the_next_put(store: Store) -> None:
    name = hex_of(b"x")
    store.put(b"other")
    (Path(store.path(name)) / "deep").mkdir(parents=True)
    store.put(b"x")
    assert content(store, name) == b"x"


# --- locks ---------------------------------------------------------------------------------------------------------


def test_a_lease_is_cheap_and_nests(store: Store) -> None:
    with store.lease():
        pass
    begin = time.process_time()
    for _ in range(200):
        with store.lease(), store.lease():
            pass
    assert (time.process_time() - begin) / 200 < 0.001
    assert not store.lease().held


def test_gc_waits_for_a_lease(store: Store) -> None:
    store.put(b"x")
    with store.lease():
        with pytest.raises(StoreBusy) as caught:
            Store(store.root).gc(0, wait=0.1)
        assert caught.value.message == "stagings are using the store"
        assert caught.value.retryable
        with pytest.raises(StoreBusy, match="while this process itself uses it"):
            store.gc(0)
    assert store.gc(0)["removed"]["count"] == 1


def test_a_lease_waits_for_gc_and_gives_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    store.put(b"x")
    monkeypatch.setattr(locks, "LEASE_WAIT", 0.1)
    lock = os.open(f"{store.root}/v1/gc.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(StoreBusy, match="the store is being cleaned by another stager"), store.lease():
        pass
    os.close(lock)
    with store.lease():
        pass


def test_a_killed_holders_lease_is_free(store: Store) -> None:
    store.put(b"x")
    code = (
        "import sys, time; from stager.store import Store\n"
        "with Store(sys.argv[1]).lease():\n print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, store.root], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(StoreBusy):
            store.gc(wait=0.05)
        holder.kill()
        holder.wait()
    assert store.gc()["removed"]["count"] == 0


def test_a_busy_store_lets_the_cleaner_in(store: Store) -> None:
    store.put(b"x")
    stop = threading.Event()

    def stage() -> None:
        mine = Store(store.root)
        while not stop.is_set():
            with mine.lease():
                time.sleep(0.03)

    threads = [threading.Thread(target=stage) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert store.gc(wait=10)["bytes"] == 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("system", ["linux", "elsewhere"])
def test_an_exclusive_name_has_one_holder(store: Store, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without_byte_locks(monkeypatch) if system == "elsewhere" else None
    inside: list[int] = []
    worst: list[int] = []

    def work() -> None:
        for _ in range(10):
            with Store(store.root).exclusive("name"):
                inside.append(1)
                worst.append(len(inside))
                time.sleep(0.001)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(worst), max(worst)) == (40, 1)


def test_waiting_for_an_exclusive_name_can_be_cancelled(store: Store) -> None:
    stop = threading.Event()
    caught: list[StagerError] = []

    def wait() -> None:
        try:
            with store.exclusive("name", stop.is_set):
                pass
        except StagerError as error:
            caught.append(error)

    with store.exclusive("name"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        stop.set()
        thread.join(0.5)
        assert not thread.is_alive()
    assert isinstance(caught[0], Cancelled)
    assert not store.lease().held


# --- many processes ------------------------------------------------------------------------------------------------


def test_an_exclusive_name_is_free_when_its_holder_is_killed(store: Store) -> None:
    code = (
        "import sys, time; from stager.store import Store\n"
        "with Store(sys.argv[1]).exclusive('name'):\n print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, store.root], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        waited = iter([False, False, True])
        with pytest.raises(Cancelled), store.exclusive("name", lambda: next(waited)):
            pass
        with store.exclusive("another"):
            pass
        holder.kill()
        holder.wait()
    with store.exclusive("name"):
        pass


def _in_processes(count: int, work: Callable[[int], None]) -> list[int | None]:
    processes = [FORK.Process(target=work, args=(number,)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def test_eight_processes_put_the_same_blobs_while_others_read_and_clean(store: Store) -> None:
    data = [str(number).encode() * 3000 for number in range(40)]
    names = [hex_of(one) for one in data]

    def write(number: int) -> None:
        mine = Store(store.root)
        for turn in range(40):
            one = (turn + number * 5) % 40
            assert mine.put(data[one], durable=number % 2 == 0) == names[one]

    def read_and_clean(number: int) -> None:
        mine = Store(store.root)
        for turn in range(60):
            if number == 8 and turn % 10 == 0:
                mine.gc(60_000, wait=30)
            with mine.lease():
                for name in names:
                    if mine.has(name):
                        assert hex_of(content(mine, name)) == name

    codes = _in_processes(10, lambda number: write(number) if number < 8 else read_and_clean(number))
    assert codes == [0] * 10
    assert store.verify()["damaged"] == []
    assert not leftovers(store)


def test_what_is_leased_survives_cleaning(store: Store) -> None:
    def stage(number: int) -> None:
        mine = Store(store.root)
        for turn in range(15):
            with mine.lease():
                name = mine.put(f"{number}-{turn}".encode(), durable=False)
                time.sleep(0.002)
                assert content(mine, name) == f"{number}-{turn}".encode()

    def clean(_: int) -> None:
        for _ in range(20):
            Store(store.root).gc(0, wait=30)

    assert _in_processes(5, lambda number: stage(number) if number < 4 else clean(number)) == [0] * 5


# --- cleaning and checking -----------------------------------------------------------------------------------------


def test_gc_removes_what_was_used_least_recently(store: Store) -> None:
    names = [store.put(bytes([number]) * 100) for number in range(4)]
    store.remember("made", "two", {"piece": names[2]})
    for number, name in enumerate(names):
        os.utime(store.path(name), (1_000_000 + number, 1_000_000 + number))
    assert store.has(names[0])  # a use: now it is the youngest
    planned = store.gc(400, keep={names[1]}, dry_run=True)
    assert all(store.has(name) for name in names[:1])
    for number, name in enumerate(names[1:], 1):
        os.utime(store.path(name), (1_000_000 + number, 1_000_000 + number))
    report = store.gc(400, keep={names[1]})
    assert planned == report
    assert report["removed"]["count"] == 2
    assert [os.path.exists(store.path(name)) for name in names] == [True, True, False, False]
    assert store.recall("made", "two") is None
    assert report["bytes"] <= 400


def test_using_a_blob_marks_it_at_most_once_a_day(store: Store) -> None:
    name = store.put(b"x")
    recent, old = time.time() - 3600, time.time() - 2 * 86400
    os.utime(store.path(name), (recent, recent))
    store.has(name)
    os.close(store.open(name))
    assert os.stat(store.path(name)).st_mtime == pytest.approx(recent, abs=1)
    os.utime(store.path(name), (old, old))
    os.close(store.open(name))
    assert os.stat(store.path(name)).st_mtime == pytest.approx(time.time(), abs=60)


def test_logs_of_builds_are_counted_and_go_when_room_is_wanted(store: Store) -> None:
    store.put(b"x")
    log = Path(store.root) / "v1/logs" / f"{'a' * 64}.log"
    log.parent.mkdir()
    log.write_bytes(b"y" * 1000)
    os.utime(log, (1, 1))
    assert store.info()["logs"] == {"count": 1, "bytes": 1000}
    store.gc()
    assert log.exists()
    store.gc(max_bytes=500)
    assert not log.exists()
    assert store.info()["blobs"]["count"] == 1


def test_gc_sweeps_what_dead_processes_left(store: Store) -> None:
    store.put(b"x")
    boot = os.path.basename(store.temp()).split("-")[0]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = Path(store.root, "v1/tmp")
    for name in (f"{boot}-{dead.pid}-aa", f"earlier-{os.getpid()}-bb", "foreign", f"{boot}-{os.getpid()}-cc"):
        (folder / name).write_bytes(b"xyz")
    Path(store.root, "v1/trash/old").write_bytes(b"xyz")
    assert store.gc()["swept"] == {"count": 4, "bytes": 12}
    assert leftovers(store) == [f"{boot}-{os.getpid()}-cc"]
    assert store.has(hex_of(b"x"))


@pytest.mark.parametrize("system", ["linux", "elsewhere"])
def test_gc_forgets_the_lock_files_of_exclusive_names(
    store: Store, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_byte_locks(monkeypatch) if system == "elsewhere" else None
    names = [store.exclusive("name"), store.exclusive("other")]
    with names[0], names[1]:
        assert len(os.listdir(f"{store.root}/v1/locks")) == (1 if system == "linux" else 2)
    store.gc()
    assert os.listdir(f"{store.root}/v1/locks") == []


def damage(path: str, how: str) -> None:
    data = bytearray(Path(path).read_bytes())
    size = len(data)
    if how == "flip":
        data[size // 2] ^= 0x10
    elif how == "truncate":
        del data[-1]
    elif how == "extend":
        data.append(0)
    else:
        data[:] = bytes(size)
    os.chmod(path, 0o600)
    Path(path).write_bytes(data)


def test_verify_finds_every_kind_of_rot(store: Store) -> None:
    names = [store.put(os.urandom(1000 + number), durable=False) for number in range(100)]
    kinds = ("flip", "truncate", "extend", "zero")
    rotten = names[::2]
    for number, name in enumerate(rotten):
        damage(store.path(name), kinds[number % 4])
    held = store.open(rotten[0])
    events: list[Event] = []
    report = store.verify(events.append)
    assert sorted(entry["name"] for entry in report["damaged"]) == sorted(rotten)
    assert all(entry["why"].startswith("its SHA-256 is ") for entry in report["damaged"])
    assert (report["checked"], events[-1].done, events[-1].total) == (100, 100, 100)
    assert [store.has(name) for name in names] == [False, True] * 50
    assert os.read(held, 10), "a reader keeps what it has open"
    os.close(held)
    assert store.verify()["damaged"] == []
    assert store.gc()["swept"]["count"] == 50


def test_verify_in_parts_checks_everything_once(store: Store) -> None:
    names = [store.put(bytes([number]), durable=False) for number in range(50)]
    Path(store.path("0" * 64)).parent.joinpath("foreign").write_bytes(b"")
    for name in names:
        damage(store.path(name), "extend")
    reports = [store.verify(subset=f"{part}/3") for part in (1, 2, 3)]
    found = [entry["name"] for report in reports for entry in report["damaged"]]
    assert sorted(found) == sorted([*names, "foreign"])
    assert sum(report["checked"] for report in reports) == 51


@pytest.mark.parametrize("subset", ["", "1", "0/3", "4/3", "1/0", "x/y", "1/3/3", "-1/3"])
def test_a_malformed_part_is_refused(store: Store, subset: str) -> None:
    with pytest.raises(UsageError) as caught:
        store.verify(subset=subset)
    assert caught.value.message == f"subset {subset!r} is not n/t with 1 <= n <= t"


def test_a_blob_healed_meanwhile_is_kept(store: Store) -> None:
    """Between the reading of all blobs, which is told one by one, and the setting aside of the damaged."""
    name = store.put(b"bytes")
    damage(store.path(name), "flip")

    def heal(_: Event) -> None:
        Store(store.root).put(b"bytes")

    assert store.verify(heal)["damaged"] == []
    assert content(store, name) == b"bytes"


def test_info_counts(store: Store) -> None:
    store.put(b"12345")
    Path(store.temp()).write_bytes(b"123")
    info = store.info()
    assert (info["root"], info["bytes"]) == (store.root, 8)
    assert info["blobs"] == {"count": 1, "bytes": 5}
    assert info["temporary"] == {"count": 1, "bytes": 3}
