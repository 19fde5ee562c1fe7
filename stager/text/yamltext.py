"""YAML read strictly: every scalar is a string, and nothing is guessed.

`3.10` stays `"3.10"`, `no` stays `"no"`, `012` stays `"012"`: what a value means is decided by whoever asks for it (see
`typed`). Duplicate keys, anchors, aliases, tags and second documents are refused, so a document means what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from ..errors import StagerError
from .typed import Node

Fail = Callable[[str, str, int | None], StagerError]
"""Makes the error for (file, what is wrong, 1-based line when known)."""
DEPTH = 32
"""Collections nested deeper than this are refused."""
_BRACKETS = 2 * DEPTH
"""More brackets open inside one line are refused before anything is scanned; some may be text."""
_PATHS = 16
"""The paths that errors name have at most so many characters for each of the document's: a long key has many below it."""
_WORDED = 1 << 18
"""Up to so many characters, an error is told in PyYAML's words; its own parser takes seconds for more."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: dicts, lists and strings, and the line each path (as `Node` spells it) starts on."""

    value: Any
    file: str
    lines: dict[str, int]
    fail: Fail

    @property
    def root(self) -> Node:
        """The document as a `Node` whose errors carry the line of the path they name."""
        return Node(self.value, self.file, "", self._error)

    def line(self, path: str) -> int | None:
        """The line of `path`, or None."""
        return self.lines.get(path)

    def _error(self, file: str, why: str) -> StagerError:
        return self.fail(file, why, self.line(why.partition(": ")[0]))


def parse(text: str, file: str, fail: Fail) -> Document:
    """Read one YAML document; an empty one is an empty table.

    Raises whatever `fail` makes, with the line, when the text is not YAML or uses a refused feature.
    """
    lines: dict[str, int] = {}
    if line := bracketed(text):
        raise fail(file, "nested too deeply", line)
    try:
        reader = _Reader(yaml.parse(text, Loader=_FAST), file, fail, lines)
        reader.left = _PATHS * len(text) + 4096
        value = reader.document()
    except (yaml.YAMLError, UnicodeError) as error:
        raise _refused(error, text, file, fail) from None
    return Document(value, file, lines, fail)


_FAST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml, which PyYAML's wheels carry: ten times as fast."""


def bracketed(text: str) -> int | None:
    """The first line that opens so many brackets inside each other that the scanner's time grows by their square."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count("[") + line.count("{") > _BRACKETS:
            depth = 0
            for sign in line:
                depth = depth + 1 if sign in "[{" else max(0, depth - 1) if sign in "]}" else depth
                if depth > _BRACKETS:
                    return number
    return None


def _refused(error: Exception, text: str, file: str, fail: Fail) -> StagerError:
    """The error for a text that is not YAML, in the words of PyYAML's own parser whether or not libyaml is there."""
    try:
        for _ in yaml.parse(text, Loader=yaml.SafeLoader) if len(text) <= _WORDED else ():
            pass
    except yaml.MarkedYAMLError as found:
        error = found
    except (yaml.YAMLError, RecursionError):
        return fail(file, "not valid YAML: it holds a character that YAML does not allow", None)
    mark = (error.problem_mark or error.context_mark) if isinstance(error, yaml.MarkedYAMLError) else None
    why = (error.problem or error.context) if isinstance(error, yaml.MarkedYAMLError) else "it is not text"
    return fail(file, f"not valid YAML: {why}", mark.line + 1 if mark else None)


class _Reader:
    def __init__(self, events: Iterator[Any], file: str, fail: Fail, lines: dict[str, int]) -> None:
        self.events = events
        self.file = file
        self.fail = fail
        self.lines = lines
        self.left = 0

    def document(self) -> Any:
        next(self.events)
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return {}
        value = self.value(next(self.events), "", 0)
        next(self.events)
        self.refuse_if(
            not isinstance(more := next(self.events), yaml.StreamEndEvent), more, "there is a second document"
        )
        return {} if value == "" else value

    def refuse_if(self, bad: bool, event: Any, why: str) -> None:
        if bad:
            raise self.fail(self.file, why, event.start_mark.line + 1)

    def value(self, event: Any, path: str, depth: int) -> Any:
        self.refuse_if(
            isinstance(event, yaml.AliasEvent), event, "aliases (*name) are not allowed; write the value again"
        )
        self.refuse_if(event.anchor is not None, event, "anchors (&name) are not allowed; write the value again")
        self.refuse_if(event.tag is not None, event, "tags (!name) are not allowed; every value is text")
        self.refuse_if(depth > DEPTH, event, "nested too deeply")
        self.left -= len(path)
        self.refuse_if(self.left < 0, event, "too much lies below long names")
        self.lines.setdefault(path, event.start_mark.line + 1)
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        return self.table(path, depth) if isinstance(event, yaml.MappingStartEvent) else self.array(path, depth)

    def table(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.value(event, f"{path}?", depth + 1)
            self.refuse_if(not isinstance(key, str), event, "a key must be text")
            self.refuse_if(key in found, event, f"{key!r} is given twice")
            step = f"{path}.{key}" if path else key
            self.lines[step] = event.start_mark.line + 1
            found[key] = self.value(next(self.events), step, depth + 1)
        return found

    def array(self, path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self.value(event, f"{path}[{len(found)}]", depth + 1))
        return found
