"""The keys `build` and `builds` of `stager.yml`: what an app's author has built, and what of stager's own builds is otherwise.

```yaml
build:                                   # in this order, after the packages are there
  - run: make assets
    inputs: [assets/**, Makefile]        # files that it reads; without the key all of them
    outputs: [static/dist]               # files and folders that it leaves, as paths of the app
    packages: [optipng]                  # Debian packages that only the build needs
    env: {THEME: dark}
    folder: web                          # where it runs; without the key the app's own folder
    name: assets                         # for logs and errors
    twice: no                            # its first run is not compared with a second one
builds:                                  # by name; 'stager plan' shows them
  static: no                             # not run
  frontend: {run: npm run build:prod, env: {NEXT_PUBLIC_API: /api}, packages: [], inputs: [], outputs: [], twice: no}
```

All functions raise BadManifest, with the line, through the `Node` that they are given.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from ...model import INTERNAL
from ...text.typed import Node
from ...text.yamltext import Document
from ..lock_rows import check_path
from .shapes import line, names, only, packages, switch, variable

OPTIONS = ("run", "inputs", "outputs", "packages", "env", "twice")
KEYS = (*OPTIONS, "folder", "name")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST = 8000
"""Characters of a command; as in a lock."""


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What is otherwise of a build that stager plans itself; what is empty or None is as stager has it."""

    off: bool = False
    run: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Debian packages beside those that its root has anyway, sorted."""
    env: tuple[tuple[str, str], ...] = ()
    """Beside the build's own variables, before which they go."""
    twice: bool | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class OwnBuild:
    """A build of the app's author."""

    name: str
    run: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ("**",)
    packages: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    folder: str = ""
    twice: bool = True
    line: int | None = None


def own_builds(root: Node, document: Document) -> tuple[OwnBuild, ...]:
    """The builds of `build:`, in the file's order."""
    found: list[OwnBuild] = []
    for index, node in enumerate(root.list("build"), 1):
        one = _own_build(node, document, "own" if index == 1 else f"own-{index}")
        if any(one.name == other.name for other in found):
            node.at("name").fail(f"two builds have the name {one.name!r}")
        found.append(one)
    return tuple(found)


def _own_build(node: Node, document: Document, name: str) -> OwnBuild:
    only(node, KEYS)
    given = str(node.str("name", name))
    if not _NAME.fullmatch(given):
        node.at("name").fail("a name has lower-case letters, digits and '-', at most 63")
    outputs = _outputs(node)
    if not outputs:
        node.fail("has no outputs: list the files and folders that it leaves, such as outputs: [static/dist]")
    return OwnBuild(
        name=given,
        run=_command(node.at("run")),
        outputs=outputs,
        inputs=_inputs(node) or ("**",),
        packages=packages(node, "packages"),
        env=_env(node),
        folder=_place(node.at("folder"), line(node.at("folder"))) if node.get("folder") else "",
        twice="twice" not in node.value or switch(node.at("twice")),
        line=document.line(node.path),
    )


def options(root: Node, document: Document) -> dict[str, BuildOptions]:
    """The options of `builds:`, by the name of the build; whether there is such a build is the plan's to say."""
    return {name: _options(node, document) for name, node in root.table("builds").items()}


def _options(node: Node, document: Document) -> BuildOptions:
    where = document.line(node.path)
    if node.value in ("no", "false"):
        return BuildOptions(off=True, line=where)
    if not isinstance(node.value, dict):
        node.fail("expected 'no', or a table of options")
    only(node, OPTIONS)
    return BuildOptions(
        run=_command(node.at("run")) if node.get("run") else "",
        inputs=_inputs(node),
        outputs=_outputs(node),
        packages=packages(node, "packages"),
        env=_env(node),
        twice=switch(node.at("twice")) if node.get("twice") else None,
        line=where,
    )


def _command(node: Node) -> str:
    command = line(node)
    if not command:
        node.fail("must not be empty")
    if len(command) > _LONGEST:
        node.fail(f"is longer than {_LONGEST} characters; put it in a script")
    return command


def _env(node: Node) -> tuple[tuple[str, str], ...]:
    found = node.table("env")
    for name, value in found.items():
        if name in INTERNAL:
            value.fail("is stager's own, for what it runs in a build")
    return tuple(sorted((name, variable(value, name)) for name, value in found.items()))


def _inputs(node: Node) -> tuple[str, ...]:
    """Patterns, of which those with a `!` leave out: of all files where there is no other."""
    found = []
    for item, pattern in zip(node.list("inputs"), names(node, "inputs"), strict=True):
        sign, plain = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
        check_path(_plain(plain), item)
        found.append(sign + _plain(plain))
    return ("**", *found) if found and all(pattern.startswith("!") for pattern in found) else tuple(found)


def _outputs(node: Node) -> tuple[str, ...]:
    found: list[str] = []
    for item, text in zip(node.list("outputs"), names(node, "outputs"), strict=True):
        path = _place(item, text)
        if "*" in path:
            item.fail("expected a file or folder, no pattern")
        if any(f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/") for other in found):
            item.fail(f"{path} is given twice")
        found.append(path)
    return tuple(found)


def _place(node: Node, text: str) -> str:
    """A path of the app, where stager has nothing of its own."""
    path = _plain(text)
    check_path(path, node)
    if path.split("/")[0] == ".stager":
        node.fail("is a place of stager's own")
    return path


def _plain(path: str) -> str:
    """Without `./` before it and `/` after it, as people write folders."""
    return path if path.startswith("/") else posixpath.normpath(path)
