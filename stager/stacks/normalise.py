"""What makes two builds of one root equal: everything that depends on when, where or by whom it was made is taken away.

Packages' own scripts write the rest of a root while they are installed. What they leave that is no function of the
packages is named here, path by path, and what identifies one machine (its id, its keys, its name) must never be shared by
all machines of a stack anyway: it is made at the first boot.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from ..text import resources
from .definition import Definition, StackPart
from .tree import RootItem, Tree

DAY = 86400
EMPTIED = ("dev", "proc", "run", "sys", "tmp", "var/tmp", "var/log", "var/lib/apt", "var/cache", "var/backups")
"""Folders whose files go: the kernel's, the run's, logs, and what programs fetch or compute again."""
GONE = (
    "etc/.pwd.lock",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/**",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/ssh/ssh_host_*",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/subgid-",
    "etc/subuid-",
    "root/.bash_history",
    "var/lib/dbus/machine-id",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/lib/urandom/random-seed",
)
"""Patterns of paths that go: locks and backups, lists of the build's own mirror, and one machine's secrets."""
KEPT = ("var/cache/debconf/config.dat", "var/cache/debconf/passwords.dat", "var/cache/debconf/templates.dat")
"""What stays of those: debconf's answers, from which packages are configured again."""
_HOSTS = b"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
_BYTECODE = re.compile(r"(?:.*/)?__pycache__(?:/.*)?|.*\.py[co]")


def clean(tree: Tree) -> None:
    """Take away what differs between two builds, and give what must be there its one form."""
    folders = tuple(f"{folder}/" for folder in EMPTIED)
    for path, item in list(tree.items.items()):
        emptied = path.startswith(folders) and item.kind != "folder" and path not in KEPT
        emptied = emptied or item.target.endswith("/ssl-cert-snakeoil.pem") or item.target == "ssl-cert-snakeoil.pem"
        if emptied or fits(path, GONE) or _BYTECODE.fullmatch(path):
            del tree.items[path]
    below = ("dev/", "proc/", "run/", "sys/", "tmp/", "var/tmp/", "var/lib/apt/", "var/cache/apt/")
    for path in [path for path in tree.items if path.startswith(below) and path != "run/lock"]:
        del tree.items[path]
    for path in ("dev", "proc", "run", "sys"):
        tree.items.setdefault(path, RootItem("folder", 0o755))
    tree.items.pop("etc/resolv.conf", None)  # it may be a link
    for path, data in (("machine-id", b""), ("hostname", b"localhost\n"), ("hosts", _HOSTS), ("resolv.conf", b"")):
        tree.put(f"etc/{path}", RootItem("file", 0o644, data=data))


def fits(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path fits one of the patterns: `*` within one part of a path, a final `**` for everything below."""
    parts = path.split("/")
    return any(_fits(parts, pattern.split("/")) for pattern in patterns)


def _fits(parts: list[str], pattern: list[str]) -> bool:
    if pattern[-1] == "**":
        pattern = pattern[:-1]
        if len(parts) <= len(pattern):
            return False
        parts = parts[: len(pattern)]
    return len(parts) == len(pattern) and all(map(resources.fits, parts, pattern))


# --- what the definition adds and removes ------------------------------------------------------------------------


def apply(tree: Tree, definition: Definition, parts: Iterable[StackPart], epoch: int) -> None:
    """Lay what the parts say over the root: removals first, then accounts, folders, links and files."""
    chosen = tuple(parts)
    _remove(tree, [p for part in chosen for p in part.remove], [p for part in chosen for p in part.keep])
    tree.put("etc/default/locale", RootItem("file", 0o644, data=f"LANG={definition.locale}\n".encode()))
    for part in chosen:
        for user in part.users:
            _add(tree, "etc/passwd", f"{user.name}:x:{user.uid}:{user.gid}::{user.home}:{user.shell}", epoch)
            _add(tree, "etc/group", f"{user.name}:x:{user.gid}:", epoch)
            home = user.home.lstrip("/")
            tree.put(home, RootItem("folder", 0o755, user.uid, user.gid))
        for folder in part.folders:
            tree.put(folder.path, RootItem("folder", folder.mode, folder.uid, folder.gid))
        for path, target in part.links:
            tree.put(tree_path(tree, path), RootItem("link", 0o777, target=target))
        for file in part.files:
            tree.put(tree_path(tree, file.path), RootItem("file", file.mode, data=file.data))
    accounts(tree, epoch)


def tree_path(tree: Tree, path: str) -> str:
    """Where a path really lies: links above it (such as `/bin`) are followed, so that no file lies below a link."""
    above, name = os.path.split(path)
    return os.path.join(tree.resolve(above), name)


def _remove(tree: Tree, remove: list[str], keep: list[str]) -> None:
    doomed = {path for path in tree.items if fits(path, remove) and not fits(path, keep)}
    needed: set[str] = set()
    for path in tree.items.keys() - doomed:
        while path := os.path.dirname(path):
            needed.add(path)
    for path in doomed - needed:
        del tree.items[path]


# --- accounts --------------------------------------------------------------------------------------------------


def _add(tree: Tree, file: str, line: str, epoch: int) -> None:
    """Add an account's line unless its name is there; with a shadow line that admits no password where the root has those."""
    text, name = tree.bytes_of(file).decode("utf-8", "surrogateescape"), line.partition(":")[0]
    if any(row.partition(":")[0] == name for row in text.splitlines()):
        return
    _set(tree, file, f"{text}{line}\n")
    shadow = {"etc/passwd": "etc/shadow", "etc/group": "etc/gshadow"}[file]
    if shadow in tree.items:
        row = f"{name}:*:{epoch // DAY}:0:99999:7:::" if shadow == "etc/shadow" else f"{name}:*::"
        _set(tree, shadow, f"{tree.bytes_of(shadow).decode('utf-8', 'surrogateescape')}{row}\n")


def _set(tree: Tree, path: str, text: str) -> None:
    old = tree.items.get(path, RootItem("file", 0o644))
    tree.items[path] = replace(old, data=text.encode("utf-8", "surrogateescape"), offset=0, size=0, inode="")


def accounts(tree: Tree, epoch: int) -> None:
    """Bring accounts into the order of their numbers, and date every password's last change to the epoch's day."""
    places: dict[str, int] = {}
    for file, shadow in (("etc/passwd", "etc/shadow"), ("etc/group", "etc/gshadow")):
        rows = _rows(tree, file)
        rows.sort(key=lambda row: int(row[2]) if len(row) > 2 and row[2].isdecimal() else 1 << 32)
        places = {row[0]: place for place, row in enumerate(rows)}
        hidden = _rows(tree, shadow)
        hidden.sort(key=_place(places))
        if shadow == "etc/shadow":
            hidden = [[*row[:2], str(epoch // DAY), *row[3:]] if len(row) > 2 and row[2] else row for row in hidden]
        for path, lines in ((file, rows), (shadow, hidden)):
            if path in tree.items:
                _set(tree, path, "".join(":".join(line) + "\n" for line in lines))


def _place(places: dict[str, int]) -> Callable[[list[str]], int]:
    return lambda row: places.get(row[0], len(places))


def _rows(tree: Tree, path: str) -> list[list[str]]:
    return [row.split(":") for row in tree.bytes_of(path).decode("utf-8", "surrogateescape").splitlines() if row]
