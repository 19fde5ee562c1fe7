"""Real build roots, pinned and made once a run (once for ever with `STAGER_TEST_STORE`), shared by all workers, read-only.

`plain_root` is debian-12 as it is; `compiler_root` has a C and C++ compiler, make, pkg-config and Python's headers besides.
`plain_pins` and `compiler_pins` are the same as a plan holds them. Tests that use them are marked `tools` and `network`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from stager.builds import roots
from stager.digest import Digest
from stager.model import BuildRoot
from stager.net.indexes import Indexes
from stager.sandbox.roots import RootFolder
from stager.stacks import lock
from stager.stacks.build_context import Making
from stager.stacks.lock import StackLock
from stager.store import Store

COMPILERS = ("g++", "gcc", "libc6-dev", "make", "pkg-config", "python3-dev")
STACK, ARCHITECTURE = "debian-12", "amd64"


def making(store: Path, offline: bool = False) -> Making:
    """A store, with this machine's indexes."""
    return Making(Store(str(store)), Indexes.from_environment(os.environ, home=os.path.expanduser("~")), offline)


def pins(store: Path, name: str, wants: tuple[str, ...] = ()) -> BuildRoot:
    """A root with what the index says of it the first time; kept beside the packages, so that the archive may move on."""
    wanted = BuildRoot(name, STACK, "", (), wants)
    file = store / "build-roots" / f"{name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.guard"):
        if not file.exists():
            found = roots.pinned(wanted, ARCHITECTURE, making(store))
            rows = ((("root", ARCHITECTURE, found.packages)),)
            text = lock.dumps(StackLock(STACK, Digest("sha256:" + "0" * 64), (("", found.epoch),), rows))
            file.write_text(text, "utf-8")
    known = lock.loads(file.read_bytes())
    return BuildRoot(name, STACK, known.indexes[0][1], known.pins(["root"], ARCHITECTURE), wants)


@pytest.fixture(scope="session")
def plain_pins(shared_store: Path) -> BuildRoot:
    """debian-12's own root, pinned."""
    return pins(shared_store, "stack")


@pytest.fixture(scope="session")
def compiler_pins(shared_store: Path) -> BuildRoot:
    """debian-12 with compilers, pinned."""
    return pins(shared_store, "compilers", COMPILERS)


@pytest.fixture(scope="session")
def plain_root(shared_store: Path, plain_pins: BuildRoot) -> RootFolder:
    """debian-12's own root on the disk."""
    return roots.made(plain_pins, ARCHITECTURE, making(shared_store))


@pytest.fixture(scope="session")
def compiler_root(shared_store: Path, compiler_pins: BuildRoot) -> RootFolder:
    """debian-12 with compilers on the disk."""
    return roots.made(compiler_pins, ARCHITECTURE, making(shared_store))
