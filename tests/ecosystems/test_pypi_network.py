"""Against the real index: the choice of files is pip's, and what is unpacked can be imported."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from stager.ecosystems.pypi import Target, normalise_index, read_lock, unpack
from stager.ecosystems.pypi.target import platforms
from stager.formats.archive import content_bytes
from stager.model import Stack
from stager.tree import SourceTree

pytestmark = pytest.mark.network

STACK = Stack("debian-12", "amd64", (2, 36), "debian")
WANTED = ["flask", "numpy", "uvicorn[standard]"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> SourceTree:
    """An app with the usual dependencies, locked by uv."""
    from uv import find_uv_bin

    folder = tmp_path_factory.mktemp("app")
    manifest = (
        f'[project]\nname = "demo"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = {json.dumps(WANTED)}\n'
    )
    (folder / "pyproject.toml").write_text(manifest)
    subprocess.run([find_uv_bin(), "lock", "-q", "--no-config"], cwd=folder, check=True)
    return SourceTree.of({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})


def chosen_by_pip(tree: SourceTree, target: Target, folder: Path) -> dict[str, str]:
    """File name → digest that pip picks for the same pins on the same target."""
    locked = read_lock(tree, "uv.lock", target)
    pins = [item.purl.removeprefix("pkg:pypi/").replace("@", "==") for item in locked.artifacts]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    command += ["--only-binary", ":all:", "--target", str(folder / "t"), "--report", str(folder / "report.json")]
    command += ["--python-version", ".".join(map(str, target.python)), "--implementation", "cp"]
    for name in platforms(target.stack):
        command += ["--platform", name]
    env = {**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
    subprocess.run([*command, *pins], check=True, env=env)
    report = json.loads((folder / "report.json").read_text())
    infos = [item["download_info"] for item in report["install"]]
    return {i["url"].rpartition("/")[2]: "sha256:" + i["archive_info"]["hashes"]["sha256"] for i in infos}


@pytest.mark.parametrize("python", [(3, 11), (3, 12), (3, 13)])
def test_the_files_are_those_that_pip_would_take(tree: SourceTree, tmp_path: Path, python: tuple[int, int]) -> None:
    from pip._internal.models.index import PyPI

    target = Target(STACK, python)
    locked = read_lock(tree, "uv.lock", target, default_indexes=frozenset({normalise_index(PyPI.simple_url)}))
    assert {item.filename: item.digest for item in locked.artifacts} == chosen_by_pip(tree, target, tmp_path)
    assert not any(item.url for item in locked.artifacts)
    assert {"flask", "numpy", "uvicorn", "uvloop", "httptools"} <= locked.names


def test_unpacked_wheels_can_be_imported_and_their_commands_run(tree: SourceTree, tmp_path: Path) -> None:
    python = sys.version_info[:2]
    locked = read_lock(tree, "uv.lock", Target(STACK, python))
    home, urls = tmp_path / "my app", dict(locked.hints)
    for artifact in locked.artifacts:
        blob = tmp_path / artifact.filename
        with urllib.request.urlopen(urls[artifact.digest], timeout=120) as answer:
            blob.write_bytes(answer.read())
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == artifact.digest.hex
        with unpack(str(blob), artifact, artifact.paths[0]) as found:
            for entry in found.files:
                path = home / entry.path
                assert not path.exists(), entry.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content_bytes(entry.content))
                path.chmod(0o755 if entry.executable else 0o644)
    (home / ".stager/python/bin").mkdir(parents=True)
    (home / ".stager/python/bin/python3").symlink_to(os.path.realpath(sys.executable))
    for name, text in locked.files:
        (home / name).write_text(text)
    env = {"PATH": f"{home / '.stager/pypi/bin'}:/usr/bin:/bin", "PYTHONPATH": str(home / ".stager/pypi/site-packages")}
    code = (
        "import flask, numpy, uvicorn, uvloop, importlib.metadata as m; print(m.version('flask'), numpy.ones(2).sum())"
    )
    python3 = str(home / ".stager/python/bin/python3")
    done = subprocess.run([python3, "-S", "-c", code], env=env, capture_output=True, text=True, check=True)
    version = next(item.purl for item in locked.artifacts if "/flask@" in item.purl).partition("@")[2]
    assert done.stdout == f"{version} 2.0\n"
    command = subprocess.run(["flask", "--version"], env=env, capture_output=True, text=True, check=True)
    assert f"Flask {version}" in command.stdout
    assert (home / ".stager/pypi/site-packages/stager-app.pth").read_text() == "../../..\n"
