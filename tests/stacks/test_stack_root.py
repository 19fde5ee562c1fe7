"""Real roots, made by mmdebstrap from the archive's packages; and everything that can go wrong while they are made."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import make_deb
from command import PROGRAM, stager
from made import built

from stager.digest import sha256
from stager.errors import CannotWrite, FetchError, StagerError
from stager.files.errors import NoSandbox, ProgramMissing
from stager.model import DebPin
from stager.net.errors import Gone
from stager.net.indexes import Indexes
from stager.stacks import debs, lock, root, sandbox, scripts, tree
from stager.stacks.build_context import Making, temporary
from stager.stacks.definition import Definition, StackStep
from stager.stacks.errors import NoRoom, StackFailed
from stager.stacks.lock import StackLock
from stager.stacks.root import Root
from stager.stacks.tree import Tree
from stager.store import Store
from stager.store.errors import DamagedArtifact, DigestMismatch

pytestmark = [pytest.mark.tools, pytest.mark.network]

Built = tuple[Definition, StackLock, Root, Store]


@pytest.fixture(scope="module")
def real(shared_store: Path) -> Built:
    """debian-12, locked and built for this run."""
    return built(shared_store)


@pytest.fixture
def own(real: Built, tmp_path: Path) -> Making:
    """A store of its own that holds the packages of `real`, and no network."""
    store = Store(str(tmp_path / "store"))
    for pin in real[1].pins(["root"], "amd64"):
        assert store.put(Path(real[3].path(pin.digest.hex)).read_bytes(), durable=False) == pin.digest.hex
    return Making(store, indexes(), offline=True)


def indexes() -> Indexes:
    return Indexes.from_environment(os.environ, home=os.path.expanduser("~"))


def leftovers(store: Store) -> list[str]:
    return os.listdir(f"{store.root}/v1/tmp") if os.path.isdir(f"{store.root}/v1/tmp") else []


@pytest.fixture
def unpacked(real: Built) -> Iterator[Tree]:
    descriptor = real[3].open(real[2].digest.hex)
    yield tree.read(descriptor, "debian-12")
    os.close(descriptor)


# --- what is in it ---------------------------------------------------------------------------------------------


def test_a_root_is_a_good_stack(real: Built, unpacked: Tree) -> None:
    _definition, pinned, made, _ = real
    items = unpacked.items
    assert made.packages == len(pinned.pins(["root"], "amd64"))
    assert made.entries == len(items)
    status = unpacked.bytes_of("var/lib/dpkg/status").decode()
    installed = {line.removeprefix("Package: ") for line in status.splitlines() if line.startswith("Package: ")}
    assert installed == {pin.name for pin in pinned.pins(["root"], "amd64")}
    assert status.count("Status: install ok installed") == len(installed)
    for path in ("bin/bash", "bin/sh", "usr/bin/env", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/UTC",
                 "usr/lib/x86_64-linux-gnu/libstdc++.so.6", "etc/services"):  # fmt: skip
        assert unpacked.bytes_of(unpacked.resolve(path)), path
    assert items["bin"].target == "usr/bin"
    assert (items["app"].mode, items["app"].uid, items["app"].gid) == (0o775, 2000, 0)
    assert items["home/vcap/app"].target == "/app"
    assert b"\nvcap:x:2000:2000::/home/vcap:/bin/bash\n" in unpacked.bytes_of("etc/passwd")
    assert unpacked.bytes_of("etc/machine-id") == b""
    assert not [path for path in items if path.startswith(("usr/share/man/", "usr/share/locale/", "var/log/apt/"))]
    assert "usr/share/doc/bash/copyright" in items
    assert {item.kind for item in items.values()} == {"file", "link", "folder"}
    assert not any(path.startswith(("dev/", "proc/", "sys/", "tmp/")) for path in items)
    assert {path: items[path].mode for path in ("dev", "proc", "run", "sys", "tmp", "var/tmp")} == {
        "dev": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var/tmp": 0o1777,
    }  # fmt: skip


def test_programs_of_the_root_run_as_the_stacks_user(real: Built, tmp_path: Path) -> None:
    place = tmp_path / "root"
    place.mkdir()
    subprocess.run(["tar", "-xf", real[3].path(real[2].digest.hex), "-C", str(place), "--numeric-owner"], check=True)
    inside = "id -un && echo $LANG && date -d @0 +%Z && getent services https && ls -d /home/vcap/app/ && touch /app/x"
    done = subprocess.run(
        [str(shutil.which("chroot")), "--userspec=2000:0", str(place), "/bin/bash", "-c", f". /etc/default/locale; {inside}"],
        capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    assert done.stdout.split() == [
        "vcap",
        "C.UTF-8",
        "UTC",
        "https",
        "443/tcp",
        "/home/vcap/app/",
    ], done
    assert done.returncode == 0


def test_a_second_build_takes_the_first_ones_result(real: Built) -> None:
    definition, pinned, made, store = real
    begun = time.monotonic()
    again = root.build(definition, pinned, "amd64", Making(store, indexes(), offline=True))
    assert again == made
    assert time.monotonic() - begun < 5


# --- scripts ---------------------------------------------------------------------------------------------------


def run(real: Built, unpacked: Tree, script: str, out: int) -> Tree:
    step = StackStep("script", (("script", script.encode()),))
    return scripts.run(real[0], step, unpacked, real[1].epoch, Making(real[3], indexes()), out)


def test_a_script_changes_the_root_and_reaches_nothing_else(real: Built, unpacked: Tree) -> None:
    script = """\
set -e
echo "$0 $(id -u) $PWD $HOME $LC_ALL $SOURCE_DATE_EPOCH" >/etc/said
useradd --system --uid 500 extra
install -o extra -m 4750 /bin/true /opt/tool
ln -s tool /opt/link
rm /etc/motd
echo x >/tmp/gone; echo x >/run/gone; echo x >/var/log/gone
grep -c . /proc/net/dev >/etc/interfaces
if mount -t tmpfs tmpfs /mnt 2>/dev/null || mknod /opt/device b 8 0 2>/dev/null; then exit 3; fi
if (: </dev/sda) 2>/dev/null; then exit 4; fi
[ -z "$(ls /home/*/.ssh 2>/dev/null)" ] && [ ! -e "$OUTSIDE" ]
"""
    outside = tempfile.mkdtemp()
    with temporary(real[3]) as out:
        after = run(real, unpacked, script.replace("$OUTSIDE", outside), out)
        assert after.bytes_of("etc/said") == f"/run/stager/script 0 / /root C.UTF-8 {real[1].epoch}\n".encode()
        tool = after.items["opt/tool"]
        assert (tool.mode, tool.uid, after.items["opt/link"].target) == (0o4750, 500, "tool")
        assert after.bytes_of("etc/interfaces") == b"3\n"  # two lines of heading, and the loopback
        assert {*unpacked.items} - {*after.items} == {"etc/motd"}
        assert {*after.items} - {*unpacked.items} == {"etc/said", "etc/interfaces", "opt/tool", "opt/link"}
        day = real[1].epoch // 86400
        assert f"\nextra:!:{day}:".encode() in after.bytes_of("etc/shadow")
    os.rmdir(outside)


def test_a_script_without_effect_changes_no_byte(real: Built, unpacked: Tree) -> None:
    with temporary(real[3]) as out:
        after = run(real, unpacked, "true", out)
        assert written(after, real[1].epoch) == written(unpacked, real[1].epoch)


def written(made: Tree, epoch: int) -> str:
    import hashlib

    state = hashlib.sha256()
    tree.write(made, epoch, state.update)
    return state.hexdigest()


def test_a_script_that_fails_is_reported_in_its_own_words(real: Built, unpacked: Tree) -> None:
    with temporary(real[3]) as out, pytest.raises(StackFailed) as caught:
        run(real, unpacked, "echo no such luck >&2; exit 7", out)
    assert caught.value.message == "stack debian-12: its script failed: no such luck"
    assert caught.value.exit_code == 30


def test_a_run_list_needs_chef(real: Built, unpacked: Tree) -> None:
    step = StackStep("chef", (("cookbooks/web/recipes/default.rb", b""),), ("recipe[web]",))
    making = Making(real[3], indexes())
    with temporary(real[3]) as out:
        with pytest.raises(StackFailed) as caught:
            scripts.run(real[0], step, unpacked, real[1].epoch, making, out)
        why = "its chef run list failed: chef-solo is not installed in its root filesystem"
        assert caught.value.message == f"stack debian-12: {why}"
        # Whatever is there as chef-solo is called as Chef's own is: with its configuration, cookbooks and run list.
        stand_in = (
            b'#!/bin/sh\nset -e\nls /run/stager/cookbooks/web/recipes >&2\ntest -f "$2"\necho "$@" >/etc/called\n'
        )
        unpacked.put("usr/bin/chef-solo", tree.RootItem("file", 0o755, data=stand_in))
        after = scripts.run(real[0], step, unpacked, real[1].epoch, making, out)
        called = b"--config /run/stager/solo.rb --no-color --override-runlist recipe[web]\n"
        assert after.bytes_of("etc/called") == called


def test_an_own_stack_is_built_like_a_shipped_one(real: Built, tmp_path: Path, shared_store: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "files" / "opt").mkdir(parents=True)
    (mine / "files" / "opt" / "hello").write_text("hello\n")
    (mine / "setup.sh").write_text("hello >/etc/greeting\n")
    (mine / "box.yml").write_text(
        "extends: debian-12\nroot: {packages: [hello], tree: files, script: setup.sh}\nvagrant: {}\nservices: {}\n"
    )
    locked = stager("box", "lock", mine, "--json", store=shared_store).good().document
    assert locked["path"] == str(mine / "box.lock")
    assert locked["written"] is True
    out = tmp_path / "out"
    made = stager("box", "build", "--box", "./mine", "-o", out, "--json", "-q", store=shared_store, cwd=tmp_path).good()
    assert made.document["name"] == "mine"
    assert made.document["packages"] == real[2].packages + 1
    listed = subprocess.run(
        ["tar", "-xOf", str(out / "root.tar"), "./etc/greeting", "./opt/hello"], capture_output=True, check=True
    )
    assert listed.stdout == b"Hello, world!\nhello\n"
    config = json.loads((out / "image" / "blobs" / "sha256" / made.document["image"]["config"][7:]).read_bytes())
    assert config["config"]["Labels"]["io.buildpacks.stack.id"] == "mine"


# --- what can go wrong -----------------------------------------------------------------------------------------


def attempt(real: Built, making: Making, pinned: StackLock | None = None) -> StagerError:
    with pytest.raises(StagerError) as caught:
        root.build(real[0], pinned or real[1], "amd64", making)
    assert leftovers(making.store) == []
    return caught.value


def test_without_mmdebstrap(real: Built, own: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "PATH", str(tmp_path))
    error = attempt(real, own)
    assert isinstance(error, ProgramMissing)
    assert error.message == "mmdebstrap is not installed; it is needed to make a root filesystem"
    assert error.hint.startswith("Install it (on Debian: apt-get install mmdebstrap)")


def test_without_namespaces(real: Built, own: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """unshare(1) is there, but the system refuses; its words are passed on."""
    for name in ("mmdebstrap", "setpriv", "dpkg-deb"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    (tmp_path / "unshare").write_text(
        '#!/bin/sh\nexec setpriv --bounding-set=-all --inh-caps=-all /usr/bin/unshare --time=/nonexistent "$@"\n'
    )
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setattr(sandbox, "PATH", f"{tmp_path}:/usr/bin:/bin")
    error = attempt(real, own)
    assert isinstance(error, NoSandbox)
    assert error.message.startswith("no namespaces to make debian-12: with ids of nobody: ")
    assert "with root: " in error.message
    assert "in a user namespace: " in error.message


def test_a_package_that_is_damaged_in_the_store(real: Built, own: Making) -> None:
    pin = real[1].pins(["root"], "amd64")[3]
    path = Path(own.store.path(pin.digest.hex))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    error = attempt(real, replace(own, offline=True))  # with a connection it is fetched again
    assert isinstance(error, DamagedArtifact)
    assert pin.name in error.message
    assert error.where == str(path)


POSTINST = """\
#!/bin/sh
cat /proc/self/uid_map >/etc/map
for file in etc/shadow proc/kmsg; do (: <"/proc/1/root/$file") && echo "read $file" >>/etc/did; done
for file in var usr root etc; do touch "/proc/1/root/$file/NAME" && echo "wrote $file" >>/etc/did; done
kill -9 PID && echo ended >>/etc/did
mknod /etc/disk b 7 0 && echo made >>/etc/did
exit 0
"""
"""What it does to the machine, by way of the first process of its namespace, whose root is the machine's."""


def test_a_hostile_package_of_root_s_is_not_root_on_this_machine(real: Built, own: Making) -> None:
    if os.geteuid() != 0:
        pytest.skip("it would be another user's anyway")
    mark = f"stager-hostile-{os.getpid()}"
    with subprocess.Popen(["sleep", "600"]) as other:
        script = POSTINST.replace("NAME", mark).replace("PID", str(other.pid)).encode()
        try:
            data = make_deb({}, package="zz-hostile", control_files={"postinst": script})
            pin = DebPin("zz-hostile", "1.0-1", "amd64", len(data), sha256(data), "pool/zz-hostile_1.0-1_amd64.deb")
            own.store.put(data, durable=False)
            name, arch, pins = real[1].sets[0]
            made = root.build(real[0], replace(real[1], sets=((name, arch, (*pins, pin)),)), "amd64", own)
            assert other.poll() is None
        finally:
            other.kill()
    descriptor = own.store.open(made.digest.hex)
    found = tree.read(descriptor, "hostile")
    assert found.bytes_of("etc/map").split() == [b"0", b"1879048192", b"65536"]
    assert "etc/did" not in found.items, found.bytes_of("etc/did")
    assert [place for place in ("var", "usr", "root", "etc") if Path("/", place, mark).exists()] == []
    os.close(descriptor)


def changed(pinned: StackLock, **fields: object) -> StackLock:
    """The lock with one package of the root pinned otherwise."""
    name, arch, pins = pinned.sets[0]
    return replace(pinned, sets=((name, arch, (replace(pins[0], **fields), *pins[1:])), *pinned.sets[1:]))  # type: ignore[arg-type]


def test_a_package_with_another_digest(real: Built, tmp_path: Path) -> None:
    from stager.digest import Digest

    making = Making(Store(str(tmp_path / "store")), indexes())
    error = attempt(real, making, changed(real[1], digest=Digest("sha256:" + "0" * 64)))
    assert isinstance(error, DigestMismatch)
    assert "base-files@" in error.message


def test_a_package_that_the_mirror_has_replaced(real: Built, tmp_path: Path) -> None:
    from stager.digest import Digest

    path = "pool/main/b/base-files/base-files_0.0.1_amd64.deb"
    gone = changed(real[1], path=path, version="0.0.1", digest=Digest("sha256:" + "0" * 64))
    making = Making(Store(str(tmp_path / "store")), indexes())
    error = attempt(real, making, gone)
    assert isinstance(error, Gone)
    assert error.message == "debian/base-files@0.0.1 is pinned, but its index no longer has it"
    assert error.hint.endswith("run 'stager box lock debian-12 --upgrade'.")


def test_offline_without_the_packages(real: Built, tmp_path: Path) -> None:
    error = attempt(real, Making(Store(str(tmp_path / "store")), indexes(), offline=True))
    assert isinstance(error, FetchError)
    assert error.code == "NotCached"


def test_a_package_that_calls_itself_otherwise(real: Built, own: Making) -> None:
    error = attempt(real, own, changed(real[1], version="99"))
    assert error.code == "BadLock"
    assert "states Version" in error.message


def test_a_set_of_packages_that_is_not_whole(real: Built, own: Making) -> None:
    name, arch, pins = real[1].sets[0]
    fewer = tuple(pin for pin in pins if pin.name != "libc6")
    error = attempt(real, own, replace(real[1], sets=((name, arch, fewer), *real[1].sets[1:])))
    assert isinstance(error, StackFailed)
    assert error.message.startswith("stack debian-12: installing the packages failed: ")
    assert "unmet dependencies" in error.message or "apt" in error.message


def test_too_little_memory(real: Built, own: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MARGIN", 1 << 50)
    error = attempt(real, own)
    assert isinstance(error, NoRoom)
    assert error.message.startswith("installing the packages of debian-12 needs 1125")


def test_the_memory_given_is_too_small(real: Built, own: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debs, "SPARE", -(150 << 20))
    error = attempt(real, own)
    assert isinstance(error, CannotWrite)
    assert error.message == "cannot be written: No space left on device"


def test_a_full_disk(real: Built, tmp_path: Path) -> None:
    """The store is on a file system with room for the packages and not for the root; nothing is left of the try."""
    script = """\
set -e
mount -t tmpfs -o size=70m tmpfs "$1"
shift
"$@" --fetch-only
"$@" --offline || code=$?
find "$STORE"/v1/tmp -mindepth 1
find "$STORE" -size +20M
exit "$code"
"""
    place = tmp_path / "small"
    place.mkdir()
    pinned = tmp_path / "box.lock"
    pinned.write_text(lock.dumps(real[1]))
    command = [*PROGRAM, "box", "build", "debian-12", "--lock", str(pinned), "--cache-dir", str(place / "store"), "-q"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(place), *command], capture_output=True, text=True,
        env={**os.environ, "STORE": str(place / "store")}, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 70, done.stderr
    assert "cannot be written: No space left on device" in done.stderr
    assert done.stdout == ""


# --- being stopped ---------------------------------------------------------------------------------------------


def inside(first: int = 0) -> set[int]:
    """The processes that are making a root now; with `first`, those below this one."""
    found = {int(name) for name in os.listdir("/proc") if name.isdigit() and _makes_a_root(int(name))}
    return {one for one in found if not first or first in _above(one)}


def _makes_a_root(process: int) -> bool:
    try:
        return b"mmdebstrap\0--mode=root" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def _above(process: int) -> set[int]:
    """The processes above one: its parent, and so on."""
    found: set[int] = set()
    while process > 1:
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        found.add(process)
    return found


def mounts(store: Store) -> list[str]:
    """What is mounted of a store, or over a part of it."""
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if store.root in line]


def begun(store: Store) -> bool:
    """Whether the packages of this store's build are being installed: its folder of packages is there."""
    return any(os.path.isdir(f"{store.root}/v1/tmp/{name}") for name in leftovers(store))


def wait_until(true: object, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_cancelling(real: Built, own: Making) -> None:
    cancel = threading.Event()
    stages: list[str] = []

    def progress(event: object) -> None:
        stages.append(str(event))
        if "extracting" in stages[-1]:
            cancel.set()

    begun_at = time.monotonic()
    error = attempt(real, replace(own, cancel=cancel, progress=progress))
    assert error.code == "Cancelled"
    assert time.monotonic() - begun_at < 30


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_being_stopped_leaves_nothing(real: Built, own: Making, tmp_path: Path, sent: signal.Signals) -> None:
    pinned = tmp_path / "box.lock"
    pinned.write_text(lock.dumps(real[1]))
    command = ["box", "build", "debian-12", "--lock", str(pinned), "--cache-dir", own.store.root, "-q", "--offline"]
    process = subprocess.Popen([sys.executable, "-m", "stager", *command], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: inside(process.pid) and begun(own.store))
    mine = inside(process.pid)
    process.send_signal(sent)
    _, said = process.communicate(timeout=30)
    wait_until(lambda: not mine & inside(), 20)
    assert mounts(own.store) == []
    if sent == signal.SIGKILL:  # nobody was there to clean; what is left is swept by the next one
        own.store.gc()
    else:
        assert process.returncode == 130
        assert "stopped as asked" in said
    assert leftovers(own.store) == []
