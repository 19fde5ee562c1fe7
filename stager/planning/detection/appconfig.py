"""Reads an app's optional `stager.yml`: what its author decides instead of stager.

```yaml
stack: debian-12
buildpacks: [python]
processes: {web: gunicorn app:app}
env: {WEB_CONCURRENCY: "2"}
python: {groups: [postgres], extras: [s3]}
services: [postgresql, redis]                       # what a box runs beside the app
health: {path: /healthz, timeout: 60}               # or {command: ./bin/healthy}; seconds until the app must be ready
end_of_life: refuse                                 # else 'warn': a runtime without security fixes is staged with a note
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...ecosystems import ecosystems
from ...errors import BadManifest, StagerError
from ...model import EnvVar, Process, Reason
from ...text.typed import Node
from ...text.yamltext import Document, parse
from ..buildpacks.definition import nearest
from .procfile import TYPE

if TYPE_CHECKING:
    from ...tree import SourceTree

NAME = "stager.yml"
KEYS = ("stack", "buildpacks", "processes", "env", "services", "health", "end_of_life")
"""What `stager.yml` may have, beside ecosystems' sections; docs/reference/stager-yml.md explains each."""
HEALTH_KEYS = ("path", "command", "timeout")
SERVICES = ("postgresql", "redis")
"""What a box can run beside the app."""
_END = ("warn", "refuse")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OWN = ("HOME", "PORT")
"""What the platform or launch decides; an app cannot."""


@dataclass(frozen=True, slots=True)
class Health:
    """How to tell that the app is ready: an HTTP `path` that answers with 2xx or 3xx, or a `command` that ends with 0 in
    the app's environment; with neither, that its port accepts connections. `timeout` is in seconds."""

    path: str = ""
    command: str = ""
    timeout: int = 60


@dataclass(frozen=True, slots=True)
class AppConfig:
    """What `stager.yml` says; everything is empty when there is none."""

    stack: str = ""
    buildpacks: tuple[str, ...] = ()
    processes: tuple[Process, ...] = ()
    env: tuple[EnvVar, ...] = ()
    lists: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """Ecosystem → the lists of names that its section gives, by key."""
    services: tuple[str, ...] = ()
    health: Health = Health()
    refuses_ended: bool = False
    """Whether a runtime past its end of life is an error and not a note."""
    lines: Mapping[str, int] = field(default_factory=dict[str, int], compare=False)
    """Path in the file → line."""

    def reason(self, path: str) -> Reason:
        """Why something is as this file says: `path` is e.g. `stack` or `buildpacks[0]`."""
        return Reason(f"{NAME} says so", NAME, self.lines.get(path))


def read(tree: SourceTree) -> AppConfig:
    """The app's settings. Raises BadManifest, with the line, for anything that is not as described above."""
    return tree.once(_read)


def _read(tree: SourceTree) -> AppConfig:
    if NAME not in tree:
        return AppConfig()
    document = parse(_text(tree.read_whole(NAME)), NAME, _bad)
    root = document.root
    sections = {one.section: one for one in ecosystems() if one.section}
    _only(root, (*KEYS, *sections))
    return AppConfig(
        stack=_word(root, "stack"),
        buildpacks=_names(root, "buildpacks"),
        processes=_processes(root, document),
        env=_env(root, document),
        lists={one.name: _lists(root.at(name), one.options) for name, one in sections.items() if name in root.value},
        services=_services(root),
        health=_health(root),
        refuses_ended=_end_of_life(root) == "refuse",
        lines=document.lines,
    )


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = "the file is not UTF-8"
        raise BadManifest(NAME, why, "Save it as UTF-8.", data.count(b"\n", 0, error.start) + 1) from None


def _bad(file: str, why: str, line: int | None) -> StagerError:
    return BadManifest(file, why, line=line)


def _only(node: Node, known: tuple[str, ...]) -> None:
    if not isinstance(node.value, dict):
        node.fail("expected a table of names and values")
    for key in node.value:
        if key not in known:
            node.at(key).fail(f"unknown key{nearest(key, known)}")


def _word(root: Node, key: str) -> str:
    value = str(root.str(key, ""))
    if key in root.value and not value.strip():
        root.at(key).fail("must not be empty")
    return value


def _lists(node: Node, keys: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    _only(node, keys)
    return {key: _names(node, key) for key in keys}


def _names(node: Node, key: str) -> tuple[str, ...]:
    found: tuple[str, ...] = tuple(node.strings(key))
    for index, name in enumerate(found):
        if not name.strip() or name in found[:index]:
            node.list(key)[index].fail("is given twice" if name.strip() else "must not be empty")
    return found


def _processes(root: Node, document: Document) -> tuple[Process, ...]:
    return tuple(_process(node, kind, document) for kind, node in root.table("processes").items())


def _process(node: Node, kind: str, document: Document) -> Process:
    if not TYPE.match(kind):
        node.fail("a process type is 1 to 63 letters, digits, '_' and '-'")
    command = _line(node)
    if not command:
        node.fail("must not be empty")
    return Process(kind, command, Reason(f"{NAME} names it", NAME, document.line(node.path)))


def _env(root: Node, document: Document) -> tuple[EnvVar, ...]:
    found = root.table("env").items()
    return tuple(
        EnvVar(name, _variable(node, name), Reason(f"{NAME} sets it", NAME, document.line(node.path)))
        for name, node in found
    )


def _variable(node: Node, name: str) -> str:
    if not _ENV.match(name):
        node.fail("a name has letters, digits and '_', and does not start with a digit")
    if name in _OWN:
        node.fail("is set by the platform")
    return _line(node)


def _services(root: Node) -> tuple[str, ...]:
    found = _names(root, "services")
    for index, name in enumerate(found):
        if name not in SERVICES:
            root.list("services")[index].fail(f"there is no service {name!r}; there are {', '.join(SERVICES)}")
    return found


def _health(root: Node) -> Health:
    node = root.get("health")
    if node is None:
        return Health()
    _only(node, HEALTH_KEYS)
    path, command = _word(node, "path"), _word(node, "command")
    if path and command:
        node.fail("has a path and a command; one of them decides")
    if path and (not path.startswith("/") or not path.isprintable() or " " in path):
        node.at("path").fail("expected a path such as /healthz")
    if command:
        command = _line(node.at("command"))
    return Health(path, command, _seconds(node))


def _end_of_life(root: Node) -> str:
    word = _word(root, "end_of_life")
    if word not in ("", *_END):
        root.at("end_of_life").fail(f"expected {' or '.join(_END)}")
    return word


def _seconds(node: Node) -> int:
    """YAML is read as strings; a whole number of seconds between 1 and 3600."""
    text = str(node.str("timeout", "60"))
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 0 < int(text) <= 3600):
        node.at("timeout").fail("expected 1 to 3600 seconds")
    return int(text)


def _line(node: Node) -> str:
    if not isinstance(node.value, str):
        node.fail("expected text")
    text = node.value.strip()
    if not text.isprintable():
        node.fail("must be one line of printable characters")
    return str(text)
