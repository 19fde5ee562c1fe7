"""Reads the files in which an app asks for runtime versions: what each says, verbatim, with its line.

Files of one version (`.python-version`, `.nvmrc`, `runtime.txt`), asdf's `.tool-versions`, `mise.toml`, and members of JSON
and TOML files. A runtime names its own, with these.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import BadManifest

if TYPE_CHECKING:
    from ..tree import SourceTree


class Asked(NamedTuple):
    """A version as a file words it, in `syntax`: `plain`, `poetry` or `range`."""

    text: str
    file: str
    line: int | None
    syntax: str = "plain"


class FileFacts(Protocol):
    """The app's files as readers ask for them; `detection.matching.Facts` is one."""

    @property
    def tree(self) -> SourceTree:
        """The app."""

    def text(self, path: str) -> str:
        """A file as text."""

    def member(self, path: str, dotted: str) -> Any:
        """The member of a JSON or TOML file at a dotted path, None when there is none."""

    def line(self, path: str, dotted: str) -> int | None:
        """The line of that member."""


Reader = Callable[[FileFacts], Iterator[Asked]]
_LOOKS_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def plain(file: str, example: str, prefix: str = "") -> Reader:
    """A file with one version on one line, blank lines and `#` comments aside; `prefix` may stand before it.

    Raises BadManifest when it is not UTF-8, empty, or has several versions.
    """

    def read(facts: FileFacts) -> Iterator[Asked]:
        if file not in facts.tree:
            return
        text = _utf8(facts.tree.read_whole(file), file, example)
        stripped = [line.partition("#")[0].strip() for line in text.splitlines()]
        found = [(line, number) for number, line in enumerate(stripped, 1) if line]
        if not found:
            raise BadManifest(file, _NO_VERSION, f"Write one line such as {prefix}{example}, or delete the file.")
        if len(found) > 1:
            several = f"{len(found)} versions where one is expected: {', '.join(line for line, _ in found[:5])}"
            raise BadManifest(file, several, "Keep the one that the app runs on.", found[1][1])
        yield Asked(found[0][0].removeprefix(prefix), file, found[0][1])

    return read


_NO_VERSION = "the file names no version"


def _utf8(data: bytes, file: str, example: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "UTF-16" if data.startswith(_LOOKS_UTF16) else "not UTF-8"
        why = f"the file is {kind}" if kind == "UTF-16" else "the file is not UTF-8"
        line = data.count(b"\n", 0, error.start) + 1
        raise BadManifest(file, why, f"Save it as UTF-8 text: one line such as {example}.", line) from None


def tool_versions(*tools: str) -> Reader:
    """asdf's `.tool-versions`: lines of a tool and its versions, of which the first counts."""

    def read(facts: FileFacts) -> Iterator[Asked]:
        file = ".tool-versions"
        lines = facts.text(file).splitlines() if file in facts.tree else []
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if len(words) > 1 and words[0] in tools:
                yield Asked(words[1].removeprefix("latest:"), file, number)
                return

    return read


def mise(*tools: str) -> Reader:
    """The `[tools]` table of `mise.toml` or `.mise.toml`: a text, a list of which the first counts, or a table."""

    def read(facts: FileFacts) -> Iterator[Asked]:
        for file in ("mise.toml", ".mise.toml"):
            for tool in tools if file in facts.tree else ():
                value = facts.member(file, f"tools.{tool}")
                value = value[0] if isinstance(value, list) and value else value
                value = value.get("version") if isinstance(value, dict) else value
                if isinstance(value, str):
                    text = re.sub(r"^(?:latest|prefix):", "", value)
                    yield Asked(text, file, facts.line(file, f"tools.{tool}"))
                    return

    return read


def member(file: str, dotted: str, syntax: str, unless: str = "") -> Reader:
    """A text member of a JSON or TOML file. `unless` is `file dotted`: when that is there, this is only its copy."""

    def read(facts: FileFacts) -> Iterator[Asked]:
        other, _, path = unless.partition(" ")
        if file not in facts.tree or (unless and other in facts.tree and facts.member(other, path)):
            return
        value = facts.member(file, dotted)
        if isinstance(value, str) and value.strip():
            yield Asked(value.strip(), file, facts.line(file, dotted), syntax)

    return read


def package_manager(name: str) -> Reader:
    """corepack's `packageManager` (`name@version+hash`) in package.json, when it names `name`."""

    def read(facts: FileFacts) -> Iterator[Asked]:
        for asked in member("package.json", "packageManager", "range")(facts):
            found, _, version = asked.text.partition("@")
            if found == name and version:
                yield asked._replace(text=version.partition("+")[0])

    return read


_MANAGED = (".python-version", ".tool-versions", "mise.toml", ".mise.toml")
_OTHERS = re.compile(
    r"(?:c?python|pypy|graalpy(?:thon)?|(?:ana|mini|mamba)conda|mini-?forge|mambaforge|micropython|circuitpython|jython|"
    r"ironpython|stackless|activepython|pyston|cinder|nogil|pyodide)(?:[-@]?\d[\w.+-]*|-(?:latest|dev|c-jit)[\w.+-]*)?\Z",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z_][\w.+-]*\Z")


def no_version(asked: Asked) -> str:
    """What a version manager's file names instead of a version; empty when it is one, or meant to be.

    pyenv looks for a virtual environment of that name; `system`, `path:` and `ref:` are what one machine has.
    """
    if asked.file in _MANAGED and re.match(r"system\Z|(?:path|ref):", asked.text):
        return "what a machine happens to have"
    named = asked.file == _MANAGED[0] and _NAME.match(asked.text)
    if named and asked.text.lower() != "latest" and not _OTHERS.match(asked.text):
        return "a virtual environment"
    return ""
