"""The nouns of a staging, frozen: pieces and layers, what a plan comes to, what was staged, what is remembered of a folder.

They are what `model` has for the rest, as `Value`s because a warm restage handles them. `to_json` gives what a store keeps of
one, `from_json` reads it; a memo's key says which stager wrote it, so one that another wrote is never read.
"""

from __future__ import annotations

from .digest import Digest
from .frozen import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

_NOTHING: Mapping[str, Any] = {}


# --- pieces and layers -----------------------------------------------------------------------------------------


class Piece(Value):
    """A stored piece: its blob's hex SHA-256, compressed `size`, and `crc` and `length` of the tar bytes it inflates to."""

    blob: str
    size: int
    crc: int
    length: int


class LayerRecord(Value):
    """A layer of a base: its name, and its pieces in their order."""

    name: str
    pieces: tuple[Piece, ...]

    def to_json(self) -> list[Any]:
        return [self.name, [piece.to_json() for piece in self.pieces]]

    @classmethod
    def from_json(cls, record: Any) -> LayerRecord:
        return cls(record[0], tuple(map(Piece.from_json, record[1])))


class Layer(Value):
    """An ordered run of pieces. As an OCI blob it is `digest` and `size`; its uncompressed tar is `diff_id`."""

    name: str
    digest: Digest
    diff_id: Digest
    size: int


# --- what a plan comes to --------------------------------------------------------------------------------------


class Unmet(Value):
    """What a plan's commands start and the plan does not bring, so that the app must (see `droplet.starting`)."""

    needs: tuple[list[str], ...] = ()
    """Rows of `droplet.starting.Need`."""
    programs: tuple[str, ...] = ()
    """Names of the programs that the plan brings."""
    stack: str = ""


class AppBuild(Value):
    """A build whose outputs are the app's, as far as finding what it left before needs it (see `droplet.built`)."""

    name: str
    prefix: str
    """The hex digest of all that goes in but the app's files."""
    inputs: tuple[str, ...]
    """Patterns of the app's files that go in."""
    outputs: tuple[str, ...]
    """Files and folders of the app that it leaves."""

    @classmethod
    def from_json(cls, record: Any) -> AppBuild:
        return cls(*map(_fixed, record))


class Built(Value):
    """What a build of an app left: the blob that holds its files one after the other, and which they are."""

    name: str
    key: str
    """The digest of all that went in."""
    blob: str
    files: tuple[list[Any], ...]
    """Rows of [path, whether it is executable, digest, offset in the blob, size]."""
    links: Mapping[str, str]
    checked: bool
    """Whether it was built twice and was the same."""
    digest: str
    """Of the list of its files and links."""
    seconds: float = 0.0
    """How long its first run took."""

    @classmethod
    def from_json(cls, record: Any) -> Built:
        return cls(*map(_fixed, record))


class BuildNote(Value):
    """What there is to say of a build of a plan when the plan is staged."""

    name: str
    kind: str
    """`app` or `artifact`."""
    key: str
    ran: bool
    """Whether it ran this time; else what it left before was taken."""
    checked: bool
    """Whether it was built twice and was the same."""
    seconds: float
    """How long its run took, whenever that was."""
    log: str
    """Where its log is, or was."""
    kept: str = ""
    """The folder that its run has left, when that was wished."""

    def as_json(self) -> dict[str, Any]:
        """As documents have it."""
        return {name: value for name, value in self.__dict__.items() if name != "kept" or value}


class Base(Value):
    """The part of a droplet that its plan determines: every layer below the app's own. Made by `droplet.base`."""

    plan: str
    """The plan's digest."""
    stack: str
    architecture: str
    buildpacks: tuple[str, ...]
    processes: Mapping[str, str]
    env: Mapping[str, str]
    runtimes: Mapping[str, str]
    """Name → version."""
    inputs: Mapping[str, str]
    """The app's files that the plan was made from → their digests."""
    grounds: tuple[str, ...]
    """The app's files that the plan rests on by being there."""
    files: Mapping[str, str]
    """Path → owner, of what is outside the places that no app's file can be in; `folders` likewise."""
    folders: tuple[str, ...]
    roots: tuple[str, ...]
    """The `node_modules` folders."""
    layers: tuple[LayerRecord, ...]
    crc: int
    """CRC-32 and length of the layers' tars together."""
    length: int
    envelope: Piece
    """What Cloud Foundry's droplet has beside `app/`; it comes after the app's own layer."""
    end: str
    """The end of the archive, compressed, as hex digits."""
    linked: str
    """The memo of its links (see `droplet.linking`)."""
    notes: tuple[str, ...]
    starts: Unmet
    builds: tuple[AppBuild, ...] = ()
    prefix: str = ""
    """The hex SHA-256 of a droplet file up to the end of the base's layers; empty until one was written."""

    def pieces(self) -> list[Piece]:
        """Every piece of it, the envelope last."""
        return [*(piece for layer in self.layers for piece in layer.pieces), self.envelope]

    def to_json(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "layers": [layer.to_json() for layer in self.layers],
            "envelope": self.envelope.to_json(),
            "starts": self.starts.to_json(),
            "builds": [build.to_json() for build in self.builds],
        }

    @classmethod
    def from_json(cls, record: Any) -> Base:
        read: dict[str, Any] = {
            "layers": tuple(map(LayerRecord.from_json, record["layers"])),
            "envelope": Piece.from_json(record["envelope"]),
            "starts": Unmet(*map(_fixed, record["starts"])),
            "builds": tuple(map(AppBuild.from_json, record["builds"])),
        }
        return cls(**{name: read[name] if name in read else _fixed(value) for name, value in record.items()})


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# --- what was staged -------------------------------------------------------------------------------------------


class Droplet(Value):
    """The app plus everything it needs. `digest` is the SHA-256 of `droplet.tgz`, `size` its bytes."""

    digest: Digest
    size: int
    path: str
    """Where the droplet file was written."""
    plan: Digest
    stack: str
    architecture: str
    buildpacks: tuple[str, ...]
    runtimes: Mapping[str, str]
    """Name → version."""
    processes: Mapping[str, str]
    env: Mapping[str, str]
    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    """(path, reason) of the app's files that are not in it and that people should know of."""
    written: bool = True
    """False when the file was there already, with these bytes."""
    builds: tuple[BuildNote, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The document of `stager stage --json`."""
        return {
            **{name: getattr(self, name) for name in self._fields},
            "layers": [layer.__dict__ for layer in self.layers],
            "left_out": [{"path": path, "reason": why} for path, why in self.left_out],
            "builds": [build.as_json() for build in self.builds],
        }


class Staged(Value):
    """What a staging comes to: the file, and what it was joined from."""

    base: Base
    app: tuple[Piece, ...]
    """The pieces of the app's own layer."""
    digest: Digest
    size: int
    path: str
    written: bool
    notes: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    layers: tuple[Layer, ...] = ()
    """Empty unless they were measured."""
    builds: tuple[BuildNote, ...] = ()
    """Those of artifacts are only there when they were looked at, or when the layers were measured."""

    def after(self, notes: Iterable[str]) -> Staged:
        """It with what there is to say of the way to it, first."""
        return self.replace(notes=(*notes, *self.notes))

    def droplet(self) -> Droplet:
        """It as a value for callers."""
        base = self.base
        return Droplet(
            self.digest, self.size, self.path, Digest(base.plan), base.stack, base.architecture, base.buildpacks,
            base.runtimes, base.processes, base.env, self.layers, self.notes, self.left_out, self.written, self.builds,
        )  # fmt: skip


# --- what is remembered of a folder ----------------------------------------------------------------------------


class Stamp(Value):
    """What changes when a file is touched: its place, size and times."""

    path: str
    device: int
    inode: int
    size: int
    modified: int
    """Nanoseconds since the epoch, as `changed` is."""
    changed: int

    @property
    def newest(self) -> int:
        return max(self.modified, self.changed)


class Last(Value):
    """The last staging of a folder: from which tree and plan (digests), which file it left, and when it was noted."""

    tree: str
    plan: str
    out: Stamp | None
    taken: int
    """Nanoseconds since the epoch."""
    digest: str
    """The file's hex SHA-256."""
    size: int

    def to_json(self) -> list[Any]:
        return [self.tree, self.plan, self.out and self.out.to_json(), self.taken, self.digest, self.size]

    @classmethod
    def from_json(cls, record: Any) -> Last:
        tree, plan, out, *rest = record
        return cls(tree, plan, out and Stamp.from_json(out), *rest)


class Before(Value):
    """The staging before the last that differed from it, and what happened to each file in between; for `explain`."""

    tree: str
    plan: str
    digest: str
    files: Mapping[str, str]
    """Path → `came`, `went` or `changed`."""


class Remarks(Value):
    """What people should know of a tree beside a base (see `droplet.remarks`)."""

    tree: str = ""
    plan: str = ""
    notes: tuple[str, ...] = ()
    logins: Mapping[str, list[Any]] = _NOTHING
    """Path → [digest, what was found, notes] of the files that may hold a login."""

    @classmethod
    def from_json(cls, record: Any) -> Remarks:
        return cls(*map(_fixed, record))


class FolderMemo(Value):
    """What a store remembers of an app's folder. It saves work and decides nothing."""

    index: dict[str, Any] | None = None
    """That of its tree (see `tree.index`)."""
    known: Mapping[str, Piece] = _NOTHING
    """Key → the app's own pieces."""
    last: Last | None = None
    remarks: Remarks = Remarks()
    before: Before | None = None

    def to_json(self) -> list[Any]:
        return [
            self.index,
            {key: piece.to_json() for key, piece in self.known.items()},
            self.last and self.last.to_json(),
            self.remarks.to_json(),
            self.before and self.before.to_json(),
        ]

    @classmethod
    def from_json(cls, record: Any) -> FolderMemo:
        index, known, last, remarks, before = record
        return cls(
            index,
            {key: Piece.from_json(row) for key, row in known.items()},
            last and Last.from_json(last),
            Remarks.from_json(remarks),
            before and Before.from_json(before),
        )
