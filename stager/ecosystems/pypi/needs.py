"""Who needs whom in the locks of the Python world.

uv, Poetry and PDM write it down; pylock.toml may; pip-compile and `uv pip compile` leave it as comments (`# via flask`);
`Pipfile.lock` and other hashed requirements do not say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from stager.ecosystems.graph import Graph, members
from stager.errors import StagerError
from stager.facts import stacks
from stager.text.source_lines import line_of
from stager.text.typed import Node as Document

from .declarations import declared
from .document import read, toml
from .manifest import DeclaredDependency
from .pins import normalise
from .target import Markers, Target

if TYPE_CHECKING:
    from stager.model import Plan
    from stager.tree import SourceTree

_MANIFESTS = ("pyproject.toml", "requirements.in", "Pipfile", "setup.cfg", "requirements.txt")
_VIA = re.compile(r"#\s*via\s*(.*)")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==")
Holds = Callable[[str], bool]
"""Whether a marker holds for the plan's Python and stack."""


def graph(tree: SourceTree, lock: str, plan: Plan) -> Graph:
    """What a Python lock of the app says. Raises BadLock, BadManifest."""
    found = Graph(lock)
    found.names = {name: (name, version) for name, version in members(plan, "pypi")}
    name = lock.rpartition("/")[2]
    holds = _markers(lock, plan)
    if name == "uv.lock":
        _uv(found, toml(tree, lock), holds)
    elif name in ("poetry.lock", "pdm.lock") or name.startswith("pylock."):
        _tables(found, toml(tree, lock), holds)
    elif name.endswith(".txt"):
        _comments(found, read(tree, lock))
    else:
        found.silence = "which does not say which package needs which"
    _roots(found, tree, name)
    return found


def _markers(lock: str, plan: Plan) -> Holds:
    version = next((one.version for one in plan.runtimes if one.name == "python"), "3.11.0")
    major, minor = (int(part) for part in version.split(".")[:2])
    markers = Markers(Target(stacks.load(plan.stack, plan.architecture), (major, minor), version), lock)

    def holds(text: str) -> bool:
        try:
            return not text or markers(text)
        except StagerError:
            return True

    return holds


def _roots(found: Graph, tree: SourceTree, lock: str) -> None:
    """What the app's manifests declare, where they do; a requirements.txt is a manifest only when nothing else is."""
    if found.roots:
        return
    manifests = [path for path in _MANIFESTS if path in tree and path != lock]
    texts = {path: read(tree, path) for path in manifests}
    for name in sorted(declared(tree)):
        where = next((place for path, text in texts.items() if (place := _place(path, text, name))), "")
        if where and name in found.names:
            found.roots[name] = where


def _place(path: str, text: str, name: str) -> str:
    """`file:line` where a manifest names a package, in any spelling; empty when it does not."""
    spelled = re.escape(name).replace(r"\-", "[-_.]")
    line = line_of(text, rf"(?i)(?<![\w.-]){spelled}(?![\w-])(?!\s*\.)")
    return f"{path}:{line}" if line else ""


def _link(found: Graph, name: str, needs: Iterable[str]) -> None:
    known = [one for one in needs if one in found.names]
    found.edges[name] = list(dict.fromkeys([*found.edges.get(name, ()), *known]))


def _uv(found: Graph, document: Document, holds: Holds) -> None:
    for package in document.list("package"):
        name = normalise(package.str("name"), document.file)
        source = package.get("source")
        tables = [
            package.list("dependencies"),
            *(list(node) for node in package.table("optional-dependencies").values()),
        ]
        needs = [
            normalise(one.str("name"), document.file) for rows in tables for one in rows if holds(one.str("marker", ""))
        ]
        if source is not None and any(source.get(kind) is not None for kind in ("virtual", "editable", "directory")):
            found.names.setdefault(name, (name, ""))
            found.own.add(name)
        _link(found, name, needs)


def _tables(found: Graph, document: Document, holds: Holds) -> None:
    """Poetry, PDM, and pylock.toml: `dependencies` as a table, as requirement lines, or as tables with a name."""
    rows = document.list("package") or document.list("packages")
    stated = False
    for package in rows:
        name, needs = normalise(package.str("name"), document.file), package.get("dependencies")
        stated |= needs is not None
        _link(found, name, () if needs is None else _needs(needs, holds))
    if not stated:
        found.silence = "which does not say which package needs which"


def _needs(node: Document, holds: Holds) -> Iterator[str]:
    if isinstance(node.value, dict):
        for name in node.value:
            value = node.value[name]
            marker = value.get("markers", "") if isinstance(value, dict) else ""
            if holds(marker if isinstance(marker, str) else ""):
                yield normalise(name, node.file)
        return
    for one in node:
        if isinstance(one.value, dict):
            if holds(one.str("marker", "")):
                yield normalise(one.str("name"), node.file)
        else:
            wanted = DeclaredDependency.of_requirement(str(one.value), node.file)
            if holds(wanted.marker):
                yield wanted.name


def _comments(found: Graph, text: str) -> None:
    """`# via` comments: after each pin, who asked for it; `-r requirements.in` is the app itself."""
    name, inside, stated = "", False, False
    for number, line in enumerate(text.splitlines(), 1):
        if pin := _PIN.match(line):
            name, inside = normalise(pin[1], found.lock), False
        comment = (
            line.strip() if line.strip().startswith("#") else line.partition(" #")[2] and "#" + line.partition(" #")[2]
        )
        if not comment or not name:
            continue
        via = _VIA.match(comment)
        who = via[1].strip() if via else comment.lstrip("# ").strip() if inside else ""
        inside, stated = inside or via is not None, stated or via is not None
        for one in filter(None, (part.strip() for part in who.split(","))):
            _asked(found, one, name, number)
    if not stated:
        found.silence = "which does not say which package needs which"


def _asked(found: Graph, who: str, name: str, line: int) -> None:
    if who.startswith(("-r ", "-c ")) or "(" in who or who.endswith((".in", ".toml")):
        found.roots.setdefault(name, f"{found.lock}:{line}, via {who}")
    else:
        _link(found, normalise(who, found.lock), [name])
