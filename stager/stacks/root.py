"""Making a stack's root filesystem: exactly the locked packages, installed by dpkg, as a canonical tar in the store.

The packages are fetched into the store and checked against the lock. mmdebstrap then installs them from a folder, without a
network, in namespaces of their own. What it gives is cleaned (`normalise`), completed with what the definition says,
checked against what the stack promises (`guarantees`), and written as one canonical tar (`tree`), whose SHA-256 is the root's
digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..digest import Digest, canonical_json, sha256
from ..errors import UsageError
from ..model import DebPin
from . import debs, guarantees, normalise, sandbox, scripts, tree
from .build_context import temporary
from .errors import NotBuilt
from .lock import StackLock

if TYPE_CHECKING:
    from ..store import Store
    from .build_context import Making
    from .definition import Definition, StackPart

RECIPE = "root/1"
"""The version of everything in this package that decides a root's bytes; part of every stack's digest."""
_INSTALL = """\
hook="for name in $4; do mkdir -p \\"\\$1/usr/\\$name\\" && ln -s usr/\\$name \\"\\$1/\\$name\\"; done"
exec mmdebstrap --mode=root --variant=custom --format=tar --skip=output/dev --architectures="$1" --include="$2" \\
    --setup-hook="$hook" "$3" - "deb [trusted=yes] copy:///tmp/in ./"
"""
"""Architecture, packages, suite, links to make. The only source is the folder of locked packages, checked against the lock."""
_STAGES = ("update", "downloading", "extracting", "installing", "cleaning", "creating")


@dataclass(frozen=True, slots=True)
class Root:
    """A root filesystem in the store.

    `digest` and `size` are those of its canonical, uncompressed tar, which is the store's blob of that digest; `stack` is
    the digest of what it was made from; `epoch` (seconds since 1970) dates all its files.
    """

    name: str
    architecture: str
    sets: tuple[str, ...]
    stack: Digest
    digest: Digest
    size: int
    entries: int
    packages: int
    epoch: int


def stack_digest(definition: Definition, lock: StackLock, architecture: str, sets: Sequence[str] = ()) -> Digest:
    """The identity of a stack: a function of its `box.yml`, the files beside it, its lock, and this recipe."""
    parts = chosen(definition, sets)
    pins = lock.pins([part.name for part in parts], architecture)
    rows = [[pin.name, pin.version, pin.architecture, pin.digest] for pin in pins]
    return sha256(canonical_json([RECIPE, architecture, lock.epoch, definition.facts(parts), rows]))


def chosen(definition: Definition, sets: Sequence[str]) -> tuple[StackPart, ...]:
    """The root and these sets. Raises UsageError for a set or a root that the stack does not define."""
    if not definition.root.packages:
        what = f"stack {definition.name} is not built by stager: its root filesystem is its platform's own"
        raise UsageError(what, "Build a stack whose box.yml has a section root.")
    try:
        return definition.chosen(sets)
    except KeyError as missing:
        known = ", ".join(part.name for part in definition.sets)
        raise UsageError(f"stack {definition.name} has no set {missing}", f"Sets: {known or 'none'}.") from None


def find(definition: Definition, lock: StackLock, architecture: str, store: Store, sets: Sequence[str] = ()) -> Root:
    """The root that was built of these before. Raises NotBuilt when it is not in the store."""
    stack = stack_digest(definition, lock, architecture, sets)
    found = store.recall("stack-root", stack)
    if isinstance(found, dict) and store.has(Digest(found["digest"]).hex):
        names = tuple(part.name for part in chosen(definition, sets)[1:])
        return Root(
            definition.name, architecture, names, stack, Digest(found["digest"]), found["size"], found["entries"],
            found["packages"], lock.epoch,
        )  # fmt: skip
    raise NotBuilt(definition.name, architecture)


def facts(root: Root) -> dict[str, object]:
    """What a store remembers of a root, by the digest of what it was made from; `find` reads it."""
    return {"digest": root.digest, "size": root.size, "entries": root.entries, "packages": root.packages}


def build(
    definition: Definition,
    lock: StackLock,
    architecture: str,
    making: Making,
    sets: Sequence[str] = (),
    *,
    again: bool = False,
) -> Root:
    """The root filesystem of a stack with these sets on top; taken from the store when it is there, unless `again`.

    Raises UsageError, StackFailed, NoSandbox, ProgramMissing, NoRoom, Gone, DigestMismatch and other FetchErrors,
    CannotWrite, Cancelled.
    """
    definition.box.stack(architecture)
    with making.store.lease():
        if not again:
            try:
                return find(definition, lock, architecture, making.store, sets)
            except NotBuilt:
                pass
        parts = chosen(definition, sets)
        pins = lock.pins([part.name for part in parts], architecture)
        root = _made(definition, lock, architecture, parts, pins, making)
        stack = stack_digest(definition, lock, architecture, sets)
        making.store.remember("stack-root", stack, facts(root))
        return replace(root, stack=stack)


def _made(
    definition: Definition,
    lock: StackLock,
    architecture: str,
    parts: tuple[StackPart, ...],
    pins: Sequence[DebPin],
    making: Making,
) -> Root:
    with ExitStack() as opened:
        raw = opened.enter_context(temporary(making.store))
        _install(definition, architecture, pins, lock.epoch, making, raw)
        made = tree.read(raw, f"the root filesystem of {definition.name}")
        normalise.clean(made)
        normalise.apply(made, definition, parts, lock.epoch)
        for step in definition.steps:
            made = scripts.run(
                definition, step, made, lock.epoch, making, opened.enter_context(temporary(making.store))
            )
        guarantees.check(definition, made, architecture)
        with making.store.writer() as writer:
            entries = tree.write(made, lock.epoch, writer.write)
            digest, size = Digest("sha256:" + writer.commit()), writer.size
    making.tell("", len(_STAGES) + 1, len(_STAGES) + 1)
    names = tuple(part.name for part in parts[1:])
    return Root(definition.name, architecture, names, digest, digest, size, entries, len(pins), lock.epoch)


def _install(
    definition: Definition, architecture: str, pins: Sequence[DebPin], epoch: int, making: Making, out: int
) -> None:
    """Have dpkg install exactly these packages, and the tar of the result in `out`."""
    sandbox.program("mmdebstrap", "make a root filesystem")
    files = debs.fetched(definition, pins, making)

    def tell(line: str) -> None:
        stage = next((place for place, word in enumerate(_STAGES, 1) if word in line), 0)
        if line.startswith("I: ") and stage:
            making.tell(line[3:].rstrip("."), stage, len(_STAGES) + 1)

    links = ["bin", "sbin", "lib", *(["lib64"] if architecture == "amd64" else [])] if definition.merged_usr else []
    with debs.repository(definition, files, making.store) as (folder, room):
        sandbox.run(
            definition.name, "installing the packages", _INSTALL,
            [architecture, ",".join(f"{pin.name}={pin.version}" for pin in pins), definition.box.suite, " ".join(links)],
            folder=folder, out=out, room=room, env=[("SOURCE_DATE_EPOCH", str(epoch))], tell=tell, cancel=making.cancel,
        )  # fmt: skip
