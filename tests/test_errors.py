"""Errors: a stable code of its own for each, and each in the folder of who raises it."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterator

from test_layers import PACKAGE, modules

from stager.errors import StagerError


def kinds(kind: type[StagerError] = StagerError) -> Iterator[type[StagerError]]:
    """Every class of errors that users can meet."""
    for module in modules():
        if module.rpartition(".")[2] == "errors":
            importlib.import_module(f"stager.{module}")
    yield kind
    for one in kind.__subclasses__():
        if one.__module__.startswith("stager.") and one.__module__.endswith("errors"):
            yield from kinds(one)


def test_every_error_states_its_code() -> None:
    """In the class itself: neither a new name nor a new base changes what scripts look for."""
    assert [kind.__name__ for kind in kinds() if "code" not in vars(kind)] == []
    assert [code for code, count in Counter(kind.code for kind in set(kinds())).items() if count > 1] == []


def test_a_code_stays() -> None:
    """The page of codes, which people and scripts read, knows each code that is raised."""
    page = (PACKAGE.parent / "docs" / "reference" / "errors.md").read_text("utf-8")
    families = {kind for kind in kinds() if kind.__subclasses__() and kind.__name__.endswith("Error")}
    known = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    assert {kind.code for kind in set(kinds()) - families} <= known


def test_a_name_changes_no_code() -> None:
    class Renamed(StagerError):
        pass

    Renamed.code = "Kept"
    assert Renamed("x").as_json()["code"] == "Kept"
