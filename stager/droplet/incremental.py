"""The warm path: from a folder and its `stager.lock` to a droplet, doing again only what changed.

Nothing here parses a lock, loads a buildpack or knows an index: the lock's digest names a remembered base, the folder's
memo names its unchanged files and pieces. `staging` comes here first and, after the long way round, comes here again
to assemble; so there is one path that makes droplets. Imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import os
import time

from ..errors import Cancelled, CannotWrite, LockStale, Unreadable, UsageError
from ..files import limits, regular, writing
from ..files.writing import never
from ..names import place_fault
from ..planning.inputs import DEFAULT_ARCHITECTURE, DEFAULT_STACK, changed_files, changed_inputs
from ..store import rules
from ..tree import SourceTree
from . import assembly, remarks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..model import Plan
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


class Folder:
    """An app's folder as it is now: its tree, and what a store remembers of its last staging.

    What is remembered saves work and decides nothing. Without a store nothing is remembered, and every file is read.
    """

    __slots__ = ("_store", "command", "given", "lock", "memo", "notes", "root", "tree")

    lock: str
    """The name of the lock in force: `stager.lock`, until `aim` says otherwise."""
    command: str
    """The whole command that makes it, for hints."""
    notes: tuple[str, ...]
    """What `aim` has to say about the choice of a stack."""

    def __init__(
        self,
        root: str,
        store: Store | None = None,
        *,
        stop: Callable[[], bool] = never,
        printed: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        if bad := place_fault(root):
            raise Unreadable(root, f"its path {bad}", "Give the folder that holds the app.")
        self.root, self.given = os.path.realpath(root), root
        self.lock, self.command, self.notes = LOCK, "stager lock", ()
        self._store = store
        self.memo: dict[str, Any] = (store.recall("folder", folder_key(self.root, store)) or {}) if store else {}
        self.tree = SourceTree.read(root, index=self.memo.get("index"), stop=stop, printed=printed)

    def read_again(self, stop: Callable[[], bool] = never, printed: frozenset[tuple[int, int]] = frozenset()) -> None:
        """Read the folder again, after files were written into it."""
        self.tree = SourceTree.read(self.root, index=self.memo.get("index"), stop=stop, printed=printed)

    def aim(
        self, stack: str, architecture: str, targets: tuple[str, ...] = (), any_stack: bool = False
    ) -> tuple[str, str]:
        """Turn to the lock of what is wished for; the wishes, completed from the app's own when one is empty.

        For `targets` the stack is the one that suits them all, the app's own if it does (see `platforms.choose`).

        `stager.lock` is of the app's own stack, which `stager.yml` names, else the lock itself, else the default; and of the
        architecture that it names. For another stack it is `stager.<stack>.lock`, for another architecture than amd64
        `stager.<stack>.<architecture>.lock`. So no staging for one touches what is pinned for another. Raises BadManifest,
        UsageError.
        """
        self.lock, self.command, self.notes = LOCK, "stager lock", ()
        if not stack and not architecture and not targets:
            return "", ""
        own = self._own()
        if targets:
            stack, self.notes = self._suiting(targets, own[0], architecture or own[1], stack, any_stack)
        wanted = (stack or own[0], architecture or own[1])
        if wanted != own and not {"/", "\0"} & set(stack):  # what is no stack's name is told by `box`
            self.lock = f"stager.{'.'.join(wanted[: 1 if wanted[1] == DEFAULT_ARCHITECTURE else 2])}.lock"
            self.command += "".join(
                f" {option} {value}"
                for option, value, ours in zip(("--stack", "--arch"), wanted, own, strict=True)
                if value != ours
            )
        return wanted

    def _suiting(
        self, targets: tuple[str, ...], own: str, architecture: str, asked: str, any_stack: bool
    ) -> tuple[str, tuple[str, ...]]:
        """The stack that suits the targets, and what is to be said of it; remembered, since deciding it reads YAML."""
        store = self._store
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
            return regular.read(os.path.join(self.root, self.lock), limits.LOCK, follow=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreadable(
                self.lock, error.strerror or str(error), f"Replace it by the file that '{self.command}' writes."
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


def find_base(folder: Folder, lock: bytes, store: Store) -> dict[str, Any] | None:
    """The remembered base that a lock's bytes name, if it still fits the folder's files.

    Nothing is remembered for a lock with a buildpack of the user's own: that may have changed, and the long way looks.
    """
    if b'\nfolder = "' in lock:
        return None
    digest = "sha256:" + hashlib.sha256(lock).hexdigest()
    base = store.recall("base", base_key(digest, store))
    return None if base is None or changed_inputs(base["inputs"], folder.tree, base["grounds"]) else base


def check_locked(folder: Folder, plan: Plan) -> None:
    """Raise LockStale when the folder's files are not those that its lock was made from."""
    if changed := changed_files(plan, folder.tree):
        raise LockStale(folder.lock, changed, folder.command)


def assemble(
    folder: Folder, base: dict[str, Any], store: Store, out: str, stop: Callable[[], bool] = never
) -> dict[str, Any]:
    """Write the folder's droplet to `out` and say what it is.

    When tree and base are those of the last time and `out` is still that very file, nothing is written; what is no
    regular file is always written into. Raises Cancelled when `stop` says so, assembly.Damaged when a remembered blob
    is gone or rotten, and what assembling raises.
    """
    out = os.path.abspath(out)
    place = writing.final(out)
    keep_source(folder, place)
    wanted = [str(folder.tree.digest), base["plan"]]
    last: dict[str, Any] | None = folder.memo.get("last")
    if base["starts"]:
        from . import starting  # here, since most apps start what the plan brings

        starting.check(folder.tree, base["starts"])
    app, known = assembly.app_pieces(folder.tree, base, store, folder.memo.get("known", {}), stop)
    same = False
    if last is not None and last["of"] == wanted and _untouched(place, last, stop):
        same = True
        writing.sweep(place)
        digest, size = last["digest"], last["size"]
    else:
        had_prefix = "prefix" in base
        digest, size = assembly.join(base, app, store, out, stop)
        store.remember("droplet", digest, {"plan": base["plan"], "app": [piece.record() for piece in app]})
        if not had_prefix:
            store.remember("base", base_key(base["plan"], store), base)
    stamp, taken = _stamp(place), time.time_ns()
    if last is None or not same or (taken - last["taken"] > _YOUNG and not _settled(last)):
        last = {"of": wanted, "out": stamp, "taken": taken, "digest": digest, "size": size}
    noted = remarks.remarks(folder.tree, base, folder.memo.get("remarks", {}))
    _remember(folder, store, known, last, noted)
    return {
        "digest": "sha256:" + digest,
        "size": size,
        "path": out,
        "written": not same,
        "remarks": noted["notes"],
        "app": [piece.record() for piece in app],
    }


def keep_source(folder: Folder, out: str) -> None:
    """Raise UsageError for an output that would replace a file of the app. Earlier outputs are none (see `tree.outputs`)."""
    place = writing.final(out) if out else ""
    path = os.path.relpath(os.path.realpath(place), folder.root) if place else ""
    if path in folder.tree.files or path in _OWN or is_lock(path):
        raise UsageError(f"{path} is a file of the app, and would be replaced", "Choose another place with -o.")


def is_last(folder: Folder, out: str) -> bool:
    """Whether an output is the very file that the last staging of this folder left."""
    last = folder.memo.get("last")
    return bool(last and last["out"] and last["out"] == _stamp(writing.final(os.path.abspath(out))))


def _settled(last: dict[str, Any]) -> bool:
    """Whether a staging was noted so long after its file was written that nothing about it need be noted again."""
    stamp = last["out"]
    return stamp is not None and bool(max(stamp[4], stamp[5]) < last["taken"] - _YOUNG)


def _untouched(out: str, last: dict[str, Any], stop: Callable[[], bool]) -> bool:
    """Whether `out` still holds what was written: by its stamp, and by its bytes while the stamp is too young."""
    stamp = _stamp(out)
    if stamp is None or stamp != last["out"]:
        return False
    if max(stamp[4], stamp[5]) < last["taken"] - _YOUNG:
        return True
    with open(out, "rb", buffering=0) as file:
        state = hashlib.sha256()
        while part := file.read(assembly.BUFFER):
            if stop():
                raise Cancelled
            state.update(part)
        return bool(state.hexdigest() == last["digest"])


def _stamp(path: str) -> list[Any] | None:
    """What changes when a file is touched: place, size and times; None when it is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def known_digest(path: str, store: Store) -> str | None:
    """The hex SHA-256 that a file was noted to have, when its stamp says that nobody has touched it since."""
    memo = store.recall("stamp", os.path.realpath(path))
    stamp = _stamp(os.path.realpath(path))
    if memo is None or stamp is None or memo["stamp"] != stamp:
        return None
    return str(memo["digest"]) if max(stamp[4], stamp[5]) < memo["taken"] - _YOUNG else None


def note_digest(path: str, store: Store, digest: str) -> None:
    """Note a file's digest beside its stamp; call it with the moment's stamp unchanged since the file was read."""
    place = os.path.realpath(path)
    try:
        store.remember("stamp", place, {"stamp": _stamp(place), "taken": time.time_ns(), "digest": digest})
    except CannotWrite:
        return  # a memo may always be missing


def _remember(folder: Folder, store: Store, known: assembly.Known, last: dict[str, Any], noted: dict[str, Any]) -> None:
    memo = {"index": folder.tree.index, "known": known, "last": last, "remarks": noted}
    before = _before(folder, last)
    if before is not None:
        memo["before"] = before
    if memo != folder.memo:
        try:
            store.remember("folder", folder_key(folder.root, store), memo)
        except CannotWrite:
            return  # a memo may always be missing
    folder.memo = memo


def _before(folder: Folder, last: dict[str, Any]) -> dict[str, Any] | None:
    """The staging before the last that differed from it, with what happened to each file in between; for `explain`."""
    old: dict[str, Any] | None = folder.memo.get("last")
    if old is None or old["of"] == last["of"]:
        return folder.memo.get("before")
    files = _difference(folder.memo["index"], folder.tree.index)
    return {"of": old["of"], "digest": old["digest"], "files": dict(sorted(files.items())[:_KEPT])}


def _difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """Path → `came`, `went` or `changed`, by the digests of two indexes of a tree (see `tree.walk`)."""
    found = {}
    for folder in {*old["folders"], *new["folders"]}:
        was, now = old["folders"].get(folder, {}), new["folders"].get(folder, {})
        if was == now:
            continue
        for name in {*was, *now}:
            before, after = _content(was.get(name, "")), _content(now.get(name, ""))
            if before != after:
                path = f"{folder}/{name}".lstrip("/")
                found[path] = "came" if not before else "went" if not after else "changed"
    return found


def _content(record: str) -> str:
    """A source file's digest, or the kind of a source link; empty for what is left out, and for folders."""
    return (
        (record[-71:] if record[0] == "f" else record[:2])
        if record[1:2] in ("+", "k", "K") and record[0] != "d"
        else ""
    )


def layers_of(base: dict[str, Any], app: list[list[Any]], store: Store) -> list[dict[str, Any]]:
    """Every layer's name, digest, diffID and size."""
    layers = [(layer["name"], layer["pieces"]) for layer in base["layers"]]
    if app:
        layers.append(("app", app))
    return [assembly.layer_facts(name, records, store) for name, records in layers]


def warm(
    folder: Folder,
    store: Store,
    out: str,
    stack: str = "",
    architecture: str = "",
    stop: Callable[[], bool] = never,
    targets: tuple[str, ...] = (),
    any_stack: bool = False,
) -> dict[str, Any] | None:
    """Stage again without planning, if that is possible: the result of `assemble` with its base, or None."""
    stack, architecture = folder.aim(stack, architecture, targets, any_stack)
    lock = folder.lock_bytes()
    base = find_base(folder, lock, store) if lock is not None else None
    if base is None or (stack and stack != base["stack"]) or (architecture and architecture != base["architecture"]):
        return None
    try:
        return {**assemble(folder, base, store, out, stop), "base": base, "notes": list(folder.notes)}
    except assembly.Damaged:
        return None
