"""Folders for tests of the source tree, and two ways to read them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stager.errors import StagerError
from stager.tree import Executable, Link, SourceTree
from stager.tree.walk import Walk

Content = str | bytes | Link | Executable
Files = dict[str, Content]

ENVIRONMENT: Files = {"pyvenv.cfg": "home = /usr/bin\n", "bin/python": Link("/usr/bin/python3"), "lib/x.py": "x"}
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n"
LATER = 10_000_000_000
"""Ten seconds in ns: a reading with this much added to its clock trusts files that were made a moment ago."""

_GIT = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def lay_out(root: Path, files: Mapping[str, Content]) -> Path:
    """Write files below `root`, as `SourceTree.of` takes them."""
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            place.symlink_to(content)
        else:
            place.write_bytes(content.encode() if isinstance(content, str) else content)
            place.chmod(0o755 if isinstance(content, Executable) else 0o644)
    return root


def environment(folder: str) -> Files:
    """A virtual environment."""
    return {f"{folder}/{path}": content for path, content in ENVIRONMENT.items()}


def read(root: Path) -> SourceTree:
    return SourceTree.read(str(root))


def tree_of(root: Path, files: Mapping[str, Content]) -> SourceTree:
    return read(lay_out(root, files))


def aged(root: Path, index: dict[str, Any] | None = None, stop: Callable[[], bool] = lambda: False) -> Walk:
    """A reading that trusts files made a moment ago. What is touched after it is so at a later tick of the clock."""
    found = Walk(str(root), index, time.time_ns() + LATER, stop)
    time.sleep(0.012)
    return found


@contextlib.contextmanager
def looks() -> Iterator[list[tuple[str, Any]]]:
    """What Python opens (`open`) and lists (`os.scandir`) meanwhile, by its own audit events (PEP 578)."""
    _hook()
    seen: list[tuple[str, Any]] = []
    _listening.append(seen)
    try:
        yield seen
    finally:
        _listening.pop()


_listening: list[list[tuple[str, Any]]] = []


@cache
def _hook() -> None:
    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if _listening and event in ("open", "os.scandir"):
            _listening[-1].append((event, arguments[0]))

    sys.addaudithook(hear)


def result(found: Walk) -> tuple[object, ...]:
    """All that a reading says."""
    said = (found.left_out, found.kept, found.environments, found.vendored)
    return found.files, found.links, *(sorted(part) for part in said)


def refusal(act: Callable[[], object], kind: type[StagerError]) -> tuple[str, str, str]:
    """(where, message, hint) of the error that `act` ends with; exactly of this kind."""
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    return caught.value.where, caught.value.message, caught.value.hint


def git(folder: Path, *arguments: str, text: bytes = b"", check: bool = True) -> bytes:
    """What git, without anybody's configuration, prints."""
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@index.example", "-c", "core.autocrlf=false", *arguments]
    return subprocess.run(command, cwd=folder, env=_GIT, input=text, check=check, stdout=subprocess.PIPE).stdout
