"""Reads an app's optional `stager.yml`: what its author decides instead of stager.

```yaml
stack: debian-12
buildpacks: [python]
processes: {web: gunicorn app:app}
env: {WEB_CONCURRENCY: "2"}
build:                                              # what has to be made before the app can run; see build_settings
  - {run: make assets, inputs: [assets/**, Makefile], outputs: [static/dist]}
builds: {static: no}                                # and what of stager's own builds is otherwise
python: {groups: [postgres], extras: [s3], bytecode: all}
packages: [ffmpeg, libgl1]                          # Debian packages that the app needs while it runs
services: [postgresql, redis]                       # what a box runs beside the app
health: {path: /healthz, timeout: 60}               # or {command: ./bin/healthy}; seconds until the app must be ready
end_of_life: refuse                                 # else 'warn': a runtime without security fixes is staged with a note
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...ecosystems import ecosystems
from ...errors import BadManifest, StagerError
from ...model import EnvVar, Process, Reason
from ...text.typed import Node
from ...text.yamltext import Document, parse
from .build_settings import BuildOptions, OwnBuild, options, own_builds
from .procfile import TYPE
from .shapes import line, names, only, variable, word

if TYPE_CHECKING:
    from ...ecosystems.record import Ecosystem
    from ...tree import SourceTree

NAME = "stager.yml"
KEYS = ("stack", "buildpacks", "processes", "env", "build", "builds", "packages", "services", "health", "end_of_life")
"""What `stager.yml` may have, beside ecosystems' sections; docs/reference/stager-yml.md explains each."""
HEALTH_KEYS = ("path", "command", "timeout")
SERVICES = ("postgresql", "redis")
"""What a box can run beside the app."""
_END = ("warn", "refuse")


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
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Ecosystem → the words that its section chooses, by key."""
    own_builds: tuple[OwnBuild, ...] = ()
    """In the file's order."""
    build_options: Mapping[str, BuildOptions] = field(default_factory=dict[str, BuildOptions])
    """By the name of the build."""
    packages: tuple[str, ...] | None = None
    """Debian packages, None where it does not say; empty means none, whatever other files say."""
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
    only(root, (*KEYS, *sections))
    return AppConfig(
        stack=word(root, "stack"),
        buildpacks=names(root, "buildpacks"),
        processes=_processes(root, document),
        env=_env(root, document),
        lists={one.name: _lists(root.at(name), one) for name, one in sections.items() if name in root.value},
        words={one.name: _chosen(root.at(name), one) for name, one in sections.items() if name in root.value},
        own_builds=own_builds(root, document),
        build_options=options(root, document),
        packages=names(root, "packages") if "packages" in root.value else None,
        services=_services(root),
        health=_health(root),
        refuses_ended=_one_of(root, "end_of_life", _END) == "refuse",
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


def _lists(node: Node, section: Ecosystem) -> dict[str, tuple[str, ...]]:
    only(node, (*section.options, *section.choices))
    return {key: names(node, key) for key in section.options}


def _chosen(node: Node, section: Ecosystem) -> dict[str, str]:
    return {key: _one_of(node, key, words) for key, words in section.choices.items() if key in node.value}


def _one_of(node: Node, key: str, words: tuple[str, ...]) -> str:
    chosen = word(node, key)
    if chosen not in ("", *words):
        node.at(key).fail(f"expected {', '.join(words[:-1])} or {words[-1]}")
    return chosen


def _processes(root: Node, document: Document) -> tuple[Process, ...]:
    return tuple(_process(node, kind, document) for kind, node in root.table("processes").items())


def _process(node: Node, kind: str, document: Document) -> Process:
    if not TYPE.match(kind):
        node.fail("a process type is 1 to 63 letters, digits, '_' and '-'")
    command = line(node)
    if not command:
        node.fail("must not be empty")
    return Process(kind, command, Reason(f"{NAME} names it", NAME, document.line(node.path)))


def _env(root: Node, document: Document) -> tuple[EnvVar, ...]:
    found = root.table("env").items()
    return tuple(
        EnvVar(name, variable(node, name), Reason(f"{NAME} sets it", NAME, document.line(node.path)))
        for name, node in found
    )


def _services(root: Node) -> tuple[str, ...]:
    found = names(root, "services")
    for index, name in enumerate(found):
        if name not in SERVICES:
            root.list("services")[index].fail(f"there is no service {name!r}; there are {', '.join(SERVICES)}")
    return found


def _health(root: Node) -> Health:
    node = root.get("health")
    if node is None:
        return Health()
    only(node, HEALTH_KEYS)
    path, command = word(node, "path"), word(node, "command")
    if path and command:
        node.fail("has a path and a command; one of them decides")
    if path and (not path.startswith("/") or not path.isprintable() or " " in path):
        node.at("path").fail("expected a path such as /healthz")
    if command:
        command = line(node.at("command"))
    return Health(path, command, _seconds(node))


def _seconds(node: Node) -> int:
    """YAML is read as strings; a whole number of seconds between 1 and 3600."""
    text = str(node.str("timeout", "60"))
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 0 < int(text) <= 3600):
        node.at("timeout").fail("expected 1 to 3600 seconds")
    return int(text)
