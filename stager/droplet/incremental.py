"""The warm path: from a folder and its `stager.lock` to a droplet, doing again only what changed.

Nothing here parses a lock, loads a buildpack or knows an index: the lock's digest names a remembered base, the folder's
memo names its unchanged files and pieces. `staging` comes here first and, after the long way round, comes here again
to assemble; so there is one path that makes droplets. Imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import os
import time

from ..digest import Digest
from ..errors import Cancelled, CannotWrite, LockStale, Unreadable, UsageError
from ..files import limits, regular, writing
from ..files.writing import never
from ..frozen import Value
from ..names import place_fault
from ..planning.inputs import DEFAULT_ARCHITECTURE, DEFAULT_STACK, changed_files, changed_inputs
from ..records import Base, Before, FolderMemo, Last, Piece, Staged, Stamp
from ..store import rules
from ..tree import SourceTree
from ..tree.index import changes
from . import assembly, remarks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model import Plan
    from ..records import BuildNote, Layer
    from ..settings import Settings
    from ..store import Store

LOCK = "stager.lock"
"""The lock of the app's own stack and architecture; those of others lie beside it (see `Folder.aim`)."""
_OWN = (".gitignore", ".stagerignore", ".cfignore", ".slugignore")
"""Files of an app that no tree has, and that no output may replace."""
_KEPT = 1000
"""The most changed files that are remembered of a staging."""
_YOUNG = 2_000_000_000
"""A file stamped less than this many nanoseconds before it was noted may change again within its stamp's resolution."""


def base_key(plan: str, store: Store) -> str:
    """The memo key of the base of the plan with this digest, as this very stager makes it."""
    return rules.key(store, "base", plan)


class LockChoice(Value):
    """The lock in force: its `name`, the whole `command` that makes it, and for which stack and architecture, if one is asked.

    `notes` are what there is to say about the choice of the stack.
    """

    name: str = LOCK
    command: str = "stager lock"
    notes: tuple[str, ...] = ()
    stack: str = ""
    architecture: str = ""


class Folder(Value):
    """An app's folder as it was read: its tree, and what a store remembers of its last staging.

    What is remembered saves work and decides nothing. Without a store nothing is remembered, and every file is read.
    """

    root: str
    given: str
    """The folder as its user wrote it."""
    tree: SourceTree
    memo: FolderMemo
    store: Store | None
    lock: LockChoice = LockChoice()

    @classmethod
    def read(
        cls,
        root: str,
        store: Store | None = None,
        *,
        stop: Callable[[], bool] = never,
        printed: frozenset[tuple[int, int]] = frozenset(),
    ) -> Folder:
        """The folder now. Raises Unreadable, and what reading a tree raises."""
        if bad := place_fault(root):
            raise Unreadable(root, f"its path {bad}", "Give the folder that holds the app.")
        place = os.path.realpath(root)
        record = store.recall("folder", folder_key(place, store)) if store else None
        memo = FolderMemo.from_json(record) if record else FolderMemo()
        return cls(place, root, SourceTree.read(root, index=memo.index, stop=stop, printed=printed), memo, store)

    def read_again(self, stop: Callable[[], bool] = never, printed: frozenset[tuple[int, int]] = frozenset()) -> Folder:
        """The folder with its files as they are now, after some were written into it."""
        return self.replace(tree=SourceTree.read(self.root, index=self.memo.index, stop=stop, printed=printed))

    def aim(self, stack: str, architecture: str, targets: tuple[str, ...] = (), any_stack: bool = False) -> Folder:
        """The folder with the lock of what is wished for; the wishes are completed from the app's own when one is empty.

        For `targets` the stack is the one that suits them all, the app's own if it does (see `platforms.choose`).

        `stager.lock` is of the app's own stack, which `stager.yml` names, else the lock itself, else the default; and of the
        architecture that it names. For another stack it is `stager.<stack>.lock`, for another architecture than amd64
        `stager.<stack>.<architecture>.lock`. So no staging for one touches what is pinned for another. Raises BadManifest,
        UsageError.
        """
        folder = self.replace(lock=LockChoice())
        if not stack and not architecture and not targets:
            return folder
        own, notes = folder._own(), tuple[str, ...]()
        if targets:
            stack, notes = self._suiting(targets, own[0], architecture or own[1], stack, any_stack)
        wanted = (stack or own[0], architecture or own[1])
        name, command = LOCK, "stager lock"
        if wanted != own and not {"/", "\0"} & set(stack):  # what is no stack's name is told by `stacks`
            name = f"stager.{'.'.join(wanted[: 1 if wanted[1] == DEFAULT_ARCHITECTURE else 2])}.lock"
            command += "".join(
                f" {option} {value}"
                for option, value, ours in zip(("--stack", "--arch"), wanted, own, strict=True)
                if value != ours
            )
        return folder.replace(lock=LockChoice(name, command, notes, *wanted))

    def _suiting(
        self, targets: tuple[str, ...], own: str, architecture: str, asked: str, any_stack: bool
    ) -> tuple[str, tuple[str, ...]]:
        """The stack that suits the targets, and what is to be said of it; remembered, since deciding it reads YAML."""
        store = self.store
        key = rules.key(store, "suits", targets, own, architecture, asked, any_stack) if store else ""
        known = store.recall("suits", key) if store else None
        if known is None:
            from ..facts import platforms  # here, since it comes with it

            choice = platforms.choose(
                platforms.read(targets),
                own,
                architecture,
                asked=asked,
                any_stack=any_stack,
                default=DEFAULT_STACK,
                app=self.given,
            )
            known = {"stack": choice.stack, "notes": choice.notes}
            if store:
                store.remember("suits", key, known)
        return known["stack"], tuple(known["notes"])

    def _own(self) -> tuple[str, str]:
        """The app's own stack and architecture."""
        stack, architecture = pinned(self.lock_bytes() or b"")
        if "stager.yml" in self.tree.files:
            from ..planning.detection import appconfig  # here, since few stagings need it

            stack = appconfig.read(self.tree).stack or stack
        return stack or DEFAULT_STACK, architecture or DEFAULT_ARCHITECTURE

    def lock_bytes(self) -> bytes | None:
        """The lock in force, None when there is none."""
        try:
            return regular.read(os.path.join(self.root, self.lock.name), limits.LOCK, follow=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreadable(
                self.lock.name,
                error.strerror or str(error),
                f"Replace it by the file that '{self.lock.command}' writes.",
            ) from None


def folder_key(root: str, store: Store) -> str:
    """The memo key of what these rules know of the app's folder at `root`."""
    return f"{rules.identity(store)}\n{root}"


def pinned(lock: bytes) -> tuple[str, str]:
    """The stack and the architecture that a lock is for, as its first lines say; empty where they do not."""
    found: dict[str, str] = {}
    for line in lock[:4096].splitlines()[:8]:
        key, _, value = line.decode("utf-8", "replace").partition(" = ")
        found.setdefault(key, value.strip('"'))
    return found.get("stack", ""), found.get("architecture", "")


def is_lock(path: str) -> bool:
    """Whether a path of an app is a lock of stager's, of whatever stack."""
    return path.startswith("stager.") and path.endswith(".lock") and "/" not in path


def find_base(folder: Folder, lock: bytes, store: Store) -> Base | None:
    """The remembered base that a lock's bytes name, if it still fits the folder's files.

    Nothing is remembered for a lock with a buildpack of the user's own: that may have changed, and the long way looks.
    """
    if b'\nfolder = "' in lock:
        return None
    digest = "sha256:" + hashlib.sha256(lock).hexdigest()
    base = recall_base(digest, store)
    return None if base is None or changed_inputs(base.inputs, folder.tree, base.grounds) else base


def recall_base(plan: str, store: Store) -> Base | None:
    """The remembered base of the plan with this digest."""
    record = store.recall("base", base_key(plan, store))
    return None if record is None else Base.from_json(record)


def remember_base(base: Base, store: Store) -> None:
    """Keep a base for the next staging of its plan."""
    store.remember("base", base_key(base.plan, store), base.to_json())


def check_locked(folder: Folder, plan: Plan) -> None:
    """Raise LockStale when the folder's files are not those that its lock was made from."""
    if changed := changed_files(plan, folder.tree):
        raise LockStale(folder.lock.name, changed, folder.lock.command)


def assemble(folder: Folder, base: Base, store: Store, out: str, stop: Callable[[], bool] = never) -> Staged:
    """Write the folder's droplet to `out` and say what it is.

    When tree and base are those of the last time and `out` is still that very file, nothing is written; what is no
    regular file is always written into. Raises Cancelled when `stop` says so, assembly.Damaged when a remembered blob
    is gone or rotten, and what assembling raises.
    """
    out = os.path.abspath(out)
    place = writing.final(out)
    keep_source(folder, place)
    tree, last = str(folder.tree.digest), folder.memo.last
    if base.starts.needs:
        from . import starting  # here, since most apps start what the plan brings

        starting.check(folder.tree, base.starts)
    known = assembly.app_pieces(folder.tree, base, store, folder.memo.known, stop)
    app = tuple(known.values())
    same = last is not None and (last.tree, last.plan) == (tree, base.plan) and _untouched(place, last, stop)
    if last is not None and same:
        writing.sweep(place)
        digest, size = last.digest, last.size
    else:
        digest, size, prefix = assembly.join(base, app, store, out, stop)
        store.remember("made", digest, [base.plan, [piece.to_json() for piece in app]])
        if prefix != base.prefix:
            base = base.replace(prefix=prefix)
            remember_base(base, store)
    stamp, taken = _stamp(place), time.time_ns()
    if last is None or not same or (taken - last.taken > _YOUNG and not _settled(last)):
        last = Last(tree, base.plan, stamp, taken, digest, size)
    noted = remarks.remarks(folder.tree, base, folder.memo.remarks)
    _remember(folder, store, FolderMemo(folder.tree.index, known, last, noted, _before(folder, last)))
    notes = (*base.notes, *noted.notes)
    return Staged(base, app, Digest(f"sha256:{digest}"), size, out, not same, notes, folder.tree.left_out)


def keep_source(folder: Folder, out: str) -> None:
    """Raise UsageError for an output that would replace a file of the app. Earlier outputs are none (see `tree.outputs`)."""
    place = writing.final(out) if out else ""
    path = os.path.relpath(os.path.realpath(place), folder.root) if place else ""
    if path in folder.tree.files or path in _OWN or is_lock(path):
        raise UsageError(f"{path} is a file of the app, and would be replaced", "Choose another place with -o.")


def keep_foreign(place: str) -> None:
    """Raise UsageError for an output that would replace a file which stager did not write, CannotWrite for no folder."""
    there = writing.replaced(place)
    if there:
        from ..tree.outputs import wrote  # here, since it is seldom asked

        if not wrote(there):
            hint = "Choose another place with -o, or remove that file first."
            raise UsageError(f"{place} is there and was not written by stager; it would be replaced", hint)


def is_last(folder: Folder, out: str) -> bool:
    """Whether an output is the very file that the last staging of this folder left."""
    last = folder.memo.last
    return last is not None and last.out is not None and last.out == _stamp(writing.final(os.path.abspath(out)))


def _settled(last: Last) -> bool:
    """Whether a staging was noted so long after its file was written that nothing about it need be noted again."""
    return last.out is not None and last.out.newest < last.taken - _YOUNG


def _untouched(out: str, last: Last, stop: Callable[[], bool]) -> bool:
    """Whether `out` still holds what was written: by its stamp, and by its bytes while the stamp is too young."""
    stamp = _stamp(out)
    if stamp is None or stamp != last.out:
        return False
    if stamp.newest < last.taken - _YOUNG:
        return True
    with open(out, "rb", buffering=0) as file:
        state = hashlib.sha256()
        while part := file.read(assembly.BUFFER):
            if stop():
                raise Cancelled
            state.update(part)
        return state.hexdigest() == last.digest


def _stamp(path: str) -> Stamp | None:
    """The stamp of a file; None when it is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Stamp(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def known_digest(path: str, store: Store) -> str | None:
    """The hex SHA-256 that a file was noted to have, when its stamp says that nobody has touched it since."""
    memo = store.recall("noted", os.path.realpath(path))
    stamp = _stamp(os.path.realpath(path))
    if memo is None or stamp is None or memo[0] != stamp.to_json():
        return None
    return str(memo[2]) if stamp.newest < memo[1] - _YOUNG else None


def note_digest(path: str, store: Store, digest: str) -> None:
    """Note a file's digest beside its stamp; call it with the moment's stamp unchanged since the file was read."""
    place = os.path.realpath(path)
    stamp = _stamp(place)
    try:
        store.remember("noted", place, [stamp and stamp.to_json(), time.time_ns(), digest])
    except CannotWrite:
        return  # a memo may always be missing


def _remember(folder: Folder, store: Store, memo: FolderMemo) -> None:
    if memo != folder.memo:
        try:
            store.remember("folder", folder_key(folder.root, store), memo.to_json())
        except CannotWrite:
            return  # a memo may always be missing


def _before(folder: Folder, last: Last) -> Before | None:
    """The staging before the last that differed from it; only so many of its files are remembered."""
    old = folder.memo.last
    if old is None or (old.tree, old.plan) == (last.tree, last.plan):
        return folder.memo.before
    files = changes(folder.memo.index or {}, folder.tree.index)
    return Before(old.tree, old.plan, old.digest, dict(sorted(files.items())[:_KEPT]))


def measured(staged: Staged, store: Store) -> Staged:
    """What was staged, with its layers. Raises assembly.Damaged for a piece that is gone or rotten."""
    from . import built  # here, since a warm restage seldom measures

    told = any(one.kind == "artifact" for one in staged.builds)
    builds = staged.builds if told else (*built.artifact_notes(staged.base.plan, store), *staged.builds)
    return staged.replace(layers=_layers(staged.base, staged.app, store), builds=builds)


def _layers(base: Base, app: tuple[Piece, ...], store: Store) -> tuple[Layer, ...]:
    joined = [(layer.name, layer.pieces) for layer in base.layers] + ([("app", app)] if app else [])
    return tuple(assembly.measured(name, of, store) for name, of in joined)


def layers_of_droplet(digest: str, store: Store) -> tuple[Layer, ...]:
    """The layers of a droplet file that this store assembled, by its hex SHA-256; none when it is not known any more."""
    made = store.recall("made", digest)
    if made is None or (base := recall_base(made[0], store)) is None:
        return ()
    try:
        return _layers(base, tuple(map(Piece.from_json, made[1])), store)
    except assembly.Damaged:
        return ()


def aim(folder: Folder, settings: Settings) -> Folder:
    """The folder with the lock of what the settings wish for (see `Folder.aim`)."""
    return folder.aim(settings.stack, settings.architecture, settings.targets, settings.any_stack)


def warm(folder: Folder, out: str, settings: Settings) -> Staged | None:
    """Stage again without planning, if that is possible; None when it is not."""
    folder = aim(folder, settings)
    stack, architecture, lock = folder.lock.stack, folder.lock.architecture, folder.lock_bytes()
    base = find_base(folder, lock, settings.store) if lock is not None else None
    if base is None or (stack and stack != base.stack) or (architecture and architecture != base.architecture):
        return None
    notes: tuple[BuildNote, ...] = ()
    if base.builds:
        from . import built  # here, since few apps build

        found = built.overlaid(folder.tree, base.builds, settings.store)
        if found is None:
            return None
        folder, notes = folder.replace(tree=found[0]), found[1]
    try:
        staged = assemble(folder, base, settings.store, out, settings.stop).after(folder.lock.notes)
        return staged.replace(builds=notes) if notes else staged
    except assembly.Damaged:
        return None
