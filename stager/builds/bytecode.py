"""Bytecode of a runtime and of packages, made ahead: one archive for the runtime, one for each package, shared by all apps.

A plan says how much of it there is (`planning.bytecode`). It is compiled by the plan's own interpreter in the sandbox and
remembered by what goes in: the interpreter, the root, and the package at its place. What is not remembered is compiled in one
go, twice, as every build is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from .. import runtimes
from ..digest import Digest
from ..droplet import assembly, base
from ..droplet.built import artifact_key
from ..ecosystems import ecosystem
from ..ecosystems.record import AMOUNTS, NO_BYTECODE, OF_ALL, OF_RUNTIME
from ..errors import BadLock, CannotWrite, NeedsBuild, UsageError, listing
from ..files.errors import NoSandbox, ProgramMissing
from ..formats import tar
from ..formats.archive import content_chunks
from ..model import ARTIFACT, NOTHING, Artifact, Build, Reason
from ..names import path_fault
from ..planning import bytecode, lockfile
from ..planning.layouts import unpacked
from ..sandbox.job import APP, TMP
from ..sandbox.running import PURPOSE
from ..stacks import sandbox as namespaces
from ..store.errors import StoreCorrupt
from ..tree.fingerprint import encoded
from . import machines, running
from .compare import FIRST, SECOND
from .errors import BuildDiffers, BuildFailed, BuildTooBig
from .recipes import PROVIDED

if TYPE_CHECKING:
    from ..bases import Ready
    from ..droplet.base import UnpackedArtifact
    from ..droplet.incremental import Folder
    from ..model import Plan, Stack
    from ..runtimes.record import Bytecode, RuntimeKind
    from ..settings import Settings
    from ..store import Store
    from .running import Place, Run, Turn

VARIABLE = "STAGER_BYTECODE"
RECIPE = "stager:bytecode/1"
NAME = "bytecode"
_SOURCES, _OUT, _PROGRAM = "sources", "out", "compile"
"""What is compiled, below `/app`; what it comes to, below `/tmp`; the program, below `PROVIDED`."""
_LEFT_OUT = (
    "Without bytecode ('bytecode: none' in the language's section of stager.yml, then 'stager lock') none is needed."
)
_STACK = 8192
"""KiB of stack, by which some interpreters decide how deep a source may be nested."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The bytecode of one artifact at one place, or of all of a runtime: the artifact it goes with, and what is compiled."""

    artifact: Artifact
    path: str
    key: str
    sources: tuple[UnpackedArtifact, ...]


def compiled(
    plan: Plan,
    placed: Sequence[UnpackedArtifact],
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready] = MappingProxyType({}),
) -> list[UnpackedArtifact]:
    """The bytecode that a plan asks for, of its placed artifacts; what is not remembered is made. `ready` are built ones.

    Raises NeedsBuild, BuildFailed, BuildTooBig, BuildDiffers, NoSandbox, ProgramMissing, Cancelled, and what making roots
    raises.
    """
    found: list[UnpackedArtifact] = []
    keys: list[str] = []
    for made, amount in bytecode.asked(plan):
        kind = next(one for one in runtimes.kinds() if one.bytecode is made)
        build = _build(plan, kind)
        wanted = list(_wanted(plan, kind, made, amount, build, placed, settings.store))
        known = {one.key: blob for one in wanted if (blob := _recalled(one.key, settings.store))}
        if len(known) < len(wanted):
            with settings.store.exclusive(NAME, settings.stop):
                known = {one.key: blob for one in wanted if (blob := _recalled(one.key, settings.store))}
                missing = [one for one in wanted if one.key not in known]
                known |= _made(plan, build, made, missing, folder, settings, ready) if missing else {}
        keys += [one.key for one in wanted]
        for one in wanted:
            artifact = _artifact(one, made, known[one.key])
            try:
                laid = base.place(artifact, one.path, known[one.key], settings.store, stop=settings.stop)
            except StoreCorrupt:
                raise assembly.Damaged(known[one.key]) from None  # it is made again
            found += [laid] if laid.files else []
    settings.store.remember("bytecode-builds", lockfile.locked(plan).digest, keys)
    return found


def keys(plan: Plan, built: Iterable[Artifact], store: Store) -> Iterator[str]:
    """The keys of all bytecode that a plan may have; `built` are artifacts that take the place of those built from them."""
    for made, _ in bytecode.asked(plan):
        kind = next(one for one in runtimes.kinds() if one.bytecode is made)
        build = _build(plan, kind)
        for one in (*plan.artifacts, *built):
            for path in (kind.place,) if one.layout in kind.layouts else one.paths:
                yield artifact_key(plan, replace(build, of=one.purl, outputs=(path,)), one, store)


def usual(stack: Stack, environ: Mapping[str, str]) -> tuple[str, str]:
    """How much a new plan has where neither the app nor its lock says, and what there is to say of it (`planning.bytecode`).

    What the machine's variable says; else the runtime's own where this machine can make it. Raises UsageError.
    """
    said = environ.get(VARIABLE, "")
    if said and said not in AMOUNTS:
        raise UsageError(f"{VARIABLE} is {said[:80]!r}", f"Set it to {', '.join(AMOUNTS[:-1])} or {AMOUNTS[-1]}.")
    if said:
        return said, ""
    try:
        machines.check(NAME, stack.architecture)
        for name in ("bwrap", "mmdebstrap"):
            namespaces.program(name, PURPOSE)
        namespaces.spaces(PURPOSE)
    except (NeedsBuild, NoSandbox, ProgramMissing) as error:
        return NO_BYTECODE, f"the droplet has no bytecode, so it starts more slowly: {error.message}"
    return OF_RUNTIME, ""


# --- what is wanted --------------------------------------------------------------------------------------------


def _build(plan: Plan, kind: RuntimeKind) -> Build:
    """The build, around which there is the runtime alone: so that its key is the same for all apps."""
    if all(root.name != bytecode.ROOT for root in plan.roots):
        raise BadLock(
            "stager.lock", f"there is no root {bytecode.ROOT!r}, in which bytecode is made", "Run 'stager lock'."
        )
    return Build(
        name=NAME,
        kind=ARTIFACT,
        root=bytecode.ROOT,
        command=RECIPE,
        reason=Reason(""),
        on=NOTHING,
        runtimes=tuple(one for one in plan.runtimes if one.name == kind.name),
        artifacts=tuple(one for one in plan.artifacts if one.layout in kind.layouts),
        links=tuple((path, target) for path, target in plan.links if path.startswith(f"{kind.place}/")),
    )


def _wanted(
    plan: Plan,
    kind: RuntimeKind,
    made: Bytecode,
    amount: str,
    build: Build,
    placed: Sequence[UnpackedArtifact],
    store: Store,
) -> Iterator[Wanted]:
    def wanted(one: UnpackedArtifact, path: str, sources: tuple[UnpackedArtifact, ...]) -> Wanted:
        """The place is a part of the key: the bytecode names it."""
        at = replace(build, of=one.artifact.purl, outputs=(path,))
        return Wanted(one.artifact, path, artifact_key(plan, at, one.artifact, store), sources)

    own = tuple(one for one in placed if one.artifact.layout in kind.layouts)
    itself = next(one for one in own if re.fullmatch(kind.layouts[one.artifact.layout].itself, _plain(one.artifact)))
    yield wanted(itself, kind.place, own)
    layouts = ecosystem(made.ecosystem).layouts if amount == OF_ALL else ()
    for one in placed:
        if one.artifact.layout in layouts and any(made.is_source(row[0]) for row in one.files):
            yield wanted(one, one.path, (one,))


def _plain(artifact: Artifact) -> str:
    return artifact.purl.partition("?")[0].partition("@")[0]


def _recalled(key: str, store: Store) -> str:
    """The blob of an archive that was made before; empty when it is not there."""
    blob = store.recall(NAME, key)
    return blob if blob is not None and store.has(blob) else ""


def _artifact(one: Wanted, made: Bytecode, blob: str) -> Artifact:
    return Artifact(one.artifact.purl, one.artifact.filename, Digest(f"sha256:{blob}"), made.layout, (one.path,))


# --- making it -------------------------------------------------------------------------------------------------


def _made(
    plan: Plan,
    build: Build,
    made: Bytecode,
    missing: Sequence[Wanted],
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready],
) -> dict[str, str]:
    """Compile what is missing, in one run for all of it and another to compare; key → the blob of its archive."""
    store, log = settings.store, running.log_path(settings.store, missing[0].key)
    what = f"bytecode of {listing(one.artifact.name for one in missing)}"
    found = {}
    try:
        with running.place(plan, build, folder, settings, ready) as where:
            settings.tell("build", what)
            with _once(build, made, missing, where, running.Turn(FIRST, log, settings.stop), settings) as first:
                settings.tell("build", f"{what}, again in other surroundings")
                with _once(
                    build, made, missing, where, running.Turn(SECOND, f"{log}.2", settings.stop), settings
                ) as second:
                    for number, one in enumerate(missing):
                        _compare(one, *(_files(f"{run.temporary}/{_OUT}/{number}") for run in (first, second)))
                for number, one in enumerate(missing):
                    found[one.key] = _stored(_files(f"{first.temporary}/{_OUT}/{number}"), store)
    except (NeedsBuild, NoSandbox, ProgramMissing) as error:
        elsewhere = "" if isinstance(error, NeedsBuild) else " What another machine made is used where its store is."
        error.hint = f"{error.hint}{elsewhere} {_LEFT_OUT}".strip()
        raise
    except (BuildFailed, BuildTooBig) as error:
        error.hint = f"{log} has all that it said. {_LEFT_OUT}"
        raise
    for key, blob in found.items():
        store.remember(NAME, key, blob)
    return found


def _once(
    build: Build,
    made: Bytecode,
    missing: Sequence[Wanted],
    where: Place,
    turn: Turn,
    settings: Settings,
) -> AbstractContextManager[Run]:
    def fill(app: str, reverse: bool) -> None:
        for number, one in enumerate(missing):
            for placed in one.sources:
                _lay(placed, f"{app}/{_SOURCES}/{number}", made.is_source, settings.store, reverse)

    program, *options = made.command
    words = (f"{APP}/{program}", *options, f"{PROVIDED}/{_PROGRAM}", f"{APP}/{_SOURCES}", f"{TMP}/{_OUT}")
    return running.once(
        build, where, f"ulimit -s {_STACK} && exec {' '.join(words)}", turn, settings, fill=fill, env={},
        provided={_PROGRAM: made.program.encode()},
    )  # fmt: skip


def _lay(one: UnpackedArtifact, into: str, wanted: Callable[[str], bool], store: Store, reverse: bool) -> None:
    """Write an artifact's sources below a folder, by their path in the app. Of two of the same path the first one counts."""
    with unpacked(one.artifact, one.path, one.blob, store) as found:
        files = sorted((file for file in found.files if wanted(file.path)), key=lambda file: file.path, reverse=reverse)
        try:
            os.makedirs(into, exist_ok=True)
            for file in files:
                place = os.path.join(os.fsencode(into), encoded(file.path))
                os.makedirs(os.path.dirname(place), exist_ok=True)
                with suppress(FileExistsError), open(place, "xb") as writer:
                    writer.writelines(
                        [file.content] if isinstance(file.content, bytes) else content_chunks(file.content)
                    )
        except OSError as error:
            raise CannotWrite(into, error.strerror or str(error)) from None


def _files(folder: str, below: str = "") -> dict[str, bytes]:
    """What was left below a folder: path → content, in the order of their bytes. Raises BuildFailed for what is no file."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            path = below + os.fsencode(entry.name).decode("utf-8", "surrogateescape")
            if entry.is_dir(follow_symlinks=False):
                found.update(_files(entry.path, f"{path}/"))
            elif entry.is_file(follow_symlinks=False) and not path_fault(path):
                with open(entry.path, "rb") as file:
                    found[path] = file.read()
            else:
                raise BuildFailed(NAME, f"left {path[:200]!r}, which is no file that a droplet can hold")
    return {path: found[path] for path in sorted(found, key=str.encode)}


def _compare(one: Wanted, first: Mapping[str, bytes], second: Mapping[str, bytes]) -> None:
    differing = sorted(path for path in {*first, *second} if first.get(path) != second.get(path))
    if differing:
        raise BuildDiffers(
            f"bytecode of {one.artifact.name}", differing[0], "content", "Its content differs.", differing[1:]
        )


def _stored(files: Mapping[str, bytes], store: Store) -> str:
    """An archive of these in the store."""
    with store.writer() as writer:
        for path, data in files.items():
            writer.write(tar.file_header(path, len(data), False) + data + tar.padding(len(data)))
        writer.write(tar.END)
        return writer.commit()
