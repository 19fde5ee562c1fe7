"""The promise of boxes: equal bytes whoever builds them, wherever, whenever."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import PROGRAM, stager
from test_reproducible import CHANGED, PLAIN, ROOTLESS, files

pytestmark = [pytest.mark.tools, pytest.mark.network, pytest.mark.slow]

STACKS = ("debian-12", "debian-13")
BOXES = ("docker", "libvirt", "virtualbox", "vmware")
"""What is built twice of each stack, from the packages on."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can enter, as pytest's own are not."""
    found = Path(tempfile.mkdtemp(prefix="stager-boxes-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


def build(command: list[object], env: dict[str, str], cwd: Path) -> None:
    done = subprocess.run(list(map(str, command)), env=env, cwd=cwd, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("stack", STACKS)
def test_two_builds_of_all_boxes_are_equal(stack: str, place: Path, shared_store: Path) -> None:
    """Path, working folder, umask, time zone, locale, host name, user (root or none), clock, HOME, TMPDIR, order of PATH,
    environment, hash seed, number of processors and of threads differ between the two; nothing of the result does."""
    import sys

    assert os.geteuid() == 0, "one of the two builds is made with root"
    lock = place / "box.lock"
    stager("box", "lock", stack, "-o", lock, store=shared_store).good()
    warm, second = place / "first", place / "second store"
    for needed in ("ssh", "machine"):
        stager("box", "build", stack, "--lock", lock, "--set", needed, "--fetch-only", store=warm).good()
    shutil.copytree(warm, second)
    home = place / "an öther place" / "with spaces"
    home.mkdir(parents=True)
    asked = [text for name in BOXES for text in ("--format", name)]
    common = [*PROGRAM, "box", "build", stack, "--lock", lock, *asked, "--offline", "--quiet"]
    build([*common, "--cache-dir", warm, "-o", place / "plain"], PLAIN, place)

    subprocess.run(["chown", "-R", "nobody:nogroup", home.parent, second], check=True)
    path = ":".join(reversed(PLAIN["PATH"].split(":")))
    variables = {**CHANGED, "PATH": path, "HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home)}
    wrapper = ["unshare", "--mount", "--uts", "sh", "-c", ROOTLESS, "sh", place / "ids", sys.base_prefix]
    later = ["taskset", "1", "faketime", "-f", "+407d"]
    build([*wrapper, *later, *common, "--jobs", "1", "--cache-dir", second, "-o", home / "out"], variables, home)

    first, changed = files(place / "plain"), files(home / "out")
    assert len(first) == len(BOXES)
    assert first == changed
