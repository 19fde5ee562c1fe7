"""A language is a plug: what is special about it stands in its records, and no other module knows its name."""

from __future__ import annotations

import ast
from pathlib import Path

from stager import runtimes

PACKAGE = Path(__file__).parents[2] / "stager"
RECORDS = ("ecosystems", "runtimes")
NAMES = {*runtimes.MODULES, "nodejs"} - {"npm"}
"""Runtimes, and the buildpack that is called otherwise."""
_SELF = "stager itself runs on Python, and stages again with another version of it"
KNOWN = {
    "planning/detection/foreign.py": "a package.json is what apps of many languages have for their style sheets",
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
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in NAMES}


def test_no_other_module_knows_the_name_of_a_language() -> None:
    modules = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if "_data" not in path.parts]
    others = [path for path in modules if path.parts[0] not in RECORDS]
    found = {path.as_posix(): sorted(names) for path in others if (names := named(PACKAGE / path))}
    assert {path: names for path, names in found.items() if path not in KNOWN} == {}
    assert KNOWN.keys() <= found.keys()
