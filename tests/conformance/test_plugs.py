"""A language is a plug: what is special about it stands in its records, and no other module knows its name.

Nor that of a packaging format, of a layout, or of a type of package URLs.
"""

from __future__ import annotations

import ast
from pathlib import Path

from stager import runtimes
from stager.ecosystems import ECOSYSTEMS
from stager.planning import layouts

PACKAGE = Path(__file__).parents[2] / "stager"
RECORDS = ("ecosystems", "runtimes")
LAYOUTS = {layout.partition("/")[0] for layout in layouts.names()}
NAMES = {*runtimes.MODULES, "nodejs", *ECOSYSTEMS, *LAYOUTS, *layouts.names()}
"""Runtimes, the buildpack that is called otherwise, ecosystems, and layouts with and without their versions."""
STARTS = tuple(f"{name}/" for name in LAYOUTS) + tuple(f"pkg:{name}/" for name in ECOSYSTEMS)
"""How layouts and package URLs begin."""
_SELF = "stager itself runs on Python, and stages again with another version of it"
KNOWN = {
    "evidence/provenance/statement.py": "names the two wheels that stager's own output depends on",
    "net/indexes/__init__.py": "asks the library of package URLs where the default indexes are",
    "net/indexes/apt_sources.py": "reads apt's configuration, which calls a source of packages so",
    "net/indexes/configured.py": "names the place of runtimes that are on no package index",
    "stacks/lock.py": "pins the packages that a stack's own root file system is made of",
    "planning/detection/foreign.py": "a package.json is what apps of many languages have for their style sheets",
    "planning/detection/outputs.py": "advises who has a build script in package.json and names no package manager",
    "planning/detection/s2i.py": "holds what two builder images do with their variables",
    "planning/detection/scripts.py": "reads the scripts of package.json, where these are programs of the shell",
    "targets/handoff/stackato.py": "reads another platform's words for frameworks",
    "unexpected.py": _SELF,
    "evidence/verify/conditions.py": _SELF,
    "evidence/verify/restaging.py": _SELF,
}
"""Module → why it may name a language all the same."""


def named(path: Path) -> set[str]:
    """The names that stand in a module as texts of their own: compared with, looked up by, or a key."""
    tree = ast.parse(path.read_text("utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if text in NAMES or text.startswith(STARTS)}


def test_no_other_module_knows_the_name_of_a_language() -> None:
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if "_data" not in path.parts]
    others = [path for path in modules if path.parts[0] not in RECORDS]
    found = {path.as_posix(): sorted(names) for path in others if (names := named(PACKAGE / path))}
    assert {path: names for path, names in found.items() if path not in KNOWN} == {}
    assert KNOWN.keys() <= found.keys()
