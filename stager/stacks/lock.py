"""`box.lock`: every package of a stack, pinned from the signed index of its archive.

A lock holds one list per part and architecture: the root's closure of dependencies, and for each set what it adds to that.
It is TOML, one line a package, equal bytes whenever it is written, and names no host: a package is fetched by its path from
whichever mirror this machine uses, and its SHA-256 decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from packageurl import PackageURL

from ..digest import Digest
from ..errors import BadLock, LockMissing, LockStale
from ..files import regular
from ..model import Artifact, DebPin
from ..planning.lock_rows import DATE, deb_row, read_debs, word
from ..text import parsing
from ..text.toml import basic
from ..text.typed import Node
from .definition import Definition

NAME = "box.lock"
VERSION = 1
LARGEST = 32 << 20
LAYOUT = "deb-root/1"
"""What the artifacts of a lock are unpacked by: dpkg, in a root of their own; never into a droplet."""
_HEAD = """\
# The packages of a stack, pinned. Made by 'stager box lock'; commit it. 'stager box lock --upgrade' moves it to the newest.
version = 1
"""


def deb_artifact(pin: DebPin) -> Artifact:
    """The package as what `fetching` brings into the store."""
    purl = PackageURL("deb", "debian", pin.name, pin.version, {"arch": pin.architecture}).to_string()
    return Artifact(purl, pin.path, pin.digest, LAYOUT, ("root",), pin.size)


@dataclass(frozen=True, slots=True)
class StackLock:
    """A stack's pins. `wishes` is the digest of what was asked for; `indexes` are (suite, its index's own date)."""

    stack: str
    wishes: Digest
    indexes: tuple[tuple[str, str], ...]
    sets: tuple[tuple[str, str, tuple[DebPin, ...]], ...]
    """(part, architecture, pins sorted by name), in the order of the definition."""

    @property
    def epoch(self) -> int:
        """The newest index's date in seconds since 1970: what the root's files are dated."""
        from datetime import datetime

        return max(int(datetime.fromisoformat(date).timestamp()) for _, date in self.indexes)

    def pins(self, parts: Iterable[str], architecture: str) -> tuple[DebPin, ...]:
        """All packages of these parts for an architecture, each once, sorted by name. Raises BadLock for a missing part."""
        found: dict[str, DebPin] = {}
        known = {(name, arch): pins for name, arch, pins in self.sets}
        for part in parts:
            if (part, architecture) not in known:
                raise BadLock(NAME, f"it pins no {part} for {architecture}", _relock(self.stack))
            for pin in known[part, architecture]:
                if found.setdefault(pin.name, pin) != pin:
                    raise BadLock(NAME, f"it pins {pin.name} in two versions", _relock(self.stack))
        return tuple(found[name] for name in sorted(found))


def _relock(stack: str) -> str:
    return f"Run 'stager box lock {stack} --upgrade' and commit the result."


# --- files -----------------------------------------------------------------------------------------------------


def path_of(definition: Definition) -> str:
    """Where a stack's lock is: beside its `box.yml`."""
    return os.path.join(definition.folder, NAME)


def load(definition: Definition, path: str = "") -> StackLock:
    """The stack's lock, or the one at `path`, which must be of what the definition asks for.

    Raises LockMissing, BadLock, and LockStale when `box.yml` asks for other packages by now.
    """
    path = path or path_of(definition)
    try:
        data = regular.read(path, LARGEST)
    except FileNotFoundError:
        raise LockMissing(path, f"stager box lock {definition.name}") from None
    except OSError as error:
        raise BadLock(path, f"cannot be read: {error.strerror}") from None
    lock = loads(data, path)
    if lock.wishes != definition.wishes():
        raise LockStale(path, [definition.where], f"stager box lock {definition.name}")
    return lock


# --- writing ---------------------------------------------------------------------------------------------------


def dumps(lock: StackLock) -> str:
    """The lock as text. Equal locks give equal bytes."""
    parts = [f"{_HEAD}stack = {basic(lock.stack)}\nwishes = {basic(lock.wishes)}\n"]
    parts += [f"[[index]]\nsuite = {basic(suite)}\ndate = {basic(date)}\n" for suite, date in lock.indexes]
    for name, architecture, pins in lock.sets:
        rows = "".join(f"    {deb_row(pin)},\n" for pin in pins)
        parts.append(f"[[set]]\nname = {basic(name)}\narchitecture = {basic(architecture)}\npackages = [\n{rows}]\n")
    return "\n".join(parts)


# --- reading ---------------------------------------------------------------------------------------------------


def loads(data: bytes, file: str = NAME) -> StackLock:
    """The lock that these bytes hold. Raises BadLock with the place of what is wrong."""
    document = Node(_parse(data, file), file)
    if document.int("version") != VERSION:
        raise BadLock(file, "its version is not one this stager reads", "Run 'stager box lock --upgrade'.")
    lock = StackLock(
        document.str("stack"),
        _digest(document, "wishes"),
        tuple((node.str("suite"), word(node, "date", DATE)) for node in document.list("index")),
        tuple(
            (node.str("name"), word(node, "architecture", "amd64|arm64"), read_debs(node))
            for node in document.list("set")
        ),
    )
    if not lock.indexes or dumps(lock).encode() != data:
        raise BadLock(file, "its bytes are not what stager writes for what it says", _relock(lock.stack))
    return lock


def _parse(data: bytes, file: str) -> Any:
    if len(data) > LARGEST:
        raise BadLock(file, f"is larger than {LARGEST} bytes")
    try:
        return parsing.toml(data.decode())
    except ValueError as problem:
        raise BadLock(file, f"is not TOML: {problem}") from None


def _digest(node: Node, key: str) -> Digest:
    try:
        digest = Digest(node.str(key))
    except ValueError as problem:
        node.at(key).fail(str(problem))
    if digest.algorithm != "sha256":
        node.at(key).fail("is not a SHA-256")
    return digest


def changes(before: Sequence[DebPin], after: Sequence[DebPin]) -> list[str]:
    """What moved between two lists of pins, a line each, for people."""
    old, new = ({pin.name: pin.version for pin in pins} for pins in (before, after))
    lines = [f"{name} {old.get(name, '(new)')} -> {new.get(name, '(gone)')}" for name in sorted({*old, *new})]
    return [line for line, name in zip(lines, sorted({*old, *new}), strict=True) if old.get(name) != new.get(name)]
