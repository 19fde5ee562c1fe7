"""Starting bubblewrap: as whom, in which control groups, and from where it can reach what it is to show.

With root a sandbox is first given to another user of the host, in a mount namespace that has every folder where that user can
reach it, so that nothing inside is the host's root in any sense; another user's sandbox is that user's.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from ..files import programs
from ..files.errors import NoSandbox
from ..stacks.sandbox import program
from ..store.disk import write
from . import namespaces
from .namespaces import Sandbox

_ENTER = """\
set -eu
while [ "$1" != -- ]; do echo $$ >"$1"; shift; done
shift
exec "$@"
"""
"""Lists of processes of control groups, `--`, the command."""
_VIEW = """\
set -eu
view=$1 number=0
shift
mount -t tmpfs -o mode=0755,size=1m tmpfs "$view"
while [ "$1" != -- ]; do
  if [ -d "$1" ]; then mkdir "$view/$number"; else : >"$view/$number"; fi
  mount --bind "$1" "$view/$number"
  number=$((number + 1))
  shift
done
shift
exec "$@"
"""
"""Where to put the view, what is to be in it, by number; `--`, the command."""
_PATIENCE = 30.0
"""Seconds that a command that does nothing may take."""
_VIEWS = ("/mnt", "/media", "/srv", "/opt")


@dataclass(frozen=True, slots=True)
class PlacedSandbox:
    """A sandbox as bwrap will see it, and the command that must go before bwrap."""

    sandbox: Sandbox
    before: tuple[str, ...]


def placed(made: Sandbox, groups: Sequence[str], user: int, purpose: str) -> PlacedSandbox:
    """Ready to be started: in these control groups (their `members`), and as the host's `user` when that is not 0.

    Raises ProgramMissing, and NoSandbox where there is no place for the mount namespace's folders.
    """
    join = (program("sh", purpose), "-c", _ENTER, "stager", *groups, "--")
    if not user:
        return PlacedSandbox(made, (*_without_rights(purpose), *join))
    pairs = (*made.writable, *made.readable)
    sources = [os.path.realpath(path) for path in (made.root, *(path for path, _ in pairs))]
    view = next((place for place in _VIEWS if _free(place, sources)), "")
    if not view:
        said = f"none of {', '.join(_VIEWS)} is there and free of what is needed"
        raise NoSandbox(purpose, [("with root", said)], "Make the folder /mnt.")
    seen = [(f"{view}/{number}", inside) for number, (_, inside) in enumerate(pairs, 1)]
    cut = len(made.writable)
    before = (
        *(program("unshare", purpose), "--mount", "--propagation", "private", "--"),
        *(program("sh", purpose), "-c", _VIEW, "stager", view, *sources, "--", *join),
        *(program("setpriv", purpose), "--reuid", str(user), "--regid", str(user), "--clear-groups", "--inh-caps=-all"),
        "--",
    )
    shown = replace(made, root=f"{view}/0", writable=tuple(seen[:cut]), readable=tuple(seen[cut:]))
    return PlacedSandbox(shown, before)


def _without_rights(purpose: str) -> tuple[str, ...]:
    """What gives up the capabilities that a user's process may pass on: bubblewrap does not start with any."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        ambient = next((line.split()[1] for line in file if line.startswith("CapAmb:")), "0")
    if os.geteuid() == 0 or not int(ambient, 16):
        return ()
    return (program("setpriv", purpose), "--inh-caps=-all", "--ambient-caps=-all", "--")


def _free(place: str, sources: Sequence[str]) -> bool:
    return os.path.isdir(place) and not any(source.startswith(place + "/") or source == place for source in sources)


def hand_over(folder: str, user: int) -> None:
    """Give a folder and all that is below it to a user. Raises OSError; links are not followed."""
    todo = [folder]
    while todo:
        above = todo.pop()
        os.chown(above, user, user, follow_symlinks=False)
        with os.scandir(above) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                else:
                    os.chown(entry.path, user, user, follow_symlinks=False)


def started(
    words: Sequence[str],
    handed: Sequence[int],
    out: int | None = None,
    umask: int = -1,
    typed: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a command with nothing of this process but the descriptors `handed`; both its outputs lead to `out`.

    What it reads comes from `typed`.
    """
    return subprocess.Popen(
        words, cwd="/", env={"PATH": programs.PATH, "LC_ALL": "C"}, stdin=typed, stdout=out,
        stderr=subprocess.STDOUT if out else None, pass_fds=handed, start_new_session=True, umask=umask,
    )  # fmt: skip


def tried(placed: PlacedSandbox, bwrap: str) -> tuple[int, str]:
    """How the very same sandbox ends when it is made for a command that does nothing: its status, and all that is said.

    So what is wrong with it can be told from what the program in it says.
    """
    with described(placed.sandbox) as (arguments, handed):
        words = (*placed.before, bwrap, "--args", str(arguments), "--", "/bin/sh", "-c", ":")
        child = started(words, handed, subprocess.PIPE)
        try:
            said = child.communicate(timeout=_PATIENCE)[0].decode("utf-8", "replace").strip()
        except subprocess.TimeoutExpired:
            said = f"no answer within {_PATIENCE:g} s"
        finally:
            if child.poll() is None:
                programs.signal_group(child.pid, signal.SIGKILL)
                child.wait()
    return child.returncode, said


def refusal(status: int, said: str) -> str:
    """The last line of what was said by somebody who failed."""
    return (said.splitlines() or [f"exit status {status}"])[-1][:300]


@contextmanager
def described(made: Sandbox) -> Iterator[tuple[int, tuple[int, ...]]]:
    """bwrap's arguments and the files it is to make, in memory: (the arguments' descriptor, all of them)."""
    with ExitStack() as opened:
        fds = [_file(content, opened) for content in namespaces.contents(made)]
        words = [os.fsencode(word) for word in namespaces.arguments(made, fds)]
        if any(b"\0" in word for word in words):  # it would begin another argument
            raise ValueError(made)
        arguments = _file(b"".join(word + b"\0" for word in words), opened)
        yield arguments, (*fds, arguments)


def _file(content: bytes, opened: ExitStack) -> int:
    fd = os.memfd_create("stager")
    opened.callback(os.close, fd)
    write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def data(root: str, hostname: str, network: bool) -> tuple[tuple[str, bytes], ...]:
    """The names of machines and who knows more of them, where the root has a place for that: nothing can grow there."""
    files = (("etc/hosts", namespaces.hosts(hostname)), ("etc/resolv.conf", _resolvers() if network else b""))
    return tuple((f"/{path}", content) for path, content in files if has(root, path))


def has(root: str, path: str) -> bool:
    """Whether a root has a regular file at a path, for another to take its place."""
    return os.path.isfile(f"{root}/{path}") and not os.path.islink(f"{root}/{path}")


def _resolvers() -> bytes:
    with suppress(OSError), open("/etc/resolv.conf", "rb") as file:
        return file.read(1 << 16)
    return b""
