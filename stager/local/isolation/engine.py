"""`stager run --in docker`: a droplet in a container of its stack, through the docker SDK.

The stack's root is loaded into the engine once, under a name that holds its digest. The droplet file is sent into the
container, so that the engine may be another machine's; there its SHA-256 is computed and compared before it is unpacked to
`/app`, a volume of this container alone. The rest of the file system is read-only; the container has no capability and can get
none. It is removed when the run ends, with its volumes.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, Any

from ...digest import canonical_json, sha256
from ...errors import UsageError
from ...files.temporary import tidy
from ...formats import tar
from ...sandbox import engines
from ...sandbox.engines import answering
from ...sandbox.errors import EngineFailed
from ...targets.oci.compose import LAYER
from ...targets.oci.image import Blob
from ...targets.oci.layout import docker_archive
from .. import listening, running
from ..errors import LaunchFailed, PortTaken
from . import environment
from .environment import APP, DROPLET, GID, UID

if TYPE_CHECKING:
    from ...droplet.reader import DropletFile
    from .environment import RunOptions
    from .root_choice import Layers

PORT = 8080
"""Where a process listens inside, as in an image of the droplet."""
LABEL = "io.stager.run"
"""On every container of a run: the droplet's digest."""
_ENTER = f"""\
trap 'exit {128 + signal.SIGTERM}' HUP INT TERM
set -e
umask 002
cd /run/stager
if ! printf '%s  %s\\n' "$1" {os.path.basename(DROPLET)} | sha256sum -c - >/dev/null; then
  echo 'stager: the droplet that arrived is not the one that was sent' >&2
  exit 125
fi
tar -C / -xzf {os.path.basename(DROPLET)} ./app
shift
set +e
{environment.SUPERVISE}"""
_SLOW = 120
"""Seconds that the engine may take for one answer."""
_TAKEN = ("port is already allocated", "address already in use")


def connected(environ: Mapping[str, str]) -> AbstractContextManager[Any]:
    """The engine that `environ` names (`DOCKER_HOST` …). Raises EngineFailed, and UsageError without the docker SDK."""
    hint = "Install the Python package docker beside stager (pip install docker), or use --in stack."
    return engines.connected(environ, UsageError("--in docker needs the docker SDK", hint), _SLOW)


# --- the image -------------------------------------------------------------------------------------------------


def loaded(client: Any, layers: Layers) -> str:
    """The name of the image of these layers in the engine; loaded when the engine has it not. Raises EngineFailed."""
    import docker

    config = _config(layers)
    name = f"stager-run-{layers.name}:{sha256(config).hex[:24]}"
    with answering():
        with suppress(docker.errors.ImageNotFound):
            client.images.get(name)
            return name
        client.images.load(docker_archive(config, [*layers.layers, Blob.of(_own(), LAYER)], name))
    return name


def _own() -> bytes:
    """A small layer on top: an empty app folder that belongs to who runs there, and the path that Cloud Foundry has."""
    folders = (b"app/", b"home/", b"home/vcap/", b"run/", b"run/stager/")
    made = b"".join(tar.header(name, 0, True, b"5") for name in folders)
    return made + tar.header(b"home/vcap/app", 0, True, b"2", APP.encode()) + tar.END


def _config(layers: Layers) -> bytes:
    env = {**dict(environment.ENVIRONMENT), **dict(layers.env)}
    return canonical_json(
        {
            "architecture": layers.architecture,
            "config": {"Env": [f"{name}={value}" for name, value in sorted(env.items())], "User": f"{UID}:{GID}"},
            "os": "linux",
            "rootfs": {"diff_ids": [*(layer.diff_id for layer in layers.layers), sha256(_own())], "type": "layers"},
        }
    )


# --- a run -----------------------------------------------------------------------------------------------------


def run(client: Any, droplet: DropletFile, image: str, how: RunOptions, network: str = "") -> int:
    """Run a droplet's process in a container in the foreground; its exit status (128 + n for signal n).

    Its output is this process's output. SIGINT and SIGTERM are passed on to it. `network` is the engine's network to join
    instead of its default one. Raises LaunchFailed, PortTaken, EngineFailed; the container is removed in any case.
    """
    command = environment.command(droplet, how.process, how.shell)
    port = running.chosen_port(how.port, by_user=False) if how.network else 0
    with running.stoppable(), ExitStack() as opened:
        with answering():
            container = client.containers.create(image, **_options(droplet, command, port, how, network))
            opened.callback(_remove, container)
            _send(container, droplet)
            stream = container.attach(stream=True, logs=True, demux=True)
        asked: list[int] = []
        with running.forwarding(asked.append):
            _start(container, port)
            tidy()
            reader = _thread(_copy, stream)
            status = _wait(container, port, how, asked)
        reader.join(5)
    if status == 125 and not how.shell:
        raise LaunchFailed(how.process, "the container could not unpack the droplet")
    return status


def _options(
    droplet: DropletFile, command: tuple[str, ...], port: int, how: RunOptions, network: str
) -> dict[str, Any]:
    from docker.types import Mount

    env = {name: value for name, value in environment.environment((), PORT, how.env).items() if _says(name, how)}
    return {
        "entrypoint": ["/bin/sh", "-c", _ENTER, "stager", droplet.digest.partition(":")[2], *command],
        "environment": env,
        "user": f"{UID}:{GID}",
        "working_dir": "/",
        "hostname": environment.HOSTNAME,
        "labels": {LABEL: str(droplet.digest)},
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": {"/tmp": "mode=1777"},  # noqa: S108
        "mounts": [Mount(place, None, type="volume") for place in (APP, os.path.dirname(DROPLET))],
        **({"mem_limit": how.memory, "memswap_limit": how.memory} if how.memory else {}),
        **({"ports": {f"{PORT}/tcp": ("127.0.0.1", port)}} if how.network else {"network_mode": "none"}),
        **({"network": network} if network else {}),
    }


def _says(name: str, how: RunOptions) -> bool:
    """Whether a variable is the run's own to set: what the image says of its root stays."""
    return name in ("HOME", "PORT") or name in how.env


def _send(container: Any, droplet: DropletFile) -> None:
    """Stream the droplet file into the container, which has not been started yet."""

    def parts() -> Iterator[bytes]:
        with open(droplet.path, "rb") as file:
            yield tar.header(os.path.basename(DROPLET).encode(), droplet.size, False)
            yield from iter(lambda: file.read(1 << 20), b"")
        yield tar.padding(droplet.size) + tar.END

    if not container.put_archive(os.path.dirname(DROPLET), parts()):
        raise EngineFailed("it did not take the droplet")


def _start(container: Any, port: int) -> None:
    try:
        with answering():
            container.start()
    except EngineFailed as failed:
        if any(text in failed.message for text in _TAKEN):
            raise PortTaken(port) from None
        raise


def _wait(container: Any, port: int, how: RunOptions, asked: list[int]) -> int:
    """Wait for the process's end, passing the signals on that are `asked`: their handlers themselves talk to nobody."""
    ended: list[Any] = []
    waiter = _thread(_until_ended, container, ended)
    if how.ready and how.network:
        _thread(_watch, waiter, port, how, container)
    last = math.inf
    while waiter.is_alive():
        waiter.join(0.1)
        while asked:
            last = time.monotonic() + running.LAST if asked[0] == signal.SIGKILL else last
            with suppress(EngineFailed), answering():
                _tell(container, asked.pop(0))
        if time.monotonic() > last:
            with suppress(EngineFailed), answering():
                container.kill(signal="SIGKILL")
    if isinstance(ended[0], EngineFailed):
        raise ended[0]
    with suppress(EngineFailed), answering():
        container.reload()
        killed = (
            container.attrs["State"].get("OOMKilled") or ended[0] == 128 + signal.SIGKILL
        )  # the former may come late
        if how.memory and killed and how.tell:
            how.tell(f"a process was killed, as happens when a run needs more than {how.memory} bytes of memory")
    return int(ended[0])


def _tell(container: Any, number: int) -> None:
    """Send a signal to all of the app, and to the first process, which outlives the others to tell how the app ended."""
    first = "" if number == signal.SIGKILL else f"kill -{number} 1; "
    container.exec_run(["/bin/sh", "-c", f"{first}kill -{number} -1"])


def _watch(waiter: threading.Thread, port: int, how: RunOptions, container: Any) -> None:
    elsewhere = listening.Astray(lambda: _ports(container), how.astray) if how.astray else None
    while waiter.is_alive():
        if how.ready and _listens(port):
            how.ready(port)
            return
        if elsewhere:
            elsewhere.check()
        time.sleep(0.1)


def _ports(container: Any) -> list[int]:
    """The ports that are listened on in a container, which has no other processes than the app's."""
    with suppress(EngineFailed), answering():
        _, said = container.exec_run(["/bin/sh", "-c", "cat /proc/net/tcp /proc/net/tcp6"], stderr=False)
        return sorted(set(listening.ports(said.decode("ascii", "replace").splitlines()).values()))
    return []


def _listens(port: int) -> bool:
    """Whether something inside listens. The engine's own proxy always does, and hangs up when it finds nobody inside."""
    with suppress(OSError), running.connection(port) as probe:
        try:
            return bool(probe.recv(1))
        except TimeoutError:
            return True  # it waits for a request
    return False


def _until_ended(container: Any, ended: list[Any]) -> None:
    while not ended:
        try:
            with answering():
                try:
                    ended.append(container.wait(timeout=_SLOW)["StatusCode"])
                except OSError as slow:  # the SDK's way of saying that the process still runs
                    if "timed out" not in str(slow).lower():
                        raise
        except EngineFailed as failed:
            ended.append(failed)


def _copy(stream: Iterable[tuple[bytes | None, bytes | None]]) -> None:
    with suppress(Exception):  # the engine has gone; waiting tells so
        for out, err in stream:
            for number, data in ((1, out), (2, err)):
                while data:
                    data = data[os.write(number, data) :]


def _remove(container: Any) -> None:
    """Remove the container and its volumes, whatever it does; raises nothing, since something else may have gone wrong."""
    with suppress(EngineFailed), answering():
        container.remove(force=True, v=True)


def _thread(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
