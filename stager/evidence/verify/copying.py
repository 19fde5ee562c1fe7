"""The copy of a source that is staged again: elsewhere, created in the opposite order, with other times, modes and owner.

Where a shuffling file system can be had (disorderfs, through FUSE), the copy is read through it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace

from ...droplet.incremental import Folder
from ...errors import CannotWrite
from ...model import Plan
from ...planning import lockfile
from ...text.wording import shown
from ...tree.ignore import OWN_FILES
from ..errors import CannotRebuild
from .conditions import ChangedCondition, ChosenConditions

_OLD = 981_173_106
"""2001-02-03T04:05:06Z, the time of the copied files."""


def copied(
    folder: Folder, plan: Plan, scratch: str, chosen: ChosenConditions, stack: contextlib.ExitStack
) -> tuple[str, ChosenConditions]:
    """Copy the source below the folder `scratch`: the folder to stage, and the conditions that could be kept.

    What is mounted or made goes when the `stack` unwinds. Raises CannotWrite, and CannotRebuild for a source that needs a
    buildpack from outside it which cannot be taken along.
    """
    levels = max(1, folder.root.count("/") - scratch.count("/") - 2)  # a deeper one, wherever the source lies
    below = os.path.join("deeper", *["place"] * levels, os.path.basename(folder.root) or "app")
    place = os.path.join(scratch, "copy", below)
    try:
        _copy(folder, plan, place, os.path.join(scratch, "copy"))
        _dress(place, chosen)
        _give_away(scratch, chosen)
    except OSError as error:
        raise CannotWrite(place, error.strerror or str(error)) from None
    shuffled = chosen.of("file order")
    if shuffled is None or not shuffled.program:
        return place, chosen
    mount = os.path.join(scratch, "shuffled")
    if _mounted(shuffled.program, os.path.join(scratch, "copy"), mount, chosen.of("user"), stack):
        return os.path.join(mount, below), chosen
    there = "files created in the opposite order, since disorderfs could not be mounted"
    return place, replace(chosen, changes=tuple(_instead(one, there) for one in chosen.changes))


def _instead(change: ChangedCondition, there: str) -> ChangedCondition:
    return replace(change, there=there) if change.name == "file order" else change


def _copy(folder: Folder, plan: Plan, place: str, top: str) -> None:
    tree, backwards = folder.tree, {"reverse": True}
    os.makedirs(place, 0o755)
    for path in sorted(tree.files, **backwards):  # type: ignore[call-overload]
        _write(os.path.join(place, path), tree.chunks(path), tree.files[path].executable)
    for path in sorted(tree.links, **backwards):  # type: ignore[call-overload]
        target = os.path.join(place, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(tree.links[path], target)
    for name in (*OWN_FILES, ".gitignore"):  # what decides which files are source is itself none
        if os.path.isfile(os.path.join(folder.root, name)):
            shutil.copyfile(os.path.join(folder.root, name), os.path.join(place, name))
    for pin in plan.buildpacks:
        if pin.folder and not os.path.isabs(pin.folder):
            own = os.path.normpath(os.path.join(folder.root, pin.folder))
            target = os.path.normpath(os.path.join(place, pin.folder))
            if not target.startswith(f"{top}/"):
                raise CannotRebuild(f"the buildpack folder {shown(pin.folder)} is too far from the source")
            shutil.copytree(own, target, dirs_exist_ok=True)
    _write(os.path.join(place, lockfile.NAME), [lockfile.dumps(plan).encode()], False)


def _write(path: str, parts: Iterable[bytes], executable: bool) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.writelines(parts)
    os.chmod(path, 0o755 if executable else 0o644)


def _dress(place: str, chosen: ChosenConditions) -> None:
    """Other times and modes than the source's files have, where that is asked for."""
    umask = max((chosen.of("umask") or ChangedCondition("", "", "")).umask, 0)
    if chosen.of("file times") is None:
        return
    for folder, _, files in os.walk(place, topdown=False):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode & 0o777 & ~umask)
            os.utime(path, (_OLD, _OLD), follow_symlinks=False)
        os.utime(folder, (_OLD, _OLD))


def _mounted(program: str, place: str, mount: str, user: ChangedCondition | None, stack: contextlib.ExitStack) -> bool:
    """Mount a file system over the copy that shuffles folders at every reading; it goes when the stack unwinds."""
    os.makedirs(mount, 0o755)
    options = ["--shuffle-dirents=yes", "--reverse-dirents=no", "-q"]
    if user is not None and user.user >= 0:
        options += ["-o", "allow_other"]  # its own --multi-user would keep out who may not enter our folders
    stack.callback(_unmount, mount)
    done = subprocess.run([program, *options, place, mount], capture_output=True, check=False, timeout=60)
    return done.returncode == 0 and os.path.ismount(mount)


def _unmount(mount: str) -> None:
    for lazily in ([], ["-z"]):
        if os.path.ismount(mount):
            subprocess.run(["fusermount", "-u", *lazily, mount], capture_output=True, check=False, timeout=60)  # noqa: S607


def _give_away(scratch: str, chosen: ChosenConditions) -> None:
    """Let the other user have the folders that the second staging writes to, and read the rest."""
    user = chosen.of("user")
    if user is None or user.user < 0:
        return
    os.chmod(scratch, 0o711)  # noqa: S103 - the other user must get through
    for top in ("store", "home", "temporary", "elsewhere", "out", "copy"):
        for place, _, files in os.walk(os.path.join(scratch, top)):
            os.chown(place, user.user, user.user)
            for name in files:
                os.chown(os.path.join(place, name), user.user, user.user, follow_symlinks=False)
