"""What is seldom done to a store: counting it, checking it, and cleaning it. `Store` calls this module when asked.

Nothing is removed while anybody holds a lease: `gc`, and the moment in which `verify` sets damage aside, take the
store's lock alone. They first take a turnstile (`gc.turn`) that holds newcomers off, so that a busy machine's steady
stream of stagings cannot keep them waiting for ever. A `gc` killed at any instruction leaves a store that is only
smaller.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator, Set
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import CannotWrite, UsageError
from ..model import Event, Progress
from ..text.typed import whole
from .disk import DAMAGE, boot_id, hash_of
from .errors import CannotRead, StoreBusy
from .locks import GC_WAIT, lock_file, wait_for

if TYPE_CHECKING:
    from . import Store

_HEX = re.compile(r"[0-9a-f]{64}")


class _File(NamedTuple):
    used: int
    """Last use: the modification time in nanoseconds."""
    path: str
    size: int
    name: str
    regular: bool


def info(store: Store) -> dict[str, Any]:
    """`{root, bytes, blobs, memos, pages, logs, temporary, trash}`, each part as `{count, bytes}`."""
    parts = {
        "blobs": _sum(_files(store, "blobs/sha256")),
        "memos": _sum(_files(store, "memo")),
        "pages": _sum(_tree(store, "http")),
        "logs": _sum(_files(store, "logs")),
        "temporary": _sum(_files(store, "tmp")),
        "trash": _sum(_sized(_files(store, "trash"))),
    }
    return {"root": store.root, "bytes": sum(part["bytes"] for part in parts.values()), **parts}


def verify(store: Store, progress: Progress | None = None, subset: str | None = None) -> dict[str, Any]:
    """Hash every blob and move the damaged ones to the trash, where those who have them open keep them.

    `subset` `n/t` (1 ≤ n ≤ t) checks one of t parts, so that t runs check everything. Returns `{checked, bytes,
    damaged: [{name, why}]}`. Raises UsageError, CannotRead, and StoreBusy when damage cannot be set aside because
    stagings hold the store.
    """
    wanted = _part(subset)
    blobs = [file for file in _files(store, "blobs/sha256") if wanted(file.name)]
    damaged, read = [], 0
    for count, file in enumerate(blobs, 1):
        why = _damage(file)
        if why:
            damaged.append({"name": file.name, "why": why})
        read += file.size
        if progress:
            progress(Event("verify", file.name, count, len(blobs)))
    return {"checked": len(blobs), "bytes": read, "damaged": _set_aside(store, damaged) if damaged else []}


def _part(subset: str | None) -> Any:
    if subset is None:
        return lambda _: True
    match = re.fullmatch(r"([1-9]\d{0,4})/([1-9]\d{0,4})", subset)
    if not match or int(match[1]) > int(match[2]):
        raise UsageError(f"subset {subset!r} is not n/t with 1 <= n <= t", "Write for example 1/10.")
    number, total = int(match[1]) - 1, int(match[2])
    # Foreign names belong to the first part, so that they, too, are found once.
    return lambda name: (int(name[:8], 16) if _HEX.fullmatch(name) else 0) % total == number


def _damage(file: _File) -> str:
    """What is wrong with a blob; empty when nothing is, or when it is gone by now."""
    if not _HEX.fullmatch(file.name):
        return "not the name of a blob"
    if not file.regular:
        return "not a regular file"
    try:
        descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno in DAMAGE:
            return f"cannot be read: {error.strerror}"
        raise CannotRead(file.path, error.strerror or "") from None
    try:
        found = hash_of(descriptor)
    except OSError as error:
        return f"cannot be read: {error.strerror}"  # a bad disk: the blob is lost either way
    finally:
        os.close(descriptor)
    return "" if found == file.name else f"its SHA-256 is {found}"


def _set_aside(store: Store, damaged: list[dict[str, str]]) -> list[dict[str, str]]:
    """Under the store's lock, look again: a writer may have healed a blob since it was read."""
    gone = []
    with _alone(store, GC_WAIT):
        for entry in damaged:
            path = f"{store.root}/v1/blobs/sha256/{entry['name']}"
            with suppress(FileNotFoundError):
                if _damage(_file(path)):
                    _mutate(store, store.discard, path)
                    gone.append(entry)
    return gone


def gc(
    store: Store,
    max_bytes: int | None = None,
    keep: Set[str] = frozenset(),
    dry_run: bool = False,
    wait: float = GC_WAIT,
) -> dict[str, Any]:
    """Sweep what killed processes left, empty the trash and, above `max_bytes`, remove what was used least recently.

    `keep` holds SHA-256 hex names that stay in any case. A memo that mentions a removed blob goes with it. Returns
    `{removed: {count, bytes}, swept: {count, bytes}, bytes}`, the last being what remains. Raises StoreBusy after
    `wait` seconds with stagings running, and CannotWrite.
    """
    with _alone(store, wait):
        swept = [*_orphans(store), *_sized(_files(store, "trash")), *_files(store, "locks"), *_strange(store)]
        doomed, left = _least_used(store, max_bytes, keep)
        memos = _mentioning(store, {file.name for file in doomed}) if doomed else []
        report = {"removed": _sum(doomed), "swept": _sum(swept), "bytes": left}
        if not dry_run:
            for file in (*swept, *memos, *doomed):
                _mutate(store, _remove, file.path)
    return report


def _least_used(store: Store, max_bytes: int | None, keep: Set[str]) -> tuple[list[_File], int]:
    """What has to go for the rest to fit, oldest use first, and the bytes that then remain."""
    files = [*_files(store, "blobs/sha256"), *_files(store, "memo")]
    files = [*(file for file in files if file.regular), *_tree(store, "http"), *_files(store, "logs")]
    total = sum(file.size for file in files)
    doomed = []
    for file in sorted(files):
        if max_bytes is None or total <= max_bytes:
            break
        if file.name not in keep:
            doomed.append(file)
            total -= file.size
    return doomed, total


def _mentioning(store: Store, names: set[str]) -> list[_File]:
    found = []
    for file in _files(store, "memo"):
        if not file.regular:  # opening a FIFO would wait for a writer
            continue
        with suppress(OSError), open(file.path, encoding="utf-8", errors="replace") as stream:
            if not names.isdisjoint(_HEX.findall(stream.read())):
                found.append(file)
    return found


def _strange(store: Store) -> Iterator[_File]:
    """Folders, links and the like where a blob or a memo belongs: nothing ever reads them."""
    yield from _sized(file for name in ("blobs/sha256", "memo") for file in _files(store, name) if not file.regular)


def _sized(files: Iterable[_File]) -> Iterator[_File]:
    """With the bytes of all that is inside for those that are folders."""
    for file in files:
        inside = 0
        if not file.regular and os.path.isdir(file.path) and not os.path.islink(file.path):
            for place, _, names in os.walk(file.path):
                for name in names:
                    with suppress(OSError):
                        inside += _file(os.path.join(place, name)).size
        yield file._replace(size=file.size + inside)


def _orphans(store: Store) -> Iterator[_File]:
    """Temporary files of earlier boots and of processes that are gone."""
    boot = boot_id()
    for file in _files(store, "tmp"):
        made_by = file.name.split("-")
        if made_by[0] != boot or not (len(made_by) > 1 and (maker := whole(made_by[1])) is not None and _alive(maker)):
            yield file


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _alone(store: Store, wait: float) -> Iterator[None]:
    """Hold the store's lock alone: no lease is held by anybody, and none is granted."""
    if store.lease().held:  # asking makes the folders and refuses unsafe ones
        raise StoreBusy(store.root, "the store cannot be cleaned while this process itself uses it")
    with ExitStack() as stack:
        for name in ("gc.turn", "gc.lock"):
            descriptor = lock_file(store.root, name)
            if descriptor < 0:
                raise CannotWrite(store.root, "the file system is read-only")
            stack.callback(os.close, descriptor)
            wait_for(descriptor, fcntl.LOCK_EX, wait, store.root, "stagings are using the store")
        yield


def _mutate(store: Store, act: Any, path: str) -> None:
    try:
        act(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotWrite(store.root, error.strerror or type(error).__name__) from None


def _remove(path: str) -> None:
    """Remove a file, a link, or a whole folder that somebody put where a blob belongs."""
    try:
        os.unlink(path)
    except (IsADirectoryError, PermissionError):
        import shutil

        if not os.path.isdir(path) or os.path.islink(path):
            raise
        _open_up(path)
        shutil.rmtree(path)


def _open_up(folder: str) -> None:
    """Let its owner empty a folder, and those in it, whatever their modes."""
    os.chmod(folder, 0o700)
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            _open_up(entry.path)


def _file(path: str) -> _File:
    found = os.lstat(path)
    regular = stat.S_ISREG(found.st_mode)
    return _File(found.st_mtime_ns, path, found.st_size if regular else 0, os.path.basename(path), regular)


def _files(store: Store, folder: str) -> Iterator[_File]:
    """The entries of a folder of the store, by name. Raises CannotRead."""
    path = f"{store.root}/v1/{folder}"
    try:
        names = sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise CannotRead(path, error.strerror or "") from None
    for name in names:
        with suppress(FileNotFoundError):
            yield _file(f"{path}/{name}")


def _tree(store: Store, folder: str) -> list[_File]:
    """All files below a folder of the store, by path; links are not followed."""
    return list(_below(store, folder))


def _below(store: Store, folder: str) -> Iterator[_File]:
    for file in _files(store, folder):
        if not file.regular and os.path.isdir(file.path) and not os.path.islink(file.path):
            yield from _below(store, f"{folder}/{file.name}")
        else:
            yield file


def _sum(files: Any) -> dict[str, int]:
    sizes = [file.size for file in files]
    return {"count": len(sizes), "bytes": sum(sizes)}
