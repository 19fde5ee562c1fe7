"""The namespaces that something runs in, as a value, and the arguments by which bubblewrap makes them. Pure.

Inside, the file system is put together of read-only parts of a root filesystem, on an empty one that is made read-only last:
nothing of the host is there but what is named here. Arguments reach bwrap by a descriptor (`--args`), so that no variable of
the process is seen among the host's processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OWN = frozenset({"app", "dev", "home", "proc", "run", "sys", "tmp", "lost+found"})
"""What a sandbox makes itself instead of taking it from the root."""
_TMP = "/tmp"  # noqa: S108  the sandbox's own


def hosts(name: str) -> bytes:
    """`/etc/hosts` of a machine of that name, which knows nobody but itself (hosts(5))."""
    return f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n::1\tlocalhost\n".encode()


@dataclass(frozen=True, slots=True)
class Top:
    """One name in a root's first folder; `target` is a link's."""

    name: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What a process is given.

    `root` is a root filesystem's folder and `top` what is in it. `writable` are folders and `readable` files and folders as
    (path of the host, path inside); `data` are small files as (path inside, content), in places where the root has one;
    `links` are (path inside, target). The process is in `folder`. Without `network` there is only a loopback of its own.
    `first`: it is process 1 and has to wait for what others leave; else everything ends with it.
    `room`: bytes that its files in memory may take; 0 for what the machine gives.
    `calls` filters what may be asked of the kernel (`seccomp.program`), empty for nothing.
    `owned`: in a user namespace, as `user` and `group`; else as whoever starts it, with the capabilities `keeps`.
    """

    root: str
    top: tuple[Top, ...]
    writable: tuple[tuple[str, str], ...]
    readable: tuple[tuple[str, str], ...] = ()
    data: tuple[tuple[str, bytes], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    folder: str = "/"
    hostname: str = "stager"
    user: int = 0
    group: int = 0
    network: bool = False
    first: bool = False
    owned: bool = True
    keeps: tuple[str, ...] = ()
    calls: bytes = b""
    room: int = 0


def top(folder: str) -> tuple[Top, ...]:
    """What is in a root's first folder, in the order of its bytes."""
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    return tuple(Top(entry.name, os.readlink(entry.path) if entry.is_symlink() else "") for entry in entries)


def arguments(sandbox: Sandbox, descriptors: Sequence[int]) -> tuple[str, ...]:
    """bwrap's arguments, without the command (bwrap(1), of version 0.6 on). `descriptors` hold `contents`, in its order."""
    calls = ("--seccomp", str(descriptors[-1])) if sandbox.calls else ()
    data = zip(descriptors[: -1 if calls else None], sandbox.data, strict=True)
    files = (word for number, (path, _) in data for word in ("--perms", "0644", "--ro-bind-data", str(number), path))
    return (*_spaces(sandbox), *_environment(sandbox), *_root(sandbox), *_own(sandbox), *files, *calls, *_last(sandbox))


def contents(sandbox: Sandbox) -> tuple[bytes, ...]:
    """What bwrap is to read from descriptors."""
    return (*(content for _, content in sandbox.data), *((sandbox.calls,) if sandbox.calls else ()))


def _spaces(sandbox: Sandbox) -> tuple[str, ...]:
    """Every namespace there is, no capability in any, a session of its own (no TIOCSTI), the end with its parent's."""
    owner = ("--unshare-user", "--uid", str(sandbox.user), "--gid", str(sandbox.group))
    return (
        *(owner if sandbox.owned else ()),
        *("--unshare-pid", *(("--as-pid-1",) if sandbox.first else ()), "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup", *(() if sandbox.network else ("--unshare-net",))),
        *("--hostname", sandbox.hostname, "--cap-drop", "ALL"),
        *(word for name in sandbox.keeps for word in ("--cap-add", name)),
        *("--new-session", "--die-with-parent"),
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
    room = ("--size", str(sandbox.room)) if sandbox.room else ()
    tmp = () if any(place == _TMP for _, place in sandbox.writable) else ("--perms", "1777", *room, "--tmpfs", _TMP)
    return (
        *("--proc", "/proc", "--dir", "/sys", *tmp, "--dev", "/dev", "--perms", "1777", *room, "--tmpfs", "/dev/shm"),  # noqa: S108
        *_above(place for place, _ in sandbox.links),
        *(word for place, target in sandbox.links for word in ("--symlink", target, place)),
        *(word for source, place in sandbox.writable for word in ("--bind", source, place)),
        *_above(place for _, place in sandbox.readable),
        *(word for source, place in sandbox.readable for word in ("--ro-bind", source, place)),
    )


def _above(places: Iterable[str]) -> tuple[str, ...]:
    """The folders above these places: made by bwrap itself, nobody but its own user could enter them."""
    found = {place[:cut] for place in places for cut, sign in enumerate(place) if sign == "/" and cut}
    return tuple(word for folder in sorted(found) for word in ("--perms", "0755", "--dir", folder))


def _last(sandbox: Sandbox) -> tuple[str, ...]:
    return ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", sandbox.folder)
