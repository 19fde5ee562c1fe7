"""A Docker Engine of the tests' own: a private daemon, its own folders and socket, ended by its process id.

    @pytest.fixture(scope="session")
    def engine() -> Iterator[Engine]:
        with private_engine() as started:
            yield started

Containers share the host's network (`network_mode="host"`): the daemon touches no firewall rule and makes no bridge, so a
process listens on a free port of the loopback address and is asked there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import free_port

START_LIMIT = 60.0
"""Seconds a daemon may take until it answers."""
RESTRICTED: dict[str, Any] = {
    "user": "1000660000:0",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "read_only": True,
    "tmpfs": {"/tmp": ""},
}
"""What OpenShift's `restricted-v2` asks of a container, and a read-only root besides, as the engine's options."""


@dataclass(frozen=True)
class Engine:
    """A running daemon: its SDK `client`, the `host` for `DOCKER_HOST`, its private `folder`."""

    client: Any
    host: str
    folder: Path

    def log(self) -> str:
        """The end of the daemon's own log."""
        return (self.folder / "log").read_text("utf-8", "replace")[-4000:]


def need_engine() -> None:
    """Skip unless this machine can run a daemon."""
    if os.geteuid() != 0:
        pytest.skip("a container engine of one's own needs root")
    if not shutil.which("dockerd"):
        pytest.skip("dockerd is not installed")


@contextlib.contextmanager
def private_engine(*options: str) -> Iterator[Engine]:
    """A daemon for the time of a `with` block. `options` are further ones of dockerd, such as `--insecure-registry=…`."""
    need_engine()
    folder = Path(tempfile.mkdtemp(prefix="de-", dir="/tmp"))  # a socket's path has room for 107 bytes
    host = f"unix://{folder}/s"
    (folder / "settings.json").write_text("{}", "utf-8")  # so that the machine's own settings are not read
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen([*_command(folder, host), *options], stdout=log, stderr=subprocess.STDOUT)
    client = None
    try:
        client = _connect(host, daemon, folder / "log")
        yield Engine(client, host, folder)
    finally:
        if client is not None:
            _remove_containers(client)
            client.close()
        _end(daemon)
        _clean(folder)


def _command(folder: Path, host: str) -> list[str]:
    return [
        "dockerd",
        *(f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid", f"--host={host}"),
        *(
            "--iptables=false",
            "--ip6tables=false",
            "--ip-masq=false",
            "--bridge=none",
            *(f"--config-file={folder}/settings.json", "--shutdown-timeout=3"),
        ),
    ]


def _connect(host: str, daemon: subprocess.Popen[bytes], log: Path) -> Any:
    import docker

    deadline = time.monotonic() + START_LIMIT
    while daemon.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(docker.errors.DockerException, OSError):
            return docker.DockerClient(base_url=host, timeout=120)
        time.sleep(0.1)
    state = f"ended with {daemon.returncode}" if daemon.returncode is not None else f"is silent after {START_LIMIT} s"
    raise AssertionError(f"dockerd {state}\n{log.read_text('utf-8', 'replace')[-4000:]}")


def _remove_containers(client: Any) -> None:
    with contextlib.suppress(Exception):
        for container in client.containers.list(all=True):
            container.remove(force=True)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait(10)


def _clean(folder: Path) -> None:
    """Unmount what the daemon left below its folder, then remove it."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    for place in sorted((place for place in mounts if place.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", place], capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def serving(
    engine: Engine, image: str, command: Sequence[str] | None = None, port: int = 0, **options: Any
) -> Iterator[tuple[int, Any]]:
    """A container of `image` on the host's network with `PORT` set: (port, container); removed at the end."""
    port = port or free_port()
    environment = {"PORT": str(port), **options.pop("environment", {})}
    container = engine.client.containers.run(
        image, command, detach=True, network_mode="host", environment=environment, **options
    )
    try:
        yield port, container
    except BaseException as failed:
        failed.add_note("its log:\n" + container.logs().decode("utf-8", "replace")[-4000:])
        raise
    finally:
        container.remove(force=True)


def ask(port: int, path: str, container: Any, seconds: float = 60.0) -> tuple[int, str]:
    """GET a path of a container's server that may still be starting: its status and body."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode("utf-8", "replace")
        except OSError as failed:
            nobody = str(failed)
        container.reload()
        logs = container.logs().decode("utf-8", "replace")[-2000:]
        assert container.status in ("created", "running"), f"the container is {container.status}\n{logs}"
        assert time.monotonic() < deadline, f"no answer in {seconds} s: {nobody}\n{logs}"
        time.sleep(0.1)
