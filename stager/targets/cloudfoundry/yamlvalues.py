"""YAML as Cloud Foundry's manifests use it: anchors, aliases and merge keys, values typed, every value with its line.

`yamltext`, which the rest of stager uses, refuses what is common here. Plain scalars are null, true, false, integers and
numbers as YAML 1.1 says; dates and sexagesimals stay text. A file cannot grow by its aliases beyond `_MOST` values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from ...errors import BadManifest
from ...text.yamltext import bracketed

_MOST = 50_000
_DEPTH = 40
_MERGE = "tag:yaml.org,2002:merge"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o?[0-7]+")


@dataclass(frozen=True, slots=True)
class YamlValue:
    """A value of a document: `raw` is None, a bool, int, float or str; or a dict of str to Value, or a list of Values."""

    raw: Any
    line: int
    written: str = ""
    """A scalar as it stands in the file."""

    def plain(self) -> Any:
        """The value without lines, as `json` takes it."""
        if isinstance(self.raw, dict):
            return {key: one.plain() for key, one in self.raw.items()}
        return [one.plain() for one in self.raw] if isinstance(self.raw, list) else self.raw


def read(text: str, file: str) -> YamlValue:
    """Read one YAML document. Raises BadManifest with the line for what is none, and for tags and duplicate keys."""
    if line := bracketed(text):
        raise BadManifest(file, "nested too deeply", line=line)
    try:
        node = _composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise BadManifest(file, f"not valid YAML: {error.problem or error.context}", line=line) from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise BadManifest(file, "not valid YAML") from None
    return YamlValue({}, 1) if node is None else _Reader(file).value(node, 0)


def _composed(text: str) -> Any:
    """The nodes by libyaml, where there is one; what it refuses is refused again in PyYAML's words if it is short."""
    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        if len(text) > _WORDED:
            raise
        return yaml.compose(text, Loader=yaml.SafeLoader)


_WORDED = 1 << 16
_DIGITS = 400


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0

    def fail(self, node: Any, why: str) -> BadManifest:
        return BadManifest(self.file, why, line=node.start_mark.line + 1)

    def value(self, node: Any, depth: int) -> YamlValue:
        self.count += 1
        if self.count > _MOST or depth > _DEPTH:
            raise self.fail(node, "its aliases make it too large, or it is nested too deeply")
        line = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            return YamlValue(self.scalar(node), line, self.text(node))
        if isinstance(node, yaml.SequenceNode):
            return YamlValue([self.value(one, depth + 1) for one in node.value], line)
        return YamlValue(self.table(node, depth), line)

    def scalar(self, node: Any) -> Any:
        text = self.text(node)
        kind, _, name = node.tag.rpartition(":")
        if kind != "tag:yaml.org,2002":
            raise self.fail(node, "tags (!name) are not allowed")
        if name == "null":
            return None
        if name == "bool":
            return text.lower() in ("yes", "true", "on")
        if name == "int" and _INTEGER.fullmatch(text):
            if len(text) > _DIGITS:
                raise self.fail(node, "a number has too many digits")
            return _integer(text)
        if name == "float":
            return _number(text)
        return text

    def text(self, node: Any) -> str:
        """A scalar's text; two escapes of UTF-16 halves (as JSON writes them) are one sign."""
        try:
            return str(node.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le"))
        except UnicodeDecodeError:
            raise self.fail(node, "it holds half a sign (a lone surrogate)") from None

    def table(self, node: Any, depth: int) -> dict[str, YamlValue]:
        found: dict[str, YamlValue] = {}
        merged: dict[str, YamlValue] = {}
        for key, one in node.value:
            if key.tag == _MERGE:
                for given in self.merges(one, depth):
                    merged = {**given, **merged}
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise self.fail(key, "a key must be text")
            name = self.text(key)
            if name in found:
                raise self.fail(key, f"{name!r} is given twice")
            read = self.value(one, depth + 1)
            found[name] = YamlValue(read.raw, key.start_mark.line + 1, read.written)
        return {**merged, **found}

    def merges(self, node: Any, depth: int) -> list[dict[str, YamlValue]]:
        """The tables that a merge key (`<<`) brings; the first wins over later ones."""
        value = self.value(node, depth + 1)
        tables = value.raw if isinstance(value.raw, list) else [value]
        if not all(isinstance(one.raw, dict) for one in tables):
            raise self.fail(node, "a merge key (<<) takes a table or a list of tables")
        return [one.raw for one in tables]


def _integer(text: str) -> int:
    plain = text.replace("_", "")
    if plain.lower().startswith("0x"):
        return int(plain, 16)
    octal = len(plain) > 1 and plain[0] == "0"
    return int(plain[2:] if plain[1:2] == "o" else plain, 8) if octal else int(plain)


def _number(text: str) -> Any:
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        return text
    return number if number - number == 0 else text  # neither infinite nor NaN: JSON has no word for these
