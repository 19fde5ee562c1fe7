"""Boxes: what each provider wants of them, by its own rules, and by what really reads them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from command import free_port, stager
from filelock import FileLock

from stager.digest import sha256
from stager.errors import UsageError
from stager.stacks import boxes, catalog, disks
from stager.text.templates import fill

EPOCH = 1795227046
FORMATS = ("docker", "libvirt", "virtualbox", "vmware")
ENVELOPE = "{http://schemas.dmtf.org/ovf/envelope/1}"
RASD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData}"
VSSD = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData}"


# --- the archive and the catalog ---------------------------------------------------------------------------------


def test_a_box_is_a_tar_with_its_files_at_the_top_and_nothing_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x" * 1000)
    out = io.BytesIO()
    boxes.write_tar({"metadata.json": b"{}", "box.img": str(tmp_path / "disk"), "Vagrantfile": b""}, EPOCH, out.write)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as read:
        found = [(m.name, m.size, m.mode, m.uid, m.gid, m.uname, m.gname, m.mtime, m.type) for m in read]
    same = (0o644, 0, 0, "", "", EPOCH, tarfile.REGTYPE)
    assert found == [("Vagrantfile", 0, *same), ("box.img", 1000, *same), ("metadata.json", 2, *same)]


def test_how_bytes_arrive_does_not_show_in_a_compressed_box() -> None:
    data = os.urandom(1 << 20) + bytes(3 << 20)
    results = set()
    for step in (1 << 22, 4097, 1 << 21):
        out = io.BytesIO()
        made = boxes.Compressed(out.write)
        for start in range(0, len(data), step):
            made.write(data[start : start + step])
        made.close()
        results.add(out.getvalue())
    assert len(results) == 1
    done = subprocess.run(["gzip", "-dc"], input=results.pop(), capture_output=True, check=True, timeout=60)
    assert done.stdout == data


def offer(provider: str, text: str = "x") -> catalog.BoxOffer:
    return catalog.BoxOffer(provider, "amd64", f"file:///b/{provider}.box", hashlib.sha256(text.encode()).hexdigest())


def test_a_catalog_says_where_each_box_is_and_what_its_digest_must_be() -> None:
    found = json.loads(catalog.document("debian-12", "Debian", EPOCH, [offer("libvirt"), offer("docker")]))
    assert (found["name"], found["description"]) == ("stager/debian-12", "Debian")
    [only] = found["versions"]
    assert [row["name"] for row in only["providers"]] == ["docker", "libvirt"]
    assert only["providers"][1] == {
        "name": "libvirt",
        "url": "file:///b/libvirt.box",
        "checksum_type": "sha256",
        "checksum": hashlib.sha256(b"x").hexdigest(),
        "architecture": "amd64",
        "default_architecture": True,
    }


def test_a_version_is_one_that_rubygems_orders_and_that_other_bytes_do_not_have() -> None:
    one = catalog.version(EPOCH, [offer("libvirt"), offer("docker")])
    assert re.fullmatch(r"20261121\.[0-9]+", one)
    assert one == catalog.version(EPOCH, [offer("docker"), offer("libvirt")])
    assert one != catalog.version(EPOCH, [offer("libvirt"), offer("docker", "other")])
    assert one < catalog.version(EPOCH + 86400, [offer("libvirt")])


def test_a_catalog_of_nothing_is_refused(tmp_path: Path) -> None:
    assert catalog.offers_in(str(tmp_path), "debian-12", ["amd64"]) == []
    with pytest.raises(UsageError, match="a catalog needs boxes"):
        catalog.document("debian-12", "Debian", EPOCH, [])


def test_boxes_in_a_folder_are_hashed_and_named_as_they_are_served(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    (folder / "mine-amd64-libvirt.box").write_bytes(b"box")
    [here] = catalog.offers_in(str(folder), "mine", ["amd64", "arm64"])
    assert here.url == f"file://{tmp_path}/with%20a%20space/mine-amd64-libvirt.box"
    assert here.sha256 == hashlib.sha256(b"box").hexdigest()
    [served] = catalog.offers_in(str(folder), "mine", ["amd64"], "http://127.0.0.1:8000/boxes/")
    assert served.url == "http://127.0.0.1:8000/boxes/mine-amd64-libvirt.box"


# --- OVF and VMX -------------------------------------------------------------------------------------------------


def check_ovf(text: bytes, folder: Path | None) -> None:
    """The rules of DSP0243 1.1 (Open Virtualization Format) and its schema that concern a machine of one disk.

    Section 5.1 (references by href and id), 7.1 (DiskSection before NetworkSection before the content), 8.1 (Info first in
    each section), 8.3 (System and Item are sequences in alphabetical order, with unique InstanceIDs, Parent naming one),
    9.1 (capacity, fileRef, format), 9.2 (a Connection names a network), Annex: OperatingSystemSection needs an id.
    """
    top = ElementTree.fromstring(text)
    assert top.tag == f"{ENVELOPE}Envelope"
    assert [child.tag.removeprefix(ENVELOPE) for child in top] == [
        "References", "DiskSection", "NetworkSection", "VirtualSystem",
    ]  # fmt: skip
    references, disk_section, networks, system = top
    files = {file.attrib[f"{ENVELOPE}id"]: file.attrib for file in references}
    assert len(files) == len(references)
    for section in top.iter():
        if section.tag.endswith(("Section", "}VirtualSystem")):
            assert section[0].tag == f"{ENVELOPE}Info"
            assert section[0].text
    disks_known = {}
    for disk in disk_section.findall(f"{ENVELOPE}Disk"):
        assert disk.attrib[f"{ENVELOPE}fileRef"] in files
        assert int(disk.attrib[f"{ENVELOPE}capacity"]) == disks.SIZE
        assert disk.attrib[f"{ENVELOPE}format"].endswith("vmdk.html#streamOptimized")
        disks_known[disk.attrib[f"{ENVELOPE}diskId"]] = disk
    names = {network.attrib[f"{ENVELOPE}name"] for network in networks.findall(f"{ENVELOPE}Network")}
    assert system.attrib[f"{ENVELOPE}id"]
    kinds = [child.tag.removeprefix(ENVELOPE) for child in system]
    assert kinds == ["Info", "OperatingSystemSection", "VirtualHardwareSection"]
    assert int(system[1].attrib[f"{ENVELOPE}id"]) == 96, "CIM_OperatingSystem.OSType: Debian, 64 bits"
    hardware = system[2]
    described = hardware.find(f"{ENVELOPE}System")
    assert described is not None
    in_order(described, VSSD, {"ElementName", "InstanceID", "VirtualSystemIdentifier", "VirtualSystemType"})
    items = [
        in_order(item, RASD, {"ElementName", "InstanceID", "ResourceType"})
        for item in hardware.findall(f"{ENVELOPE}Item")
    ]
    ids = [item["InstanceID"] for item in items]
    assert len(set(ids)) == len(ids)
    by_type = {int(item["ResourceType"]): item for item in items}
    assert set(by_type) == {3, 4, 5, 10, 17}, "processor, memory, IDE controller, network card, disk"
    assert by_type[17]["HostResource"].removeprefix("ovf:/disk/") in disks_known
    assert by_type[17]["Parent"] == by_type[5]["InstanceID"]
    assert by_type[10]["Connection"] in names
    assert re.fullmatch(r"byte \* 2\^[0-9]+", by_type[4]["AllocationUnits"]), "DSP0004, programmatic units"
    for file in files.values():
        href = file[f"{ENVELOPE}href"]
        assert "/" not in href
        if folder:
            assert (folder / href).stat().st_size == int(file[f"{ENVELOPE}size"])


def in_order(item: ElementTree.Element, namespace: str, needed: set[str]) -> dict[str, str]:
    """An element's children by name, all of one namespace, in the order of the schema's sequence: alphabetical."""
    names = [child.tag for child in item]
    assert all(name.startswith(namespace) for name in names)
    plain = [name.removeprefix(namespace) for name in names]
    assert plain == sorted(plain)
    assert needed <= set(plain)
    return {name: child.text or "" for name, child in zip(plain, item, strict=True)}


def ovf() -> bytes:
    values = {"name": "debian-12-amd64", "disk": "box-disk001.vmdk", "size": 1, "capacity": disks.SIZE}
    return fill(boxes.__file__, "box.ovf.j2", values).encode()


def test_the_ovf_keeps_its_standards_rules() -> None:
    check_ovf(ovf(), None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ovf:/disk/disk1", "ovf:/disk/disk2"),
        ('ovf:fileRef="file1"', 'ovf:fileRef="file2"'),
        ("<rasd:Parent>3<", "<rasd:Parent>1<"),
        ("<rasd:InstanceID>4<", "<rasd:InstanceID>3<"),
        ("<rasd:Connection>NAT<", "<rasd:Connection>LAN<"),
        ("<Info>The one disk of the machine</Info>", ""),
        ("byte * 2^20", "MegaBytes"),
    ],
)
def test_the_check_of_the_ovf_can_fail(old: str, new: str) -> None:
    text = ovf().decode()
    assert old in text
    with pytest.raises(AssertionError):
        check_ovf(text.replace(old, new).encode(), None)


def check_vmx(text: str, folder: Path | None) -> None:
    """VMX: one `key = "value"` a line, each key once; a disk and a card on adapters that are there."""
    rows = [re.fullmatch(r'([.A-Za-z0-9:]+) = "([^"]*)"', line) for line in text.splitlines()]
    assert all(rows)
    found = {row[1]: row[2] for row in rows if row}
    assert len(found) == len(rows)
    assert found["config.version"] == "8"
    assert int(found["virtualHW.version"]) >= 7, "PVSCSI and VMXNET3 need hardware version 7"
    for adapter, kind in (("scsi0", "pvscsi"), ("ethernet0", "vmxnet3")):
        assert (found[f"{adapter}.present"], found[f"{adapter}.virtualDev"]) == ("TRUE", kind)
    assert found["ethernet0.connectionType"] == "nat", "Vagrant reaches the machine over NAT"
    assert found["scsi0:0.present"] == "TRUE"
    assert int(found["memsize"]) % 4 == 0
    if folder:
        assert (folder / found["scsi0:0.fileName"]).is_file()


def test_the_vmx_keeps_its_rules() -> None:
    check_vmx(fill(boxes.__file__, "box.vmx.j2", {"name": "debian-12-amd64"}), None)


# --- the command line --------------------------------------------------------------------------------------------


def test_a_format_that_an_architecture_does_not_have_is_refused_before_any_work(tmp_path: Path) -> None:
    done = stager("box", "build", "debian-12", "--arch", "arm64", "--format", "vmware", store=tmp_path / "store")
    assert done.code == 2
    assert "there are no disk images for arm64: only for amd64" in done.err
    assert not (tmp_path / "store").exists()


def test_a_box_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "debian-12-amd64-docker.box").write_bytes(b"mine")
    done = stager("box", "build", "debian-12", "--format", "docker", "-o", tmp_path, store=tmp_path / "store")
    assert done.code == 70
    assert "debian-12-amd64-docker.box" in done.err
    assert (tmp_path / "debian-12-amd64-docker.box").read_bytes() == b"mine"


def test_the_catalog_command_writes_what_a_folder_holds(tmp_path: Path) -> None:
    nothing = stager("box", "catalog", "debian-12", "--boxes", tmp_path, store=tmp_path / "store")
    assert nothing.code == 2
    assert "a catalog needs boxes" in nothing.err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "debian-12-amd64-libvirt.box").write_bytes(b"box")
    told = (
        stager("box", "catalog", "debian-12", "--boxes", tmp_path, "--json", store=tmp_path / "store").good().document
    )
    written = json.loads((tmp_path / "catalog.json").read_text())
    assert written["versions"][0]["version"] == told["version"]
    assert written["versions"][0]["providers"][0]["checksum"] == hashlib.sha256(b"box").hexdigest()
    assert {path.name for path in tmp_path.iterdir()} == {"catalog.json", "debian-12-amd64-libvirt.box"}


# --- real boxes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(shared_store: Path) -> Path:
    """A folder with all boxes of debian-12, locked afresh and built once for all tests of a run."""
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    place = shared_store / "boxes"
    place.mkdir(exist_ok=True)
    out = place / f"out-{run}"
    with FileLock(f"{place}/{run}.guard"):
        if not (out / "catalog.json").is_file():
            lock = place / f"{run}.lock"
            stager("box", "lock", "debian-12", "-o", lock, store=shared_store).good()
            asked = [text for name in FORMATS for text in ("--format", name)]
            stager("box", "build", "debian-12", "--lock", lock, *asked, "-o", out, "-q", store=shared_store).good()
            stager("box", "catalog", "debian-12", "--lock", lock, "--boxes", out, store=shared_store).good()
    return out


def unpacked(built: Path, provider: str, place: Path) -> Path:
    folder = place / provider
    folder.mkdir()
    subprocess.run(["bsdtar", "-xf", built / f"debian-12-amd64-{provider}.box", "-C", folder], check=True, timeout=120)
    return folder


class TestReal:
    """With all boxes of Debian 12."""

    pytestmark: ClassVar = [pytest.mark.tools, pytest.mark.network, pytest.mark.slow]

    def test_each_box_has_what_its_provider_wants(self, built: Path, tmp_path: Path) -> None:
        wanted: dict[str, tuple[set[str], dict[str, Any]]] = {
            "docker": ({"Dockerfile", "root.tar.gz"}, {}),
            "libvirt": ({"box.img"}, {"format": "qcow2", "virtual_size": 10}),
            "virtualbox": ({"box.ovf", "box-disk001.vmdk"}, {}),
            "vmware_desktop": ({"box.vmx", "disk.vmdk"}, {}),
        }
        for provider, (files, metadata) in wanted.items():
            folder = unpacked(built, provider, tmp_path)
            assert {path.name for path in folder.iterdir()} == {"Vagrantfile", "info.json", "metadata.json", *files}
            assert json.loads((folder / "metadata.json").read_text()) == {
                "architecture": "amd64",
                "provider": provider,
                **metadata,
            }
            done = subprocess.run(["ruby", "-wc", folder / "Vagrantfile"], capture_output=True, text=True, timeout=60)
            assert (done.returncode, done.stdout) == (0, "Syntax OK\n"), done.stderr
        check_ovf((tmp_path / "virtualbox" / "box.ovf").read_bytes(), tmp_path / "virtualbox")
        check_vmx((tmp_path / "vmware_desktop" / "box.vmx").read_text(), tmp_path / "vmware_desktop")

    def test_all_images_are_sound_and_hold_one_disk(self, built: Path, tmp_path: Path) -> None:
        images = [
            unpacked(built, provider, tmp_path) / name
            for provider, name in (
                ("libvirt", "box.img"),
                ("virtualbox", "box-disk001.vmdk"),
                ("vmware_desktop", "disk.vmdk"),
            )
        ]
        for image in images:
            done = subprocess.run(["qemu-img", "check", image], capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "No errors were found" in done.stdout
        for other in images[1:]:
            done = subprocess.run(
                ["qemu-img", "compare", images[0], other], capture_output=True, text=True, timeout=120
            )
            assert "Images are identical" in done.stdout, done.stdout + done.stderr

    def test_the_machines_boot_and_let_vagrant_in(self, built: Path, tmp_path: Path) -> None:
        """Each image on the hardware that its hypervisor shows: virtio for libvirt, PVSCSI and VMXNET3 for VMware."""
        libvirt = unpacked(built, "libvirt", tmp_path) / "box.img"
        vmware = unpacked(built, "vmware_desktop", tmp_path) / "disk.vmdk"
        scsi = [
            "-device",
            "pvscsi",
            "-device",
            "scsi-hd,drive=disk",
            "-drive",
            f"if=none,id=disk,file={vmware},format=vmdk",
        ]
        with contextlib.ExitStack() as running:
            machines = [
                running.enter_context(
                    machine(["-drive", f"if=virtio,file={libvirt},format=qcow2"], "virtio-net-pci", tmp_path / "a")
                ),
                running.enter_context(machine(scsi, "vmxnet3", tmp_path / "b")),
            ]
            answers = [wait_for(port, log, tmp_path) for port, log in machines]
        for said in answers:
            assert said["user"] == "vagrant 1000"
            assert said["root"] == "0"
            assert said["state"] == "running"
            assert said["dns"] == "nameserver 10.0.2.3"
            assert re.fullmatch("[0-9a-f]{32}", said["machine"])
        assert answers[0]["machine"] != answers[1]["machine"], "a machine's id is made at its first boot"
        assert answers[0]["key"] != answers[1]["key"], "and so are its host keys"

    def test_vagrant_takes_the_box_that_the_catalog_means_and_no_other(self, built: Path, tmp_path: Path) -> None:
        home = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1", "VAGRANT_NO_COLOR": "1"}
        good = vagrant(home, tmp_path, "box", "add", "--provider", "docker", str(built / "catalog.json"))
        assert good.returncode == 0, good.stdout
        listed = vagrant(home, tmp_path, "box", "list").stdout
        version = json.loads((built / "catalog.json").read_text())["versions"][0]["version"]
        assert re.search(rf"stager/debian-12 +\(docker, {re.escape(version)}(, \([a-z0-9]+\))?\)", listed), listed
        text = (built / "catalog.json").read_text()
        digest = sha256((built / "debian-12-amd64-docker.box").read_bytes()).hex
        assert digest in text
        (tmp_path / "wrong.json").write_text(text.replace(digest, "0" * 64))
        other = {**home, "VAGRANT_HOME": str(tmp_path / "other")}
        bad = vagrant(other, tmp_path, "box", "add", "--provider", "docker", str(tmp_path / "wrong.json"))
        assert bad.returncode != 0
        assert "checksum" in bad.stdout
        assert "There are no installed boxes" in vagrant(other, tmp_path, "box", "list").stdout


def vagrant(env: dict[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["vagrant", *arguments], cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=180,
    )  # fmt: skip


ASK = """\
echo "user $(id -un) $(id -u)"
echo "root $(sudo -n id -u)"
echo "state $(systemctl is-system-running --wait)"
echo "dns $(cat /etc/resolv.conf)"
echo "machine $(cat /etc/machine-id)"
echo "key $(cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub)"
"""


@contextlib.contextmanager
def machine(disk: list[str], card: str, log: Path) -> Iterator[tuple[int, Path]]:
    """A virtual machine whose SSH is at the port; its serial console goes to the log. The disk's file stays as it is."""
    port = free_port()
    command = [
        "qemu-system-x86_64", "-accel", "tcg", "-m", "512", "-smp", "1", "-display", "none", "-monitor", "none", "-snapshot",
        "-serial", f"file:{log}", *disk, "-nic", f"user,model={card},hostfwd=tcp:127.0.0.1:{port}-:22",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield port, log
    finally:
        process.kill()
        process.wait(10)


def wait_for(port: int, log: Path, place: Path, seconds: float = 400.0) -> dict[str, str]:
    """What the guest says over SSH, with the insecure key that Vagrant brings along."""
    key = place / f"key-{port}"
    shutil.copyfile(next(Path("/usr/share/rubygems-integration/all/gems").glob("vagrant-*/keys/vagrant")), key)
    key.chmod(0o600)
    options = [text for option in (
        "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "ConnectTimeout=20",
    ) for text in ("-o", option)]  # fmt: skip
    command = ["ssh", "-F", "none", "-i", str(key), *options, "-p", str(port), "vagrant@127.0.0.1", ASK]
    deadline = time.monotonic() + seconds
    while True:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        if done.returncode == 0 or "state " in done.stdout:
            return {line.partition(" ")[0]: line.partition(" ")[2] for line in done.stdout.splitlines()}
        said = log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""
        assert time.monotonic() < deadline, f"no answer in {seconds} s: {done.stderr}\n{said}"
        time.sleep(2)
