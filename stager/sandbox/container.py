"""A job in a container: for machines that give no namespaces and have an engine, which may be another machine's.

The root is loaded into the engine once, under a name that holds its digest. The job's folders are sent into the container and
come back from it when it has ended, so what it writes is counted then. It has no network, no capability and no way to get one.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, CannotWrite, UsageError
from ..files.temporary import file as temporary
from ..formats.tar import BLOCK, END, MTIME
from ..stacks import tree
from ..stacks.tree import RootItem
from ..store import disk
from . import leftovers, roots
from .engines import answering, connected
from .errors import EngineFailed
from .inside import environment, files_of
from .job import APP, FILES, HOSTNAME, ID, MEMORY, OUTPUT, PROCESSES, TIME, TMP, Ended
from .namespaces import OWN, top
from .saying import Saying

if TYPE_CHECKING:
    from .job import Job
    from .roots import RootFolder

_PATIENCE = 600
"""Seconds that the engine may take for one answer, such as that it has loaded a root."""
_TICK = 0.2
_BUFFER = 1 << 20
_START = 'umask "$0"; exec "$@"'


def run(job: Job, engine: Mapping[str, str], *, stop: Callable[[], bool], tell: Callable[[str], None]) -> Ended:
    """As `running.run`, in the engine that an environment names. Raises EngineFailed, UsageError without the docker SDK."""
    without = UsageError("a container engine needs the docker SDK", "Install it beside stager: pip install docker")
    with connected(engine, without, _PATIENCE) as client, ExitStack() as opened:
        saying = opened.enter_context(closing(Saying(job.log, tell)))
        with answering():
            container = client.containers.create(_loaded(client, job.root), **_options(job))
            opened.callback(_remove, container)
            for folder, place in ((job.app, APP), (job.scratch, TMP)):
                container.put_archive(place, packed(((folder, "."),), ID))
            for path, place in job.inputs:
                first, _, rest = place.lstrip("/").partition("/")
                container.put_archive(f"/{first}", packed(((path, rest or "."),), 0))
            stream = container.attach(stream=True, logs=True)
        pipe = os.dup(saying.pipe)
        saying.start()
        threading.Thread(target=_copy, args=(stream, pipe), daemon=True).start()
        began = time.monotonic()
        with answering():
            container.start()
        ended_by = _wait(container, job, saying, stop)
        seconds = time.monotonic() - began
        if ended_by:
            with suppress(EngineFailed), answering():
                container.kill()
        with answering():
            container.reload()
        state = container.attrs["State"]
        ended_by = ended_by or (MEMORY if state.get("OOMKilled") else "")
        for folder, place in ((job.app, APP), (job.scratch, TMP)):
            ended_by = ended_by or _fetched(container, place, folder, job)
        saying.close()
        return Ended(int(state["ExitCode"]), seconds, ended_by, saying.last)


def _loaded(client: Any, root: RootFolder) -> str:
    """The name of the root's image in the engine; loaded when the engine has it not."""
    import docker

    tag = root.digest.partition(":")[2][:24] or "given"
    with suppress(docker.errors.ImageNotFound):
        if root.digest:
            client.images.get(f"stager-build:{tag}")
            return f"stager-build:{tag}"
    own = dict(files_of(root.path, network=False))
    tops = [(f"{root.path}/{one.name}", one.name) for one in top(root.path) if one.name not in OWN]
    places = (
        tree.header(f"{name}/", "folder", RootItem("folder", 0o755, ID, ID), 0, "", MTIME) for name in ("app", "tmp")
    )
    parts = chain(places, packed(tops, 0, own))  # a new volume has the owner of the folder whose place it takes
    client.api.import_image(src=parts, stream_src=True, repository="stager-build", tag=tag)
    return f"stager-build:{tag}"


def packed(pairs: Iterable[tuple[str, str]], owner: int, own: Mapping[str, bytes] | None = None) -> Iterator[bytes]:
    """Folders and files as a tar: (path of the host, name in it), all of one owner; `own` replaces files, by their path.

    What is neither folder, file nor link is left out. Raises OSError.
    """
    own, todo = own or {}, list(pairs)
    while todo:
        path, name = todo.pop()
        facts = os.lstat(path)
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISDIR(facts.st_mode):
            yield tree.header(f"{name}/", "folder", RootItem("folder", mode, owner, owner), 0, "", MTIME)
            todo += ((f"{path}/{below}", f"{name}/{below}") for below in sorted(os.listdir(path), key=os.fsencode))
        elif stat.S_ISLNK(facts.st_mode):
            yield tree.header(name, "link", RootItem("link", mode, owner, owner), 0, os.readlink(path), MTIME)
        elif (data := own.get(f"/{name}")) is not None:
            yield tree.header(name, "file", RootItem("file", mode, owner, owner), len(data), "", MTIME)
            yield data + bytes(-len(data) % BLOCK)
        elif stat.S_ISREG(facts.st_mode):
            yield tree.header(name, "file", RootItem("file", mode, owner, owner), facts.st_size, "", MTIME)
            yield from _content(path, facts.st_size)
    yield END


def _content(path: str, size: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        left = size
        while left and (part := file.read(min(_BUFFER, left))):
            left -= len(part)
            yield part
    yield bytes(left + -size % BLOCK)


def _options(job: Job) -> dict[str, Any]:
    from docker.types import Mount, Ulimit

    limits, around = job.limits, job.surroundings
    others = {f"/{place.split('/')[1]}" for _, place in job.inputs} - {APP, TMP}
    return {
        "entrypoint": ["/bin/sh", "-c", _START, f"{around.umask:04o}", *job.command],
        "environment": environment(job),
        "user": f"{ID}:{ID}",
        "working_dir": job.folder,
        "hostname": HOSTNAME,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mounts": [Mount(place, None, type="volume") for place in (APP, TMP, *sorted(others))],
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "pids_limit": limits.processes,
        "ulimits": [Ulimit(name="fsize", soft=limits.output, hard=limits.output), Ulimit(name="core", soft=0, hard=0)],
        **({"cpuset_cpus": f"0-{around.processors - 1}"} if around.processors else {}),
        **({} if job.network else {"network_mode": "none"}),
    }


def _wait(container: Any, job: Job, saying: Saying, stop: Callable[[], bool]) -> str:
    """Until it has ended, or the limit that it met. Raises Cancelled, EngineFailed."""
    began = time.monotonic()
    while True:
        time.sleep(_TICK)
        if stop():
            raise Cancelled
        with answering():
            container.reload()
            if container.status in ("exited", "dead"):
                return OUTPUT if saying.too_much else ""
            counted = container.client.api.stats(container.id, stream=False, one_shot=True).get("pids_stats", {})
        if time.monotonic() - began > job.limits.seconds:
            return TIME
        if saying.too_much:
            return OUTPUT
        if counted.get("current", 0) > job.limits.processes * 0.9:
            return PROCESSES


def _fetched(container: Any, place: str, folder: str, job: Job) -> str:
    """Bring what is in a folder of the container into one here, in place of what was in it; or say which limit it breaks."""
    with temporary() as spool:
        size = 0
        with answering():
            for part in container.get_archive(place, chunk_size=_BUFFER)[0]:
                size += len(part)
                if size > job.limits.output * 1.25:
                    return OUTPUT
                disk.write(spool.fileno(), part)
        found = tree.read(spool.fileno(), f"what came back from {place}")
        name = place.lstrip("/")
        items = {
            path.removeprefix(f"{name}/"): item for path, item in found.items.items() if path.startswith(f"{name}/")
        }
        if sum(item.size for item in items.values()) >= job.limits.output:
            return OUTPUT
        if len(items) > job.limits.files or any(leftovers.too_deep(path, path.count("/")) for path in items):
            return FILES
        found.items = items
        try:
            roots.emptied(folder)
            roots.lay(found, folder, place)
        except OSError as error:
            raise CannotWrite(folder, disk.why(error)) from None
    return ""


def _copy(stream: Iterable[bytes], pipe: int) -> None:
    with suppress(Exception):  # the engine has gone; waiting tells so
        for part in stream:
            disk.write(pipe, part)
    os.close(pipe)


def _remove(container: Any) -> None:
    """Remove the container and its volumes, whatever it does; raises nothing, since something else may have gone wrong."""
    with suppress(EngineFailed), answering():
        container.remove(force=True, v=True)
