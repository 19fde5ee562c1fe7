"""Dev mode: the app's own files in the machine follow the working folder, and so do its dependencies.

The folder is read several times a second, with its ignore rules. Changed files go over one open connection as a tar, and the
processes start anew. When a file that decides the plan has changed (a lock, a manifest, a Procfile), the app is staged again
and the layers that are not the same are swapped; the machine stays.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from ... import entry
from ...droplet.reader import DropletFile, open_droplet
from ...errors import ChangedWhileRead, StagerError
from ...files import temporary
from ...formats.tar import BLOCK, END, ROOT
from ...formats.tar_reader import read_entries
from ...planning.inputs import inputs_of
from ...stacks.tree import RootItem, header
from ...text.telling import telling
from ...tree import SourceTree
from ..errors import MachineFailed, NoMachine
from . import guest_files
from . import state as folder
from .environment import processes
from .lookout import Lookout
from .ssh import LOST, Guest, connected

if TYPE_CHECKING:
    from .driving import Context
    from .state import MachinePlace, State

PAUSE = 0.25
"""Seconds between two looks at the folder."""
_APP = "app"
"""The layer with the app's own files, which are synced one by one."""
_OWNER = 2000


@dataclass(frozen=True, slots=True)
class TreeChange:
    """What has to go, what has to come (paths in the app's folder), to make one tree another."""

    gone: tuple[str, ...]
    come: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether the two are the same."""
        return not self.gone and not self.come


def difference(old: SourceTree, new: SourceTree) -> TreeChange:
    """How to make the files of `old` those of `new`. A path that changes its kind goes first."""
    before, after = _facts(old), _facts(new)
    gone = [path for path in before if path not in after or before[path][0] != after[path][0]]
    folders = set(old.folders()) - set(new.folders())
    tops = sorted(path for path in folders if os.path.dirname(path) not in folders)
    covered = tuple(f"{top}/" for top in tops)
    left = [path for path in gone if not path.startswith(covered)] if covered else gone
    return TreeChange((*tops, *left), tuple(path for path in after if before.get(path) != after[path]))


def _facts(tree: SourceTree) -> dict[str, tuple[str, str]]:
    """Path → its kind and identity."""
    files = {path: ("file", f"{file.executable:d}{file.digest}") for path, file in tree.files.items()}
    return files | {path: ("link", target) for path, target in tree.links.items()}


class Keeper:
    """Keeps one running machine in step with its folder. `present` is the tree that is in the machine."""

    def __init__(
        self, where: MachinePlace, state: State, guest: Guest, context: Context, present: SourceTree | None
    ) -> None:
        self.where = where
        self.state = state
        self.guest = guest
        self.context = context
        self.present = present
        self.inputs = inputs_of(present) if present is not None else {}
        self._index: dict[str, Any] | None = None
        self._refused: SourceTree | None = None
        self._stamp = guest_files.EPOCH

    def look(self) -> SourceTree | None:
        """The folder as it is now; None while somebody writes in it."""
        try:
            tree = SourceTree.read(self.where.app, index=self._index)
        except ChangedWhileRead:
            return None
        self._index = tree.index
        return tree

    def step(self) -> str:
        """Look once, and bring the machine in step: what was done, empty when there was nothing to do.

        Raises NoMachine when the machine is gone, SourceErrors of an app that cannot be staged as it is.
        """
        tree = self.look()
        if tree is None or tree in (self.present, self._refused):
            return ""
        began = time.monotonic()
        inputs = inputs_of(tree)
        with folder.alone(self.where):
            if self.present is None or inputs != self.inputs or tree.links != self.present.links:
                told = self._restaged(tree, inputs)
            else:
                told = self._sync(tree, self.present)
        return told and f"{told}, in {time.monotonic() - began:.2f} s"

    def _stamped(self, tree: SourceTree, paths: Iterable[str]) -> int:
        """A date for changed files, never one that was used: interpreters tell by it that what they compiled is old."""
        try:
            dates = [os.stat(os.path.join(tree.root, path)).st_mtime for path in paths if path in tree.files]
        except OSError:
            dates = []  # gone by now, as the next look will see
        self._stamp = max([self._stamp + 1, *map(int, dates)])
        return self._stamp

    def _restaged(self, tree: SourceTree, inputs: dict[str, str]) -> str:
        """Swap; what cannot be staged as it is will not be tried again before something changes."""
        try:
            told = self._swap(tree)
        except ChangedWhileRead:
            return ""
        except StagerError:
            self._refused = tree
            raise
        self.inputs = inputs
        return told

    def _sync(self, tree: SourceTree, present: SourceTree) -> str:
        found = difference(present, tree)
        with temporary.file(self.where.folder) as file:
            size = _spool(file, [*changed_files(tree, found.come, self._stamped(tree, found.come))])
            self._send([f"./app/{path}" for path in found.gone], file, size)
        self._take(tree, replace(self.state, files=str(tree.digest)))
        return f"{len(found.come)} files changed, {len(found.gone)} gone"

    def _swap(self, tree: SourceTree) -> str:
        """Stage again; send every layer that is not in the machine, and the app's own files that have changed."""
        out, previous = self.where.file("next.tgz"), self.where.file("droplet.tgz")
        with self.context.timed("stage"):
            staged = entry.stage(self.where.app, out, self.context.settings)
        with (
            open_droplet(previous, self.context.settings.store) as old,
            open_droplet(out, self.context.settings.store) as new,
        ):
            if self.present is None:
                names, gone, parts = ["all layers"], changed_names(old, new, everything=True), layer_parts(new, None)
            else:
                names = swapped(old, new)
                gone, parts = changed_names(old, new), layer_parts(new, names)
                found = difference(self.present, tree)
                gone = [*gone, *(f"./app/{path}" for path in found.gone)]
                parts = _chained(parts, changed_files(tree, found.come, self._stamped(tree, found.come)))
            with self.context.timed("swap"), temporary.file(self.where.folder) as file:
                self._send(gone, file, _spool(file, parts), restart=False)
        os.replace(out, previous)
        state = replace(
            self.state, droplet=str(staged.digest), source=str(tree.digest), files=str(tree.digest),
            processes=processes(tuple(staged.base.processes), _fitting(self.state, staged.base.processes)),
        )  # fmt: skip
        with self.context.timed("restart"):
            self._renew(state)
        self._take(tree, state)
        return f"staged again, swapped {', '.join(names) or 'no layer'}"

    def _send(self, gone: list[str], file: IO[bytes], size: int, *, restart: bool = True) -> None:
        names = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in gone)
        state = hashlib.sha256(names)
        file.seek(0)
        while part := file.read(1 << 20):
            state.update(part)
        file.seek(0)
        after = " && /usr/lib/stager/again" if restart else ""
        with temporary.file(self.where.folder) as given:
            given.write(f"{len(names)} {size} {state.hexdigest()}\n".encode() + names)
            shutil.copyfileobj(file, given)
            given.seek(0)
            self._do(["/bin/sh", "-c", f"/usr/lib/stager/sync{after}"], given)

    def _renew(self, state: State) -> None:
        """Start the processes anew; when they are others, or their variables are, with new settings."""
        said = f"echo {state.droplet.removeprefix('sha256:')} >/etc/stager/droplet"
        if state.processes == self.state.processes:
            self._do(["/bin/sh", "-c", f"{said}; exec /usr/lib/stager/again"])
            return
        data = guest_files.archive(state, os.path.basename(self.where.app))
        here = "/usr/lib/stager"
        steps = [
            "set -e",
            f"tar -x --no-same-owner -C {here}",
            f"{here}/stop",
            f"{here}/configure",
            said,
            f"{here}/start",
        ]
        self._do(["/bin/sh", "-c", "; ".join(steps)], data)

    def _do(self, words: list[str], given: bytes | IO[bytes] = b"") -> None:
        done = self.guest.run(words, given)
        if done.returncode == LOST:
            raise NoMachine("does not answer any more")
        if done.returncode:
            said = telling(done.stderr.decode("utf-8", "replace").splitlines(), 4)
            raise MachineFailed("bringing the machine in step failed", said, left=True)

    def _take(self, tree: SourceTree, state: State) -> None:
        self.present, self.state = tree, state
        folder.save(self.where, state)


def watch(app: str, context: Context) -> None:
    """Keep the machine in step until Ctrl-C; each change is told, and each process that crashes.

    Raises NoMachine when the machine is gone; when one of its processes crashes at the end, NotReady.
    """
    where = folder.place(app)
    state = folder.load(where)
    with connected(where.file("ssh_config")) as guest:
        guest.ask(["true"])  # so that the first edit does not wait for a connection
        keeper = Keeper(where, state, guest, context, None)
        tree = keeper.look()
        if tree is not None and str(tree.digest) == state.files:
            keeper.present, keeper.inputs = tree, inputs_of(tree)
        context.tell("watching the folder; Ctrl-C ends that, the machine stays")
        lookout = Lookout(guest, context.tell)
        try:
            while True:
                if _told(keeper, context):
                    lookout.anew()
                lookout.look()
                time.sleep(PAUSE)
        except KeyboardInterrupt:
            lookout.check()
            raise


def _told(keeper: Keeper, context: Context) -> bool:
    """Whether something was done."""
    try:
        done = keeper.step()
    except NoMachine:
        raise
    except ChangedWhileRead:
        return False  # somebody is writing; the next look sees the whole
    except StagerError as error:
        context.tell(f"stager: {error}")
        return False
    if done:
        context.tell(done)
    return bool(done)


# --- what is sent ----------------------------------------------------------------------------------------------


def changed_files(tree: SourceTree, paths: Iterable[str], stamp: int) -> Iterator[bytes]:
    """The tar of these files and links of a tree, with the folders above them, dated `stamp` (seconds since 1970)."""
    known = {""}
    for path in paths:
        for above in _above(path):
            if above not in known:
                known.add(above)
                yield header(f"{ROOT}{above}/", "folder", RootItem("folder", 0o775, _OWNER), 0, "", stamp)
        if path in tree.links:
            yield header(ROOT + path, "link", RootItem("link", 0o777, _OWNER), 0, tree.links[path], stamp)
            continue
        size, mode = tree.files[path].size, 0o775 if tree.files[path].executable else 0o664
        yield header(ROOT + path, "file", RootItem("file", mode, _OWNER), size, "", stamp)
        yield from tree.chunks(path)
        yield bytes(-size % BLOCK)


def _above(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def swapped(old: DropletFile, new: DropletFile) -> list[str]:
    """The layers of `new`, but for the app's own, that `old` does not have."""
    have = {layer.diff_id for layer in old.layers}
    return [layer.name for layer in new.layers if layer.name != _APP and layer.diff_id not in have]


def changed_names(old: DropletFile, new: DropletFile, *, everything: bool = False) -> list[str]:
    """Entries of layers that only `old` has which are in no layer that only `new` has: every path is in one layer only."""
    had, has = ({layer.diff_id for layer in droplet.layers} for droplet in (old, new))
    before = _names(old, set() if everything else has, everything)
    after = _names(new, set() if everything else had, everything)
    gone = [name for name, kind in before.items() if after.get(name) != kind]
    return sorted(name.rstrip("/") for name in gone)


def _names(droplet: DropletFile, shared: set[Any], everything: bool) -> dict[str, str]:
    found = {}
    for layer in droplet.layers:
        if layer.diff_id not in shared and (everything or layer.name != _APP):
            for entry in read_entries(_ended(droplet.tar(layer)), droplet.name, contents=False):
                found[entry.name] = entry.kind
    return found


def layer_parts(droplet: DropletFile, names: list[str] | None) -> Iterator[bytes]:
    """The tars of these layers, one after the other; of all layers for None."""
    for layer in droplet.layers:
        if names is None or layer.name in names:
            yield from droplet.tar(layer)


def _chained(*parts: Iterable[bytes]) -> Iterator[bytes]:
    for each in parts:
        yield from each


def _ended(parts: Iterable[bytes]) -> Iterator[bytes]:
    yield from parts
    yield END


def _spool(file: IO[bytes], parts: Iterable[bytes]) -> int:
    """Write a whole tar, with the app's folder in front so that it is never empty; its size."""
    file.write(header(ROOT, "folder", RootItem("folder", 0o775, _OWNER), 0, "", guest_files.EPOCH))
    for part in parts:
        file.write(part)
    file.write(END)
    return file.tell()


def _fitting(state: State, types: Iterable[str]) -> dict[str, int]:
    return {kind: count for kind, count in state.scale.items() if kind in types}
