"""Evaluates a buildpack's conditions against an app's files: pure, ordered, and with the place of every finding."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...errors import BadManifest
from ...text import parsing
from ...text.source_lines import json_line, text_line, toml_line
from ..buildpacks.definition import PLACEHOLDER
from ..buildpacks.vocabulary import Condition

if TYPE_CHECKING:
    from ...tree import SourceTree
    from .foreseen import Foreseen

LIMIT = 1 << 20
"""Bytes of a file that a content pattern is tried on; start commands are not found beyond."""
LONGEST = 4096
"""Characters of a member of a file that a pattern is tried on: no pattern can take long over so few."""


@dataclass(frozen=True, slots=True)
class Match:
    """A condition that holds: the values found so far, and where (the last place found wins)."""

    values: Mapping[str, str]
    file: str = ""
    line: int | None = None


@dataclass(slots=True)
class AppFacts:
    """What conditions are asked about. Files are read once and remembered for the time of one call."""

    tree: SourceTree
    names: frozenset[str] = frozenset()
    """Normalised names of all packages that will be installed."""
    runtimes: Mapping[str, str] = field(default_factory=dict)
    """Runtime → the newest version it may come to as `major.minor.patch`, empty when nothing is asked for."""
    roots: tuple[str, ...] = ()
    """Folders whose modules are top-level, beside the app's own."""
    builds: tuple[Foreseen, ...] = ()
    """The builds that the app could have; what those that it must have leave is in the tree."""
    texts: dict[str, str] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)
    found: dict[str, list[str]] = field(default_factory=dict)

    def files(self, pattern: str) -> list[str]:
        """The app's files that fit the path pattern, sorted by bytes."""
        if pattern not in self.found:
            self.found[pattern] = self.tree.glob(pattern)
        return self.found[pattern]

    def text(self, path: str) -> str:
        """The start of a file as text; what is not UTF-8 is replaced, for looking only."""
        if path not in self.texts:
            self.texts[path] = _head(self.tree, path).decode("utf-8-sig", "replace").replace("\r\n", "\n")
        return self.texts[path]

    def document(self, path: str) -> dict[str, Any]:
        """A JSON or TOML file whose top is a table. Raises BadManifest with the line when it is not."""
        if path not in self.documents:
            self.documents[path] = _parse(path, self.tree.read_whole(path))
        found: dict[str, Any] = self.documents[path]
        return found

    def member(self, path: str, dotted: str) -> Any:
        """The member at a dotted path, None when any step is missing. The last step may itself hold dots."""
        value: Any = self.document(path)
        steps = dotted.split(".", 1) if dotted.startswith(_NAMED) else dotted.split(".")
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def line(self, path: str, dotted: str) -> int | None:
        """The line of a member of a JSON or TOML file."""
        find = toml_line if _is_toml(path) else json_line
        return find(self.text(path), dotted)


_NAMED = ("scripts.", "dependencies.", "devDependencies.")
"""Tables whose members' names may hold dots."""


def _head(tree: SourceTree, path: str) -> bytes:
    if tree.files[tree.resolve(path)].size <= LIMIT:
        return tree.read_bytes(path)
    with tree.open(path) as file:
        return file.read(LIMIT)


def _is_toml(path: str) -> bool:
    return path.endswith((".toml", "Pipfile", "uv.lock"))


def _parse(path: str, data: bytes) -> dict[str, Any]:
    try:
        text = data.decode("utf-8-sig")
        value = parsing.toml(text) if _is_toml(path) else parsing.json(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadManifest(path, "the file is not UTF-8", "Save it as UTF-8.", line) from None
    except json.JSONDecodeError as error:
        raise BadManifest(path, f"not valid JSON: {error.msg} (column {error.colno})", line=error.lineno) from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+), column \d+\)", str(error))
        raise BadManifest(path, f"not valid TOML: {error}", line=int(found[1]) if found else None) from None
    except parsing.Unparsable as error:
        raise BadManifest(path, f"not readable: {error}", line=error.line) from None
    if not isinstance(value, dict):
        raise BadManifest(path, _NO_TABLE)
    return value


_NO_TABLE = "its top must be a table of names and values"


def search(facts: AppFacts, steps: Sequence[Sequence[Condition]], values: Mapping[str, str]) -> Match | None:
    """The values found when every step holds, each by the first of its alternatives; None when one does not."""
    match = Match(values)
    for step in steps:
        found = first(facts, step, match.values)
        if found is None:
            return None
        match = found if found.file else Match(found.values, match.file, match.line)
    return match


def first(facts: AppFacts, alternatives: Sequence[Condition], values: Mapping[str, str] | None = None) -> Match | None:
    """The match of the first condition that holds."""
    return next((found for item in alternatives if (found := match(facts, item, values or {})) is not None), None)


def match(facts: AppFacts, condition: Condition, values: Mapping[str, str]) -> Match | None:
    """The condition's match, or None. Raises BadManifest when a file it must read cannot be parsed."""
    if not installed(facts, condition.installed) or not _runtime(facts, condition.runtime):
        return None
    if any(facts.files(pattern) for pattern in condition.missing):
        return None
    values = {**values, **dict(condition.values)}
    if not condition.files:
        return Match(values)
    return next(
        (found for path in _candidates(facts, condition, values) if (found := _at(facts, condition, path, values))),
        None,
    )


def installed(facts: AppFacts, wanted: Sequence[str]) -> bool:
    """Whether all packages are installed; `a|b` is satisfied by either."""
    return all(any(name in facts.names for name in item.split("|")) for item in wanted)


def _runtime(facts: AppFacts, wanted: str) -> bool:
    name, _, least = wanted.partition(">=")
    if not wanted or name not in facts.runtimes or not least:
        return not wanted or name in facts.runtimes
    known = facts.runtimes[name]
    return not known or _numbers(known) >= _numbers(least)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


_ASIDE = ("tests/", "test/", "examples/", "example/", "docs/", "doc/", "samples/")
"""Folders that a pattern for any folder does not mean: what is in them is beside the app."""


def _candidates(facts: AppFacts, condition: Condition, values: Mapping[str, str]) -> Iterator[str]:
    for pattern in condition.files:
        path = fill(pattern, values)
        if path is not None and not (path := posixpath.normpath(path)).startswith(("/", "../")):
            aside = _ASIDE if path.startswith("*/") else ()
            yield from (file for file in facts.files(path) if not file.startswith(aside))


def _at(facts: AppFacts, condition: Condition, path: str, values: Mapping[str, str]) -> Match | None:
    values = {**values, **_named(facts, path)}
    if condition.entry:
        return _entry(facts, condition, path, values)
    if condition.fields:
        return _field(facts, condition, path, values)
    if not condition.content:
        return Match(values, path)
    found = re.search(condition.content, facts.text(path), re.MULTILINE)
    line = text_line(facts.text(path), found.start()) if found and found[0] else None  # an empty one is nowhere
    return found and Match({**values, **_groups(found)}, path, line)


def _named(facts: AppFacts, path: str) -> dict[str, str]:
    """What a path is called: `file`, `stem`, `folder`, and for Python `module` and `package`."""
    folder, _, name = path.rpartition("/")
    values = {"file": path, "stem": name.rpartition(".")[0], "folder": folder}
    root = next((root for root in facts.roots if path.startswith(root + "/")), "")
    parts = path.removeprefix(root + "/" if root else "").removesuffix(".py").split("/")
    parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
    if path.endswith(".py") and all(part.isidentifier() for part in parts):
        values |= {"module": ".".join(parts), "package": ".".join(parts[:-1])}
    return values


def _groups(found: re.Match[str]) -> dict[str, str]:
    groups = {name: value for name, value in found.groupdict().items() if value is not None}
    return groups | {f"{name}_path": value.replace(".", "/") for name, value in groups.items()}


def _field(facts: AppFacts, condition: Condition, path: str, values: Mapping[str, str]) -> Match | None:
    for dotted in condition.fields:
        value = facts.member(path, dotted)
        text = value[:LONGEST] if isinstance(value, str) else ""
        found = re.search(condition.content, text, re.MULTILINE)
        if value and found and (text or not condition.content):
            named = {"field": dotted, "value": text, **_groups(found)}
            return Match({**values, **named}, path, facts.line(path, dotted))
    return None


def _entry(facts: AppFacts, condition: Condition, path: str, values: Mapping[str, str]) -> Match | None:
    """The only member of a table, or the one that has the project's name."""
    table = facts.member(path, condition.entry)
    table = table if isinstance(table, dict) else {}
    own = facts.member(path, condition.entry.rpartition(".")[0] + ".name")
    name = next(iter(table)) if len(table) == 1 else own
    value = table.get(name) if isinstance(name, str) else None
    found = re.search(condition.content, value) if isinstance(value, str) else None
    if found is None:
        return None
    named = {"name": str(name), "value": str(value), **_groups(found)}
    return Match({**values, **named}, path, facts.line(path, f"{condition.entry}.{name}"))


def fill(text: str, values: Mapping[str, str]) -> str | None:
    """`text` with its `{name}` placeholders filled; None when a value is missing."""
    if any(name not in values for name in PLACEHOLDER.findall(text)):
        return None
    return PLACEHOLDER.sub(lambda found: values[found[1]], text)
