"""The promise of stacks: root and image are equal bytes whoever builds them, wherever, whenever."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command import PROGRAM, stager

from stager.digest import sha256_chunks

pytestmark = [pytest.mark.tools, pytest.mark.network, pytest.mark.slow]

REPOSITORY = Path(__file__).parent.parent.parent
PLAIN = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
CHANGED = {
    **PLAIN,
    "TZ": "Pacific/Kiritimati",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "tr_TR.UTF-8",
    "PYTHONHASHSEED": "4711",
    "SOURCE_DATE_EPOCH": "1",
    "DEBIAN_FRONTEND": "readline",
    "APT_CONFIG": "/nonexistent/apt.conf",
    "UMASK": "077",
}
ROOTLESS = """\
set -e
ids=$1 python=$2
shift 2
echo nobody:100000:65536 >"$ids"
mount --bind "$ids" /etc/subuid
mount --bind "$ids" /etc/subgid
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=-all "$@"; }
if ! as_nobody sh -c 'ls "$1"' sh "$python" >/dev/null 2>&1; then
    mkdir "$ids.python"
    mount --bind "$python" "$ids.python"
    mount -t tmpfs -o mode=0755 tmpfs "/$(echo "$python" | cut -d/ -f2)"
    mkdir -p "$python"
    mount --bind "$ids.python" "$python"
fi
hostname elsewhere.example
umask 077
as_nobody "$@"
"""
"""Another user, who is given ids of his own, and this Python where only root can reach it; another host name; another umask.
Nothing of it is seen outside."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can enter, as pytest's own are not."""
    found = Path(tempfile.mkdtemp(prefix="stager-stacks-"))
    found.chmod(0o755)
    yield found
    shutil.rmtree(found)


def plainly(place: Path, stack: str, lock: Path, store: Path) -> dict[str, Any]:
    """As root, in a plain environment."""
    return build(stack, lock, store, place / "plain", PLAIN, place, ())


def otherwise(place: Path, stack: str, lock: Path, store: Path) -> dict[str, Any]:
    """With everything changed that may change."""
    home = place / "an öther place" / "with spaces"
    home.mkdir(parents=True)
    subprocess.run(["chown", "-R", "nobody:nogroup", str(home.parent), str(store)], check=True)
    variables = {**CHANGED, "HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home)}
    wrapper = (
        *("unshare", "--mount", "--uts", "sh", "-c", ROOTLESS, "sh", str(place / "ids"), sys.base_prefix),
        *("taskset", "1", "faketime", "-f", "+407d"),
    )
    return build(stack, lock, store, home / "out", variables, home, wrapper, "--jobs", "1")


def build(
    stack: str, lock: Path, store: Path, out: Path, env: dict[str, str], cwd: Path, wrapper: tuple[str, ...], *more: str
) -> dict[str, Any]:
    command = [
        *wrapper,
        *PROGRAM,
        "box",
        "build",
        stack,
        "--lock",
        str(lock),
        "--cache-dir",
        str(store),
        "-o",
        str(out),
    ]
    done = subprocess.run(
        [*command, "--json", "--quiet", "--offline", *more],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {**json.loads(done.stdout), "output": out}


def files(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256_chunks([path.read_bytes()]) for path in found}


@pytest.mark.parametrize("stack", ["debian-12", "debian-13"])
def test_two_builds_are_equal(stack: str, place: Path, shared_store: Path) -> None:
    """Path, working folder, umask, time zone, locale, host name, user (root or none), clock, HOME, TMPDIR, environment,
    hash seed, number of processors and of threads differ between the two; nothing of the result does."""
    assert os.geteuid() == 0, "one of the two builds is made with root"
    lock = place / "box.lock"
    stager("box", "lock", stack, "-o", lock, store=shared_store).good()
    # The packages are fetched once; each build has a store of its own that holds nothing but them.
    warm = place / "first"
    stager("box", "build", stack, "--lock", lock, "--fetch-only", store=warm).good()
    second = place / "second store"
    shutil.copytree(warm, second)
    one, other = plainly(place, stack, lock, warm), otherwise(place, stack, lock, second)
    first, changed = files(one["output"]), files(other["output"])
    assert set(first) == set(changed)
    assert first == changed
    assert {**one, "output": ""} == {**other, "output": ""}
    assert first["root.tar"] == one["root"]["digest"]
