"""`SourceTree`: the app's folder as stager sees it, sorted, hashed, and without what is not source.

The tree is what the *source* is: a fresh clone and the folder of someone who has worked, tested and built in it for
months give the same tree, on every machine. What belongs to it is decided by name (see `ignore`), in this order:

1. Never in, whatever else is said: version control, caches, virtual environments (a folder with `pyvenv.cfg`),
   `node_modules`, clutter of editors and desktops, the ignore files of the root, and what stager writes there by default.
2. `.gitignore` files, nested ones too, with git's own meaning. `.git/info/exclude` and a user's global excludes do not
   count: they are facts of a machine.
3. The first of `.stagerignore`, `.cfignore` and `.slugignore` at the root. Its patterns come after those of 2, and the
   last match wins, so it can take in again (`!dist/`) what git ignores, such as a build's output.
4. Likely secrets are left out and reported, unless the file of 3 takes one in by name (`!config/test.key`).
5. Whatever stager has written, under any name, is told by its bytes (see `outputs`), left out and reported, unless the
   file of 3 takes it in by name (`!fixtures/droplet.tgz`).

Modes come down to one bit, folders exist through their files, links stay links and must stay inside. This module is on
the warm path: with an index from the last reading, unchanged files are not read again (see `walk`).
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from posixpath import normpath

from ..digest import Digest
from ..errors import BadManifest, ChangedWhileRead, Unreadable
from ..files.limits import most
from ..files.writing import never
from ..names import place_fault
from .errors import UnsafePath
from .fingerprint import File, encoded, failure
from .heads import FILE_FLAGS, FOLDER_FLAGS
from .walk import Walk, folders_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, BinaryIO, TypeVar

    T = TypeVar("T")

__all__ = ["Executable", "File", "Link", "SourceTree"]


class Link(str):
    """For `SourceTree.of`: a symbolic link with this target."""

    __slots__ = ()


class Executable(bytes):
    """For `SourceTree.of`: the content of an executable file."""

    __slots__ = ()

    def __new__(cls, content: str | bytes) -> Executable:
        return super().__new__(cls, content.encode() if isinstance(content, str) else content)


class SourceTree:
    """The files and links of an app, by POSIX path relative to its root, in the order of the paths' UTF-8 bytes.

    A value: two trees are equal when their files and links are. `read` makes one from a folder, `of` from memory.
    """

    __slots__ = (
        "_contents",
        "_digest",
        "_found",
        "_kept",
        "_named",
        "_stored",
        "environments",
        "files",
        "index",
        "left_out",
        "links",
        "root",
        "vendored",
    )

    files: dict[str, File]
    links: dict[str, str]
    """Path to relative target. A target may be missing, but it is never outside."""
    left_out: tuple[tuple[str, str], ...]
    """(path, reason) of likely secrets, of what stager wrote, and of links to what is left out; not of ignored files."""
    environments: tuple[str, ...]
    """Virtual environments that were left out although no ignore file mentions them: perhaps committed by mistake."""
    vendored: tuple[str, ...]
    """`node_modules` folders that were left out although no ignore file mentions them."""
    root: str
    """The absolute path of the folder; empty for a tree in memory."""
    index: dict[str, Any]
    """For the next `read` of the same root: plain JSON. It is the very object that was given when nothing changed."""

    def __init__(self, files: dict[str, File], links: dict[str, str], root: str = "") -> None:
        self.files = {path: files[path] for path in sorted(files)}  # code points sort as UTF-8 bytes do
        self.links = {path: links[path] for path in sorted(links)}
        self.left_out = ()
        self.environments = ()
        self.vendored = ()
        self.root = root
        self.index = {}
        self._kept: tuple[tuple[str, str], ...] = ()
        self._contents: dict[str, bytes] = {}
        self._stored: dict[str, tuple[str, int]] = {}
        self._named: dict[str, list[str] | str] | None = None
        self._digest: Digest | None = None
        self._found: dict[object, Any] = {}

    @classmethod
    def read(
        cls,
        root: str,
        *,
        index: dict[str, Any] | None = None,
        stop: Callable[[], bool] = never,
        printed: frozenset[tuple[int, int]] = frozenset(),
    ) -> SourceTree:
        """The tree of a folder. `index` of an earlier reading saves work; it never changes the result.

        `printed` are the files (device, inode) that this very process prints to: what is being written is no source.
        Raises Unreadable, UnsafePath (a link that leads outside, a name or a file that no droplet can hold, more than
        200,000 entries), ChangedWhileRead (a file that is being written), BadManifest (an ignore file without measure),
        Cancelled when `stop` says so.
        """
        if bad := place_fault(root):
            raise Unreadable(root, f"its path {bad}", "Give the folder that holds the app.")
        root = os.path.abspath(root)
        walk = Walk(root, index, time.time_ns(), stop, printed)
        tree = cls(walk.files, walk.links, root)
        tree.left_out = tuple(sorted([*walk.left_out, *walk.outputs]))
        tree.environments = tuple(sorted(walk.environments))
        tree.vendored = tuple(sorted(walk.vendored))
        tree.index = walk.index
        tree._kept = tuple(sorted(walk.kept))
        return tree

    @classmethod
    def of(cls, contents: Mapping[str, str | bytes | Link | Executable]) -> SourceTree:
        """A tree in memory of exactly these files: nothing is left out. Raises UnsafePath as `read` does."""
        from .links import check_link
        from .names import check_name

        data = {
            p: c.encode() if isinstance(c, str) else bytes(c) for p, c in contents.items() if not isinstance(c, Link)
        }
        links = {path: str(target) for path, target in contents.items() if isinstance(target, Link)}
        for path in sorted(contents):
            if not path or any(part in ("", ".", "..") for part in path.split("/")):
                raise UnsafePath(path, "it is not a plain relative path", "Name files relative to the app's folder.")
            for part in (path, *folders_of([path])):
                check_name(part)
        for path in sorted(folders_of(contents) & contents.keys()):
            raise UnsafePath(path, "it is a file and a folder at once", "Rename one of the two.")
        for path, target in sorted(links.items()):
            check_link(path, target, links)
        files = {p: File(isinstance(contents[p], Executable), len(data[p]), _sha256(data[p])) for p in data}
        tree = cls(files, links)
        tree._contents = data
        return tree

    def with_files(self, contents: Mapping[str, bytes]) -> SourceTree:
        """This tree with more files, which are in memory only."""
        more = {path: File(False, len(data), _sha256(data)) for path, data in contents.items()}
        tree = self._like({**self.files, **more}, self.links)
        tree._contents |= contents
        return tree

    def with_built(
        self, folders: Sequence[str], rows: Iterable[Sequence[Any]], links: Mapping[str, str], blob: str
    ) -> SourceTree:
        """This tree with what a build left in these files and `folders`, instead of what it has there or in place of a folder.

        `rows` are [path, executable, digest, offset, size] of files, whose bytes are in the file `blob`.
        """
        rows = list(rows)
        above = folders_of([*(row[0] for row in rows), *links])
        files = {path: file for path, file in self.files.items() if not within(path, folders) and path not in above}
        kept = {path: to for path, to in self.links.items() if not within(path, folders) and path not in above}
        stored = {}
        for path, executable, digest, offset, size in rows:
            files[path], stored[path] = File(executable, size, digest), (blob, offset)
        tree = self._like(files, {**kept, **links})
        tree._stored |= stored
        return tree

    def _like(self, files: dict[str, File], links: dict[str, str]) -> SourceTree:
        """A tree of these, whose contents are where this one has them."""
        tree = SourceTree(files, links, self.root)
        tree.left_out, tree.environments, tree.vendored = self.left_out, self.environments, self.vendored
        tree.index, tree._kept, tree._contents, tree._stored = (
            self.index,
            self._kept,
            {**self._contents},
            {**self._stored},
        )
        return tree

    def below(self, folder: str) -> SourceTree:
        """The tree of one of its folders, without links that lead out of that."""
        start = f"{folder}/"
        files = {path.removeprefix(start): file for path, file in self.files.items() if path.startswith(start)}
        found = {path.removeprefix(start): to for path, to in self.links.items() if path.startswith(start)}
        links = {path: to for path, to in found.items() if not normpath(f"{path}/../{to}").startswith("..")}
        tree = SourceTree(files, links, f"{self.root}/{folder}" if self.root else "")
        tree._contents = {
            path.removeprefix(start): data for path, data in self._contents.items() if path.startswith(start)
        }
        return tree

    # --- content ---

    def open(self, path: str) -> BinaryIO:
        """The open file; no symbolic link is followed but those of the tree. What is read from it is not checked.

        Raises Unreadable when the tree has no such file, ChangedWhileRead when it is gone from the disk.
        """
        place = self.resolve(path)
        if place not in self.files:
            raise Unreadable(path, "the app has no such file", "Add it, or correct what names it.")
        if place in self._stored:
            return io.BufferedReader(_Slice(*self._stored[place], self.files[place].size))
        held = self._contents.get(place)
        return open(self._descriptor(place), "rb") if held is None else io.BytesIO(held)

    def _descriptor(self, path: str) -> int:
        *folders, name = encoded(path).split(b"/")
        held: list[int] = []
        try:
            held.append(os.open(self.root, FOLDER_FLAGS & ~os.O_NOFOLLOW))
            for folder in folders:
                held.append(os.open(folder, FOLDER_FLAGS, dir_fd=held[-1]))
            fd = os.open(name, FILE_FLAGS, dir_fd=held[-1])
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return fd
            held.append(fd)
            raise ChangedWhileRead(path)
        except OSError as error:
            raise failure(path, error) from None
        finally:
            for fd in held:
                os.close(fd)

    def read_bytes(self, path: str) -> bytes:
        """The file's bytes, which have the digest that `files` says. Raises as `open`, and ChangedWhileRead."""
        with self.open(path) as file:
            wanted = self.files[self.resolve(path)]
            data = file.read(wanted.size + 1)
        if _sha256(data) != wanted.digest:
            raise ChangedWhileRead(path)
        return data

    def chunks(self, path: str) -> Iterator[bytes]:
        """The file's bytes in parts of at most 1 MiB. Raises as `read_bytes`, perhaps only after the last part.

        Never more bytes than `files` says are given, so whoever writes them under that size writes no other.
        """
        wanted = self.files[self.resolve(path)]
        state, left = hashlib.sha256(), wanted.size
        with self.open(path) as file:
            while part := file.read(min(left + 1, 1 << 20)):
                left -= len(part)
                if left < 0:
                    raise ChangedWhileRead(path)
                state.update(part)
                yield part
        if "sha256:" + state.hexdigest() != wanted.digest:
            raise ChangedWhileRead(path)

    def read_whole(self, path: str) -> bytes:
        """As `read_bytes`, for a file that will be parsed. Raises BadManifest when it is larger than its kind needs to be."""
        place, limit = self.resolve(path), most(path)
        if place in self.files and self.files[place].size > limit:
            raise BadManifest(path, f"the file has {self.files[place].size} bytes; the limit is {limit}")
        return self.read_bytes(path)

    def read_text(self, path: str) -> str:
        """The file as UTF-8 text, a byte order mark removed. Raises BadManifest when it is not UTF-8, or too large."""
        data = self.read_whole(path).removeprefix(b"\xef\xbb\xbf")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise BadManifest(path, "this file is not UTF-8 text", f"Save {path} as UTF-8.", line) from None

    def once(self, read: Callable[[SourceTree], T]) -> T:
        """What a function reads from this tree, which is a value: found out once, however many ask. Raises what it raises."""
        if read not in self._found:
            self._found[read] = read(self)
        found: T = self._found[read]
        return found

    # --- names ---

    def resolve(self, path: str) -> str:
        """The path that `path` comes to when the tree's links are followed: a key of `files` if it leads to a file.

        `path` must be plain: `a//b`, `./a` and `../a` lead nowhere.
        """
        if path in self.files or not self.links:
            return path
        from .links import follow

        return follow(self.links, path)

    def __contains__(self, path: str) -> bool:
        """Whether `path` is a file, or leads to one through the tree's links."""
        return path in self.files or (bool(self.links) and self.resolve(path) in self.files)

    def __len__(self) -> int:
        return len(self.files) + len(self.links)

    def glob(self, pattern: str) -> list[str]:
        """The files, and links to files, whose whole path matches: `*` within a part, `**` for any number of parts."""
        *folders, name = pattern.split("/")
        names = self._by_name()
        fitting = [name] if "*" not in name else [n for n in names if name == "**" or _fits(name, n)]
        folders += ["**"] if name == "**" else []
        found = (paths for name in fitting if (paths := names.get(name)))
        each = (path for paths in found for path in ((paths,) if isinstance(paths, str) else paths))
        return sorted(path for path in each if _descends(folders, path.split("/")[:-1]))

    def _by_name(self) -> dict[str, list[str] | str]:
        """The paths by their last part: one path alone, which is most often all, or several."""
        if self._named is None:
            self._named = {}
            for path in [*self.files, *(link for link in self.links if link in self)]:
                name = path.rpartition("/")[2]
                others = self._named.setdefault(name, path)
                if isinstance(others, list):
                    others.append(path)
                elif others is not path:
                    self._named[name] = [others, path]
        return self._named

    def folders(self) -> list[str]:
        """Every folder above a file or link, sorted, without the root."""
        return sorted(folders_of([*self.files, *self.links]))

    @property
    def notes(self) -> tuple[tuple[str, str], ...]:
        """(path, remark) on what is in the tree although it would be left out, had the ignore file not asked for it."""
        return tuple(sorted(self._kept))

    # --- identity ---

    @property
    def digest(self) -> Digest:
        """The digest of the list of all paths, each with its kind, executable bit, and content's digest or target."""
        if self._digest is None:
            state = hashlib.sha256()
            for path in sorted([*self.files, *self.links]):
                file = self.files.get(path)
                kind = f"l{self.links[path]}" if file is None else f"{'x' if file.executable else 'f'}{file.digest}"
                state.update(f"{kind}\0{path}\0".encode())
            self._digest = Digest(f"sha256:{state.hexdigest()}")
        return self._digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SourceTree) and self.files == other.files and self.links == other.links

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<SourceTree {self.root or 'in memory'}: {len(self.files)} files, {len(self.links)} links>"


class _Slice(io.RawIOBase):
    """A part of a file, to be read once from its beginning."""

    def __init__(self, path: str, offset: int, size: int) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._at, self._end = offset, offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = os.preadv(self._file, [memoryview(buffer)[: self._end - self._at]], self._at)
        self._at += count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._file)
        super().close()


def within(path: str, folders: Sequence[str]) -> bool:
    """Whether a path is one of these, or below one of them."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _fits(pattern: str, name: str) -> bool:
    """Whether one part of a path matches; `*` is any run of characters, and each takes the earliest match."""
    first, *middle, last = pattern.split("*")
    end = len(name) - len(last)
    at = len(first)
    if at > end or not name.startswith(first) or not name.endswith(last):
        return False
    for piece in middle:
        at = name.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def _descends(patterns: list[str], parts: list[str]) -> bool:
    """Whether the folders `parts` match; `**` is any number of them, and only the last one is ever widened."""
    at = want = 0
    back: tuple[int, int] | None = None
    while at < len(parts):
        if want < len(patterns) and patterns[want] == "**":
            back = (want, at)
            want += 1
        elif want < len(patterns) and (
            patterns[want] == parts[at] or ("*" in patterns[want] and _fits(patterns[want], parts[at]))
        ):
            at += 1
            want += 1
        elif back is not None:
            back = (back[0], back[1] + 1)
            want, at = back[0] + 1, back[1]
        else:
            return False
    return all(pattern == "**" for pattern in patterns[want:])
