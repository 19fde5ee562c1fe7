"""The wheel is reproducible, holds exactly the tracked files, and finds its buildpacks and boxes when installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
DATA = {"buildpacks/": "stager/_data/buildpacks/", "boxes/": "stager/_data/boxes/"}


def tracked() -> list[str]:
    """The files a commit made now would hold, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return sorted(name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file())


def copy(files: list[str], into: Path, mtime: int, source: Path = ROOT) -> Path:
    """A fresh clone as another machine would have it: other times, files created in another order."""
    for name in files if mtime % 2 else reversed(files):
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
        target.chmod(0o755 if os.access(source / name, os.X_OK) else 0o644)
        os.utime(target, (mtime, mtime))
    return into


def build(checkout: Path, umask: int, zone: str) -> Path:
    """Build the wheel with the project's own back end; return its path."""
    environment = {**os.environ, "TZ": zone, "PYTHONHASHSEED": str(umask)}
    environment.pop("SOURCE_DATE_EPOCH", None)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    done = subprocess.run(command, cwd=checkout, env=environment, umask=umask, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (checkout / "dist").glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def files() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return tracked()


@pytest.fixture(scope="module")
def wheel(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(copy(files, tmp_path_factory.mktemp("here"), 1_500_000_001), 0o022, "UTC")


def test_two_machines_build_equal_wheels(wheel: Path, files: list[str], tmp_path: Path) -> None:
    first = wheel.parent.parent
    other = build(copy(files, tmp_path / "deep" / "er", 1_700_000_000, first), 0o077, "Asia/Kathmandu")
    assert other.name == wheel.name
    assert other.read_bytes() == wheel.read_bytes()


def test_the_wheel_holds_the_tracked_files_and_no_other(wheel: Path, files: list[str]) -> None:
    wanted = {name for name in files if name.startswith("stager/")}
    for folder, place in DATA.items():
        wanted |= {place + name.removeprefix(folder) for name in files if name.startswith(folder)}
    with ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
        extra = {name for name in opened.namelist() if ".dist-info/" in name}
    assert held == wanted
    assert {name.partition("/")[2] for name in extra} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


def test_an_installed_wheel_finds_its_data(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(target)]
    subprocess.run([*command, str(wheel)], check=True, cwd=tmp_path)
    script = (
        "import stager, stager.text.resources as r\n"
        "print(stager.__file__)\n"
        "print(*r.names('buildpacks'), *r.names('boxes'))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    where, found = done.stdout.splitlines()
    assert where == str(target / "stager" / "__init__.py")
    definitions = {name.split("/")[1] for name in tracked() if name.endswith(("/buildpack.yml", "/box.yml"))}
    assert len(definitions) >= 9
    assert set(found.split()) == definitions
    app = tmp_path / "app"
    app.mkdir()
    (app / "Procfile").write_text("web: ./serve\n")
    (app / "serve").write_text("#!/bin/sh\nexec sleep 1\n")
    (app / "serve").chmod(0o755)
    detect = [sys.executable, "-m", "stager", "detect", str(app), "--json"]
    done = subprocess.run(detect, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    assert '"procfile"' in done.stdout
