"""Handing the files that differ over to diffoscope, which knows how to look into nearly every format.

Only the files that differ are written out, into a temporary folder; neither the rest of the archives nor their layers are
given to it, since stager has compared those already.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from ...droplet.contents import Contents
from ...errors import CannotWrite, UsageError
from ...files import programs, temporary
from .difference import Difference
from .wording import shown

_MOST = 256 << 20
"""Bytes of files on one side that are written out."""


def contents(difference: Difference, *, timeout: int = 600) -> str:
    """diffoscope's report on every file that both sides have with other content; empty when there is none.

    Raises UsageError when diffoscope is not installed or does not finish within `timeout` seconds, CannotWrite.
    """
    program = programs.find("diffoscope")
    if not program:
        raise UsageError(
            "diffoscope is not installed",
            "Install it (Debian: apt install diffoscope-minimal), or leave --contents out.",
        )
    paths = [one.path for one in difference.files if any(name == "content" for name, _, _ in one.fields)]
    paths = [path for path in paths if _plain(path)]
    if not paths:
        return ""
    with temporary.folder("diff") as folder:
        for letter, side in (("a", difference.a), ("b", difference.b)):
            _write(side, paths, os.path.join(folder, letter))
        return _run(program, folder, timeout)


def _plain(path: str) -> bool:
    """Whether a path can be written below a folder without leaving it."""
    parts = path.removeprefix("/").split("/")
    return all(part not in ("", ".", "..") and "\0" not in part and len(os.fsencode(part)) < 256 for part in parts)


def _write(side: Contents, paths: Iterable[str], root: str) -> None:
    left = _MOST
    for path, data in side.fetch(set(paths), _MOST) if side.fetch else ():
        left -= len(data)
        if left < 0:
            raise UsageError(f"the files that differ come to more than {_MOST} bytes", "Leave --contents out.")
        place = os.path.join(root, path.removeprefix("/"))
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(data)
        except OSError as error:
            raise CannotWrite(shown(path), error.strerror or str(error)) from None


def _run(program: str, folder: str, timeout: int) -> str:
    command = [program, "--text", "-", "--no-progress", "--exclude-directory-metadata=yes", "a", "b"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise UsageError(f"diffoscope did not finish in {timeout} s", "Compare fewer files.") from None
    if done.returncode not in (0, 1):
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit {done.returncode}"]
        raise UsageError(f"diffoscope failed: {shown(why[0])}", "Run it on the files yourself.")
    return done.stdout.decode("utf-8", "replace")
