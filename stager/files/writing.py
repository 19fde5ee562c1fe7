"""Writing outputs: whole or not at all, through symbolic links, and into what is no regular file.

A file is made beside its place under the name `.NAME.<12 hex digits>.part` and renamed once it is whole; a folder likewise.
Its writer holds a lock on it (flock(2)), which ends with the writer however that ends, on whatever host or in whatever
container; so a part that can be locked is a dead writer's, and who next writes NAME in that folder removes it.

Links are followed to the last file and stay. What is no regular file (a device, a FIFO, a descriptor such as
`/dev/stdout`) is written into. This module is on the warm path and imports nothing heavy.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import Cancelled, CannotWrite, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

STDOUT = "/dev/stdout"
"""What `-o -` stands for."""
_STREAMS = {"/dev/stdin": 0, STDOUT: 1, "/dev/stderr": 2}
_PART = ".part"
_HEX = 12
_LONGEST = 255 - 2 - _HEX - len(_PART)
"""Bytes of a name that its part can carry: a name has at most 255."""
_LINKS = 40
"""As many links as Linux follows (path_resolution(7))."""
_STDOUT = "standard output"
_ROOM = "See that there is room where it goes, or send it elsewhere."
ELSEWHERE = "Choose another place."
_BESIDE = "It is written beside its place first, so that half of it never shows: choose a folder that you may write to."


def stdout_full(error: OSError) -> CannotWrite:
    """Why standard output takes no more, as an error."""
    return CannotWrite(_STDOUT, error.strerror or str(error), _ROOM)


def never() -> bool:
    """What is asked whether to stop where nobody can ask for it."""
    return False


# --- where an output goes --------------------------------------------------------------------------------------


def followed(path: str) -> tuple[str, os.stat_result | None]:
    """Where an output's links lead at last, and what is there now; `/dev/fd/N` for a descriptor of this process.

    Raises CannotWrite for links in a circle, and for a link that the kernel would not follow (see `_trusted`).
    """
    place = path
    for _ in range(_LINKS + 1):
        number = _descriptor(place)
        if number >= 0:
            return f"/dev/fd/{number}", _status(number, path)
        try:
            found = os.lstat(place)
        except FileNotFoundError:
            return place, None
        except (OSError, ValueError) as error:
            raise refused(path, place, error) from None
        if not stat.S_ISLNK(found.st_mode):
            return place, found
        if _is_descriptor(place):
            return place, os.stat(place)  # another process's: the link's text is no path
        _trusted(path, place, found)
        place = os.path.join(os.path.dirname(place), os.readlink(place))
    raise CannotWrite(path, "its symbolic links lead in a circle", "Remove the links, or choose another place.")


def _is_descriptor(place: str) -> bool:
    folder, _, number = place.rpartition("/")
    return folder.endswith("/fd") and number.isascii() and number.isdigit()


def _descriptor(place: str) -> int:
    """The number of this process's descriptor that a path names; -1 for none."""
    if place in _STREAMS:
        return _STREAMS[place]
    if not _is_descriptor(place):
        return -1
    folder, _, number = place.rpartition("/")
    real = os.path.realpath(folder)
    own = real == "/dev/fd" or (real.startswith(f"/proc/{os.getpid()}/") and real.endswith("/fd"))
    return int(number) if own and len(number) < 10 else -1


def _status(number: int, path: str) -> os.stat_result:
    try:
        return os.fstat(number)
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error), "Open that descriptor, or name a file.") from None


def _trusted(path: str, link: str, found: os.stat_result) -> None:
    """Refuse another user's link in a folder where everybody may put one, as `fs.protected_symlinks` does (proc(5))."""
    folder = os.stat(os.path.dirname(link) or ".")
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if shared and found.st_uid not in (os.geteuid(), folder.st_uid):
        why = f"{link} is another user's symbolic link, in a folder that everybody may write to"
        raise CannotWrite(path, why, ELSEWHERE)


def final(path: str) -> str:
    """The file or folder that an output is, or will be, once its links are followed; empty for what is written into."""
    place, found = followed(path)
    plain = found is None or stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return place if plain and not _is_descriptor(place) else ""


def is_stdout(path: str) -> bool:
    """Whether an output goes to this process's standard output."""
    return bool(path) and followed(path)[0] == "/dev/fd/1"


def replaced(out: str) -> str:
    """The regular file with content that an output would replace; empty for none.

    Raises CannotWrite, before any work, when there is no folder to write into.
    """
    place, found = followed(out)
    if place.startswith("/dev/fd/") or _is_descriptor(place):
        return ""
    if found is None and not os.path.isdir(os.path.dirname(place.rstrip("/")) or "."):
        raise refused(out, place.rstrip("/"), FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
    return place if found is not None and stat.S_ISREG(found.st_mode) and found.st_size else ""


def keep_apart(out: str, *inputs: str) -> None:
    """Raise UsageError when an output is one of the files that it is made from."""
    place = final(out)
    for path in inputs if place else ():
        try:
            same = os.path.samefile(place, path)
        except (OSError, ValueError):
            continue
        if same:
            raise UsageError(f"{out} is what is read, and would be replaced", "Choose another place with -o.")


# --- one file --------------------------------------------------------------------------------------------------


class Whole:
    """What is written in a `with` block, at whose good end it is there, whole, and at whose bad end it is not.

    It has a `_part` until it is published, and a `handle`, to which the part's lock belongs. Raises CannotWrite for whatever
    OSError ends the block.
    """

    __slots__ = ("_part", "_place", "handle", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.handle = -1
        """The open descriptor; a file's is to be written to in order."""
        self._part = self._place = ""

    def _publish(self) -> None:
        raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if kind is None:
                self._publish()
            elif isinstance(error, OSError):
                raise error
        except OSError as problem:
            if self._place == "/dev/fd/1" and problem.errno != errno.EPIPE:
                raise stdout_full(problem) from None
            raise CannotWrite(self.path, problem.strerror or str(problem)) from None
        finally:
            os.close(self.handle)  # last, since the lock goes with it
            if self._part:
                remove(self._part)


class Output(Whole):
    """A file being written, whole or not at all.

    A new file has the permissions that the umask leaves of `mode`; one that replaces a file of the same user has that
    one's; with `exact` it has `mode` in any case. With `new` it replaces none. `stop` is asked at every write, and while
    a FIFO has no reader. Raises CannotWrite, and Cancelled.
    """

    __slots__ = ("_kept", "_mode", "_new", "_stop")

    def __init__(
        self,
        path: str,
        mode: int = 0o666,
        *,
        new: bool = False,
        exact: bool = False,
        stop: Callable[[], bool] = never,
    ) -> None:
        super().__init__(path)
        self._mode, self._new, self._stop = mode, new, stop
        self._kept = mode if exact else -1

    def __enter__(self) -> Self:
        self._place, found = followed(self.path)
        try:
            if self._new and os.path.lexists(self.path):
                raise CannotWrite(self.path, "it is there already", ELSEWHERE)
            if self.path.endswith("/") or not self.path or (found is not None and stat.S_ISDIR(found.st_mode)):
                raise CannotWrite(self.path, "a file is to be written, and this is a folder", "Name a file in it.")
            if self._place.startswith("/dev/fd/"):
                self.handle = os.dup(int(self._place[8:]))
            elif (found is not None and not stat.S_ISREG(found.st_mode)) or _is_descriptor(self._place):
                self.handle = self._into(found)
            else:
                self._beside(found)
        except OSError as error:
            raise refused(self.path, self._place, error) from None
        return self

    def _into(self, found: os.stat_result | None) -> int:
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW * (not _is_descriptor(self._place))
        if found is None or not stat.S_ISFIFO(found.st_mode):
            return os.open(self._place, flags | os.O_TRUNC)
        import time

        while not self._stop():
            try:
                handle = os.open(self._place, flags | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads it yet
                    raise
                time.sleep(0.02)
            else:
                os.set_blocking(handle, True)
                return handle
        raise Cancelled

    def _beside(self, found: os.stat_result | None) -> None:
        folder, name = os.path.split(self._place)
        sweep_beside(folder, name)
        if self._kept < 0 and found is not None and found.st_uid == os.geteuid():
            self._kept = stat.S_IMODE(found.st_mode) & 0o777
        mode = self._mode if self._kept < 0 else 0o600
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        while not self._part:
            part = os.path.join(folder, part_name(name))
            self.handle = os.open(part, flags, mode)
            if hold(self.handle, part):
                self._part = part
            else:
                os.close(self.handle)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes. Raises Cancelled, and OSError, which the block's end turns into CannotWrite."""
        if self._stop():
            raise Cancelled
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.handle, view) :]
            except BlockingIOError:  # a descriptor that somebody else made so
                import select

                select.select([], [self.handle], [])

    def _publish(self) -> None:
        if not self._part:
            return
        os.close(os.dup(self.handle))  # some file systems tell of failed writes only now
        if self._kept >= 0:
            os.fchmod(self.handle, self._kept)
        if self._new:
            _name_new(self._part, self._place)
        else:
            os.replace(self._part, self._place)
        self._part = ""


def folder_above(path: str) -> None:
    """Make the folder that an output is to be in, and those above it. Raises CannotWrite."""
    above = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(above, exist_ok=True)
    except OSError as error:
        raise CannotWrite(above, error.strerror or str(error), ELSEWHERE) from None


def write(path: str, data: bytes, mode: int = 0o666, *, new: bool = False, exact: bool = False) -> None:
    """Write a whole file, or none. Raises CannotWrite."""
    with Output(path, mode, new=new, exact=exact) as output:
        output.write(data)


def _name_new(part: str, place: str) -> None:
    """Give a part its name unless something has it: a link fails where a rename would replace."""
    try:
        os.link(part, place)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        os.rename(part, place)  # a file system without hard links
    else:
        os.unlink(part)


# --- what killed writers left ----------------------------------------------------------------------------------


def sweep(path: str) -> None:
    """Remove what killed writers of this output left beside it. What cannot be removed stays; raises nothing."""
    try:
        place, _ = followed(path.rstrip("/") or path)
    except CannotWrite:
        return
    sweep_beside(*os.path.split(place))


def is_part(name: str, of: str = "") -> bool:
    """Whether a file's or folder's name is that of an unfinished output, of the output `of` if that is given."""
    stem, number, end = (
        name[1 : -_HEX - len(_PART) - 1],
        name[-_HEX - len(_PART) - 1 : -len(_PART)],
        name[-len(_PART) :],
    )
    if not stem or name[0] != "." or end != _PART or number[0] != "." or number[1:].strip("0123456789abcdef"):
        return False
    return len(number) == _HEX + 1 and (not of or stem == _stem(of))


def _stem(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_LONGEST])


def part_name(name: str) -> str:
    """A name for an unfinished output, unlike any other."""
    return f".{_stem(name)}.{os.urandom(_HEX // 2).hex()}{_PART}"


def sweep_beside(folder: str, name: str) -> None:
    """Remove what killed writers of the output `name` left in its folder; what cannot be removed stays."""
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return
    for one in names:
        if one[0] == "." and is_part(one, name):
            remove_left(os.path.join(folder, one))


def remove_left(path: str) -> bool:
    """Remove a file or folder of this user's whose writer, who held its lock, is gone; whether that was so."""
    import fcntl

    try:
        handle = _opened(path)
    except OSError:
        return False
    try:
        found = os.fstat(handle)
        if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)) or found.st_uid != os.geteuid():
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(handle, path):
            return False
        remove(path)
    except OSError:  # somebody holds it, or files cannot be locked here
        return False
    finally:
        os.close(handle)
    return True


def _opened(path: str) -> int:
    try:  # NFS locks only what is open for writing
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except IsADirectoryError:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def hold_folder(path: str) -> int:
    """The descriptor that holds a folder just made for as long as it is open; -1 when it was swept before. OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
    if hold(handle, path):
        return handle
    os.close(handle)
    return -1


def hold(handle: int, path: str) -> bool:
    """Lock what was just made; False when it was swept before that. Where nothing can be locked nothing is swept."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return _is_at(handle, path)


def _is_at(handle: int, path: str) -> bool:
    try:
        there, own = os.lstat(path), os.fstat(handle)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return


def remove(path: str) -> None:
    """Remove a file or a folder, as far as that can be done."""
    if not os.path.isdir(path):
        _unlink(path)
        return
    import shutil

    shutil.rmtree(path, ignore_errors=True)


def refused(path: str, place: str, error: OSError | ValueError) -> CannotWrite:
    """Why an output cannot even be begun, and how to mend that."""
    if not isinstance(error, OSError):
        return CannotWrite(path, str(error), ELSEWHERE)
    folder, code = os.path.dirname(place) or ".", error.errno
    if code == errno.ENOENT and not os.path.isdir(folder):
        return CannotWrite(
            path, f"there is no folder {folder}", f"Make it (mkdir -p {folder}), or choose another place."
        )
    if code == errno.ENOTDIR:
        return CannotWrite(path, f"{folder} is no folder", ELSEWHERE)
    if code == errno.ELOOP:
        return CannotWrite(path, "its symbolic links lead in a circle", "Remove the links, or choose another place.")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS) and not os.access(folder, os.W_OK):
        return CannotWrite(path, f"the folder {folder} may not be written to: {error.strerror}", _BESIDE)
    full = code in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
    return CannotWrite(path, error.strerror or str(error), "" if full else ELSEWHERE)
