"""Folders are read in the order of their names by the Python of a build, however the file system has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stager.builds import recipes
from stager.builds.recipes import PROVIDED, Around
from stager.builds.recipes.sorted_folders import HOOK
from stager.model import APP, Build, Reason

PROGRAM = """
import os, pathlib, sys
os.scandir = os.scandir
folder = sys.argv[1]
print(os.listdir(folder) == sorted(os.listdir(folder)))
with os.scandir(folder) as entries:
    print([entry.name for entry in entries] == sorted(os.listdir(folder)))
print([path.name for path in pathlib.Path(folder).iterdir()] == sorted(os.listdir(folder)))
entries = os.scandir(folder)
next(entries)
entries.close()
print(list(entries) == [])
print([name for _, _, names in os.walk(folder) for name in names] == sorted(os.listdir(folder)))
print(os.listdir(os.fsencode(folder)) == sorted(os.listdir(os.fsencode(folder))))
"""


def test_every_way_to_read_a_folder(tmp_path: Path) -> None:
    folder, hook = tmp_path / "folder", tmp_path / "hook"
    folder.mkdir()
    hook.mkdir()
    (hook / "sitecustomize.py").write_bytes(HOOK)
    for number in range(200):
        (folder / f"{number * 7919 % 200:03}").touch()
    assert os.listdir(folder) != sorted(os.listdir(folder))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder],
        env={"PYTHONPATH": str(hook)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True"] * 6


def test_the_recipe_puts_the_hook_on_the_search_path() -> None:
    recipe = recipes.tool("sorted-folders/1")
    assert recipe
    around = Around(Build("static", APP, "stack", "make", Reason("")), "", b"")
    folder = recipe.env(around)["PYTHONPATH"].removeprefix(f"{PROVIDED}/")
    assert recipe.provides(around) == {f"{folder}/sitecustomize.py": HOOK}
