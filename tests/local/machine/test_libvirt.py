"""`stager up` with libvirt: a real virtual machine from the stack's own disk, emulated when KVM is not for libvirt's user."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps_fixture import expectation, materialise
from command import PROGRAM, ask, running, stager
from isolated import stack_in
from machine_bench import Bench, make_shop
from test_docker import get

from stager.digest import sha256

pytestmark = [pytest.mark.tools, pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def libvirt() -> Iterator[None]:
    """A libvirt daemon: the one that runs, else one for the time of these tests."""
    if os.geteuid() != 0:
        pytest.skip("a libvirt daemon needs root")
    for program in ("libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "dnsmasq", "mke2fs", "vagrant"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    with contextlib.ExitStack() as opened:
        for daemon in ("virtlogd", "libvirtd") if not answers() else ():
            process = subprocess.Popen([daemon], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            opened.callback(process.wait, 30)
            opened.callback(process.terminate)
        deadline = time.monotonic() + 60
        while not answers():
            assert time.monotonic() < deadline, "libvirtd does not answer"
            time.sleep(0.5)
        yield


def answers() -> bool:
    command = ["virsh", "--connect", "qemu:///system", "version", "--daemon"]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def domains(app: Path) -> list[str]:
    """The domains of this app's machine; another test may have one of its own on the same daemon."""
    mark = f"stager-{sha256(os.fsencode(app / '.stager' / 'machine')).hex[:16]}"
    command = ["virsh", "--connect", "qemu:///system", "list", "--all", "--name"]
    named = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout.split()
    return [name for name in named if name.startswith(mark)]


@pytest.fixture(scope="module")
def variables(libvirt: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the environment needs beside the store; both machines use one box."""
    return {"VAGRANT_HOME": str(tmp_path_factory.mktemp("vagrant-home"))}


@contextlib.contextmanager
def brought_up(app: Path, store: Path, variables: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A virtual machine that runs the app; the droplet that is in it is the one that was staged. Gone afterwards."""
    environment = {**os.environ, "STAGER_CACHE_DIR": str(store), **variables}
    command = [*PROGRAM, "up", str(app), "--provider", "libvirt", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1500, check=False)
    try:
        assert done.returncode == 0, done.stderr[-3000:]
        up = json.loads(done.stdout)
        assert (up["provider"], up["stack"]) == ("libvirt", "debian-12")
        inside = stager("ssh", "--dir", app, "--", "cat", "/etc/stager/droplet", store=store, cwd=None, **variables)
        assert f"sha256:{inside.good().out.strip()}" == up["droplet"]
        check = stager("check", app, store=store, cwd=None, **variables)
        assert (check.code, check.out[:9]) == (0, "STAGER OK")
        assert len(domains(app)) == 1
        yield up
    finally:
        stager("destroy", app, store=store, cwd=None, **variables).good()
    assert domains(app) == []
    assert not (app / ".stager").exists()


def test_a_python_app_with_postgresql_is_one_droplet_in_five_places(
    variables: dict[str, str], bench: Bench, tmp_path: Path, shared_store: Path
) -> None:
    """A virtual machine, a container box, the host, bubblewrap on the stack's root, a plain container: one digest."""
    app = make_shop(tmp_path / "shop")
    (app / "stager.yml").write_text(
        "services: [postgresql, redis]\nhealth: {path: /health, timeout: 600}\n"
    )  # emulated
    with brought_up(app, shared_store, variables) as up:
        assert get(up["url"]) == "postgresql 1 redis 1"
        elsewhere(app / ".stager" / "machine" / "droplet.tgz", up["droplet"], bench, shared_store, tmp_path)
        in_a_container_box(app, up["droplet"], bench, tmp_path)


def elsewhere(droplet: Path, digest: str, bench: Bench, store: Path, scratch: Path) -> None:
    """The machine's very file answers on the host, in bubblewrap and in a plain container, where there is no database."""
    assert sha256(droplet.read_bytes()) == digest
    stack_in(store, "debian-12")
    for place in ((), ("--in", "stack"), ("--in", "docker")):
        with running(droplet, scratch / f"log{place[-1:]}", *place, store=store, **bench.variables) as (port, process):
            assert ask(port, "/health", process) == (200, "well"), place


def in_a_container_box(app: Path, digest: str, bench: Bench, scratch: Path) -> None:
    """The same source comes up in Docker's box as the same droplet."""
    other = scratch / "other"
    shutil.copytree(app, other, ignore=shutil.ignore_patterns(".stager", "droplet.tgz"))
    up = bench.stager("up", other, "--provider", "docker", "--json").good().document
    try:
        assert (up["provider"], up["droplet"]) == ("docker", digest)
        assert get(up["url"]) == "postgresql 1 redis 1"
        inside = bench.stager("ssh", "--dir", other, "--", "cat", "/etc/stager/droplet").good()
        assert f"sha256:{inside.out.strip()}" == digest
    finally:
        bench.stager("destroy", other).good()


def test_a_node_app_answers_from_a_virtual_machine(
    variables: dict[str, str], tmp_path: Path, shared_store: Path
) -> None:
    app = materialise("express-npm-v3", tmp_path)
    (app / "stager.yml").write_text(  # the services are those of the other machine, whose box is there
        "services: [postgresql, redis]\nhealth: {timeout: 600}\n"
    )
    expected = expectation("express-npm-v3")["http"]
    with brought_up(app, shared_store, variables) as up:
        assert expected["body"] in get(up["url"].rstrip("/") + expected["path"])
