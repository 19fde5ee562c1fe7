"""Promise 1 with builds: what is compiled, put together and collected is the same whichever machine does it, as is its root.

Every machine has a store of its own, filled from a bundle without what was built, so that all of it is built there, twice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from all_built import AllBuilt
from axes import Axis, copy, host_axes, missing, mounted, run
from build_roots import making
from command import in_process
from isolated import OTHER_USER, as_other_user

from stager.builds import roots
from stager.model import BuildRoot
from stager.store import Store

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.tools]

BUILDS = {"bytecode-python", "unix-dgram-2-0-6", "markupsafe", "build", "static"}
NOWHERE = "/nonexistent"
SURROUNDINGS = (
    Axis("", "", umask=0o077, variables={"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4242"}, wrapper=("taskset", "-c", "0")),
    Axis("", "", umask=0, variables={"TMPDIR": "/dev/shm", "HOME": NOWHERE, "LANGUAGE": "tr"}, backwards=True, mtime=1),
    Axis("", "", variables={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONOPTIMIZE": "2"}, mount=True, needs="disorderfs",
         folder="deep/" * 9 + "Ünïcode app"),
)  # fmt: skip
"""What machines differ in besides: users' umasks, languages, clocks, processors, orders of names, file systems, paths."""


@dataclass(frozen=True)
class Seed:
    """A store with all that a staging needs, and nothing that was built but the compilers' root."""

    app: AllBuilt
    store: Path
    roots: frozenset[str]

    def copied(self, to: Path, how: Callable[[str, str], object] = os.link) -> Path:
        """A machine's own; its files are the same ones where they may be."""
        shutil.copytree(self.store, to, copy_function=how)
        return to


@pytest.fixture(scope="module")
def seed(all_built: AllBuilt, shared_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Seed:
    place = tmp_path_factory.mktemp("seed")
    bundle, store = place / "bundle.tar", Store(str(place / "store"))
    in_process("bundle", "export", all_built.app, "--locked", "-o", bundle, store=shared_store).good()
    in_process("bundle", "import", bundle, store=place / "store").good()
    bundle.unlink()
    made = set()
    for root in all_built.plan.roots:
        made.add(roots.made(root, "amd64", making(shared_store)).digest)
        if root.wants:
            roots.lend(root, "amd64", making(shared_store), store)
    return Seed(all_built, place / "store", frozenset(one.partition(":")[2] for one in made))


def unpacked(store: Path) -> set[str]:
    """The digests of the roots that a machine has made."""
    return {path.name for path in (store / "v1" / "roots").iterdir() if path.is_dir()}


def built(said: str) -> set[str]:
    """The builds that ran."""
    return {line.split()[1] for line in said.splitlines() if line.startswith("built ")}


@pytest.mark.parametrize("number", range(3))
def test_on_another_host(seed: Seed, number: int, tmp_path: Path) -> None:
    """With another Python, zlib, C library and bubblewrap, which makes the plain root itself; in other surroundings."""
    if not (hosts := host_axes()):
        pytest.skip("STAGER_TEST_HOSTS names no other Python")
    host = hosts[number % len(hosts)]
    axis = replace(SURROUNDINGS[number], name=host.name, python=host.python)
    if why := missing(axis):
        pytest.skip(why)
    folder, store = copy(seed.app.app, tmp_path / "apps", axis), seed.copied(tmp_path / "store")
    with mounted(axis, folder, tmp_path) as seen:
        said = run(axis, [axis.python, "-m", "stager", *stage(seen, tmp_path, store)], tmp_path)
    assert f"{seed.app.digest}\n" in said
    assert built(said) == BUILDS
    assert unpacked(store) == seed.roots


def stage(app: Path, place: Path, store: Path) -> list[str]:
    return ["stage", str(app), "--locked", "--offline", "-o", str(place / "droplet.tgz"), "--cache-dir", str(store)]


def test_as_an_ordinary_user(seed: Seed, shared_store: Path, tmp_path: Path) -> None:
    """With both roots from elsewhere: somebody who owns nothing has no subordinate ids to make one with."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    axis = replace(SURROUNDINGS[1], owner=OTHER_USER, variables={})
    folder, store = copy(seed.app.app, tmp_path / "apps", axis), seed.copied(tmp_path / "store", shutil.copyfile)
    roots.lend(roots_of(seed, "stack"), "amd64", making(shared_store), Store(str(store)))
    subprocess.run(["chown", "-R", f"{OTHER_USER}:{OTHER_USER}", tmp_path], check=True)
    words = as_other_user(stage(folder, tmp_path, store), folder=tmp_path)
    said = run(axis, words, tmp_path)
    assert f"{seed.app.digest}\n" in said
    assert built(said) == BUILDS
    assert unpacked(store) == seed.roots


def roots_of(seed: Seed, name: str) -> BuildRoot:
    return next(root for root in seed.app.plan.roots if root.name == name)
