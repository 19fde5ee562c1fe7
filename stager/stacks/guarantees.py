"""Does a root keep what its stack promises: the glibc, the libraries, the locale that `box.yml` names?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..formats import elf
from .errors import StackFailed

if TYPE_CHECKING:
    from .definition import Definition
    from .tree import Tree

_MACHINES = {"amd64": ("x86_64", "x86_64-linux-gnu"), "arm64": ("aarch64", "aarch64-linux-gnu")}
_GLIBC = re.compile(rb"stable release version (\d{1,3})\.(\d{1,3})")
"""What glibc says of itself in its own text."""


def check(definition: Definition, root: Tree, architecture: str) -> None:
    """Raise StackFailed, naming everything that is missing, unless the root keeps its stack's promises."""
    broken = [*_libraries(definition, root, architecture), *_accounts(definition, root), *_locale(definition, root)]
    if broken:
        hint = f"Correct {definition.where}: what it promises, or which packages it asks for."
        raise StackFailed(definition.name, "checking the root filesystem", "; ".join(broken), hint)


def _libraries(definition: Definition, root: Tree, architecture: str) -> list[str]:
    machine, triplet = _MACHINES[architecture]
    folders = (f"usr/lib/{triplet}", "usr/lib", f"lib/{triplet}", "lib")
    broken = []
    for name in sorted({"libc.so.6", *definition.box.libraries}):
        paths = [root.resolve(f"{folder}/{name}") for folder in folders]
        data = next((data for path in paths if (data := root.bytes_of(path))), b"")
        facts = elf.read(data, name) if data else None
        if facts is None or facts.machine != machine or facts.soname != name:
            broken.append(f"it has no {name} for {machine}")
        elif facts.glibc > definition.box.glibc:
            broken.append(f"its {name} needs glibc {facts.glibc[0]}.{facts.glibc[1]}")
        if name == "libc.so.6" and data:
            broken += _glibc(definition, data)
    return broken


def _glibc(definition: Definition, libc: bytes) -> list[str]:
    found = _GLIBC.search(libc)
    there = (int(found[1]), int(found[2])) if found else (0, 0)
    promised = definition.box.glibc
    return [] if there == promised else [f"its glibc is {there[0]}.{there[1]}, not {promised[0]}.{promised[1]}"]


def _accounts(definition: Definition, root: Tree) -> list[str]:
    lines = root.bytes_of("etc/passwd").decode("utf-8", "replace").splitlines()
    numbers = {row[0]: row[2] for line in lines if len(row := line.split(":")) > 2}
    return [
        f"its user {user.name} has the number {numbers.get(user.name, 'of nobody')}, not {user.uid}"
        for user in definition.root.users
        if numbers.get(user.name) != str(user.uid)
    ]


def _locale(definition: Definition, root: Tree) -> list[str]:
    """The locale as a folder below `usr/lib/locale`, or in localedef's archive; `C` and `POSIX` are built in."""
    name = definition.locale
    folder = f"usr/lib/locale/{re.sub('(?i)utf-8$', 'utf8', name)}"
    if (
        name in ("C", "POSIX")
        or folder in root.items
        or name.lower().replace("-", "").encode() in root.bytes_of("usr/lib/locale/locale-archive").lower()
    ):
        return []
    return [f"it has no locale {name}"]
