"""Python reads folders in the order of their names, and not in that of the file system.

Mends: the order in which `os.listdir` and `os.scandir` give what a folder holds, which depends on the file system and on how
it was filled. Django's `collectstatic` writes its manifest in that order, and build back ends their lists of files.
"""

from __future__ import annotations

from ...ecosystems.pypi.building import program
from . import PROVIDED, Recipe

FOLDER = "sorted-folders"
"""The folder of `sitecustomize.py`, below `PROVIDED`; Python runs that module at its start when it is on its search path."""
HOOK = program("sitecustomize.py")

RECIPE = Recipe(
    name="sorted-folders/1",
    mends="the order in which the file system lists folders",
    env=lambda _: {"PYTHONPATH": f"{PROVIDED}/{FOLDER}"},
    provides=lambda _: {f"{FOLDER}/sitecustomize.py": HOOK},
)
