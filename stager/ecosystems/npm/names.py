"""Package names, the paths they may become, and their package URLs.

A name in a lock becomes a folder, so its grammar is a security boundary (CVE-2019-16775, CVE-2026-23890): no `..`, no
leading dot, none of the folders that the layout itself uses.
"""

from __future__ import annotations

import re
from posixpath import normpath
from urllib.parse import quote, unquote

from stager.errors import BadLock

LAYOUT = "npm/1"
"""How a package is unpacked."""
COMMIT = "npm-commit/1"
"""How the files of a commit are packed and unpacked."""
_PART = r"[A-Za-z0-9!~*'()_-][A-Za-z0-9!~*'()._-]*"
_NAME = re.compile(rf"(?:@{_PART}/)?{_PART}")  # old registry names may hold capitals and !~*'()
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]*")
_RESERVED = frozenset({"node_modules", "favicon.ico"})
LOCKS = ("npm-shrinkwrap.json", "package-lock.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock")
"""Names of the locks that are understood; npm prefers the shrinkwrap when there are both."""
LONGEST = 214
"""Characters of a package name (the registry's own limit)."""


def is_name(name: str) -> bool:
    """Whether `name` can be a package's name and thereby a folder below `node_modules`."""
    return len(name) <= LONGEST and _NAME.fullmatch(name) is not None and name.lower() not in _RESERVED


def check_name(name: str, file: str, line: int | None = None) -> str:
    """`name` itself. Raises BadLock when it is none."""
    if not is_name(name):
        raise BadLock(file, f"{name[:80]!r} is not a package name", line=line)
    return name


def check_version(version: str, name: str, file: str) -> str:
    """`version` itself. Raises BadLock when it could not be part of a file name."""
    if not _VERSION.fullmatch(version):
        raise BadLock(file, f"{name} has the impossible version {version[:80]!r}")
    return version


def purl(name: str, version: str) -> str:
    """The package URL (ECMA-427), without a version when a tarball's is not known.

    The name keeps its capitals: `JSONStream` and `jsonstream` are two packages.
    """
    scope, _, base = name.rpartition("/")
    path = f"{quote(scope, safe='')}/{quote(base, safe='')}" if scope else quote(base, safe="")
    return f"pkg:npm/{path}" + (f"@{quote(version, safe='.-_~')}" if version else "")


def from_purl(text: str) -> tuple[str, str]:
    """(name, version) of a package URL that `purl` made. Raises ValueError for another type."""
    kind, _, rest = text.partition("/")
    name, _, version = rest.partition("@")
    if kind != "pkg:npm" or not name:
        raise ValueError(text)
    return unquote(name), unquote(version)


def filename(name: str, version: str) -> str:
    """The tarball's file name on a registry, `<name without scope>-<version>.tgz`; `<name>.tgz` without a version."""
    return f"{name.rpartition('/')[2]}-{version}.tgz" if version else f"{name.rpartition('/')[2]}.tgz"


def tarball_path(name: str, version: str) -> str:
    """The tarball's path below a registry's root."""
    return f"/{name}/-/{filename(name, version)}"


def folder(text: str, file: str, name: str = "") -> str:
    """A folder or file of the app that a lock names, as a link of `name` perhaps, normalised; the app itself is `""`.

    Raises BadLock for one outside the app or inside a `node_modules`.
    """
    path = normpath(text) if text not in ("", ".") else ""
    parts = path.split("/")
    whose = f"{name} is a link to" if name else "it needs"
    if path.startswith("/") or parts[0] == "..":
        hint = (
            "Move the folder into the app, or publish it as a package and depend on that, and make the lock again; or stage a "
            "folder that holds both. What 'npm link' has left ends with 'npm install'."
        )
        raise BadLock(file, f"{whose} the folder {text[:120]!r}, which is outside the app", hint)
    if "\\" in path or "\0" in path or "node_modules" in parts or parts[0] == ".stager":
        hint = "Move the folder elsewhere in the app, and make the lock again."
        raise BadLock(file, f"{whose} the folder {text[:120]!r}, which cannot be a part of the app", hint)
    return "" if path == "." else path


def split_place(path: str, file: str) -> tuple[str, tuple[str, ...]]:
    """A `packages` key of npm's lock as (folder of the app, names of the nested packages).

    `packages/a/node_modules/x/node_modules/@s/y` gives `("packages/a", ("x", "@s/y"))`. Raises BadLock.
    """
    base, *nested = _cut(path)
    if not nested and path:
        return folder(path, file), ()
    for name in nested:
        check_name(name, file)
    return folder(base, file) if base else "", tuple(nested)


def _cut(path: str) -> list[str]:
    first = "" if path.startswith("node_modules/") else path.partition("/node_modules/")[0]
    rest = path[len(first) :].lstrip("/")
    if not rest:
        return [first]
    return [first, *rest.removeprefix("node_modules/").split("/node_modules/")]


def owner(path: str) -> str:
    """The `node_modules` folder that a package's path lies in: `node_modules/@s/x` gives `node_modules`."""
    head = path.rpartition("/")[0]
    return head.rpartition("/")[0] if head.rpartition("/")[2].startswith("@") else head


def base_name(path: str) -> str:
    """The name of the package at `path`, with its scope."""
    return path[len(owner(path)) + 1 :]
