"""Disks: the file system, the boot sector and the VMDK writers, each read back by somebody else."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from stager.digest import sha256
from stager.errors import CannotWrite, UsageError
from stager.files.errors import ProgramMissing
from stager.stacks import disks, ext4, guest, tools, vmdk
from stager.stacks.errors import StackFailed
from stager.stacks.root import Root
from stager.stacks.tree import RootItem, Tree

EPOCH = 1795227046
UUID = "11111111-2222-8333-8444-555555555555"
SIZE = 3 << 30
"""More than one grain table holds (32 MiB), and no multiple of what all of a directory's sector holds."""


def root(architecture: str = "amd64") -> Root:
    return Root("mine", architecture, ("ssh", "machine"), sha256(b"stack"), sha256(b"root"), 1, 1, 1, EPOCH)


# --- identifiers and the first sector ----------------------------------------------------------------------------


def test_every_purpose_has_an_identifier_of_its_own_and_keeps_it() -> None:
    one, other = (disks.uuid_of(sha256(b"stack"), purpose) for purpose in ("file system", "something else"))
    assert one != other
    assert one == disks.uuid_of(sha256(b"stack"), "file system")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one), "RFC 9562, 5.8"


def test_the_first_sector_holds_boot_code_signature_and_one_partition() -> None:
    sector = disks.mbr(b"\xeb" * 512, b"\1\2\3\4")
    assert len(sector) == 512
    assert sector[:440] == b"\xeb" * 440
    assert sector[440:446] == b"\1\2\3\4\0\0"
    status, kind, first, count = struct.unpack("<B3xB3xII", sector[446:462])
    assert (status, kind, first) == (0x80, 0x83, 2048)
    assert (first + count) * 512 == disks.SIZE
    assert sector[462:] == bytes(48) + b"\x55\xaa"


def test_another_architecture_has_no_disk() -> None:
    with pytest.raises(UsageError, match="there are no disk images for arm64: only for amd64"):
        disks.check("arm64")


@pytest.mark.parametrize(("program", "package"), sorted(tools.PACKAGES.items()))
def test_a_missing_program_is_named_with_its_package(
    program: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in tools.PACKAGES:
        if name != program:
            (tmp_path / name).symlink_to("/bin/true")
    monkeypatch.setattr("stager.stacks.sandbox.PATH", str(tmp_path))
    with pytest.raises(ProgramMissing) as missing:
        disks.check("amd64")
    assert f"{program} is not installed" in str(missing.value)
    assert f"apt-get install {package})" in str(missing.value.hint)


# --- VMDK --------------------------------------------------------------------------------------------------------


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[int]:
    """A sparse raw disk: data at its start, in its middle, across a table's end, in its last sector; written zeros."""
    noise = random.Random(4711)
    with (tmp_path / "raw").open("w+b") as file:
        file.truncate(SIZE)
        for place, data in (
            (0, noise.randbytes(5000)),
            (32 << 20, b"x" * 70_000),
            ((64 << 20) - 1000, noise.randbytes(3000)),
            (1 << 30, bytes(1 << 20)),
            (SIZE - 512, b"end!" * 128),
        ):
            file.seek(place)
            file.write(data)
        file.flush()
        yield file.fileno()


def read_back(data: bytes) -> dict[int, bytes]:
    """Grain number → bytes of a sparse extent, read as its specification says."""
    head = struct.unpack_from("<IIIQQQQIQQQB4sH", data)
    magic, version, flags, capacity, grain, _, _, per_table, spare, directory, overhead, dirty = head[:12]
    assert (magic, capacity, grain, per_table, dirty) == (0x564D444B, SIZE // 512, 128, 512, 0)
    assert head[12] == b"\n \r\n"
    compressed = bool(flags & 1 << 16)
    assert (version, head[13]) == ((3, 1) if compressed else (1, 0))
    if directory == 0xFFFFFFFFFFFFFFFF:
        footer, end = data[-1024:-512], data[-512:]
        assert end == bytes(512)
        assert struct.unpack_from("<QII", data, len(data) - 1536)[::2] == (1, 3)
        assert footer[:56] == data[:56]
        directory = struct.unpack_from("<Q", footer, 56)[0]
    found: dict[int, bytes] = {}
    count = -(-SIZE // (512 * 65536))
    for number, table in enumerate(struct.unpack_from(f"<{count}I", data, directory * 512)):
        places = struct.unpack_from("<512I", data, table * 512) if table else ()
        for entry, place in enumerate(places):
            if place:
                assert place >= overhead
                found[number * 512 + entry] = grain_at(data, place, number * 512 + entry, compressed)
    if spare and not compressed:
        first = struct.unpack_from(f"<{count}I", data, spare * 512)
        second = struct.unpack_from(f"<{count}I", data, directory * 512)
        assert [data[a * 512 : a * 512 + 2048] for a in first] == [data[b * 512 : b * 512 + 2048] for b in second]
    return found


def grain_at(data: bytes, place: int, number: int, compressed: bool) -> bytes:
    if not compressed:
        return data[place * 512 : place * 512 + 65536]
    sector, size = struct.unpack_from("<QI", data, place * 512)
    assert sector == number * 128
    return zlib.decompress(data[place * 512 + 12 : place * 512 + 12 + size])


@pytest.mark.parametrize("kind", ["streamOptimized", "monolithicSparse"])
def test_a_vmdk_holds_exactly_the_grains_that_are_not_zero(kind: str, raw: int) -> None:
    text = vmdk.descriptor(kind, "box.vmdk", SIZE, "0123abcd", "ide")
    out = io.BytesIO()
    size = (vmdk.stream_optimized if kind == "streamOptimized" else vmdk.sparse)(raw, SIZE, text, out.write)
    assert size == len(out.getvalue())
    assert len(out.getvalue()) % 512 == 0
    expected = {number: os.pread(raw, 65536, number * 65536) for number in (0, 512, 513, 1023, 1024, SIZE // 65536 - 1)}
    assert read_back(out.getvalue()) == expected
    assert out.getvalue()[512 : 512 + len(text)] == text


def test_a_descriptor_follows_the_rules_of_its_format() -> None:
    """Virtual Disk Format 5.0, "The Descriptor File": header, extents, disk data base."""
    lines = vmdk.descriptor("streamOptimized", "box-disk001.vmdk", SIZE, "0123abcd", "ide").decode("ascii").split("\n")
    assert lines[0] == "# Disk DescriptorFile"
    header = dict(line.split("=", 1) for line in lines if re.match(r"[A-Za-z]+=", line))
    assert header == {"version": "1", "CID": "0123abcd", "parentCID": "ffffffff", "createType": '"streamOptimized"'}
    extents = [line for line in lines if line.startswith(("RW ", "RDONLY ", "NOACCESS "))]
    assert extents == [f'RW {SIZE // 512} SPARSE "box-disk001.vmdk"']
    ddb = dict(line.split(" = ", 1) for line in lines if line.startswith("ddb."))
    assert ddb["ddb.adapterType"] in {'"ide"', '"lsilogic"', '"buslogic"'}
    geometry = [int(ddb[f"ddb.geometry.{key}"].strip('"')) for key in ("cylinders", "heads", "sectors")]
    assert geometry[1:] == [16, 63]
    assert geometry[0] * 16 * 63 <= SIZE // 512 < (geometry[0] + 1) * 16 * 63


@pytest.mark.tools
@pytest.mark.parametrize("kind", ["streamOptimized", "monolithicSparse"])
def test_qemu_reads_the_same_disk_from_a_vmdk(kind: str, raw: int, tmp_path: Path) -> None:
    text = vmdk.descriptor(kind, "box.vmdk", SIZE, "0123abcd", "lsilogic")
    with (tmp_path / "box.vmdk").open("wb") as out:
        (vmdk.stream_optimized if kind == "streamOptimized" else vmdk.sparse)(raw, SIZE, text, out.write)
    said = qemu("check", "-f", "vmdk", tmp_path / "box.vmdk")
    assert "No errors were found" in said
    assert "Images are identical" in qemu("compare", "-f", "raw", "-F", "vmdk", tmp_path / "raw", tmp_path / "box.vmdk")


def qemu(*arguments: object) -> str:
    done = subprocess.run(["qemu-img", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- the file system ---------------------------------------------------------------------------------------------


def tree() -> Tree:
    """All kinds of entries, with names that a script could trip over."""
    made = Tree({"": RootItem("folder", 0o755)})
    shared = RootItem("file", 0o755, data=b"#!/bin/sh\n" * 1000, inode="usr/bin/one")
    for path, item in {
        "usr/bin/one": shared,
        "usr/bin/two": shared,
        "usr/bin/three": shared,
        "usr/bin/su": RootItem("file", 0o4755, data=b"su"),
        "bin": RootItem("link", 0o777, target="usr/bin"),
        "etc/empty": RootItem("file", 0o640, 0, 42, data=b""),
        "etc/a \"quoted\" 'name'": RootItem("file", 0o644, data=b"quoted"),
        "etc/back\\slash\\x2d$HOME;#": RootItem("link", 0o777, target='to "somewhere" ' + "far/" * 30),
        "home/vagrant/.ssh": RootItem("folder", 0o700, 1000, 1000),
        "home/vagrant/.ssh/authorized_keys": RootItem("file", 0o600, 1000, 1000, data=b"key\n"),
        "home/żółw": RootItem("file", 0o644, 70000, 70000, data=random.Random(1).randbytes(300_000)),
        "tmp": RootItem("folder", 0o1777),
        "var/holes": RootItem("file", 0o644, data=b"a" + bytes(200_000) + b"b"),
    }.items():
        made.put(path, item)
    return made


def make(place: Path, made: Tree) -> Path:
    (place / "work").mkdir(parents=True)
    image = place / "raw"
    with image.open("wb") as file:
        file.truncate((256 << 20) + disks.START)
    ext4.write(made, str(image), disks.START, 256 << 20, UUID, EPOCH, str(place / "work"), "mine")
    alone = place / "fs"
    with image.open("rb") as file, alone.open("wb") as out:
        file.seek(disks.START)
        out.write(file.read())
    return alone


def debugfs(image: Path, request: str) -> str:
    done = subprocess.run(["debugfs", "-R", request, image], capture_output=True, text=True, timeout=60)
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stdout


@pytest.mark.tools
def test_a_file_system_holds_the_tree_and_is_clean(tmp_path: Path) -> None:
    image, made = make(tmp_path, tree()), tree()
    done = subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "out"
    out.mkdir()
    debugfs(image, f'rdump / "{out}"')
    for path, item in made.items.items():
        found = debugfs(image, f'stat "/{path.replace(chr(34), chr(34) * 2)}"')
        kind = {"file": "regular", "folder": "directory", "link": "symlink"}[item.kind]
        assert f"Type: {kind} " in found, found
        assert f"Mode:  0{item.mode:03o} " in found, found
        assert re.search(rf"User: +{item.uid} +Group: +{item.gid} ", found), found
        assert set(re.findall(r"time: 0x([0-9a-f]+):00000000", found)) == {f"{EPOCH:x}"}, found
        assert not item.inode or "Links: 3 " in found, found
        if item.kind == "file":
            assert (out / path).read_bytes() == item.data
        elif item.kind == "link":
            assert os.readlink(out / path) == item.target


@pytest.mark.tools
def test_a_file_system_is_the_same_wherever_its_files_come_from(tmp_path: Path) -> None:
    """Other folders (so other inodes, times and orders of entries) and another order of the tree: no byte differs."""
    backwards = Tree(dict(reversed(tree().items.items())))
    one, other = make(tmp_path / "one", tree()), make(tmp_path / "another place", backwards)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.tools
def test_a_name_that_debugfs_cannot_read_is_refused(tmp_path: Path) -> None:
    made = tree()
    made.put("etc/two\nlines", RootItem("file", 0o644, data=b""))
    with pytest.raises(StackFailed, match="holds a line break"):
        make(tmp_path, made)


@pytest.mark.tools
def test_what_a_program_says_is_told(tmp_path: Path) -> None:
    """A file system too small for its files: debugfs ends with 0, and has only said so."""
    made = Tree({"": RootItem("folder", 0o755)})
    made.put("large", RootItem("file", 0o644, data=b"x" * (300 << 20)))
    with pytest.raises((StackFailed, CannotWrite)) as failed:
        make(tmp_path, made)
    assert "filling the file system failed" in str(failed.value) or "No space left" in str(failed.value)


FULL = """\
import os, shutil, sys, types
sys.path[:0] = [sys.argv[2], sys.argv[3]]
from test_disks import bootable, root
from dataclasses import replace
from stager.digest import Digest
from stager.errors import StagerError
from stager.net.indexes import Indexes
from stager.stacks import disks, tree
from stager.stacks.build_context import Making
from stager.store import Store

store, made = Store(sys.argv[1]), bootable()
made.put("large", tree.RootItem("file", 0o644, data=os.urandom(100 << 20)))
with store.writer() as writer:
    tree.write(made, 1, writer.write)
    found = replace(root(), digest=Digest("sha256:" + writer.commit()), size=writer.size)
if sys.argv[4] == "late":
    shutil.disk_usage = lambda _: types.SimpleNamespace(free=1 << 40)
try:
    with disks.raw(found, Making(store, Indexes.from_environment({}, home="/nonexistent"))):
        print("made")
except StagerError as error:
    print(type(error).__name__, error.exit_code, error)
print(os.listdir(os.path.join(sys.argv[1], "v1", "tmp")))
"""


@pytest.mark.tools
@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("early", "NoRoom 70 making a disk of mine needs 5"),
        ("late", "CannotWrite 70 "),
    ],
)
def test_a_full_disk_is_told_and_nothing_is_left(when: str, said: str, tmp_path: Path) -> None:
    """On a file system of 260 MB, which only the process sees: found out beforehand, or when it happens."""
    here = Path(__file__).resolve()
    script = 'mount -t tmpfs -o size=260m tmpfs "$1" && exec "$0" -c "$2" "$1" "$3" "$4" "$5"'
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable, str(tmp_path), FULL]
    done = subprocess.run(
        [*command, str(here.parent), str(here.parent.parent.parent), when], capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr
    assert lines[0].startswith(said), done.stdout
    assert lines[-1] == "[]", "nothing is left in the store"


# --- what makes a root a machine ---------------------------------------------------------------------------------


def bootable() -> Tree:
    made = Tree({"": RootItem("folder", 0o755)})
    for path in ("usr/sbin/sshd", "usr/bin/sudo", "usr/bin/rsync", "vmlinuz", "initrd.img", "usr/lib/systemd/systemd"):
        made.put(path, RootItem("file", 0o755, data=b"program"))
    made.put(
        "etc/passwd",
        RootItem("file", 0o644, data=b"root:x:0:0::/root:/bin/sh\nvagrant:x:1000:1000::/home/vagrant:/bin/sh\n"),
    )
    made.put("home/vagrant", RootItem("folder", 0o755, 1000, 1000))
    return made


def test_a_machine_gets_its_network_keys_and_first_boot() -> None:
    made = bootable()
    guest.for_disk(made, "mine", UUID)
    assert made.bytes_of("etc/fstab") == f"UUID={UUID} / ext4 errors=remount-ro 0 0\n".encode()
    assert f"root=UUID={UUID} ro net.ifnames=0" in made.bytes_of("boot/grub/grub.cfg").decode()
    keys = made.items["home/vagrant/.ssh/authorized_keys"]
    assert (keys.mode, keys.uid, keys.gid) == (0o600, 1000, 1000)
    assert made.items["home/vagrant/.ssh"].mode == 0o700
    assert [line.split()[0] for line in (keys.data or b"").decode().splitlines()] == ["ssh-rsa", "ssh-ed25519"]
    assert made.items["usr/lib/stager-box/resolve"].mode == 0o755
    assert made.items["etc/systemd/system/systemd-firstboot.service"].target == "/dev/null"
    units = [path for path, item in made.items.items() if item.target.startswith("/etc/systemd/system/")]
    assert units
    assert all(made.items[path].target.lstrip("/") in made.items for path in units)
    assert not any("ssh_host" in path for path in made.items)


@pytest.mark.parametrize(
    ("gone", "said"),
    [("vmlinuz", "lacks a kernel"), ("usr/sbin/sshd", "lacks openssh-server"), ("etc/passwd", "no user vagrant")],
)
def test_a_root_without_what_a_machine_needs_is_refused(gone: str, said: str) -> None:
    made = bootable()
    del made.items[gone]
    with pytest.raises(StackFailed, match=said):
        guest.for_disk(made, "mine", UUID)
