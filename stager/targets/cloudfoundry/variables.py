"""`((name))` in manifests: values from --var and --vars-file, put in where they stand.

As with the `cf` client: a value that is all of a scalar keeps its type (a list, a table), one inside a text becomes part
of it, `((db.password))` walks into a table, later files win over earlier ones, and --var over all files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import BadManifest, UsageError
from .yamlvalues import YamlValue, read

_NAME = r"!?[-/.\w]+"
_HOLE = re.compile(rf"\(\(({_NAME})\)\)")


def collect(assignments: Sequence[str], files: Sequence[tuple[str, str]]) -> dict[str, YamlValue]:
    """The variables of `NAME=VALUE` assignments and of (file, its text) pairs. Raises UsageError, BadManifest."""
    found: dict[str, YamlValue] = {}
    for file, text in files:
        values = read(text, file)
        if not isinstance(values.raw, dict):
            raise BadManifest(file, "variables are a table: a name, a colon and a value on each line")
        found.update(values.raw)
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not re.fullmatch(_NAME, name):
            raise UsageError("--var takes NAME=VALUE", "Write it so: --var name=value.")
        found[name] = read(value, f"--var {name}")
        if value.strip() == "":
            found[name] = YamlValue(value, 1, value)
    return found


def texts(variables: Mapping[str, YamlValue]) -> Iterator[str]:
    """Every value in the variables as text, so that it can be kept secret."""
    for value in variables.values():
        yield from _texts(value)


def _texts(value: YamlValue) -> Iterator[str]:
    if isinstance(value.raw, dict):
        for one in value.raw.values():
            yield from _texts(one)
    elif isinstance(value.raw, list):
        for one in value.raw:
            yield from _texts(one)
    elif value.raw is not None and not isinstance(value.raw, bool):
        yield value.written or str(value.raw)
        yield str(value.raw)


def fill(document: YamlValue, variables: Mapping[str, YamlValue], file: str) -> YamlValue:
    """The document with every hole filled. Raises BadManifest that names all missing variables with their lines."""
    missing: dict[str, int] = {}
    filled = _fill(document, variables, file, missing)
    if missing:
        named = ", ".join(f"{name} (line {line})" for name, line in sorted(missing.items()))
        hint = "Give each with --var NAME=VALUE or in a file with --vars-file FILE."
        raise BadManifest(file, f"variables without a value: {named}", hint, line=min(missing.values()))
    return filled


def _fill(value: YamlValue, variables: Mapping[str, YamlValue], file: str, missing: dict[str, int]) -> YamlValue:
    if isinstance(value.raw, dict):
        table = {
            _text(key, one.line, variables, file, missing): _fill(one, variables, file, missing)
            for key, one in value.raw.items()
        }
        return YamlValue(table, value.line)
    if isinstance(value.raw, list):
        return YamlValue([_fill(one, variables, file, missing) for one in value.raw], value.line)
    if not isinstance(value.raw, str) or "((" not in value.raw:
        return value
    whole = _HOLE.fullmatch(value.raw)
    if whole:
        found = _find(whole[1], variables)
        if found is None:
            missing.setdefault(whole[1], value.line)
        return value if found is None else YamlValue(found.raw, value.line, found.written)
    text = _text(value.raw, value.line, variables, file, missing)
    return YamlValue(text, value.line, text)


def _text(text: str, line: int, variables: Mapping[str, YamlValue], file: str, missing: dict[str, int]) -> str:
    def put(hole: re.Match[str]) -> str:
        found = _find(hole[1], variables)
        if found is None:
            missing.setdefault(hole[1], line)
            return ""
        if isinstance(found.raw, (dict, list)) or found.raw is None:
            hint = f"Let (({hole[1]})) be the whole value, or give it a text."
            raise BadManifest(file, f"(({hole[1]})) stands inside a text and has no plain value", hint, line=line)
        return found.written or str(found.raw)

    return _HOLE.sub(put, text)


def _find(name: str, variables: Mapping[str, YamlValue]) -> YamlValue | None:
    """The value of `a` or of `a.b.c`; a variable named with the dots wins."""
    name = name.removeprefix("!")
    if name in variables:
        return variables[name]
    first, *steps = name.split(".")
    found: Any = variables.get(first)
    for step in steps:
        found = found.raw.get(step) if found is not None and isinstance(found.raw, dict) else None
    return found if isinstance(found, YamlValue) else None
