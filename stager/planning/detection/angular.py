"""Where an Angular workspace's build writes, by its `angular.json`."""

from __future__ import annotations

import posixpath
from typing import Any

from .matching import AppFacts

_FILE = "angular.json"


def output_path(facts: AppFacts) -> str:
    """The folder of the only project or, of several, of the one that is meant by default; empty when nothing tells it.

    Source: Angular's workspace configuration, "Output path configuration".
    """
    projects = facts.member(_FILE, "projects") if _FILE in facts.tree else None
    if not isinstance(projects, dict) or not projects:
        return ""
    named = facts.member(_FILE, "defaultProject")
    name = named if named in projects else next(iter(projects))
    build = _table(_table(projects[name], "architect") or _table(projects[name], "targets"), "build")
    path = _table(build, "options").get("outputPath", f"dist/{name}")
    base, inside = (path.get("base"), path.get("browser")) if isinstance(path, dict) else (path, None)
    inside = ("browser" if str(build.get("builder")).endswith(":application") else "") if inside is None else inside
    return posixpath.join(base, inside) if isinstance(base, str) and isinstance(inside, str) else ""


def _table(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}
