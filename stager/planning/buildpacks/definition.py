"""Reads `buildpack.yml` into a `Buildpack`, refusing every key and placeholder it does not know.

All functions here raise InvalidDefinition, with file, line and path, through the `Node` they are given.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...digest import Digest
from ...ecosystems import ECOSYSTEMS
from ...runtimes import MODULES, kinds
from ...text.typed import Node
from .vocabulary import (
    CLAIMS,
    KINDS,
    Buildpack,
    BuildRule,
    BuildTool,
    Condition,
    DetectRule,
    Option,
    Refusal,
    Script,
    Server,
    StartRule,
)

PLACEHOLDER = re.compile(r"(?<!\$)\{(\w+)\}")
"""`{name}` in a command or sentence; `${name}` is the shell's."""
_NAME = re.compile(r"[a-z][a-z0-9-]*\Z")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PATH = re.compile(r"(?!/)(?!.*(?:^|/)\.\.?(?:/|$))[\w./-]+\Z")
_KEYS = {
    "": "name version ecosystem looks_for groups patterns detect refuse remarks runtimes managers alternatives env files roots"
    " building starting servers start scripts development previews settings options builds tools",
    "condition": "file content field missing installed runtime entry set",
    "detect": "file content field missing installed runtime entry set claim why unless replaces",
    "start": "for when serve run why note needs_build",
    "build": "name when run why outputs leaves inputs packages recipes env development late members tells ask unless",
    "tool": "command when options outputs leaves pages routes start recipes env members only",
    "refuse": "file content field missing installed runtime entry set why hint",
    "server": "installed run factory",
    "script": "script needs output",
    "option": "kind default pattern below also",
    "env": "value why",
}


def build(root: Node, folder: str, inputs: tuple[str, ...], templates: Mapping[str, str], digest: Digest) -> Buildpack:
    """The buildpack that `root`, the document of `<folder>/buildpack.yml`, defines."""
    _only(root, "")
    root = _expanded(root)
    servers = tuple(_server(name, node) for name, node in root.table("servers").items())
    return Buildpack(
        name=_name(root, folder),
        version=root.str("version"),
        ecosystem=_ecosystem(root),
        looks_for=root.str("looks_for"),
        digest=digest,
        inputs=inputs,
        detect=tuple(_detect(node) for node in root.list("detect")),
        refuse=tuple(_refusal(node) for node in root.list("refuse")),
        runtimes=_runtimes(root, "runtimes"),
        managers=tuple(_texts(root, "managers").items()),
        alternatives=tuple((key, _runtimes(root.at("alternatives"), key)) for key in root.table("alternatives")),
        building=tuple((key, _runtimes(root.at("building"), key)) for key in root.table("building")),
        starting=tuple((key, _runtimes(root.at("starting"), key)) for key in root.table("starting")),
        env=tuple(_env(name, node) for name, node in root.table("env").items()),
        start=tuple(_start(node, servers) for node in root.list("start")),
        servers=servers,
        roots=_strings(root, "roots"),
        scripts=tuple(_script(node) for node in root.list("scripts")),
        development=tuple(_pattern(node) for node in root.list("development")),
        builds=tuple(_build(node) for node in root.list("builds")),
        tools=tuple(_tool(node) for node in root.list("tools")),
        previews=tuple(_pattern(node) for node in root.list("previews")),
        remarks=tuple(_texts(root, "remarks").items()),
        settings=root.str("settings", ""),
        options=tuple(_option(name, node) for name, node in root.table("options").items()),
        files=tuple(_files(root, templates)),
        templates=dict(templates),
    )


def _expanded(root: Node) -> Node:
    """The document with every `@name` replaced: in a list of path patterns by that group, as a `content` by that pattern."""
    groups = {name: _strings(root.at("groups"), name) for name in root.table("groups")}
    patterns = {name: (_pattern(node),) for name, node in root.table("patterns").items()}

    def paths(value: Any) -> list[str]:
        items = [value] if isinstance(value, str) else value
        return [path for item in items for path in (named(item, groups, "group") if item[:1] == "@" else [item])]

    def named(item: str, known: Mapping[str, tuple[str, ...]], what: str) -> tuple[str, ...]:
        if item[1:] not in known:
            Node(None, root.file, f"{what}s", root.fail_with).fail(f"there is no {what} {item!r}")
        return known[item[1:]]

    def walk(value: Any, key: str) -> Any:
        if key in ("file", "missing") and (isinstance(value, str) or _all_text(value)):
            return paths(value)
        if key == "content" and isinstance(value, str) and value[:1] == "@":
            return named(value, patterns, "pattern")[0]
        if isinstance(value, dict):
            return {name: walk(item, name) for name, item in value.items()}
        return [walk(item, "") for item in value] if isinstance(value, list) else value

    return Node(walk(root.value, ""), root.file, root.path, root.fail_with)


def _all_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean x?` when a known word is close, else the list of what is known."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known here: {', '.join(known)}"


def _only(node: Node, kind: str) -> bool:
    known = _KEYS[kind].split()
    for key, child in _members(node).items():
        if key not in known:
            child.fail(f"unknown key{nearest(key, known)}")
    return True


def _members(node: Node) -> dict[str, Node]:
    if not isinstance(node.value, dict):
        node.fail(f"expected a table, found {'text' if isinstance(node.value, str) else 'a list'}")
    return {key: node.at(key) for key in node.value}


def _name(root: Node, folder: str) -> str:
    name = str(root.str("name"))
    if not _NAME.match(name):
        root.at("name").fail("a name has lower-case letters, digits and '-', and starts with a letter")
    if name != folder:
        root.at("name").fail(f"the folder is called {folder!r}")
    return name


def _texts(node: Node, key: str) -> dict[str, str]:
    return {name: str(node.at(key).str(name)) for name in node.table(key)}


def _strings(node: Node, key: str) -> tuple[str, ...]:
    """One text or a list of texts."""
    found = node.get(key)
    if found is not None and isinstance(found.value, str):
        return (found.value,)
    return tuple(node.strings(key))


def _runtimes(node: Node, key: str) -> tuple[str, ...]:
    found = _strings(node, key)
    for name in found:
        if name not in MODULES:
            node.at(key).fail(f"no runtime is called {name!r}{nearest(name, tuple(MODULES))}")
    return found


def _ecosystem(root: Node) -> str:
    name = str(root.str("ecosystem", ""))
    if name and name not in ECOSYSTEMS:
        root.at("ecosystem").fail(f"no ecosystem is called {name!r}{nearest(name, tuple(ECOSYSTEMS))}")
    return name


def _pattern(node: Node) -> str:
    """A text that is a regular expression."""
    if not isinstance(node.value, str):
        node.fail("expected a regular expression")
    try:
        re.compile(node.value)
    except re.error as error:
        node.fail(f"not a regular expression: {error}")
    return str(node.value)


def _optional_pattern(node: Node, key: str) -> str:
    found = node.get(key)
    return "" if found is None else _pattern(found)


def _condition(node: Node, kind: str = "condition") -> Condition:
    _only(node, kind)
    return Condition(
        files=_strings(node, "file"),
        content=_optional_pattern(node, "content"),
        fields=_strings(node, "field"),
        missing=_strings(node, "missing"),
        installed=_strings(node, "installed"),
        runtime=node.str("runtime", ""),
        entry=node.str("entry", ""),
        values=tuple(_texts(node, "set").items()),
    )


def _step(node: Node) -> tuple[Condition, ...]:
    """One condition, or a list of alternatives."""
    return tuple(_condition(item) for item in node) if isinstance(node.value, list) else (_condition(node),)


def _detect(node: Node) -> DetectRule:
    when = _condition(node, "detect")
    claim = str(node.str("claim"))
    if claim not in CLAIMS:
        node.at("claim").fail(f"unknown claim{nearest(claim, CLAIMS)}")
    unless = tuple(_condition(item) for item in node.list("unless"))
    _placeholders(node, "why", _known([when]))
    return DetectRule(when, claim, node.str("why"), unless, node.str("replaces", ""))


def _refusal(node: Node) -> Refusal:
    when = _condition(node, "refuse")
    for key in ("why", "hint"):
        _placeholders(node, key, _known([when]))
    return Refusal(when, node.str("why"), node.str("hint"))


def _server(name: str, node: Node) -> Server:
    _only(node, "server")
    return Server(name, _strings(node, "installed"), node.str("run"), node.str("factory", ""))


def _start(node: Node, servers: Sequence[Server]) -> StartRule:
    _only(node, "start")
    when = tuple(_step(item) for item in node.list("when"))
    known = _known([condition for step in when for condition in step])
    serve = _strings(node, "serve")
    names = [server.name for server in servers]
    for name in serve:
        if name not in names:
            node.at("serve").fail(f"no server {name!r}{nearest(name, names)}")
    for key in ("run", "note", "needs_build"):
        _placeholders(node, key, known)
    _placeholders(node, "why", known | {"server"})
    given = [key for key in ("serve", "run", "needs_build") if node.get(key)]
    if len(given) != 1 and given != ["run", "needs_build"]:
        node.fail("must have exactly one of serve, run and needs_build")
    return StartRule(
        node.str("for"),
        when,
        serve,
        node.str("run", ""),
        node.str("why"),
        node.str("note", ""),
        node.str("needs_build", ""),
    )


_GIVEN = {"file", "stem", "folder", "module", "manager", "value", "field", "name", "package"}


def _known(conditions: Sequence[Condition]) -> set[str]:
    """The names of the values that these conditions can yield."""
    groups = {name for condition in conditions for name in re.compile(condition.content).groupindex}
    given = {name for condition in conditions for name, _ in condition.values}
    return _GIVEN | groups | given | {f"{name}_path" for name in groups}


def _placeholders(node: Node, key: str, known: set[str]) -> None:
    for name in (name for text in _strings(node, key) for name in PLACEHOLDER.findall(text)):
        if name not in known:
            node.at(key).fail(f"{{{name}}} is not a value that this rule's conditions find")


def _build(node: Node) -> BuildRule:
    _only(node, "build")
    name = str(node.str("name"))
    if not _NAME.match(name) or len(name) > 40:
        node.at("name").fail("a name has at most 40 lower-case letters, digits and '-', and starts with a letter")
    when = tuple(_step(item) for item in node.list("when"))
    known = _known([condition for step in when for condition in step])
    for key in ("run", "why", "outputs", "leaves", "inputs"):
        _placeholders(node, key, known)
    return BuildRule(
        name,
        when,
        _strings(node, "run") or node.fail("has no run"),
        node.str("why"),
        _strings(node, "outputs"),
        _strings(node, "leaves"),
        _strings(node, "inputs"),
        _strings(node, "packages"),
        _strings(node, "recipes"),
        tuple(_texts(node, "env").items()),
        _yes(node, "development"),
        _yes(node, "late"),
        _yes(node, "members"),
        _tells(node),
        node.str("ask", ""),
        node.str("unless", ""),
    )


def _tells(node: Node) -> str:
    name = str(node.str("tells", ""))
    known = [told for kind in kinds() for told in kind.tells] if name else []
    if name and name not in known:
        node.at("tells").fail(f"no runtime tells {name!r}{nearest(name, known)}")
    return name


def _tool(node: Node) -> BuildTool:
    _only(node, "tool")
    command = _pattern(node.at("command"))
    when = tuple(_step(item) for item in node.list("when"))
    known = _known([condition for step in when for condition in step]) | {"out", *re.compile(command).groupindex}
    for key in ("outputs", "leaves", "pages", "start", "members"):
        _placeholders(node, key, known)
    _placeholders(node, "only", {"member"})
    return BuildTool(
        command,
        _strings(node, "outputs"),
        when,
        _strings(node, "options"),
        _strings(node, "leaves"),
        node.str("pages", ""),
        _yes(node, "routes"),
        node.str("start", ""),
        _strings(node, "recipes"),
        tuple(_texts(node, "env").items()),
        node.str("members", ""),
        node.str("only", ""),
    )


def _yes(node: Node, key: str) -> bool:
    word = str(node.str(key, "no"))
    if word not in ("yes", "no"):
        node.at(key).fail("expected yes or no")
    return word == "yes"


def _script(node: Node) -> Script:
    _only(node, "script")
    return Script(_optional_pattern(node, "script"), _strings(node, "needs"), node.str("output"))


def _env(name: str, node: Node) -> tuple[str, str, str]:
    if not _ENV.match(name):
        node.fail("not the name of an environment variable")
    _only(node, "env")
    return name, node.str("value"), node.str("why")


def _option(name: str, node: Node) -> Option:
    _only(node, "option")
    kind = str(node.str("kind"))
    if kind not in KINDS:
        node.at("kind").fail(f"unknown kind{nearest(kind, KINDS)}")
    default, pattern = node.str("default", ""), _optional_pattern(node, "pattern")
    return Option(name, kind, default, pattern, node.str("below", ""), node.str("also", ""))


def _files(root: Node, templates: Mapping[str, str]) -> list[tuple[str, str]]:
    found = []
    for template, path in _texts(root, "files").items():
        if template not in templates:
            root.at("files").at(template).fail("there is no such file in templates/")
        if not _PATH.match(path):
            root.at("files").at(template).fail("not a path inside the droplet")
        found.append((template, path))
    return found
