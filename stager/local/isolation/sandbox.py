"""The namespaces that a droplet runs in, as a value, and the arguments by which bubblewrap makes them. Pure.

Inside, the file system is put together of read-only parts of a root filesystem, on an empty one that is made read-only last:
nothing of the host is there but what is named here. Arguments reach bwrap by a descriptor (`--args`), so that no variable of
the process is seen among the host's processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .environment import APP, GID, HOSTNAME, UID

OWN = frozenset({"app", "dev", "home", "proc", "run", "sys", "tmp", "lost+found"})
"""What a sandbox makes itself instead of taking it from the root."""
HOSTS = f"127.0.0.1\tlocalhost\n127.0.1.1\t{HOSTNAME}\n::1\tlocalhost\n".encode()


@dataclass(frozen=True, slots=True)
class Top:
    """One name in a root's first folder; `target` is a link's."""

    name: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a process is given.

    `root` is a root filesystem's folder and `top` what is in it; `app` the folder to be `/app`, for writing; `files` are
    (path of the host, path inside), for reading; `data` are small files as (path inside, content), in places where the root
    has one. Without `network` there is only a loopback of its own.
    """

    root: str
    top: tuple[Top, ...]
    app: str
    files: tuple[tuple[str, str], ...] = ()
    data: tuple[tuple[str, bytes], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    network: bool = True


def arguments(sandbox: Sandbox, descriptors: Sequence[int]) -> tuple[str, ...]:
    """bwrap's arguments, without the command (bwrap(1), of version 0.5 on). `descriptors` hold `data`, in its order."""
    data = zip(descriptors, sandbox.data, strict=True)
    files = (word for number, (path, _) in data for word in ("--perms", "0644", "--ro-bind-data", str(number), path))
    return (*_spaces(sandbox), *_environment(sandbox), *_root(sandbox), *_own(sandbox), *files, *_last())


def _spaces(sandbox: Sandbox) -> tuple[str, ...]:
    """Every namespace there is, no capability in any, a session of its own (no TIOCSTI), the end with its parent's.

    What runs is process 1, and has to wait for what others leave.
    """
    return (
        *("--unshare-user", "--uid", str(UID), "--gid", str(GID)),
        *("--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"),
        *(() if sandbox.network else ("--unshare-net",)),
        *("--hostname", HOSTNAME, "--cap-drop", "ALL", "--new-session", "--die-with-parent"),
    )


def _environment(sandbox: Sandbox) -> tuple[str, ...]:
    return ("--clearenv", *(word for name, value in sandbox.env for word in ("--setenv", name, value)))


def _root(sandbox: Sandbox) -> tuple[str, ...]:
    words: list[str] = []
    for entry in sandbox.top:
        if entry.name in OWN:
            continue
        if entry.target:
            words += ("--symlink", entry.target, f"/{entry.name}")
        else:
            words += ("--ro-bind", f"{sandbox.root}/{entry.name}", f"/{entry.name}")
    return tuple(words)


def _own(sandbox: Sandbox) -> tuple[str, ...]:
    return (
        *("--proc", "/proc", "--dir", "/sys", "--perms", "1777", "--tmpfs", "/tmp"),  # noqa: S108  the sandbox's own
        *("--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"),  # noqa: S108
        *("--dir", "/home/vcap", "--symlink", APP, "/home/vcap/app", "--bind", sandbox.app, APP),
        *(word for source, place in sandbox.files for word in ("--ro-bind", source, place)),
    )


def _last() -> tuple[str, ...]:
    return ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", APP)
