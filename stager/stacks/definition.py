"""What a stack's root filesystem consists of, as values; `reading` makes them from a `box.yml`.

A stack is a root and any number of *sets* on top of it: packages with what belongs to them. Each is a `StackPart`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..digest import Digest, canonical_json, sha256
from ..facts.stacks import StackFacts

ARCHITECTURE = "$architecture"
"""In a package's name: the architecture in Debian's words."""


@dataclass(frozen=True, slots=True)
class User:
    """An account without a password, its group of the same name, and its home folder."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class StackFolder:
    """A folder by its path without a leading slash."""

    path: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class StackFile:
    """A file by its path without a leading slash; owned by root."""

    path: str
    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class StackPart:
    """The root, or one set on top of it. `packages` are asked for; what they depend on is found when locking.

    `exclude` names packages that are never pinned. `remove` and `keep` are patterns of paths: `*` stands for any run of
    characters within one part of the path, a final `**` for everything below. `needs` names sets that come along.
    """

    name: str
    packages: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    users: tuple[User, ...] = ()
    folders: tuple[StackFolder, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """(path without a leading slash, target as it is written)."""
    files: tuple[StackFile, ...] = ()
    remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()

    def packages_for(self, architecture: str) -> tuple[str, ...]:
        """The packages' names on one architecture."""
        return tuple(name.replace(ARCHITECTURE, architecture) for name in self.packages)


@dataclass(frozen=True, slots=True)
class StackStep:
    """Something that is run in the finished root: a shell script, or Chef with a run list.

    `files` (name → bytes) are what it brings along, the script itself included; `run_list` is Chef's.
    """

    kind: str
    """`script` or `chef`."""
    files: tuple[tuple[str, bytes], ...]
    run_list: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """Its identity, as plain data."""
        return {"kind": self.kind, "run_list": list(self.run_list), "files": [[n, sha256(d)] for n, d in self.files]}


@dataclass(frozen=True, slots=True)
class Definition:
    """A stack as `box.yml` defines it, with what it extends merged in."""

    name: str
    box: StackFacts
    folder: str
    """Where the `box.yml` is."""
    root: StackPart
    sets: tuple[StackPart, ...] = ()
    merged_usr: bool = False
    """Whether `/bin -> usr/bin` and its like must be made before packages are unpacked."""
    locale: str = "C.UTF-8"
    env: tuple[tuple[str, str], ...] = ()
    """Variables of an image's configuration."""
    steps: tuple[StackStep, ...] = ()
    extends: str = ""
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def where(self) -> str:
        """The file to name in errors."""
        return os.path.join(self.folder, "box.yml")

    def part(self, name: str) -> StackPart | None:
        """The root or a set by its name."""
        return next((part for part in (self.root, *self.sets) if part.name == name), None)

    def chosen(self, names: Iterable[str]) -> tuple[StackPart, ...]:
        """The root, and the named sets with those they need, in the order of the definition. KeyError for others."""
        known = {part.name: part for part in self.sets}
        wanted: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                waiting += known[name].needs
                wanted.add(name)
        return (self.root, *(part for part in self.sets if part.name in wanted))

    def wishes(self) -> Digest:
        """The digest of everything that decides which packages are pinned."""
        rows = [[p.name, list(p.packages), list(p.exclude), list(p.needs)] for p in (self.root, *self.sets)]
        return sha256(canonical_json([self.box.suite, list(self.box.architectures), rows]))

    def facts(self, parts: Iterable[StackPart]) -> dict[str, Any]:
        """Everything but the packages that decides the bytes of a root made of these parts, as plain data."""
        return {
            "glibc": list(self.box.glibc),
            "libraries": sorted(self.box.libraries),
            "merged_usr": self.merged_usr,
            "locale": self.locale,
            "env": [list(pair) for pair in self.env],
            "steps": [step.facts for step in self.steps],
            "parts": [_facts(part) for part in parts],
        }


def _facts(part: StackPart) -> dict[str, Any]:
    return {
        "name": part.name,
        "users": [[user.name, user.uid, user.gid, user.home, user.shell] for user in part.users],
        "folders": [[folder.path, folder.mode, folder.uid, folder.gid] for folder in part.folders],
        "links": [list(link) for link in part.links],
        "files": [[file.path, sha256(file.data), file.mode] for file in part.files],
        "remove": list(part.remove),
        "keep": list(part.keep),
    }


def merged(base: StackPart, own: StackPart) -> StackPart:
    """`own` on top of `base`: lists are joined, and of two things with one name or path the own one counts."""
    files = _by_path(base.files) | _by_path(own.files)
    links = dict(base.links) | dict(own.links)
    folders = _by_path(base.folders) | _by_path(own.folders)
    users = {user.name: user for user in (*base.users, *own.users)}
    return StackPart(
        own.name,
        tuple(sorted({*base.packages, *own.packages})),
        tuple(sorted({*base.exclude, *own.exclude})),
        tuple(dict.fromkeys((*base.needs, *own.needs))),
        tuple(users.values()),
        tuple(folders.values()),
        tuple((path, target) for path, target in links.items() if path not in _by_path(own.files)),
        tuple(file for path, file in files.items() if path not in dict(own.links)),
        (*base.remove, *own.remove),
        (*base.keep, *own.keep),
    )


def _by_path(things: Iterable[Any]) -> dict[str, Any]:
    return {thing.path: thing for thing in things}
