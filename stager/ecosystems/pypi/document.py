"""Reading lock files and manifests of the app: size limit, encoding, TOML and JSON, each failure with its line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stager.errors import BadLock, BadManifest, LockMissing, StagerError
from stager.files import limits
from stager.text import parsing
from stager.text.typed import Node

if TYPE_CHECKING:
    from stager.tree import SourceTree

_MANIFESTS = frozenset({"pyproject.toml", "Pipfile", "setup.cfg", "stager.yml", "uv.toml"})
_LINE = re.compile(r"line (\d+)")
_UTF8 = (".toml", ".lock", ".json", ".yml", ".yaml", ".cfg", "Pipfile")
"""Names of the files whose formats are UTF-8 by definition; all others are requirements files."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""In this order: UTF-32's mark begins with UTF-16's."""
_CODED = re.compile(rb"coding[:=]\s*([-\w.]+)", re.ASCII)


def read(tree: SourceTree, path: str) -> str:
    """The text of a file of the app without a byte order mark; see `_encoding` for requirements files.

    Raises LockMissing when it is not there, BadLock or BadManifest when it is too large or not UTF-8.
    """
    if path not in tree:
        raise LockMissing(path)
    size = tree.files[tree.resolve(path)].size
    if size > limits.most(path):
        raise _bad(path, f"has {size} bytes; the limit is {limits.most(path)}")
    data = tree.read_bytes(path)
    encoding, line = ("utf-8-sig", None) if path.endswith(_UTF8) else _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        name = "UTF-8" if encoding == "utf-8-sig" else encoding
        raise _bad(path, f"is not {name} text", "Save it as UTF-8.", line) from None
    except LookupError:
        hint = "Save it as UTF-8, and delete that comment."
        raise _bad(path, f"names the encoding {encoding!r}, which Python does not know", hint, line) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _bad(path, "holds a NUL character: perhaps it is UTF-16 without a mark", "Save it as UTF-8.", line)
    return text


def _encoding(data: bytes) -> tuple[str, int | None]:
    """How pip reads a requirements file, and the line that says so: by its byte order mark, else by the comment of PEP 263
    in one of its first two lines, else as UTF-8. Windows' shell writes UTF-16."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, None
    for number, line in enumerate(data.split(b"\n")[:2], 1):
        if line[:1] == b"#" and (found := _CODED.search(line)):
            name = found[1].decode("ascii")
            return (name, number) if name.lower().replace("_", "-") not in ("utf-8", "utf8") else ("utf-8-sig", None)
    return "utf-8-sig", None


def toml(tree: SourceTree, path: str) -> Node:
    """A TOML file as typed nodes; BadLock or BadManifest with the line when it is not TOML."""
    return _parse(path, read(tree, path), "TOML", _toml)


def parse_json(tree: SourceTree, path: str) -> Node:
    """A JSON file as typed nodes; BadLock with the line when it is not JSON."""
    return _parse(path, read(tree, path), "JSON", parsing.json)


@lru_cache(maxsize=4)
def _toml(text: str) -> dict[str, Any]:
    """Parsed TOML, which nobody may change: a lock is asked for its packages, its drift and its Python in turn."""
    return parsing.toml(text)


def _parse(path: str, text: str, kind: str, parse: Callable[[str], Any]) -> Node:
    try:
        value = parse(text)
    except parsing.Unparsable as error:
        raise _bad(path, f"cannot be read as {kind}: {error}", line=error.line) from None
    except ValueError as error:
        cause, found = str(error), _LINE.search(str(error))
        line = int(found[1]) if found else None
        if "line" not in cause and "end of document" in cause:
            line = text.count("\n") + 1
        raise _bad(path, f"is not valid {kind}: {cause}", line=line) from None
    node = Node(value, path, fail_with=_bad)
    if not isinstance(value, dict):
        node.fail(f"expected a table, found {type(value).__name__}")
    return node


def _bad(path: str, why: str, hint: str = "", line: int | None = None) -> StagerError:
    kind = BadManifest if path.rsplit("/", 1)[-1] in _MANIFESTS else BadLock
    return kind(path, why, hint, line)


def lines_of(text: str, header: str) -> list[int]:
    """The 1-based line of each line that is exactly `header`, such as `[[package]]`: where its n-th table begins."""
    found, line, start = [], 1, 0
    at = text.find(header)
    while at >= 0:
        line += text.count("\n", start, at)
        start = at
        if text[at - 1 : at] in ("", "\n") and text[at + len(header) : at + len(header) + 1] in ("", "\n", "\r"):
            found.append(line)
        at = text.find(header, at + 1)
    return found
