"""`stager export systemd` under a real systemd, process 1 of a machine made from a box: installed, started, stopped."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from all_built import SAYS, AllBuilt
from command import in_process
from draining import FLASK, NODE, files

from stager.files import programs
from stager.local import running
from stager.store import Store

pytestmark = [pytest.mark.network, pytest.mark.tools, pytest.mark.slow]
APPS = {
    "site": {"package.json": '{"name": "a", "scripts": {"start": "node server.js"}}', "server.js": NODE},
    "shop": {"app.py": FLASK, "requirements.txt": "flask==3.1.2\ngunicorn\n", "Procfile": "web: gunicorn app:app\n"},
}
PORTS = {"site": 8080, "shop": 8081, "built": 8082}


class Machine:
    """A machine whose process 1 is systemd."""

    def __init__(self, root: Path, first: int) -> None:
        self.root, self._first = root, first

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", "--target", str(self._first), "--all", "--", *words]
        environment = {"PATH": programs.PATH, "LC_ALL": "C.UTF-8"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    def good(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def facts(self, unit: str) -> dict[str, str]:
        """What systemd knows of a service."""
        names = "MainPID,ActiveState,Result,ExecMainCode,ExecMainStatus"
        lines = self.good("systemctl", "show", unit, f"--property={names}").splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def log(self, unit: str) -> str:
        return self.good("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def answers(self, port: int) -> str:
        """What the app says, asked on the machine's own loopback address; it may still be starting."""
        command = ["nsenter", "--target", str(self._first), "--net", "curl", "--silent", f"http://127.0.0.1:{port}/"]
        deadline = time.monotonic() + 60
        while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
            assert time.monotonic() < deadline, self.good("journalctl", "--no-pager", "--lines=60")
            time.sleep(0.2)
        return done.stdout


@pytest.fixture
def machine(shared_store: Path, tmp_path: Path) -> Iterator[Machine]:
    """Booted by systemd-nspawn from the root file system of a box that has a disk; powered off by its own systemd."""
    if os.geteuid() != 0:
        pytest.skip("booting a machine needs root")
    for program in ("systemd-nspawn", "nsenter", "curl"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    built = in_process(
        "box", "build", "debian-12", "--set", "machine", "--format", "root", "--json", store=shared_store
    )
    digest = built.good().document["root"]["digest"].partition(":")[2]
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-xf", Store(str(shared_store)).path(digest), "-C", str(root)], check=True)
    options = [
        "--boot",
        "--register=no",
        "--keep-unit",
        "--private-network",
        "--console=pipe",
        f"--machine=t{os.getpid()}",
    ]
    with (tmp_path / "console").open("wb") as console:
        command = ["systemd-nspawn", "--quiet", f"--directory={root}", *options]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
    try:
        yield booted(process, root)
        process.send_signal(signal.SIGTERM)  # an orderly end, as machinectl asks for it
        assert process.wait(90) == 0
    except BaseException as failed:
        failed.add_note((tmp_path / "console").read_text("utf-8", "replace")[-4000:])
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def booted(process: subprocess.Popen[bytes], root: Path) -> Machine:
    """The machine, once its systemd has started all that it starts."""
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, "it does not boot"
        assert time.monotonic() < deadline, "it has not booted"
        first = next((row.pid for row in running.below(process.pid) if row.parent == process.pid), 0)
        if first and Path(f"/proc/{first}/comm").read_text().strip() == "systemd":
            machine = Machine(root, first)
            if machine.run("systemctl", "is-system-running", "--wait").stdout.strip() in ("running", "degraded"):
                return machine
        time.sleep(0.2)


def test_a_droplet_installed_below_systemd_answers_and_drains(
    machine: Machine, all_built: AllBuilt, shared_store: Path, tmp_path: Path
) -> None:
    assert machine.good("cat", "/proc/1/comm") == "systemd\n"
    for name in APPS:
        app = files(tmp_path / name, APPS[name])
        in_process("lock", app, store=shared_store).good()
        in_process("stage", app, "-o", tmp_path / f"{name}.tgz", store=shared_store).good()
    shutil.copyfile(all_built.droplet, tmp_path / "built.tgz")
    for name in PORTS:
        archive = machine.root / f"srv/{name}.tgz"
        in_process(
            "export", "systemd", tmp_path / f"{name}.tgz", "-o", archive, "--name", name, store=shared_store
        ).good()
        (machine.root / "etc" / name).mkdir()
        (machine.root / "etc" / name / "env").write_text(f"PORT={PORTS[name]}\n")
        machine.good("sh", "-c", f"cd /srv && tar -xzf {name}.tgz && ./{name}-*/install")
    assert SAYS in machine.answers(PORTS["built"])
    for name in APPS:
        port = PORTS[name]
        assert machine.answers(port) == "up\n"
        before = machine.facts(f"{name}-web.service")
        machine.good("kill", "-KILL", before["MainPID"])
        restarted(machine, name, before["MainPID"])
        assert machine.answers(port) == "up\n"
        machine.good("systemctl", "stop", f"{name}.target")
        after = stopped(machine, name)
        assert (after["Result"], after["ExecMainStatus"]) == ("success", "0")
        assert after["ExecMainCode"] == "1"  # CLD_EXITED: it ended by itself
        said = machine.log(f"{name}-web.service")
        assert said.index("draining") < said.index("bye")
        assert "[ERROR]" not in said
    assert machine.good("systemctl", "list-units", "--failed", "--plain", "--no-legend", "s*-web.service") == ""


def stopped(machine: Machine, name: str) -> dict[str, str]:
    """What systemd knows of a service once it has stopped: the target takes it along, and does not wait for it."""
    deadline = time.monotonic() + 60
    while (found := machine.facts(f"{name}-web.service"))["ActiveState"] == "deactivating":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert found["ActiveState"] == "inactive"
    return found


def restarted(machine: Machine, name: str, pid: str) -> None:
    """Wait until systemd has started another process in the place of one that was killed."""
    deadline = time.monotonic() + 60
    while (found := machine.facts(f"{name}-web.service"))["MainPID"] in ("0", pid) or found["ActiveState"] != "active":
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
