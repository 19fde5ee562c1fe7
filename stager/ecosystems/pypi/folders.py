"""Projects inside the app: where a lock's path sources are, and which folders they put on the import path."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from stager.errors import BadLock
from stager.text.typed import Node

from .manifest import dig, pyproject, text_of

if TYPE_CHECKING:
    from stager.tree import SourceTree


def folder_path(tree: SourceTree, path: str, file: str, line: int | None = None) -> str:
    """A lock's relative path as a folder of the app, "" being the app itself.

    Raises BadLock when it is absolute, leads outside the app, or there is nothing in it.
    """
    clean = posixpath.normpath(path.removeprefix("file:"))
    if path.startswith("/") or "\\" in path or clean.startswith("../") or clean == ".." or ":" in clean.split("/")[0]:
        hint = "Everything an app needs must be in its own folder, or on a package index."
        raise BadLock(file, f"{path[:200]!r} is outside the app", hint, line)
    clean = "" if clean == "." else clean
    if clean and not any(name.startswith(clean + "/") for name in tree.files):
        raise BadLock(file, f"the folder {clean[:200]} is not in the app", "Restore it, or make the lock again.", line)
    return clean


def file_path(tree: SourceTree, path: str, file: str, line: int | None = None) -> str:
    """A lock's relative path as a file of the app. Raises BadLock when it is absolute, leads outside, or is not there."""
    clean = posixpath.normpath(path.removeprefix("file://").removeprefix("file:"))
    if clean.startswith(("/", "../")) or "\\" in clean or ":" in clean.split("/")[0]:
        hint = "Put the file into the app's folder and name it by its path there, or publish it on a package index."
        raise BadLock(file, f"{path[:200]!r} is outside the app", hint, line)
    if clean not in tree.files:
        hint = "Restore it (is it left out by an ignore file?), or make the lock again."
        raise BadLock(file, f"the file {clean[:200]} is not in the app", hint, line)
    return clean


def import_roots(tree: SourceTree, folder: str) -> list[str]:
    """The folders below `folder` that hold its top-level modules: what its build backend is told, else src layout.

    Reads the settings of setuptools, hatchling, poetry, pdm and uv_build; their order of precedence does not matter,
    as a project has only one.
    """
    roots = [root for root in _told(pyproject(tree, folder)) if _holds_python(tree, posixpath.join(folder, root))]
    if not roots and _holds_python(tree, posixpath.join(folder, "src")):
        roots = ["src"]
    return list(dict.fromkeys(posixpath.normpath(posixpath.join(folder, root)) for root in roots)) or [folder or "."]


def _told(document: Node) -> list[str]:
    """What the settings of the build backends say, unsafe values left out."""
    found = [*_setuptools(dig(document, "tool", "setuptools")), *_poetry(dig(document, "tool", "poetry"))]
    for keys, name in ((("pdm", "build"), "package-dir"), (("uv", "build-backend"), "module-root")):
        if (table := dig(document, "tool", *keys)) is not None:
            found.append(table.str(name, ""))
    if (wheel := dig(document, "tool", "hatch", "build", "targets", "wheel")) is not None:
        found += [posixpath.dirname(package.rstrip("/")) for package in wheel.strings("packages")]
    return [where or "." for where in found if not where.startswith(("/", "..")) and "\\" not in where]


def _setuptools(table: Node | None) -> list[str]:
    if table is None:
        return []
    found: list[str] = [text_of(node) for name, node in table.table("package-dir").items() if not name]
    packages = table.get("packages")
    find = packages.get("find") if packages is not None and isinstance(packages.value, dict) else None
    return [*found, *(find.strings("where") if find is not None else ())]


def _poetry(table: Node | None) -> list[str]:
    if table is None:
        return []
    return [entry.str("from", ".") for entry in table.list("packages") if isinstance(entry.value, dict)]


def _holds_python(tree: SourceTree, folder: str) -> bool:
    """Whether a folder has a module or a package (with or without `__init__.py`) directly in it."""
    prefix = "" if folder in ("", ".") else posixpath.normpath(folder) + "/"
    depth = prefix.count("/")
    return any(name.startswith(prefix) and name.endswith(".py") and name.count("/") - depth <= 1 for name in tree.files)
