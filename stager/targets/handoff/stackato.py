"""Reading a `stackato.yml`, and writing what it means as `stager.yml`, `manifest.yml` and `.stagerignore`.

Stackato (ActiveState, later HPE) is discontinued; its format is known from its client's specification. What an import cannot
honour is refused by name, all of it at once, because an app that silently lost its cron jobs would be worse than none.

| in `stackato.yml` | becomes |
|---|---|
| `name`, `mem` or `memory`, `instances` | `manifest.yml` |
| `env` (a value, or a table with `default`) | `stager.yml` `env` |
| `command`, `processes` | `stager.yml` `processes` |
| `buildpack`, `framework` | `stager.yml` `buildpacks` |
| `ignores` | `.stagerignore` |
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...digest import canonical_json
from ...errors import BadManifest, StagerError, Unreadable, UsageError
from ...files import limits, regular, writing
from ...text.typed import Node
from ...text.yamltext import Document, parse
from .errors import NotImportable

NAME = "stackato.yml"
_BUILDPACKS = {"python": "python", "nodejs": "nodejs", "node": "nodejs", "staticfile": "static", "static": "static"}
"""A framework's name, or what a buildpack's address ends with, and stager's buildpack for it."""
_MEMORY = re.compile(r"([1-9][0-9]{0,6})\s*([MG])B?", re.IGNORECASE)
_COUNT = re.compile(r"[1-9][0-9]{0,3}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPE = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_SUBSTITUTION = re.compile(r"\$\{[^}]*\}")
_IN_COMMANDS = re.compile(r"\$\{[a-z][^}]*\}")
"""In a command `${PORT}` is the shell's; the names that the client fills in are in lower case."""
_REFUSED = {
    "services": "bind services on the platform, with its own client",
    "hooks": "a droplet runs no hook: put the work in the app, or in a 'release' process",
    "cron": "no platform stager knows runs cron: use a process of your own, or the platform's scheduler",
    "depends-on": "a droplet is one app: import and deploy the other app by itself",
    "app-dir": "run the import in that folder",
    "drain": "log drains are set on the platform",
    "url": "routes are set on the platform",
    "urls": "routes are set on the platform",
    "disk": "disk quotas are set on the platform",
    "autoscale": "scaling rules are set on the platform",
    "sso-enabled": "no platform that stager knows has it",
    "harbor": "no platform that stager knows has it",
}
"""Keys that are refused, and what to do instead."""
_REQUIREMENTS = "a droplet holds all it needs and no platform installs packages for it: "
_PACKAGES = {
    "ubuntu": f"{_REQUIREMENTS}take a stack that has them, or packages that bring their libraries",
    "redhat": f"{_REQUIREMENTS}take a stack that has them, or packages that bring their libraries",
    "unix": f"{_REQUIREMENTS}take a stack that has them, or packages that bring their libraries",
    "staging": f"{_REQUIREMENTS}take a stack that has them, or packages that bring their libraries",
    "pip": "write them into requirements.txt and run 'stager lock'",
    "pypm": "write them into requirements.txt and run 'stager lock'",
    "cpan": "stager has no Perl packages",
    "ppm": "stager has no Perl packages",
}
_UNTOUCHED = ("min_version", "description", "stackato")
"""Keys without a meaning for stager; `stackato` is a block of the same keys."""


@dataclass(frozen=True, slots=True)
class ImportedStackato:
    """The files that say the same for stager, by name, and remarks."""

    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    document: Document
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    app: dict[str, Any] = field(default_factory=dict)
    stager: dict[str, Any] = field(default_factory=dict)
    ignores: list[str] = field(default_factory=list)

    def refuse(self, node: Node, why: str, key: str = "") -> None:
        self.refused.append((self.document.line(node.path) or 0, key or node.path, why))


def import_app(folder: str) -> ImportedStackato:
    """Read the `stackato.yml` of an app's folder and write what it means beside it.

    Nothing is written unless everything can be. Raises NotImportable with all that cannot be honoured, BadManifest,
    Unreadable, UsageError for files that are there already with another content, CannotWrite.
    """
    path = os.path.join(folder, NAME)
    try:
        data = regular.read(path, limits.SETTINGS)
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error), "Name the folder that holds it.") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadManifest(NAME, "the file is not UTF-8", "", data.count(b"\n", 0, error.start) + 1) from None
    found = convert(text)
    _write(folder, found.files)
    return found


def convert(text: str) -> ImportedStackato:
    """What a `stackato.yml` means for stager. Raises NotImportable with everything that cannot be honoured, BadManifest."""
    reading = _Reading(parse(text, NAME, _bad))
    for key, node in _keys(reading):
        _READERS.get(key, _other)(reading, node)
    if reading.refused:
        raise NotImportable(NAME, sorted(reading.refused))
    return ImportedStackato(_files(reading), tuple(reading.notes))


def _bad(file: str, why: str, line: int | None) -> StagerError:
    return BadManifest(file, why, line=line)


def _keys(reading: _Reading) -> Iterator[tuple[str, Node]]:
    """Every key with its value, those of a `stackato:` block besides; anything with a substitution is refused."""
    root = reading.document.root
    if not isinstance(root.value, dict):
        root.fail("expected a table of names and values")
    tables = [root, *([root.at("stackato")] if isinstance(root.value.get("stackato"), dict) else [])]
    for table in tables:
        for key in table.value:
            node = table.at(key)
            pattern = _IN_COMMANDS if key in ("command", "processes") else _SUBSTITUTION
            if key != "stackato" and not _substitutes(reading, node, pattern):
                yield key, node


def _substitutes(reading: _Reading, node: Node, pattern: re.Pattern[str]) -> bool:
    """Refuse every text in a node that asks the client to fill something in; whether the node itself is such a text."""
    if isinstance(node.value, str):
        found = pattern.search(node.value)
        if found:
            reading.refuse(node, f"{found[0][:60]} is filled in by Stackato's client: write the value itself")
        return bool(found)
    if isinstance(node.value, dict):
        children = [node.at(key) for key in node.value]
    else:
        children = list(node) if isinstance(node.value, list) else []
    for child in children:
        _substitutes(reading, child, pattern)
    return False


# --- one key each ----------------------------------------------------------------------------------------------


def _other(reading: _Reading, node: Node) -> None:
    key = node.path.removeprefix("stackato.")
    if key in _UNTOUCHED:
        reading.notes.append(f"{key} has no meaning for stager and is left out")
    else:
        reading.refuse(node, _REFUSED.get(key, "stager does not know this key"))


def _name(reading: _Reading, node: Node) -> None:
    reading.app["name"] = _fitting(node, _NAME, "letters, digits, '.', '_' and '-'")


def _memory(reading: _Reading, node: Node) -> None:
    text = _fitting(node, _MEMORY, "a size, such as 256M or 1G")
    found = _MEMORY.fullmatch(text)
    assert found
    reading.app["memory"] = found[1] + found[2].upper()


def _instances(reading: _Reading, node: Node) -> None:
    reading.app["instances"] = int(_fitting(node, _COUNT, "a number of instances"))


def _env(reading: _Reading, node: Node) -> None:
    """A variable is a text, or a table of which only a default can be kept: nobody is asked when a droplet starts."""
    values: dict[str, str] = {}
    for name, child in _table(node):
        if not _VARIABLE.fullmatch(name):
            reading.refuse(child, "a variable's name has letters, digits and '_'")
        elif name in ("HOME", "PORT"):
            reading.refuse(child, "the platform sets it")
        elif isinstance(child.value, str):
            values[name] = _line(child)
        else:
            _env_table(reading, name, child, values)
    if values:
        reading.stager["env"] = values


def _env_table(reading: _Reading, name: str, node: Node, values: dict[str, str]) -> None:
    for key, child in _table(node):
        if key == "default":
            values[name] = _line(child)
        elif key in ("required", "prompt", "inherit", "hidden", "choices", "scope"):
            if key != "scope" and _line_or_empty(child).lower() not in ("0", "no", "false", "n"):
                reading.refuse(child, "nobody is asked when a droplet is made: set the variable on the platform")
        else:
            reading.refuse(child, "stager does not know this key")


def _command(reading: _Reading, node: Node) -> None:
    reading.stager.setdefault("processes", {}).setdefault("web", _line(node))


def _processes(reading: _Reading, node: Node) -> None:
    for kind, child in _table(node):
        if not _TYPE.fullmatch(kind):
            reading.refuse(child, "a process type is 1 to 63 letters, digits, '_' and '-'")
        else:
            reading.stager.setdefault("processes", {})[kind] = _line(child)


def _buildpack(reading: _Reading, node: Node) -> None:
    address = _line(node)
    words = re.split(r"[-_/.:]", address.rpartition("/")[2].partition("#")[0].removesuffix(".git").lower())
    found = {_BUILDPACKS[word] for word in words if word in _BUILDPACKS}
    if len(found) != 1:
        reading.refuse(node, f"stager has no buildpack for {address[:80]!r}")
        return
    reading.stager["buildpacks"] = sorted(found)


def _framework(reading: _Reading, node: Node) -> None:
    if isinstance(node.value, str):
        _buildpack(reading, node)
        return
    for name, child in _table(node):
        if name in ("type", "name"):
            _buildpack(reading, child)
        elif name == "runtime":
            reading.refuse(child, "name the version in a file of its own, such as .python-version or package.json")
        else:
            reading.refuse(child, "stager does not know this key; a static app's folder is set in a Staticfile")


def _requirements(reading: _Reading, node: Node) -> None:
    for name, child in _table(node):
        reading.refuse(child, _PACKAGES.get(name, "stager does not know this key"))


def _ignores(reading: _Reading, node: Node) -> None:
    if not isinstance(node.value, list):
        node.fail("expected a list")
    reading.ignores += [_line(child) for child in node]


_READERS = {
    "name": _name, "mem": _memory, "memory": _memory, "instances": _instances, "env": _env, "command": _command,
    "processes": _processes, "buildpack": _buildpack, "framework": _framework, "requirements": _requirements,
    "ignores": _ignores,
}  # fmt: skip


# --- shapes ----------------------------------------------------------------------------------------------------


def _table(node: Node) -> list[tuple[str, Node]]:
    if not isinstance(node.value, dict):
        node.fail("expected a table of names and values")
    return [(key, node.at(key)) for key in node.value]


def _line(node: Node) -> str:
    """One line of printable text, not empty."""
    text = _line_or_empty(node)
    if not text or not text.isprintable():
        node.fail("expected one line of text")
    return text


def _line_or_empty(node: Node) -> str:
    if not isinstance(node.value, str):
        node.fail("expected text")
    return str(node.value).strip()


def _fitting(node: Node, pattern: re.Pattern[str], what: str) -> str:
    text = _line(node)
    if not pattern.fullmatch(text):
        node.fail(f"{text[:80]!r} is not what it must be: {what}")
    return text


# --- writing ---------------------------------------------------------------------------------------------------


def _files(reading: _Reading) -> dict[str, str]:
    """The files that have something to say; a YAML value in them is JSON, which YAML 1.2 includes."""
    files = {}
    if reading.stager:
        lines = [f"{key}: {_json(value)}" for key, value in sorted(reading.stager.items())]
        files["stager.yml"] = "# Made from stackato.yml.\n" + "\n".join(lines) + "\n"
    if reading.app:
        lines = [f"{key}: {_json(value)}" for key, value in reading.app.items()]
        files["manifest.yml"] = "# Made from stackato.yml.\napplications:\n- " + "\n  ".join(lines) + "\n"
    if reading.ignores:
        files[".stagerignore"] = "# Made from stackato.yml.\n" + "\n".join(reading.ignores) + "\n"
    return files


def _json(value: object) -> str:
    return canonical_json(value).decode().rstrip("\n")


def _write(folder: str, files: Mapping[str, str]) -> None:
    """Write each file, unless it is there; one with another content is never replaced."""
    for name, text in files.items():
        path = os.path.join(folder, name)
        if os.path.lexists(path) and not _holds(path, text):
            raise UsageError(f"{name} is there already", f"Move it away, import again, and merge the two: {path}")
    for name, text in files.items():
        writing.write(os.path.join(folder, name), text.encode())


def _holds(path: str, text: str) -> bool:
    try:
        return regular.read(path, limits.SETTINGS) == text.encode()
    except OSError:
        return False
