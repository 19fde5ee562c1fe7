"""Python reads folders in the order of their names, and not in that of the file system.

Mends: the order in which `os.listdir` and `os.scandir` give what a folder holds, which depends on the file system and on how
it was filled. Django's `collectstatic` writes its manifest in that order, and build back ends their lists of files.
"""

from __future__ import annotations

from . import PROVIDED, Recipe

FOLDER = "sorted-folders"
"""The folder of `sitecustomize.py`, below `PROVIDED`; Python runs that module at its start when it is on its search path."""
HOOK = b'''"""Folders are read in the order of their names."""
import os

_listdir, _scandir = os.listdir, os.scandir


def listdir(path="."):
    return sorted(_listdir(path))


class scandir:
    def __init__(self, path="."):
        with _scandir(path) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._entries = iter(())


os.listdir, os.scandir = listdir, scandir
'''

RECIPE = Recipe(
    name="sorted-folders/1",
    mends="the order in which the file system lists folders",
    env=lambda _: {"PYTHONPATH": f"{PROVIDED}/{FOLDER}"},
    provides=lambda _: {f"{FOLDER}/sitecustomize.py": HOOK},
)
