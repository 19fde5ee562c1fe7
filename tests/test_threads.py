"""Sixteen threads at once, in a fresh process, under each Python, with and without pip: none fails, all agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from apps_fixture import materialise
from small_droplets import PROCFILE, SERVE
from threads_work import THREADS

from stager.net.indexes import default_pypi

WORK = Path(__file__).with_name("threads_work.py")
HOSTS = [path for path in os.environ.get("STAGER_TEST_HOSTS", "").split(os.pathsep) if path]
PYTHONS = [sys.executable, *HOSTS]
"""This Python and the others that CI makes."""


def results(python: str, *arguments: object) -> list[str]:
    """What the threads came to, after asserting that none failed."""
    done = subprocess.run([python, str(WORK), *map(str, arguments)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (len(found["failed"]), len(found["results"])) == (0, THREADS), found["failed"][0]
    return list(found["results"])


@pytest.mark.parametrize("pip", ["pip", "none"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_default_index_is_found_by_many_at_once(python: str, pip: str) -> None:
    for _ in range(3):
        found = set(results(python, pip, "index"))
        assert len(found) == 1
        assert default_pypi() in found.pop()


@pytest.mark.parametrize("store", ["one", pytest.param("each", marks=pytest.mark.slow)])
@pytest.mark.parametrize("pip", [pytest.param("pip", marks=pytest.mark.slow), "none"])
@pytest.mark.parametrize("python", PYTHONS)
def test_every_verb_by_many_at_once(python: str, pip: str, store: str, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "Procfile").write_text(PROCFILE)
    (app / "serve").write_text(SERVE)
    (app / "serve").chmod(0o755)
    for number in range(40):
        (app / f"file-{number}.txt").write_text(f"{number}\n" * number)
    found = results(python, pip, "verbs", app, tmp_path, store)
    assert len(set(found)) == 1
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_the_default_index_is_asked_once_a_process(tmp_path: Path) -> None:
    """Not once a plan: that would be a process for each."""
    code = """
import subprocess, sys
sys.modules["pip"] = None
from stager.net.indexes import Indexes
plain, count = subprocess.run, []
subprocess.run = lambda *args, **kwargs: (count.append(1), plain(*args, **kwargs))[1]
for _ in range(5):
    Indexes().pypi()
print(len(count))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.network
@pytest.mark.parametrize("pip", ["pip", "none"])
@pytest.mark.parametrize("python", PYTHONS)
def test_an_app_with_packages_by_many_at_once(python: str, pip: str, tmp_path: Path) -> None:
    """Planned, fetched into one empty store, and staged: everything that asks an index for the first time."""
    app = materialise("flask-uv", tmp_path / "app")
    found = results(python, pip, "stage", app, tmp_path)
    assert len(set(found)) == 1
