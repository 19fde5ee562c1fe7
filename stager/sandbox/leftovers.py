"""How much a job has written, and making what it left fit to be read and removed by anybody."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

_DEEPEST, _LONGEST = 256, 3500
"""How many folders may be in one another, and how many bytes a path may have: what readers and removers can walk through."""


@dataclass(slots=True)
class Amount:
    """Bytes and number of files, folders and links; whether folders are too `deep`, or `hidden` from who counts."""

    size: int = 0
    count: int = 0
    deep: bool = False
    hidden: bool = False


def measure(folder: str, amount: Amount, most: int) -> None:
    """Add what is in a folder, while it changes; once there are more than `most` files the rest does not matter."""
    todo = [(folder, 0)]
    while todo and amount.count <= most:
        above, depth = todo.pop()
        try:
            with os.scandir(above) as found:
                for entry in found:
                    amount.count += 1
                    if amount.count > most:
                        return
                    if not entry.is_dir(follow_symlinks=False):
                        with suppress(FileNotFoundError):
                            amount.size += entry.stat(follow_symlinks=False).st_size
                    elif too_deep(entry.path, depth):
                        amount.deep = True
                    else:
                        todo.append((entry.path, depth + 1))
        except PermissionError:
            amount.hidden = True
        except OSError:
            continue  # gone, or another thing by now


def nameless(processes: Iterable[int], device: int) -> int:
    """Bytes on a file system in files that have no name any more, which these processes hold open."""
    found: dict[int, int] = {}
    for process in processes:
        with suppress(OSError):
            for name in os.listdir(f"/proc/{process}/fd"):
                with suppress(OSError):
                    facts = os.stat(f"/proc/{process}/fd/{name}")
                    if stat.S_ISREG(facts.st_mode) and not facts.st_nlink and facts.st_dev == device:
                        found[facts.st_ino] = facts.st_size
    return sum(found.values())


def settle(folder: str, amount: Amount) -> None:
    """Add what is in a folder in which nothing runs any more, and make it harmless.

    Its owner may look into every folder and write there, no file has a bit that sets an id, and folders that are too deep
    are moved up, so that all of it can be removed. Raises OSError.
    """
    moved = 0
    todo = [(folder, 0)]
    while todo:
        above, depth = todo.pop()
        with os.scandir(above) as found:
            entries = list(found)
        for entry in entries:
            amount.count += 1
            facts = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(facts.st_mode):
                amount.size += facts.st_size
                if stat.S_ISREG(facts.st_mode) and facts.st_mode & (stat.S_ISUID | stat.S_ISGID):
                    os.chmod(entry.path, stat.S_IMODE(facts.st_mode) & 0o777)
                continue
            if facts.st_mode & 0o700 != 0o700:
                os.chmod(entry.path, stat.S_IMODE(facts.st_mode) | 0o700)
            path, below = entry.path, depth + 1
            if too_deep(path, depth):
                amount.deep, moved = True, moved + 1
                path, below = f"{folder}/.stager-{moved}-{os.urandom(4).hex()}", 1
                os.rename(entry.path, path)
            todo.append((path, below))


def too_deep(path: str, depth: int) -> bool:
    """Whether readers and removers could not walk through a path with so many folders in it."""
    return depth > _DEEPEST or len(os.fsencode(path)) > _LONGEST
