"""A libvirt daemon of one's own: its configuration, state and sockets in a folder, nothing of the system's libvirt touched.

libvirtd as root knows its folders by fixed paths. So it and virtlogd run in a mount namespace in which those paths are folders
of ours; their sockets are files of ours, by which programs outside reach them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PLACES = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "run": "/run/libvirt",
    "log": "/var/log/libvirt",
    "cache": "/var/cache/libvirt",
}
"""Our folders, and what the daemons take them for."""
QEMU = """\
user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
"""
DAEMON = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
"""
IN_NAMESPACE = """\
set -eu
top=$1
mkdir -p /etc/libvirt /var/lib/libvirt /run/libvirt /var/log/libvirt /var/cache/libvirt
mount --bind "$top/etc" /etc/libvirt
mount --bind "$top/lib" /var/lib/libvirt
mount --bind "$top/run" /run/libvirt
mount --bind "$top/log" /var/log/libvirt
mount --bind "$top/cache" /var/cache/libvirt
/usr/sbin/virtlogd --pid-file /run/libvirt/virtlogd-own.pid &
exec /usr/sbin/libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/libvirtd-own.pid
"""


@dataclass(frozen=True)
class Libvirt:
    """A running daemon: its folder, its socket, and the address that libvirt's clients take."""

    folder: Path
    socket: Path
    uri: str

    def virsh(self, *arguments: str, seconds: float = 120.0) -> str:
        """What `virsh` says."""
        command = ["virsh", "--connect", self.uri, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Variables by which Vagrant's libvirt plug-in finds this daemon."""
        return {"LIBVIRT_DEFAULT_URI": self.uri}


def hardware_acceleration() -> bool:
    """Whether KVM works on this machine: the processor has it. A `/dev/kvm` alone says nothing."""
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return bool({"svm", "vmx"} & set(flags.split())) and os.access("/dev/kvm", os.R_OK | os.W_OK)


@contextlib.contextmanager
def running() -> Iterator[Libvirt]:
    """Start the daemons (as root), with a storage pool `default`; end them, and whatever they started, on the way out."""
    top = Path(tempfile.mkdtemp(prefix="stager-libvirt-", dir="/var/tmp"))
    top.chmod(0o755)
    for name in (*PLACES, "images"):
        (top / name).mkdir(mode=0o755)
    (top / "etc" / "qemu.conf").write_text(QEMU)
    (top / "etc" / "libvirtd.conf").write_text(DAEMON)
    socket = top / "run" / "libvirt-sock"
    with (top / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_NAMESPACE, "sh", str(top)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    found = Libvirt(top, socket, f"qemu:///system?socket={socket}")
    try:
        _wait(found, process)
        found.virsh("pool-define-as", "default", "dir", "--target", str(top / "images"))
        found.virsh("pool-start", "default")
        yield found
    finally:
        _stop(found, process)
        shutil.rmtree(top, ignore_errors=True)


def _wait(found: Libvirt, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while not found.socket.exists():
        said = (found.folder / "daemon.log").read_text("utf-8", "replace")
        assert process.poll() is None, f"libvirtd ended with {process.returncode}\n{said}"
        assert time.monotonic() < deadline, f"no libvirtd in 30 s\n{said}"
        time.sleep(0.1)


def _stop(found: Libvirt, process: subprocess.Popen[bytes]) -> None:
    """Machines and networks first, since a daemon leaves them behind; then the daemons, by their ids."""
    with contextlib.suppress(Exception):
        for name in found.virsh("list", "--name").split():
            found.virsh("destroy", name)
        for name in found.virsh("net-list", "--name").split():
            found.virsh("net-destroy", name)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    if process.poll() is None:
        process.kill()
        process.wait(10)
    own = found.folder / "run" / "virtlogd-own.pid"
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(own.read_text()), 15)
