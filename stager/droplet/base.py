"""The base of a droplet: every layer below the app's own, a function of the plan and the stored artifacts alone.

Each artifact becomes one piece per place, made once per machine and shared by all apps. The base joins them: who owns
which path, the folders and links, what is generated, and which piece belongs to which layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..digest import canonical_json
from ..ecosystems import by_layout, covered, split
from ..ecosystems.record import Laid
from ..errors import LockStale
from ..formats import codec, tar
from ..formats.errors import UnsafeEntry
from ..model import Artifact, BuildpackPin, LockedPlan, Plan, Process
from ..names import WHITEOUT, path_fault
from ..planning.inputs import grounds
from ..planning.layouts import unpacked
from ..records import Base, LayerRecord, Piece
from ..runtimes import compiled_of, ended, places
from ..store import Store, rules
from ..store.errors import DigestMismatch, StoreCorrupt
from ..text.resources import pinned_digest
from . import assembly, built, launch, linking, pieces, starting, vetting
from .errors import PathConflict
from .incremental import base_key, remember_base
from .launch import LAYERS
from .remarks import collisions, told, whose

BUCKETS = 32
"""Packages are spread over this many layers by a hash of their name, so one changed package disturbs one layer."""
if TYPE_CHECKING:
    from .pieces import Row


@dataclass(frozen=True, slots=True)
class UnpackedArtifact:
    """One artifact unpacked to one place, as a piece."""

    artifact: Artifact
    path: str
    blob: str
    piece: Piece
    files: tuple[Row, ...]
    links: Mapping[str, str]
    """Droplet path → relative target."""
    meta: Mapping[str, object]
    """What the artifact's ecosystem or runtime keeps of it, as JSON that only that one reads."""
    size: int
    """Bytes of the artifact itself."""

    def to_json(self) -> dict[str, Any]:
        """What a store keeps of it; the rest is in the memo's key, or is told anew."""
        made = {"piece": self.piece.to_json(), "files": self.files, "links": self.links, "meta": self.meta}
        return {**made, "bytes": self.size}

    @classmethod
    def from_json(cls, artifact: Artifact, path: str, blob: str, record: Any) -> UnpackedArtifact:
        """What `to_json` gave of the artifact at this place."""
        rows = tuple((row[0], row[1], row[2], row[3]) for row in record["files"])
        piece = Piece.from_json(record["piece"])
        return cls(artifact, path, blob, piece, rows, record["links"], record["meta"], record["bytes"])


class DamagedArtifacts(assembly.Damaged):
    """Artifacts whose stored bytes are not those that they are pinned by; `errors` tells of each, digest → error."""

    def __init__(self, errors: Mapping[str, StoreCorrupt]) -> None:
        super().__init__(*sorted({error.digest.partition(":")[2] for error in errors.values()}))
        self.errors = errors


# --- pieces of artifacts ---------------------------------------------------------------------------------------


class Workshop:
    """Builds pieces in worker threads, as artifacts arrive; use as a context manager.

    `jobs` threads (deflate and hashing release the interpreter's lock); `stop()` is asked between chunks.
    """

    def __init__(self, store: Store, jobs: int, stop: Callable[[], bool] = lambda: False) -> None:
        self._store = store
        self._leaving = False
        self._stop = lambda: self._leaving or stop()
        self._pool = ThreadPoolExecutor(jobs, "piece")
        self._made: dict[tuple[str, str], Future[UnpackedArtifact]] = {}

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._leaving = kind is not None
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)

    def add(self, artifact: Artifact, blob: str) -> None:
        """Start building the pieces of an artifact whose bytes are in the store."""
        for path in artifact.paths:
            self._made[artifact.purl + artifact.digest, path] = self._pool.submit(self._place, artifact, path, blob)

    def _place(self, artifact: Artifact, path: str, blob: str) -> UnpackedArtifact:
        return place(artifact, path, blob, self._store, stop=self._stop)

    def placed(self, artifacts: Iterable[Artifact]) -> Iterator[UnpackedArtifact]:
        """Everything that was added, in the order of `artifacts` and their paths; waits for each.

        Raises DamagedArtifacts, in the end, so that all of them are fetched again at once.
        """
        damaged: dict[str, StoreCorrupt] = {}
        for artifact in artifacts:
            for path in artifact.paths:
                try:
                    yield self._made[artifact.purl + artifact.digest, path].result()
                except StoreCorrupt as error:
                    damaged[artifact.digest] = error
        if damaged:
            raise DamagedArtifacts(damaged)


def place(
    artifact: Artifact,
    path: str,
    blob: str,
    store: Store,
    without: tuple[str, ...] = (),
    stop: Callable[[], bool] = lambda: False,
) -> UnpackedArtifact:
    """The piece of one artifact at one place, from the store or built now; `without` the named droplet paths.

    A remembered piece is that of the artifact's pinned digest, whatever blob is said to hold it.

    Raises StoreCorrupt when the blob has other bytes than the artifact is pinned by, DigestMismatch when they have
    another size than the plan states, BadArchive or UnsafeEntry when they cannot be unpacked, Mislabelled when they are
    another package.
    """
    key = rules.key(store, "piece", artifact.digest, artifact.layout, path, _identity(artifact), without)
    memo = store.recall("piece", key)
    found = None if memo is None else UnpackedArtifact.from_json(artifact, path, blob, memo)
    if found is None or not store.has(found.piece.blob):
        found = _build(artifact, path, blob, store, without, stop)
        store.remember("piece", key, found.to_json())
    if artifact.size not in (None, found.size):
        pinned = f"{artifact.digest} ({artifact.size} bytes)"
        raise DigestMismatch(artifact.name, pinned, f"{found.size} bytes")
    return found


def _identity(artifact: Artifact) -> list[str]:
    """What an unpack recipe may look at beside the bytes."""
    return [artifact.purl, artifact.filename]


def _build(
    artifact: Artifact, path: str, blob: str, store: Store, without: tuple[str, ...], stop: Callable[[], bool]
) -> UnpackedArtifact:
    with unpacked(artifact, path, blob, store) as found:
        gone = set(without)
        entries = sorted((e for e in found.files if e.path not in gone), key=lambda entry: entry.path.encode())
        piece, listing = pieces.build(entries, store, artifact.filename, stop=stop)
        links = {name: target for name, target in sorted(found.links.items()) if name not in gone}
        return UnpackedArtifact(artifact, path, blob, piece, tuple(listing), links, found.meta, found.size)


# --- the base --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decided:
    """Who has which path of a droplet below the app's own. `links` and `files` are path → target and path → text."""

    placed: list[UnpackedArtifact]
    """The artifacts, each without the paths that are another's; then the bytecode of what is left of them."""
    links: Mapping[str, str]
    files: dict[str, str]
    owners: Mapping[str, str]
    """Path → the artifact's name, `a generated file`, `a link of the plan` or `the command of a package`."""
    notes: list[str]


def decide(
    locked: LockedPlan,
    placed: list[UnpackedArtifact],
    store: Store,
    root: str = "",
    stop: Callable[[], bool] = lambda: False,
    compiled: Sequence[UnpackedArtifact] = (),
) -> Decided:
    """Give each path one owner, as `build_base` wants it; `ownership` reads it back. Raises what `build_base` does."""
    settled, notes = _settle(placed, store, stop)
    links, whose = _links(locked.plan, settled)
    files = generated_files(locked, root, store) | {LAYERS: ""}
    compiled = _of_settled(compiled, placed, settled, store, stop)
    made = {row[0]: f"bytecode of {one.artifact.name}" for one in compiled for row in one.files}
    owners = _owners(settled, whose | made, files)
    return Decided([*settled, *compiled], links, files, owners, notes)


def build_base(
    locked: LockedPlan,
    placed: list[UnpackedArtifact],
    store: Store,
    root: str = "",
    stop: Callable[[], bool] = lambda: False,
    scripts: Iterable[Process] = (),
    compiled: Sequence[UnpackedArtifact] = (),
) -> Base:
    """Make the base of a plan from its placed artifacts, and the bytecode of some, and remember it.

    `root` is the app's folder, to which a user's own buildpacks are relative; `scripts` are the lines of package.json, an
    input of the plan, that its processes come to.

    Raises what `vetting.check` raises, PathConflict, and what building a piece raises.
    """
    plan, packages = locked.plan, _laid(placed)
    vetting.check(plan, packages)
    made = decide(locked, placed, store, root, stop, compiled)
    links, files, owners = made.links, made.files, made.owners
    folders = _folders(owners)
    groups, envelope, end = _grouped(made.placed), _envelope(plan, store), b"".join(codec.compress(tar.END))
    files[LAYERS] = _described(groups, envelope, len(end), entries=len(folders) + len(links) + len(files))
    layers = (_skeleton(folders, links, files, store, stop), *groups)
    crc, length = _combined(layers)
    base = Base(
        plan=locked.digest,
        stack=plan.stack,
        architecture=plan.architecture,
        buildpacks=tuple(pin.name for pin in plan.buildpacks),
        processes={process.type: process.command for process in plan.processes},
        env={variable.name: variable.value for variable in plan.env},
        runtimes={runtime.name: runtime.version for runtime in plan.runtimes},
        inputs=dict(plan.inputs),
        grounds=tuple(grounds(plan)),
        files={path: owner for path, owner in sorted(owners.items()) if not _inside(path)},
        folders=tuple(path for path in folders if path and not _inside(path)),
        roots=tuple(p for p in folders if p.endswith("node_modules") and not _inside(p.rpartition("/")[0])),
        layers=layers,
        crc=crc,
        length=length,
        envelope=envelope,
        end=end.hex(),
        linked=base_key(locked.digest, store),
        notes=(
            *ended.remarks(plan.runtimes),
            *made.notes,
            *vetting.notes(plan, packages, owners),
            *told(collisions(owners), partial(whose, owners)),
        ),
        builds=built.app_builds(plan, store),
        starts=starting.unmet(starting.needs((*plan.processes, *scripts)), owners.keys(), plan.stack),
    )
    store.remember("linked", base.linked, linking.record(links, owners, owners.keys() - links.keys(), folders))
    store.remember("plan", locked.digest, locked.text)
    remember_base(base, store)
    return base


def _inside(path: str) -> bool:
    """Whether a path is below a place that a source tree never has; the place itself is not: an app may have such a file."""
    return path.startswith(".stager/") or "node_modules" in path.split("/")[:-1]


def _settle(
    placed: list[UnpackedArtifact], store: Store, stop: Callable[[], bool]
) -> tuple[list[UnpackedArtifact], list[str]]:
    """Let each path have one owner: the first in the plan's order; equal contents need no remark."""
    owner: dict[str, tuple[int, Row]] = {}
    losers = _bundled(placed)
    notes = []
    for index, one in enumerate(placed):
        gone = set(losers.get(index, ()))
        for row in one.files:
            if row[0] in gone:
                continue
            first = owner.setdefault(row[0], (index, row))
            if first[0] != index:
                losers.setdefault(index, []).append(row[0])
                if first[1][1:3] != row[1:3]:
                    winner = placed[first[0]].artifact.name
                    notes.append(f"{row[0]}: both {winner} and {one.artifact.name} have it; {winner}'s is kept")
    settled = list(placed)
    for index, paths in losers.items():
        one = placed[index]
        settled[index] = place(one.artifact, one.path, one.blob, store, tuple(sorted(paths)), stop)
    return settled, sorted(notes)


def _of_settled(
    compiled: Sequence[UnpackedArtifact],
    placed: list[UnpackedArtifact],
    settled: list[UnpackedArtifact],
    store: Store,
    stop: Callable[[], bool],
) -> list[UnpackedArtifact]:
    """The bytecode without that of files which are another artifact's: nobody checks it against the file beside it."""
    if not compiled:
        return []
    lost: dict[str, set[str]] = {}
    for before, after in zip(placed, settled, strict=True):
        if before is not after:
            gone = {row[0] for row in before.files} - {row[0] for row in after.files}
            lost.setdefault(f"{before.artifact.purl} {before.path}", set()).update(gone)
    found = []
    for one in compiled:
        gone = lost.get(f"{one.artifact.purl} {one.path}", set())
        without = tuple(row[0] for row in one.files if gone and compiled_of(row[0]) in gone)
        found.append(place(one.artifact, one.path, one.blob, store, without, stop) if without else one)
    return found


def _bundled(placed: list[UnpackedArtifact]) -> dict[int, list[str]]:
    """Files that a package bundles where the lock places another package: they give way to it."""
    alone = {layout for layout, one in by_layout().items() if one.listing is None}
    packages = [(index, one) for index, one in enumerate(placed) if one.artifact.layout in alone]
    inner = split(one.path for _, one in packages)
    found = {}
    for index, one in packages:
        if one.path in inner and (rows := covered(one.path, [row[0] for row in one.files], inner[one.path])):
            found[index] = rows
    return found


def _laid(placed: Iterable[UnpackedArtifact]) -> list[Laid]:
    return [Laid(one.artifact, one.path, one.meta) for one in placed]


def _links(plan: Plan, placed: list[UnpackedArtifact]) -> tuple[dict[str, str], dict[str, str]]:
    """Every link below the app's own: path → target, and path → who puts it there. The first to claim a path has it."""
    links, whose = dict(plan.links), dict.fromkeys(dict(plan.links), "a link of the plan")
    given = [(one.links, one.artifact.name) for one in placed]
    own = [
        (one.links(laid, plan.links), "the command of a package") for one, laid in vetting.by_ecosystem(_laid(placed))
    ]
    for found, owner in (*given, *own):
        for path, target in found.items():
            if path not in links:
                links[path], whose[path] = target, owner
    return links, whose


def generated_files(locked: LockedPlan, root: str, store: Store) -> dict[str, str]:
    """The files that stager, the plan and its buildpacks add to a droplet: path → text.

    Raises LockStale when a buildpack of the app's folder `root` is not the one that the plan pins.
    """
    plan, files = locked.plan, launch.launch_files(locked)
    _join(files, "stager", dict(plan.files), "the plan")
    values = {
        "stack": plan.stack,
        "architecture": plan.architecture,
        "runtimes": {runtime.name: runtime.version for runtime in plan.runtimes},
        "facts": dict(plan.facts),
    }
    for pin in plan.buildpacks:
        if pinned_digest(pin.name, pin.folder, root) != pin.digest:
            raise LockStale("stager.lock", [f"the buildpack {pin.name}"])
        _join(files, "stager or the plan", _of_buildpack(pin, root, values, store), f"the buildpack {pin.name}")
    return files


def _join(files: dict[str, str], owner: str, more: Mapping[str, str], other: str) -> None:
    """Add `more` generated files, none of which may stand in another's place."""
    for path in sorted(files.keys() & more.keys()):
        raise PathConflict(
            path, (owner, other), f"Take it out of {other}; where that is stager.lock, run 'stager lock'."
        )
    files |= more


def _of_buildpack(pin: BuildpackPin, root: str, values: Mapping[str, Any], store: Store) -> dict[str, str]:
    """What a buildpack generates, remembered by its digest and all its templates see."""
    key = rules.key(store, "generated", pin.digest, values)
    files: dict[str, str] | None = store.recall("generated", key)
    if files is None:
        from ..planning.buildpacks import generated, load_pinned  # here, since YAML and Jinja2 come with it
        from ..planning.detection import options

        pack = load_pinned(pin, root)
        options.check(pack, values["facts"])
        files = generated(pack, values)
        store.remember("generated", key, files)
    return files


def _owners(placed: list[UnpackedArtifact], links: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    """Droplet path → who puts it there, links by their owners. One with two owners, or below what is no folder, is refused."""
    owners = {row[0]: one.artifact.name for one in placed for row in one.files}
    for path, owner in (*links.items(), *((path, "a generated file") for path in files)):
        if path in owners:
            raise PathConflict(path, (owners[path], owner), "Pin another version of the package.")
        owners[path] = owner
    for path, owner in owners.items():
        if WHITEOUT in path and (wrong := path_fault(path)):  # also of a plan's links and files, and of npm's commands
            raise UnsafeEntry(owner, path, wrong)
    for above in sorted(owners.keys() & set(_folders(owners))):
        below = next(path for path in sorted(owners) if path.startswith(f"{above}/"))
        raise PathConflict(above, (owners[above], owners[below]), "Pin another version of the package.")
    return owners


def _folders(owners: Iterable[str]) -> list[str]:
    folders = {""}
    for path in owners:
        above = path.rpartition("/")[0]
        while above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    return sorted(folders, key=str.encode)


def _skeleton(
    folders: list[str], links: Mapping[str, str], files: Mapping[str, str], store: Store, stop: Callable[[], bool]
) -> LayerRecord:
    entries = [
        tar.PieceFile(path, files[path].encode(), files[path].startswith("#!"))
        for path in sorted(files, key=str.encode)
    ]
    piece, _ = pieces.build(entries, store, "the skeleton", assembly.skeleton(folders, links), stop)
    return LayerRecord("skeleton", (piece,))


def _grouped(placed: list[UnpackedArtifact]) -> list[LayerRecord]:
    layers: dict[str, list[tuple[str, UnpackedArtifact]]] = {}
    for one in placed:
        name = one.artifact.purl.partition("?")[0].rpartition("@")[0]
        layers.setdefault(layer_of(one.artifact, one.path), []).append((name, one))
    runtimes = [one.name for one in places().values()]
    order = sorted(layers, key=lambda name: (runtimes.index(name) if name in runtimes else len(runtimes), name))
    return [LayerRecord(name, tuple(one.piece for one in _in_order(layers[name]))) for name in order]


def _in_order(members: list[tuple[str, UnpackedArtifact]]) -> list[UnpackedArtifact]:
    return [one for _, one in sorted(members, key=lambda item: (item[0], item[1].path, item[1].artifact.digest))]


def layer_of(artifact: Artifact, path: str) -> str:
    """The layer that an artifact placed at `path` is in (docs/droplet-format.md §4)."""
    own = places().get("/".join(path.split("/")[:2]))
    if own is not None:
        return own.name
    name = artifact.purl.partition("?")[0].rpartition("@")[0]
    bucket = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % BUCKETS
    return f"{name.removeprefix('pkg:').partition('/')[0]}-{bucket:02}"


def _combined(layers: Iterable[LayerRecord]) -> tuple[int, int]:
    crc = length = 0
    for layer in layers:
        for piece in layer.pieces:
            crc, length = codec.crc32_combine(crc, piece.crc, piece.length), length + piece.length
    return crc, length


def _described(groups: list[LayerRecord], envelope: Piece, end: int, entries: int) -> str:
    """The droplet's `layers.json`: what a reader needs to cut the file into its layers (docs/droplet-format.md §4)."""
    record = {
        "end": end,
        "entries": entries,
        "envelope": {"crc": envelope.crc, "length": envelope.length, "size": envelope.size},
        "layers": [{"name": layer.name, **_extent(layer)} for layer in groups],
    }
    return canonical_json(record).decode()


def _extent(layer: LayerRecord) -> dict[str, int]:
    crc, length = _combined([layer])
    return {"crc": crc, "length": length, "size": sum(piece.size for piece in layer.pieces)}


def _envelope(plan: Plan, store: Store) -> Piece:
    """What Cloud Foundry's droplet has beside `app/`."""
    info = launch.staging_info(plan).encode()
    extra = b"".join(tar.outside_folder_header(name) for name in ("deps", "logs", "profile.d"))
    extra += tar.outside_file_header("staging_info.yml", len(info)) + info + tar.padding(len(info))
    extra += tar.outside_folder_header("tmp")
    piece, _ = pieces.build((), store, "the envelope", extra)
    return piece
