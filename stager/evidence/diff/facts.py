"""What an app folder says about itself, wherever it was found: the plan it carries, and what it launches."""

from __future__ import annotations

from typing import Any

from ...droplet import reader
from ...errors import StagerError
from ...planning import lockfile
from .contents import of_plan
from .entries_of import FACTS, Kept


def facets(kept: Kept, label: str) -> dict[str, Any]:
    """Plan, processes and environment, as arguments of `Contents`; with notes on what is missing or cannot be read.

    A damaged record must not hide where the damage is, so it costs its facet and is noted, and the files still are compared.
    """
    found: dict[str, Any] = {}
    notes = []
    try:
        if FACTS[1] in kept:
            found |= of_plan(lockfile.loads(kept[FACTS[1]], f"{label}: {FACTS[1]}").plan)
        else:
            notes.append("it carries no plan of stager: packages and runtimes are not known")
    except StagerError as error:
        notes.append(f"the plan it carries cannot be read: {error.message}")
    try:
        if FACTS[0] in kept:
            facts = reader.launch_facts(kept[FACTS[0]], label)
            found["processes"] = _texts(facts["processes"])
            found["env"] = _texts(facts.get("env"))
    except StagerError as error:
        notes.append(f"what it launches cannot be read: {error.message}")
    return {**found, "notes": tuple(notes)}


def _texts(table: object) -> dict[str, str]:
    """The members of a table that are texts."""
    pairs = table.items() if isinstance(table, dict) else ()
    return {str(name): value for name, value in pairs if isinstance(value, str)}
