"""Typed getters for parsed YAML, TOML and JSON, so that a wrong shape is an error with its path.

`Node` wraps a value together with where it came from: `Node(data, "uv.lock").list("package")[3].str("name")`
raises `BadLock` with `package[3].name` when it is missing or of another type.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from ..errors import BadLock, StagerError

_MISSING: Any = object()


def whole(text: str, digits: int = 18) -> int | None:
    """The number that at most so many ASCII digits write, None for any other text.

    `str.isdigit` also holds for `²`, which `int` refuses, `str.isdecimal` for `٣`, and both for more digits than `int` takes.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


Steps = tuple[str | int, ...]
"""Keys and indexes from the top of a document down to a value."""


class Node:
    """A value inside a parsed document, with its file and path for error messages.

    `find` tells the 1-based line of a value by its steps, where there is anything to tell it from.
    """

    __slots__ = ("_above", "_find", "_key", "_path", "fail_with", "file", "value")

    def __init__(
        self,
        value: Any,
        file: str,
        path: str = "",
        fail_with: Callable[[str, str], StagerError] | None = None,
        find: Callable[[Steps], int | None] | None = None,
    ) -> None:
        self.value = value
        self.file = file
        self.fail_with = fail_with or (lambda name, why: BadLock(name, why))
        self._path = path
        self._find = find
        self._above: Node | None = None
        self._key: str | int = ""

    @property
    def steps(self) -> Steps:
        """The way to this value. It is made when asked for: of many values below a long key, few are ever named."""
        found, node = list[str | int](), self
        while node._above is not None:
            found.append(node._key)
            node = node._above
        return tuple(reversed(found))

    @property
    def path(self) -> str:
        """The way to this value as text: `package[3].name`."""
        node = self
        while node._above is not None:
            node = node._above
        path = node._path
        for step in self.steps:
            path += f"[{step}]" if isinstance(step, int) else (f".{step}" if path else step)
        return path

    def fail(self, why: str) -> NoReturn:
        """Raise this document's error for this path, with its line when that can be found."""
        error = self.fail_with(self.file, f"{self.path or 'document'}: {why}")
        line = self._find(self.steps) if self._find else None
        if line and error.where == self.file:
            error.where = f"{self.file}:{line}"
        raise error

    def _child(self, key: str | int, value: Any) -> Node:
        made = Node(value, self.file, "", self.fail_with, self._find)
        made._above, made._key = self, key
        return made

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

    def members(self) -> Iterator[tuple[builtins.str, Node]]:
        """Every member of this table by its key."""
        for name, value in self._as(dict, "a table").items():
            yield name, self._child(name, value)

    def strings(self, key: builtins.str) -> builtins.list[Any]:
        """The array member `key` of strings; absent means empty."""
        return [item._as(str, "a string") for item in self.list(key)]

    def __iter__(self) -> Iterator[Node]:
        for index, value in enumerate(self._as(list, "an array")):
            yield self._child(index, value)
