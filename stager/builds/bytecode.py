"""Bytecode of a runtime and of packages, made ahead: one archive for the runtime, one for each package, shared by all apps.

A plan says how much of it there is (`planning.bytecode`). It is compiled by the plan's own interpreter in the sandbox and
remembered by what goes in: the interpreter, the root, and the package at its place. What is not remembered is compiled in one
go, twice, as every build is: the build `bytecode-` and the runtime's name, which no plan lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .. import bases, runtimes
from ..digest import Digest, sha256
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
from ..planning import bytecode, lockfile, surroundings
from ..planning.layouts import unpacked
from ..records import BuildNote
from ..sandbox.job import APP, TMP
from ..sandbox.running import PURPOSE
from ..stacks import sandbox as namespaces
from ..store import rules
from ..store.errors import StoreCorrupt
from ..tree.fingerprint import encoded
from . import history, machines, running
from .errors import BuildDiffers, BuildFailed, BuildTooBig
from .outputs import Left
from .recipes import PROVIDED
from .running import NOTHING_ASKED, Asked

if TYPE_CHECKING:
    from ..bases import Ready
    from ..droplet.base import UnpackedArtifact
    from ..droplet.incremental import Folder
    from ..model import LockedPlan, Plan, Stack
    from ..records import Base
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


@dataclass(frozen=True, slots=True)
class Compiling:
    """The build of a plan's bytecode of one kind, all of it together, and how much of it there is to be."""

    kind: RuntimeKind
    made: Bytecode
    amount: str
    build: Build

    def reads(self, plan: Plan) -> dict[str, str]:
        """What goes in beside the interpreter, as `history.reads` has it: each package → its digest."""
        layouts = ecosystem(self.made.ecosystem).layouts if self.amount == OF_ALL else ()
        return {f"the package {one.name}": one.digest for one in plan.artifacts if one.layout in layouts}

    def key(self, plan: Plan, store: Store) -> str:
        """The digest of all that goes in."""
        return rules.key(store, "bytecode-run", surroundings.text(plan, self.build), sorted(self.reads(plan).items()))


def asked(plan: Plan) -> list[Compiling]:
    """The builds of the bytecode that a plan asks for. Raises BadLock."""
    found = []
    for made, amount in bytecode.asked(plan):
        kind = next(one for one in runtimes.kinds() if one.bytecode is made)
        found.append(Compiling(kind, made, amount, _build(plan, kind)))
    return found


def is_remembered(plan: Plan, store: Store) -> bool:
    """Whether all of a plan's bytecode is known to be remembered; nobody knows of a plan that was never staged here."""
    keys = store.recall("bytecode-builds", lockfile.locked(plan).digest)
    return keys is not None and all(_recalled(key, store) for key in keys)


def based(
    locked: LockedPlan, folder: Folder, settings: Settings, ready: Mapping[str, Ready], by_hand: Asked = NOTHING_ASKED
) -> tuple[Base, tuple[BuildNote, ...]]:
    """The base of a plan with its bytecode, and what to say of that. Raises what `bases.make` and `compiled` do."""
    notes: list[BuildNote] = []

    def more(placed: Sequence[UnpackedArtifact]) -> list[UnpackedArtifact]:
        found, said = compiled(locked.plan, placed, folder, settings, ready, by_hand)
        notes.extend(said)
        return found

    return bases.make(locked, folder, settings, ready, more), tuple(notes)


def compiled(
    plan: Plan,
    placed: Sequence[UnpackedArtifact],
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready],
    by_hand: Asked = NOTHING_ASKED,
) -> tuple[list[UnpackedArtifact], tuple[BuildNote, ...]]:
    """The bytecode that a plan asks for, of its placed artifacts, and what to say of it; what is not remembered is made.

    `ready` are the built artifacts.

    Raises NeedsBuild, BuildFailed, BuildTooBig, BuildDiffers, NoSandbox, ProgramMissing, Cancelled, and what making roots
    raises.
    """
    found: list[UnpackedArtifact] = []
    keys: list[str] = []
    notes: list[BuildNote] = []
    store = settings.store
    for one in asked(plan):
        wanted, forced = list(_wanted(plan, one, placed, store)), by_hand.runs(one.build)
        known, note = {} if forced else _known(wanted, store), _note(one, plan, store)
        if len(known) < len(wanted):
            with store.exclusive(NAME, settings.stop):
                known = {} if forced else _known(wanted, store)
                missing = [each for each in wanted if each.key not in known]
                if missing:
                    more, note = _made(plan, one, missing, folder, settings, ready, by_hand)
                    known |= more
        keys += [each.key for each in wanted]
        notes.append(note)
        for each in wanted:
            artifact = _artifact(each, one.made, known[each.key])
            try:
                laid = base.place(artifact, each.path, known[each.key], store, stop=settings.stop)
            except StoreCorrupt:
                raise assembly.Damaged(known[each.key]) from None  # it is made again
            found += [laid] if laid.files else []
    store.remember("bytecode-builds", lockfile.locked(plan).digest, keys)
    return found, tuple(notes)


def keys(plan: Plan, built: Iterable[Artifact], store: Store) -> Iterator[str]:
    """The keys of all bytecode that a plan may have; `built` are artifacts that take the place of those built from them."""
    for every in asked(plan):
        kind, build = every.kind, every.build
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
        name=f"{NAME}-{kind.name}",
        kind=ARTIFACT,
        root=bytecode.ROOT,
        command=RECIPE,
        reason=Reason(""),
        on=NOTHING,
        runtimes=tuple(one for one in plan.runtimes if one.name == kind.name),
        artifacts=tuple(one for one in plan.artifacts if one.layout in kind.layouts),
        links=tuple((path, target) for path, target in plan.links if path.startswith(f"{kind.place}/")),
    )


def _wanted(plan: Plan, compiling: Compiling, placed: Sequence[UnpackedArtifact], store: Store) -> Iterator[Wanted]:
    kind, made, build = compiling.kind, compiling.made, compiling.build

    def wanted(one: UnpackedArtifact, path: str, sources: tuple[UnpackedArtifact, ...]) -> Wanted:
        """The place is a part of the key: the bytecode names it."""
        at = replace(build, of=one.artifact.purl, outputs=(path,))
        return Wanted(one.artifact, path, artifact_key(plan, at, one.artifact, store), sources)

    own = tuple(one for one in placed if one.artifact.layout in kind.layouts)
    itself = next(one for one in own if re.fullmatch(kind.layouts[one.artifact.layout].itself, _plain(one.artifact)))
    yield wanted(itself, kind.place, own)
    layouts = ecosystem(made.ecosystem).layouts if compiling.amount == OF_ALL else ()
    for one in placed:
        if one.artifact.layout in layouts and any(made.is_source(row[0]) for row in one.files):
            yield wanted(one, one.path, (one,))


def _plain(artifact: Artifact) -> str:
    return artifact.purl.partition("?")[0].partition("@")[0]


def _known(wanted: Iterable[Wanted], store: Store) -> dict[str, str]:
    return {one.key: blob for one in wanted if (blob := _recalled(one.key, store))}


def _note(one: Compiling, plan: Plan, store: Store, seconds: float = 0.0, kept: str = "") -> BuildNote:
    key = one.key(plan, store)
    return BuildNote(one.build.name, ARTIFACT, key, bool(seconds), True, seconds, running.log_path(store, key), kept)


def _recalled(key: str, store: Store) -> str:
    """The blob of an archive that was made before; empty when it is not there."""
    blob = store.recall(NAME, key)
    return blob if blob is not None and store.has(blob) else ""


def _artifact(one: Wanted, made: Bytecode, blob: str) -> Artifact:
    return Artifact(one.artifact.purl, one.artifact.filename, Digest(f"sha256:{blob}"), made.layout, (one.path,))


# --- making it -------------------------------------------------------------------------------------------------


def _made(
    plan: Plan,
    one: Compiling,
    missing: Sequence[Wanted],
    folder: Folder,
    settings: Settings,
    ready: Mapping[str, Ready],
    by_hand: Asked,
) -> tuple[dict[str, str], BuildNote]:
    """Compile what is missing, in one run for all of it and another to compare; key → the blob of its archive."""
    build, store, key = one.build, settings.store, one.key(plan, settings.store)
    forced, text = by_hand.runs(build), surroundings.text(plan, build)
    definition = "" if forced else rules.key(store, NAME, text)
    found = {}
    try:
        with (
            history.noted(plan, build, one.reads(plan), key, folder, settings, forced),
            running.place(plan, build, folder, settings, ready, by_hand) as where,
        ):

            @contextmanager
            def attempt(turn: Turn) -> Iterator[Left]:
                with _once(build, one.made, missing, where, turn, settings) as run:
                    place = f"{run.temporary}/{_OUT}"
                    yield Left(place, dict(_files(place)), {})

            settings.tell("build", f"{build.name} of {listing(each.artifact.name for each in missing)}")
            with running.compared(build, key, attempt, settings, definition) as (left, seconds):
                for number, each in enumerate(missing):
                    found[each.key] = _stored(left, f"{number}/", store)
            note = _note(one, plan, store, seconds, where.kept)
    except (NeedsBuild, NoSandbox, ProgramMissing) as error:
        elsewhere = "" if isinstance(error, NeedsBuild) else " What another machine made is used where its store is."
        error.hint = f"{error.hint}{elsewhere} {_LEFT_OUT}".strip()
        raise
    except (BuildFailed, BuildTooBig) as error:
        error.hint = f"'stager log {build.name}' prints all that it said. {_LEFT_OUT}"
        raise
    except BuildDiffers as error:
        error.hint = error.hint.partition("'twice: no'")[0] + _LEFT_OUT
        raise
    for name, blob in found.items():
        store.remember(NAME, name, blob)
    return found, note


def _once(
    build: Build, made: Bytecode, missing: Sequence[Wanted], where: Place, turn: Turn, settings: Settings
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


def _files(folder: str, below: str = "") -> Iterator[tuple[str, tuple[bool, str, int]]]:
    """What was left below a folder, as `Left` has files. Raises BuildFailed for what is none."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = below + os.fsencode(entry.name).decode("utf-8", "surrogateescape")
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, f"{path}/")
            elif entry.is_file(follow_symlinks=False) and not path_fault(path):
                with open(entry.path, "rb") as file:
                    yield path, (False, sha256(data := file.read()), len(data))
            else:
                raise BuildFailed(NAME, f"left {path[:200]!r}, which is no file that a droplet can hold")


def _stored(left: Left, prefix: str, store: Store) -> str:
    """An archive of what was left below a folder, in the store."""
    with store.writer() as writer:
        for path in sorted((path for path in left.files if path.startswith(prefix)), key=str.encode):
            writer.write(tar.file_header(path.removeprefix(prefix), left.files[path][2], False))
            for part in left.chunks(path):
                writer.write(part)
            writer.write(tar.padding(left.files[path][2]))
        writer.write(tar.END)
        return writer.commit()
