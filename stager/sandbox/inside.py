"""What a job finds around it, in namespaces and in a container alike."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import entering, seccomp
from .job import APP, FIXED, HOME, HOSTNAME, ID, NAME, TMP
from .namespaces import Sandbox, top

if TYPE_CHECKING:
    from .job import Job

CLOCK = (
    ("FAKETIME_DISABLE_SHM", "1"),
    ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ("FAKETIME_FORCE_MONOTONIC_FIX", "0"),
    ("NO_FAKE_STAT", "1"),
)
"""How libfaketime must be told to behave, beside the time itself.

Waiting for a lock must neither last a year nor be no waiting at all (its own repair of it spins).
"""


def environment(job: Job) -> dict[str, str]:
    """All variables that it has."""
    return {**dict(FIXED), **dict(job.env)}


def files_of(root: str, network: bool, user: int = ID) -> tuple[tuple[str, bytes], ...]:
    """The files (path inside, content) that are others than the root's."""
    return (*entering.data(root, HOSTNAME, network), *_names(root, user))


def sandbox(job: Job, bare: int = 0) -> Sandbox:
    """Its namespaces, with one of users unless it is the host's user `bare`.

    Then a program of the root's runs first that still has what the host's root has (`become`): it gets none of the
    job's variables, which could have it load or be another program.
    """
    variables = environment(job) if not bare else {"PATH": dict(FIXED)["PATH"]}
    return Sandbox(
        job.root.path, top(job.root.path), ((job.app, APP), (job.scratch, TMP)), job.inputs,
        files_of(job.root.path, job.network, bare or ID), (), tuple(sorted(variables.items())), job.folder, HOSTNAME, ID, ID,
        job.network, owned=not bare, keeps=("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP") if bare else (),
        calls=seccomp.program(platform.machine()), room=job.limits.memory,
    )  # fmt: skip


def _names(root: str, user: int) -> Iterator[tuple[str, bytes]]:
    """The root's own lists of users and groups, and ours: some programs do not run as somebody without a name."""
    for path, own in (
        ("etc/passwd", f"{NAME}:x:{user}:{user}::{HOME}:/bin/sh\n"),
        ("etc/group", f"{NAME}:x:{user}:\n"),
    ):
        if entering.has(root, path):
            with open(f"{root}/{path}", "rb") as file:
                rows = file.read(1 << 20).splitlines(keepends=True)
            others = (
                row for row in rows if row.split(b":")[2:3] != [b"%d" % user] and row.split(b":")[0] != NAME.encode()
            )
            yield f"/{path}", b"".join(others) + own.encode()


_SET = 'while [ "$1" != -- ]; do export "$1"; shift; done; shift; exec "$@"'
"""Sets variables, each of them an argument, and goes on as what comes after `--`."""


def become(job: Job, user: int) -> tuple[str, ...]:
    """The root's own programs: one (of util-linux) gives up what the host's root has, a shell then sets variables."""
    who = ("--reuid", str(user), "--regid", str(user), "--clear-groups", "--bounding-set=-all", "--inh-caps=-all")
    variables = (f"{name}={value}" for name, value in sorted(environment(job).items()))
    return ("/usr/bin/setpriv", *who, "--", "/bin/sh", "-c", _SET, "stager", *variables, "--")
