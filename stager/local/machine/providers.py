"""What holds the machine: found out by asking each provider, in the order of preference."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from ...errors import UsageError
from ...files import programs
from ...sandbox.engines import answering, connected
from ...sandbox.errors import EngineFailed
from .. import doctor
from ..errors import NoProvider

PROVIDERS = ("docker", "libvirt", "virtualbox", "vmware_desktop")
_NO_SDK, _SDK = "containers need the docker SDK", "stager[docker]"
_LIMIT = 60.0
_TINY = """\
<domain type="{kind}"><name>stager-{name}</name><memory unit="MiB">64</memory><vcpu>1</vcpu>
<os><type arch="{machine}">hvm</type></os></domain>"""


def choose(wanted: str, environ: Mapping[str, str]) -> str:
    """The provider to use: the `wanted` one if it works, else the first that does. Raises NoProvider."""
    if wanted and wanted not in PROVIDERS:
        raise UsageError(f"there is no provider {wanted!r}", f"Providers: {', '.join(PROVIDERS)}.")
    if not programs.find("vagrant", environ):
        raise NoProvider([("vagrant", "it is not installed, and drives all of them")])
    _drives_vagrant()
    tried = []
    for name in (wanted,) if wanted else PROVIDERS:
        why = _CHECKS[name](environ)
        if not why:
            return name
        tried.append((name, why))
    raise NoProvider(tried, _SDK if _NO_SDK in dict(tried).values() else "")


def _drives_vagrant() -> None:
    """Raise UsageError without python-vagrant, before anything is asked or made."""
    if find_spec("vagrant") is None:
        raise UsageError("machines need python-vagrant", "Install stager with its extra: stager[vagrant].")


@contextmanager
def engine(environ: Mapping[str, str], timeout: int = 600) -> Iterator[Any]:
    """The container engine that `environ` names, which answers. Raises EngineFailed, also for what fails in the block,
    and UsageError."""
    without = UsageError(_NO_SDK, f"Install stager with its extra: {_SDK}.")
    with connected(environ, without, timeout) as client, answering():
        client.ping()
        yield client


def _docker(environ: Mapping[str, str]) -> str:
    if not programs.find("docker", environ):
        return "the program docker, which Vagrant uses, is not installed"
    try:
        with engine(environ, 15):
            return ""
    except (EngineFailed, UsageError) as error:
        return error.message


def _libvirt(environ: Mapping[str, str]) -> str:
    virsh = programs.find("virsh", environ)
    if not virsh:
        return "virsh is not installed"
    status, said = ask([virsh, "--connect", uri(environ), "version", "--daemon"], environ)
    if status:
        return said
    status, said = ask([str(programs.find("vagrant", environ)), "plugin", "list"], environ)
    return "" if status == 0 and "vagrant-libvirt" in said else "Vagrant has no plugin vagrant-libvirt"


def _virtualbox(environ: Mapping[str, str]) -> str:
    program = programs.find("VBoxManage", environ)
    if not program:
        return "VBoxManage is not installed"
    status, said = ask([program, "list", "hostinfo"], environ)
    return said or "VBoxManage fails" if status else ""


def _vmware(environ: Mapping[str, str]) -> str:
    if not programs.find("vmrun", environ):
        return "vmrun is not installed"
    status, said = ask([str(programs.find("vagrant", environ)), "plugin", "list"], environ)
    return "" if status == 0 and "vagrant-vmware-desktop" in said else "Vagrant has no plugin vagrant-vmware-desktop"


_CHECKS: dict[str, Callable[[Mapping[str, str]], str]] = {
    "docker": _docker,
    "libvirt": _libvirt,
    "virtualbox": _virtualbox,
    "vmware_desktop": _vmware,
}
"""Provider → why it cannot be used, empty when it can."""


def uri(environ: Mapping[str, str]) -> str:
    """Which libvirt is meant."""
    return environ.get("LIBVIRT_DEFAULT_URI") or "qemu:///system"


def kvm(environ: Mapping[str, str], machine: str = "x86_64") -> str:
    """Why libvirt cannot start a machine with KVM here; empty when it can.

    A domain without a disk is started and ended: libvirt runs QEMU as another user than the one who asks, so only
    this tells.
    """
    why = doctor.kvm_works() if uri(environ).startswith("qemu:///") else ""
    if why and not why.endswith("Permission denied"):  # libvirt's own user may be allowed what this one is not
        return why
    virsh = programs.find("virsh", environ) or "virsh"
    name = f"kvm-{os.getpid()}"
    text = _TINY.format(kind="kvm", name=name, machine=machine)
    connect = [virsh, "--connect", uri(environ)]
    status, said = ask([*connect, "create", "--file", "/dev/stdin"], environ, text)
    if status == 0:
        ask([*connect, "destroy", f"stager-{name}"], environ)
        return ""
    return said


def ask(command: list[str], environ: Mapping[str, str], given: str = "") -> tuple[int, str]:
    """(status, last line) of a short command; the whole output when it succeeds. -1 when it does not end or cannot be run."""
    try:
        done = subprocess.run(
            command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LIMIT, text=True, check=False,
            env={**environ, "VAGRANT_CHECKPOINT_DISABLE": "1", "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, f"{os.path.basename(command[0])} did not answer within {_LIMIT:g} s"
    except OSError as error:
        return -1, error.strerror or str(error)
    lines = done.stdout.strip().splitlines()
    return done.returncode, done.stdout if done.returncode == 0 else (lines[-1][:300] if lines else "it says nothing")
