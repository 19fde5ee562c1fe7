"""What the values of `stager.yml` may look like: each function refuses, with its line, a value of another shape."""

from __future__ import annotations

import re

from ...text.typed import Node
from ..buildpacks.definition import nearest
from ..lock_rows import DEB_NAME

_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OWN = ("HOME", "PORT")
"""What the platform or launch decides; an app cannot."""


def only(node: Node, known: tuple[str, ...]) -> None:
    """Refuse what is no table, and every key that is not known."""
    if not isinstance(node.value, dict):
        node.fail("expected a table of names and values")
    for key in node.value:
        if key not in known:
            node.at(key).fail(f"unknown key{nearest(key, known)}")


def word(root: Node, key: str) -> str:
    """A text that is not empty where it is given."""
    value = str(root.str(key, ""))
    if key in root.value and not value.strip():
        root.at(key).fail("must not be empty")
    return value


def names(node: Node, key: str) -> tuple[str, ...]:
    """A list of texts that are not empty, none of them twice."""
    found: tuple[str, ...] = tuple(node.strings(key))
    for index, name in enumerate(found):
        if not name.strip() or name in found[:index]:
            node.list(key)[index].fail("is given twice" if name.strip() else "must not be empty")
    return found


def variable(node: Node, name: str) -> str:
    """The value of an environment variable, which the app may set."""
    if not _ENV.match(name):
        node.fail("a name has letters, digits and '_', and does not start with a digit")
    if name in _OWN:
        node.fail("is set by the platform")
    return line(node)


def line(node: Node) -> str:
    """One printable line, which may be empty."""
    if not isinstance(node.value, str):
        node.fail("expected text")
    text = node.value.strip()
    if not text.isprintable():
        node.fail("must be one line of printable characters")
    return str(text)


def packages(node: Node, key: str) -> tuple[str, ...]:
    """Names of Debian packages, sorted."""
    found = names(node, key)
    for index, name in enumerate(found):
        if not re.fullmatch(DEB_NAME, name):
            node.list(key)[index].fail(f"{name[:80]!r} is not the name of a Debian package, such as libpq-dev")
    return tuple(sorted(found))


def switch(node: Node) -> bool:
    """Yes or no; every scalar of the file is text."""
    if node.value not in ("yes", "no", "true", "false"):
        node.fail("expected yes or no")
    return node.value in ("yes", "true")
