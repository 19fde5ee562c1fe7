"""Typed getters for parsed YAML, TOML and JSON, so that a wrong shape is an error with its path.

`Node` wraps a value together with where it came from: `Node(data, "uv.lock").list("package")[3].str("name")`
raises `BadLock` with `package[3].name` when it is missing or of another type.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from .errors import BadLock, StagerError

_MISSING: Any = object()


def whole(text: str, digits: int = 18) -> int | None:
    """The number that at most so many ASCII digits write, None for any other text.

    `str.isdigit` also holds for `²`, which `int` refuses, `str.isdecimal` for `٣`, and both for more digits than `int` takes.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


class Node:
    """A value inside a parsed document, with its file and path for error messages."""

    __slots__ = ("fail_with", "file", "path", "value")

    def __init__(
        self, value: Any, file: str, path: str = "", fail_with: Callable[[str, str], StagerError] | None = None
    ) -> None:
        self.value = value
        self.file = file
        self.path = path
        self.fail_with = fail_with or (lambda name, why: BadLock(name, why))

    def fail(self, why: str) -> NoReturn:
        """Raise this document's error for this path."""
        raise self.fail_with(self.file, f"{self.path or 'document'}: {why}")

    def _child(self, key: str | int, value: Any) -> Node:
        step = f"[{key}]" if isinstance(key, int) else (f".{key}" if self.path else str(key))
        return Node(value, self.file, self.path + step, self.fail_with)

    def _as(self, kind: type, name: str) -> Any:
        if not isinstance(self.value, kind) or (kind is int and isinstance(self.value, bool)):
            self.fail(f"expected {name}, found {type(self.value).__name__}")
        return self.value

    def get(self, key: str) -> Node | None:
        """The member `key` of this table, or None when absent."""
        table = self._as(dict, "a table")
        return self._child(key, table[key]) if key in table else None

    def at(self, key: str) -> Node:
        """The member `key` of this table; missing is an error."""
        found = self.get(key)
        if found is None:
            self.fail(f"has no {key!r}")
        return found

    def str(self, key: builtins.str, default: Any = _MISSING) -> Any:
        """The string member `key`, or `default` when absent."""
        return self._member(key, str, "a string", default)

    def int(self, key: builtins.str, default: Any = _MISSING) -> Any:
        """The integer member `key`, or `default` when absent."""
        return self._member(key, int, "an integer", default)

    def bool(self, key: builtins.str, default: Any = _MISSING) -> Any:
        """The boolean member `key`, or `default` when absent."""
        return self._member(key, bool, "true or false", default)

    def _member(self, key: builtins.str, kind: type, name: builtins.str, default: Any) -> Any:
        node = self.get(key) if default is not _MISSING else self.at(key)
        return default if node is None else node._as(kind, name)

    def list(self, key: builtins.str) -> builtins.list[Node]:
        """The array member `key` as nodes; absent means empty."""
        node = self.get(key)
        return [] if node is None else [*node]

    def table(self, key: builtins.str) -> dict[builtins.str, Node]:
        """The table member `key` as nodes; absent means empty."""
        node = self.get(key)
        if node is None:
            return {}
        return {name: node._child(name, value) for name, value in node._as(dict, "a table").items()}

    def strings(self, key: builtins.str) -> builtins.list[Any]:
        """The array member `key` of strings; absent means empty."""
        return [item._as(str, "a string") for item in self.list(key)]

    def __iter__(self) -> Iterator[Node]:
        for index, value in enumerate(self._as(list, "an array")):
            yield self._child(index, value)
