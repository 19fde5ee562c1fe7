"""A store that may only be read serves whatever it has, and says plainly what it lacks.

Root ignores modes, so without its capabilities for that it is an ordinary user here.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import PROGRAM, Done, in_process
from small_droplets import PROCFILE, small_droplet

from stager import cli
from stager.store import Store
from stager.store.errors import StoreBusy

PLAIN_USER = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
)
ENVIRON = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
LACKS = "The store is read-only and lacks what this needs: make it writable, or choose another with STAGER_CACHE_DIR."


def writable(root: Path, allowed: bool) -> None:
    for path in (root, *root.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | 0o200 if allowed else mode & ~0o222)


def user(*words: object, cwd: Path) -> Done:
    done = subprocess.run(
        [*PLAIN_USER, *PROGRAM, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
        env={**ENVIRON, "STAGER_CACHE_DIR": str(cwd / "store")},
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(params=["whole", "never locked", "without its empty folders"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder with an app, its droplet, and the store that has all of it, which nobody may write into."""
    small_droplet(tmp_path, {"Procfile": PROCFILE})
    shutil.rmtree(tmp_path / "store")
    (tmp_path / "droplet.tgz").unlink()
    for words in (["stage", "app"], ["sbom", "--offline", "-o", "sbom.json"], ["inspect"]):
        in_process(*words, store=tmp_path / "store", cwd=tmp_path).good()
    store = tmp_path / "store/v1"
    if request.param == "never locked":
        for path in (*store.glob("gc.*"), *store.glob("locks/*")):
            path.unlink()
    if request.param == "without its empty folders":
        (store / "trash").rmdir()
        (store / "tmp").rmdir()
    writable(tmp_path / "store", False)
    yield tmp_path
    writable(tmp_path / "store", True)


def listing(root: Path) -> dict[str, tuple[int, float]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime) for path in root.rglob("*")}


def test_what_it_has_it_gives(place: Path) -> None:
    droplet, before = (place / "droplet.tgz").read_bytes(), listing(place / "store")
    for line in (
        "stage app", "stage app -o again.tgz", "stage app -o locked.tgz --locked --offline --json", "inspect",
        "export heroku -o slug.tgz", "export oci --base scratch -o image.tar", "sbom --offline -o sbom.json", "receipt",
        "verify --source app --conditions umask --offline", "explain -C app", "plan app --offline", "cache info",
        "cache verify", "bundle export app --offline", "run droplet.tgz --command true", "report droplet.tgz",
    ):  # fmt: skip
        done = user(*line.split(), cwd=place)
        assert done.code == 0, f"{line}: {done.err}"
    for name in ("droplet.tgz", "again.tgz", "locked.tgz"):
        assert (place / name).read_bytes() == droplet
    assert listing(place / "store") == before


def test_what_it_lacks_it_says(place: Path) -> None:
    (place / "app/new.txt").write_text("new\n")
    for line in ("stage app -o new.tgz", "stage app -o new.tgz --offline", "cache gc"):
        done = user(*line.split(), cwd=place)
        assert done.code == 70, f"{line}: {done.err}"
        assert "cannot be written: Permission denied [CannotWrite]\n" in done.err
        assert LACKS in done.err
        assert "Traceback" not in done.err
    assert not (place / "new.tgz").exists()


def test_who_only_reads_holds_off_cleaning_too(place: Path) -> None:
    if not (place / "store/v1/gc.lock").exists():
        return  # nobody could ever take what is not there
    code = "import sys; from stager.store import Store\nwith Store(sys.argv[1]).lease(): print('held', flush=True); input()"
    held = subprocess.Popen(
        [*PLAIN_USER, sys.executable, "-c", code, str(place / "store")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=ENVIRON,
    )  # fmt: skip
    assert held.stdin
    assert held.stdout
    assert held.stdout.readline() == b"held\n"
    writable(place / "store", True)
    with pytest.raises(StoreBusy):
        Store(str(place / "store")).gc(wait=0.1)
    held.communicate(b"\n", timeout=30)
    Store(str(place / "store")).gc(wait=30)
