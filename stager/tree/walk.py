"""Reading an app's folder: every name decided, every file hashed, no link followed, and nothing done twice needlessly.

What one reading remembers for the next is the *index* (see `index`). A folder whose names and kinds equal the remembered
ones, below unchanged ignore files, keeps its decisions; a file whose stamp is equal keeps its digest. As git does, a file
that changed less than two seconds before it was looked at, or in the future, gets no stamp: a second change could leave the
same one. What stager has written is told by its first bytes whenever a file is hashed (see `outputs`), so an unchanged file
costs nothing. This module is on the warm path.
"""

from __future__ import annotations

import os
import sys
import time

from ..errors import Cancelled, ChangedWhileRead, Unreadable
from ..files.writing import never
from .errors import AppTooLarge, UnsafePath
from .fingerprint import (
    LARGEST_TREE,
    File,
    digest_in,
    encoded,
    failure,
    file_of,
    fingerprint,
    same_folder,
    stamp,
    unfinished,
)
from .heads import FOLDER_FLAGS
from .index import checksum, usable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .decide import Chain, Decider, Records

    Identity = tuple[int, int]
    """The device and inode that a folder had when its parent was listed."""

MOST_ENTRIES = 200_000
RACY = 2_000_000_000
"""Nanoseconds."""
_KEPT = {
    "k": "likely a secret, kept because the ignore file asks for it",
    "K": "written by stager, kept because the ignore file asks for it",
}
_KINDS = {0o040000: "d", 0o100000: "f", 0o120000: "l"}
_PLAIN_NAMES = sys.getfilesystemencoding() == "utf-8"


def _looked(fd: int) -> list[tuple[str, os.stat_result]]:
    """The names in a folder with what they are; listed again when one was renamed since, as an output that is replaced."""
    for pause in _PAUSES:
        with os.scandir(fd) as entries:
            names = [(_name(entry), entry) for entry in entries]
            try:
                return [(name, entry.stat(follow_symlinks=False)) for name, entry in names if not unfinished(name)]
            except FileNotFoundError:
                if not pause:
                    raise
        time.sleep(pause)
    raise AssertionError


def _name(entry: os.DirEntry[str]) -> str:
    """The entry's name as UTF-8, whatever the locale; other bytes as surrogates (PEP 383)."""
    return entry.name if _PLAIN_NAMES else os.fsencode(entry.name).decode("utf-8", "surrogateescape")


def _first(pair: tuple[str, os.stat_result]) -> str:
    return pair[0]


def _kind(status: os.stat_result) -> str:
    return _KINDS.get(status.st_mode & 0o170000, "o")


def folders_of(paths: Iterable[str]) -> set[str]:
    """All folders above the paths, without the root."""
    found: set[str] = set()
    for path in paths:
        parent = path.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


_PAUSES = (0.005, 0.01, 0.02, 0.04, 0)
"""Seconds after which a name is looked for again that was there just now."""


class Walk:
    """One reading of a folder. Its attributes are the result; `index` is the very object given when nothing changed."""

    def __init__(
        self,
        root: str,
        index: dict[str, Any] | None,
        now: int,
        stop: Callable[[], bool] = never,
        printed: frozenset[Identity] = frozenset(),
    ) -> None:
        """Read the folder `root`. `now` is the time in ns since the epoch, from before anything is looked at.

        `printed` are files that this process writes to while it reads. Raises Cancelled when `stop` says so, asked at every
        folder, hashed file and 1 MiB of one.
        """
        self._stop = stop
        self._printed = printed
        self.files: dict[str, File] = {}
        self.links: dict[str, str] = {}
        self.left_out: list[tuple[str, str]] = []
        self.outputs: list[tuple[str, str]] = []
        """What stager has written."""
        self.kept: list[tuple[str, str]] = []
        self.environments: list[str] = []
        self.vendored: list[str] = []
        self._trusted_before = now - RACY
        self._records: dict[str, Records] = {}
        self._stack: list[tuple[str, Chain, bool, Identity]] = []
        self._entries = 0
        self._bytes = 0
        self._decider: Decider | None = None
        try:
            self._root = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            raise Unreadable(root, str(cause), "Give the folder that holds the app.") from None
        try:
            self._run(index)
        finally:
            os.close(self._root)

    def _run(self, index: dict[str, Any] | None) -> None:
        status = os.fstat(self._root)
        self._device = status.st_dev
        root = f"{status.st_dev} {status.st_ino}"
        self._old: dict[str, Any] = index if index and usable(index, root) else {"folders": {}, "places": {}}
        self._known: dict[str, Records] = self._old["folders"]
        self._stack.append(("", (), True, (status.st_dev, status.st_ino)))
        while self._stack:
            self._visit(*self._stack.pop())
        places = self._settle_links() if self.links else {}
        self.index = self._remember(root, places)

    def _visit(self, path: str, chain: Chain, trusted: bool, identity: Identity) -> None:
        if self._stop():
            raise Cancelled
        for left in (2, 1, 0):
            fd, bytes_ = self._opened(path, identity), self._bytes
            try:
                self._look(fd, path, chain, trusted)
            except ChangedWhileRead:
                if not left or not path or same_folder(fd, self._root, path):
                    raise
                self._bytes = bytes_
            else:
                return
            finally:
                os.close(fd)

    def _look(self, fd: int, path: str, chain: Chain, trusted: bool) -> None:
        try:
            known = self._known.get(path)
            if known is None or not trusted or not self._reuse(fd, path, known, chain):
                self._decide(fd, path, known or {}, chain, trusted)
        except OSError as error:
            raise failure(path or ".", error) from None

    def _opened(self, path: str, identity: Identity) -> int:
        """The open folder, which is still the one that its parent was seen to hold, or an output that took its place.

        An image layout is replaced by two renames, between which its name is free for a moment.
        """
        for pause in _PAUSES:
            try:
                fd = os.open(encoded(path) or b".", FOLDER_FLAGS, dir_fd=self._root)
            except FileNotFoundError:
                time.sleep(pause)
                continue
            except OSError as error:
                raise failure(path or ".", error) from None
            status = os.fstat(fd)
            if (status.st_dev, status.st_ino) == identity or self._deciding().is_output(fd, path):
                return fd
            os.close(fd)
            time.sleep(pause)
        raise ChangedWhileRead(path or ".")

    # --- a folder that looks as remembered ---

    def _reuse(self, fd: int, path: str, known: Records, chain: Chain) -> bool:
        """Take over the remembered decisions if the folder's names, kinds and ignore files are the same."""
        prefix = path + "/" if path else ""
        device, plain, printed = self._device, _PLAIN_NAMES, self._printed
        files: dict[str, File] = {}
        others: list[tuple[str, str, os.stat_result]] = []
        stale: list[str] = []
        written: dict[str, os.stat_result] = {}
        with os.scandir(fd) as entries:
            for entry in entries:  # a warm start spends its time in this loop: nothing in it is called without need
                name = entry.name if plain else _name(entry)
                record = known.get(name)
                if record is None:
                    if unfinished(name):
                        continue
                    return False
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # renamed since the folder was listed, as an output that is replaced
                    return False
                if printed and (status.st_dev, status.st_ino) in printed:
                    return False
                mode, size = status.st_mode, status.st_size
                mark = f"f+{status.st_ino} {size} {status.st_mtime_ns} {status.st_ctime_ns} sha256:"
                if record.startswith(mark) and mode & 0o170000 == 0o100000 and status.st_dev == device:
                    files[prefix + name] = File(mode & 0o100 != 0, size, record)
                elif record[0] != _kind(status):
                    return False
                elif record.startswith("f+"):
                    stale.append(name)
                elif not self._still(record, status):
                    if not record.startswith("f*"):
                        return False
                    written[name] = status
                else:
                    others.append((name, record, status))
        if len(files) + len(others) + len(stale) + len(written) != len(known):
            return False
        before = self._bytes
        self.count(path or ".", sum(file.size for file in files.values()))
        records = self._rehashed(fd, prefix, known, sorted([*stale, *written]), files)
        if records is None:
            self._bytes = before
            return False
        others += [(name, records[name], status) for name, status in written.items()]
        for full, file in files.items():  # one by one: `update` would resize the table at every call
            self.files[full] = file
        self._finish(fd, path, records, others, chain, True)
        return True

    def _still(self, record: str, status: os.stat_result) -> bool:
        """Whether a decision that rests on a file's content is still founded."""
        if record[0] != "f" or record[1] not in "?k#i*K@":
            return True
        return record.startswith(stamp(status), 2) and status.st_dev == self._device

    def _rehashed(
        self, fd: int, prefix: str, known: Records, stale: list[str], files: dict[str, File]
    ) -> Records | None:
        """`known` with new digests for stale names, added to `files`; None when another decision is due.

        That is when an ignore file is among the changed, or one is an output of stager now, or is none any more.
        """
        records = known if not stale else dict(known)
        for name in stale:
            status, digest, head = fingerprint(fd, encoded(name), prefix + name, stop=self._stop, count=self.count)
            written = known[name].startswith("f*")
            if written == bool(digest) or (name == ".gitignore" and not known[name].endswith(digest)):
                return None
            if written:
                records[name] = f"f*{self._stamp(status)}={head.decode()}"
                continue
            records[name] = f"f+{self._stamp(status)}{digest}"
            files[prefix + name] = file_of(status, digest)
        return records

    def count(self, path: str, size: int) -> None:
        """Add to the tree's bytes, before they are read. Raises AppTooLarge."""
        self._bytes += size
        if self._bytes > LARGEST_TREE:
            raise AppTooLarge(path, self._bytes, LARGEST_TREE, together=True)

    def _stamp(self, status: os.stat_result) -> str:
        """The stamp to remember; empty when the file is too young, on another device, or from the future."""
        young = max(status.st_mtime_ns, status.st_ctime_ns) >= self._trusted_before
        return "" if young or status.st_dev != self._device else stamp(status)

    # --- a folder that has to be decided anew ---

    def _deciding(self) -> Decider:
        if self._decider is None:
            from .decide import Decider

            self._decider = Decider(self._root, self._stamp, self.count, self._stop, self._printed)
        return self._decider

    def _decide(self, fd: int, path: str, known: Records, chain: Chain, trusted: bool) -> None:
        """Ask the ignore rules about every name; hash what has no equal stamp."""
        looked = _looked(fd)
        found = {name: (_kind(status), status) for name, status in sorted(looked, key=_first)}
        above = self._records.get("", {})
        records, same = self._deciding().folder(fd, path, found, known, chain, above)
        if not same_folder(fd, self._root, path):  # an image layout that was replaced loses one by one what tells it
            raise ChangedWhileRead(path or ".")
        others = [(name, record, found[name][1]) for name, record in records.items()]
        if not all(map(str.isascii, records)):
            # a name that is not UTF-8 gets another key: it is not found again, and its folder is decided every time
            keys = {name: encoded(name).decode("utf-8", "backslashreplace") for name in records}
            records = {keys[name]: records[name] for name in sorted(keys, key=keys.__getitem__)}
        self._finish(fd, path, records, others, chain, trusted and same)

    # --- what a folder's records come to ---

    def _finish(
        self,
        fd: int,
        path: str,
        records: Records,
        others: list[tuple[str, str, os.stat_result]],
        chain: Chain,
        trusted: bool,
    ) -> None:
        """Take what the records say into the result, and put the folders among them on the stack."""
        self._records[path] = records
        prefix = path + "/" if path else ""
        ignore = digest_in(records.get(".gitignore", ""))
        chain = (*chain, (path, ignore)) if ignore else chain
        folders: list[tuple[str, Chain, bool, Identity]] = []
        for name, record, status in others:
            full = prefix + name
            if record == "d+":
                folders.append((full, chain, trusted, (status.st_dev, status.st_ino)))
            elif record[1] not in "-iE":
                self._admit(fd, full, record, status)
        self._stack.extend(sorted(folders, reverse=True))
        self._entries += len(folders)
        if self._entries + len(self.files) + len(self.links) > MOST_ENTRIES:
            why = f"there are more than {MOST_ENTRIES} files and folders"
            raise UnsafePath(path or ".", why, "Leave folders out with .stagerignore.")

    def _admit(self, fd: int, path: str, record: str, status: os.stat_result) -> None:
        kind, code = record[0], record[1]
        if code == "!":
            self.left_out.append((path, record[2:]))
        elif code == "#":
            self.left_out.append((path, record.partition("=")[2]))
        elif code == "*":
            self.outputs.append((path, record.partition("=")[2]))
        elif code == "@":
            self.outputs.append((path.rpartition("/")[0], record.partition("=")[2]))
        elif code == "v":
            self.vendored.append(path)
        elif code == "e":
            self.environments.append(path.rpartition("/")[0])
        elif kind == "l":
            self.links[path] = os.readlink(encoded(path.rpartition("/")[2]), dir_fd=fd).decode(
                "utf-8", "surrogateescape"
            )
        else:
            self.files[path] = file_of(status, record)
        if code in "kK":
            self.kept.append((path, _KEPT[code]))

    def _settle_links(self) -> dict[str, str]:
        """Drop links into what is left out. Returns the verdicts on places that are not in the tree."""
        from .links import LOOP, check_link

        links, self.links = self.links, {}
        there = folders_of([*self.files, *links]) | {"", LOOP}
        places: dict[str, str] = {}
        for path in sorted(links):
            place = check_link(path, links[path], links)
            if place not in self.files and place not in there:
                places.setdefault(place, self._verdict(place))
            if places.get(place):
                self.left_out.append((path, f"a symbolic link to {links[path]}, which is left out"))
            else:
                self.links[path] = links[path]
        return places

    def _verdict(self, place: str) -> str:
        """`out` when a link's place is left out by its name or a pattern, else an empty string.

        Not for its content: a clone has the link and may lack what it leads to, and both give the same tree.
        """
        remembered: str | None = self._old["places"].get(place)
        if self._decider is None and remembered is not None:
            return remembered
        chain = []
        for folder in sorted({"", *folders_of([place])}):
            digest = digest_in(self._records.get(folder, {}).get(".gitignore", ""))
            chain += [(folder, digest)] if digest else []
        return "out" if self._deciding().leads_out(place, tuple(chain), self._records[""]) else ""

    def _remember(self, root: str, places: dict[str, str]) -> dict[str, Any]:
        """The index for the next reading."""
        known = self._known
        same = len(known) == len(self._records) and all(known.get(p) is r for p, r in self._records.items())
        if same and self._old["places"] == places:
            return self._old
        folders = {path: self._records[path] for path in sorted(self._records)}
        places = {place: places[place] for place in sorted(places)}
        return {
            "root": root,
            "folders": folders,
            "places": places,
            "checksum": checksum(folders, places, root),
        }
