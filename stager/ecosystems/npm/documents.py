"""Reading lock files and manifests as documents: size and depth are bounded, duplicate keys of locks are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stager.errors import BadLock, BadManifest, StagerError
from stager.files import limits
from stager.text import parsing, yamltext
from stager.text.typed import Node

if TYPE_CHECKING:
    from stager.tree import SourceTree

_JSONC = re.compile(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_COMMA = re.compile(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[}\]])')
_CONFLICT = re.compile(r"^(?:<{7}|>{7}|={7}$)", re.MULTILINE)
_NEXT_DOCUMENT = re.compile(r"^---$", re.MULTILINE)

Fail = Callable[[str, str, int | None], StagerError]


def bad_lock(file: str, why: str, line: int | None = None) -> StagerError:
    """A `BadLock` as `yamltext` asks for it."""
    return BadLock(file, why, line=line)


def bad_manifest(file: str, why: str, line: int | None = None) -> StagerError:
    """A `BadManifest` as `yamltext` asks for it."""
    return BadManifest(file, why, line=line)


def text(tree: SourceTree, path: str, fail: Fail = bad_lock) -> str:
    """The file's text without a byte order mark.

    Raises `fail`'s error when it is missing, too large, not UTF-8 or holds a merge conflict.
    """
    if path not in tree:
        raise fail(path, "the file is not in the app", None)
    data = tree.read_bytes(path)
    if len(data) > limits.most(path):
        raise fail(path, f"the file is {len(data)} bytes; the limit is {limits.most(path)}", None)
    try:
        found: str = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fail(path, "the file is not UTF-8", data.count(b"\n", 0, error.start) + 1) from None
    conflict = _CONFLICT.search(found)
    if conflict:
        raise fail(path, "the file holds a merge conflict", found.count("\n", 0, conflict.start()) + 1)
    return found


def parse_json(found: str, path: str, fail: Fail = bad_lock, *, last: bool = False) -> Node:
    """A JSON document whose root is a table. Raises `fail`'s error with the line.

    A key that is given twice is refused, or its `last` value counts: so reads whoever uses JavaScript's own JSON.parse.
    """

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs) and not last:
            names = [name for name, _ in pairs]
            raise fail(path, f"{next(name for name in names if names.count(name) > 1)!r} is given twice", None)
        return made

    try:
        value = parsing.json(found, table)
    except json.JSONDecodeError as error:
        raise fail(path, f"not valid JSON: {error.msg}", error.lineno) from None
    except parsing.Unparsable as error:
        raise fail(path, f"not readable as JSON: {error}", error.line) from None
    node = Node(value, path, "", lambda file, why: fail(file, why, None))
    if not isinstance(value, dict):
        node.fail("expected a table")
    return node


def package_json(tree: SourceTree, path: str) -> Node:
    """A package.json, read as npm reads it. Raises BadManifest with the line."""
    return parse_json(text(tree, path, bad_manifest), path, bad_manifest, last=True)


def parse_jsonc(found: str, path: str) -> Node:
    """JSON with comments and trailing commas, as bun.lock is written. Raises BadLock with the line."""
    plain = _JSONC.sub(lambda match: match[1] or "\n" * match[0].count("\n"), found)
    return parse_json(_COMMA.sub(lambda match: match[1] or "", plain), path)


def parse_yaml(found: str, path: str, fail: Fail = bad_lock) -> Node:
    """The last document of a YAML file, every scalar a string. Raises `fail`'s error with the line.

    pnpm 11 puts a document about its own tools before the lock proper; it is left out, its lines still count.
    """
    starts = [match.end() for match in _NEXT_DOCUMENT.finditer(found)]
    if starts:
        found = "\n" * found.count("\n", 0, starts[-1]) + found[starts[-1] :]
    return yamltext.parse(found, path, fail).root


def yaml_of(tree: SourceTree, path: str) -> Node:
    """A YAML file of settings. Raises BadManifest."""
    return parse_yaml(text(tree, path, bad_manifest), path, bad_manifest)
