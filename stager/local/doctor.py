"""What this machine can do of what stager offers, found out by trying, and what to install for the rest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StagerError
from ..files import programs
from ..files.errors import ProgramMissing
from ..sandbox.remedies import remedy
from ..sandbox.running import possible

if TYPE_CHECKING:
    from ..net.indexes import Indexes
    from ..store import Store

_LIMIT = 15.0
"""Seconds any one question may take."""
_ROOM = 2_000_000_000
"""Bytes that should be free where the store is."""


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One thing that was looked at: `state` is `ok`, `missing` (not installed) or `broken` (there, but unusable)."""

    name: str
    state: str
    detail: str
    gives: str
    """What it is needed for."""
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return {
            "name": self.name,
            "state": self.state,
            "detail": self.detail,
            "gives": self.gives,
            "hint": self.hint,
        }


def examine(store: Store, environ: Mapping[str, str], indexes: Indexes | None = None) -> list[DoctorFinding]:
    """Look at everything; with `indexes`, the package indexes are asked as well."""
    machine = _Machine(environ)
    found = [
        _disk(store.root),
        _engine(environ),
        _program(machine, "vagrant", ("--version",), "boxes: up, ssh, halt", "vagrant"),
        _plugins(machine),
        _python("vagrant", "boxes: up, ssh, halt", "python-vagrant"),
        _kvm(),
        _program(machine, "qemu-system-x86_64", ("--version",), "virtual machines", "qemu-system-x86"),
        _libvirt(machine),
        _program(machine, "VBoxManage", ("--version",), "boxes with VirtualBox", "virtualbox (from its vendor)"),
        _program(machine, "vmrun", ("list",), "boxes with VMware", "vmware (from its vendor)"),
        _program(machine, "mmdebstrap", ("--version",), "building stacks", "mmdebstrap"),
        _program(machine, "qemu-img", ("--version",), "building boxes", "qemu-utils"),
        _bubblewrap(machine),
        _builds(),
        _program(machine, "git", ("--version",), "nothing of stager's own; useful beside it", "git"),
        _python("cryptography", "signing attestations", "cryptography"),
    ]
    return found + ([] if indexes is None else _indexes(indexes, store))


class _Machine:
    """Programs on the search path of an environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = dict(environ)

    def find(self, name: str) -> str:
        return programs.find(name, self.environ)

    def ask(self, *command: str) -> tuple[int, str]:
        """(status, output) of a short command; -1 when it does not end or cannot be run."""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_LIMIT,
                env={**self.environ, "VAGRANT_CHECKPOINT_DISABLE": "1"},
            )
        except subprocess.TimeoutExpired:
            return -1, f"did not answer within {_LIMIT:g} s"
        except OSError as error:
            return -1, error.strerror or str(error)
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def _first(text: str) -> str:
    return text.splitlines()[0][:200] if text else ""


def _program(machine: _Machine, name: str, version: tuple[str, ...], gives: str, package: str) -> DoctorFinding:
    path = machine.find(name)
    if not path:
        return DoctorFinding(name, "missing", "not on the search path", gives, f"Install {package}.")
    status, text = machine.ask(path, *version)
    if status:
        return DoctorFinding(name, "broken", _first(text), gives, f"Install {package} again.")
    return DoctorFinding(name, "ok", _first(text), gives)


def _disk(cache: str) -> DoctorFinding:
    place = cache
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    free = shutil.disk_usage(place).free
    detail = f"{free / 1e9:.1f} GB free at {cache}"
    if not os.access(place, os.W_OK):
        return DoctorFinding("store", "broken", f"{place} cannot be written to", "staging", "Set STAGER_CACHE_DIR.")
    if free < _ROOM:
        return DoctorFinding(
            "store", "broken", detail, "staging", "Free some room, or set STAGER_CACHE_DIR; see stager cache gc."
        )
    return DoctorFinding("store", "ok", detail, "staging")


def _engine(environ: Mapping[str, str]) -> DoctorFinding:
    gives = "boxes in containers, run --in docker, loading images"
    try:
        import docker
    except ImportError:
        return DoctorFinding(
            "docker",
            "missing",
            "the Python package is not installed",
            gives,
            "Install it beside stager: pip install docker",
        )
    try:
        client = docker.from_env(environment=dict(environ), timeout=int(_LIMIT))
        try:
            version = client.version()["Version"]
        finally:
            client.close()
    except Exception as error:  # the SDK lets many libraries' errors through
        hint = "Install docker.io and start it, or set DOCKER_HOST; your user may have to be in the group docker."
        return DoctorFinding("docker", "missing", f"no engine answers: {_first(str(error))}", gives, hint)
    return DoctorFinding("docker", "ok", f"engine {version}", gives)


def _plugins(machine: _Machine) -> DoctorFinding:
    gives = "boxes with libvirt"
    path = machine.find("vagrant")
    if not path:
        return DoctorFinding(
            "vagrant-libvirt", "missing", "vagrant is not installed", gives, "Install vagrant-libvirt."
        )
    status, text = machine.ask(path, "plugin", "list")
    found = re.search(r"^vagrant-libvirt \(([^,)]+)", text, re.MULTILINE)
    if status or not found:
        return DoctorFinding(
            "vagrant-libvirt", "missing", "vagrant does not list it", gives, "Install vagrant-libvirt."
        )
    return DoctorFinding("vagrant-libvirt", "ok", found[1], gives)


def _python(module: str, gives: str, package: str) -> DoctorFinding:
    from importlib.util import find_spec

    name = f"python: {module}"
    if find_spec(module) is None:
        return DoctorFinding(
            name,
            "missing",
            "the Python package is not installed",
            gives,
            f"Install it beside stager: pip install {package}",
        )
    return DoctorFinding(name, "ok", "installed", gives)


_CREATE_VM = 0xAE01
"""KVM's ioctl (linux/kvm.h)."""


def kvm_works(cpuinfo: str = "/proc/cpuinfo") -> str:
    """Why this process cannot make a virtual machine with KVM; empty when it can.

    A machine is made and closed, not guessed. A device that makes machines on a processor that shows no virtualisation
    (`vmx` or `svm` on x86) is a nested one that cannot run them.
    """
    import fcntl

    try:
        with open(cpuinfo, encoding="utf-8") as file:
            flags = re.search(r"^flags\s*:(.*)$", file.read(), re.MULTILINE)
    except OSError:
        flags = None
    if flags and not {"vmx", "svm"} & set(flags[1].split()):
        return "the processor shows no virtualisation (neither vmx nor svm)"
    try:
        device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return f"/dev/kvm: {error.strerror}"
    try:
        os.close(fcntl.ioctl(device, _CREATE_VM, 0))
    except OSError as error:
        return f"/dev/kvm makes no machine: {error.strerror}"
    finally:
        os.close(device)
    return ""


def _kvm() -> DoctorFinding:
    gives = "virtual machines at full speed; without it they are emulated"
    why = kvm_works()
    if not why:
        return DoctorFinding("kvm", "ok", "/dev/kvm makes machines", gives)
    state = "broken" if os.path.exists("/dev/kvm") else "missing"
    return DoctorFinding(
        "kvm", state, why, gives, "Switch virtualisation on in the firmware or host; join the group kvm."
    )


def _libvirt(machine: _Machine) -> DoctorFinding:
    gives = "boxes with libvirt"
    path = machine.find("virsh")
    if not path:
        hint = "Install libvirt-daemon-system and libvirt-clients."
        return DoctorFinding("libvirt", "missing", "virsh is not on the search path", gives, hint)
    status, text = machine.ask(path, "--connect", "qemu:///system", "version", "--daemon")
    if status:
        return DoctorFinding(
            "libvirt", "broken", _first(text), gives, "Start libvirtd; your user must be in the group libvirt."
        )
    return DoctorFinding("libvirt", "ok", _first(text), gives)


def _bubblewrap(machine: _Machine) -> DoctorFinding:
    """Namespaces are tried: kernels and containers forbid them in several ways."""
    gives = "run --in stack, scripts of own stacks"
    path = machine.find("bwrap")
    if not path:
        return DoctorFinding("bubblewrap", "missing", "bwrap is not on the search path", gives, "Install bubblewrap.")
    status, text = machine.ask(path, "--ro-bind", "/", "/", "--unshare-all", "--die-with-parent", "true")
    if status:
        return DoctorFinding("bubblewrap", "broken", _first(text), gives, remedy([("", text)]))
    return DoctorFinding("bubblewrap", "ok", "namespaces can be made", gives)


def _builds() -> DoctorFinding:
    """A job is run in a sandbox over this machine's own programs, by the ways that builds go."""
    gives = "building what an app has to have built"
    try:
        way, attempts = possible()
    except ProgramMissing as missing:
        return DoctorFinding("builds", "missing", missing.message, gives, missing.hint)
    except StagerError as error:
        return DoctorFinding("builds", "broken", error.message, gives, error.hint)
    if not way:
        return DoctorFinding(
            "builds", "broken", "; ".join(f"{how}: {said}" for how, said in attempts), gives, remedy(attempts)
        )
    return DoctorFinding("builds", "ok", way, gives)


def _indexes(indexes: Indexes, store: Store) -> list[DoctorFinding]:
    from ..ecosystems import ecosystems
    from ..fetching.web import Web

    found, web = [], Web(indexes, store)
    for one in ecosystems():
        if one.page is None:
            continue
        name = f"index: {one.title}"
        try:
            if url := one.page(indexes):
                web.get(url)
        except StagerError as error:
            hint = "Check the network, the proxy variables and the index's own configuration."
            found.append(DoctorFinding(name, "broken", error.message, "fetching packages", hint))
        else:
            found.append(DoctorFinding(name, "ok", "answers", "fetching packages"))
    return found
