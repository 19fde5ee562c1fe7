"""Reads the settings that an app may give a buildpack in a file of its own, such as a `Staticfile`.

The buildpack's definition says which keys there are and of which kind; the result is text that its templates may use,
and that a plan records as its `facts`. Kinds: a `switch` is `true` or empty, a `folder` a relative path in the app, `files` a
path pattern below a folder of the app that some file fits, a `text` fits its pattern, a `table` becomes lines of `key value`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...errors import BadLock, BadManifest, StagerError
from ...text.typed import Node
from ...text.yamltext import parse
from ..buildpacks.definition import nearest
from ..buildpacks.vocabulary import Buildpack, Option

if TYPE_CHECKING:
    from ...tree import SourceTree
    from .foreseen import Foreseen

_ON = ("true", "enabled", "visible", "on", "yes")
_OFF = ("false", "disabled", "hidden", "off", "no", "")
_FOLDER = re.compile(r"[\w.-]+(?:/[\w.-]+)*\Z", re.ASCII)
_FILES = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*\Z", re.ASCII)


def read(tree: SourceTree, buildpack: Buildpack, builds: Sequence[Foreseen] = ()) -> tuple[tuple[str, str], ...]:
    """(`<buildpack>.<option>`, value) for every option of the buildpack, defaults included, in its order.

    Of `builds` that leave pages, the last one says where these are, unless the app's settings file does.

    Raises BadManifest, with the line, for an unknown key or a value that is not of its kind.
    """
    root = _root(tree, buildpack.settings)
    names = [option.name for option in buildpack.options]
    others = [option.also for option in buildpack.options if option.also]
    for key in root.value if isinstance(root.value, dict) else root.fail("expected a table of names and values"):
        if key not in names and key not in others:
            root.at(key).fail(f"unknown key{nearest(key, names)}")
    pages = next((one for one in reversed(builds) if one.pages), None)
    served = {"root": pages.pages, "pushstate": "true" if pages.routes else ""} if pages else {}
    return tuple(
        (
            f"{buildpack.name}.{option.name}",
            default if node is None else _value(node, option, tree, builds),
        )
        for option in buildpack.options
        for node in (_given(root, option),)
        for default in (served.get(option.name, option.default),)
    )


def check(buildpack: Buildpack, facts: Mapping[str, str]) -> None:
    """Raise BadLock when a plan's facts lack an option of the buildpack, or hold a value that `read` could not have given.

    What a folder holds is not looked at: the plan is not the tree.
    """
    for option in buildpack.options:
        name = f"{buildpack.name}.{option.name}"
        value = facts.get(name)
        if value is None or (value != option.default and not _possible(option, value)):
            what = f"there is no fact {name}" if value is None else f"{value[:80]!r} is no value of the fact {name}"
            raise BadLock("stager.lock", what, "Run 'stager lock' and commit the result.")


def _possible(option: Option, value: str) -> bool:
    if option.kind == "switch":
        return value in ("", "true")
    if option.kind == "folder":
        return value == "." or (_FOLDER.match(value) is not None and not _leads_astray(value))
    if option.kind == "files":
        return _FILES.match(value) is not None and "**" not in value and not _leads_astray(value)
    fits = re.compile(option.pattern, re.ASCII).fullmatch
    if option.kind == "text":
        return fits(value) is not None
    rows = value.split("\n") if value else []
    return all(
        any(fits(row[:at]) and fits(row[at + 1 :]) for at, sign in enumerate(row) if sign == " ") for row in rows
    )


def _leads_astray(path: str) -> bool:
    return any(part in (".", "..") or part.startswith(".stager") for part in path.split("/"))


def _root(tree: SourceTree, file: str) -> Node:
    if not file or file not in tree:
        return Node({}, file)
    try:
        text = tree.read_whole(file).decode("utf-8-sig")
    except UnicodeDecodeError:
        why = "the file is not UTF-8"
        raise BadManifest(file, why, "Save it as UTF-8.") from None
    return parse(text, file, _bad).root


def _bad(file: str, why: str, line: int | None) -> StagerError:
    return BadManifest(file, why, line=line)


def _given(root: Node, option: Option) -> Node | None:
    """What the app says of an option, under its own name or the other one; None when it says nothing."""
    return next((root.at(name) for name in (option.name, option.also) if name and root.get(name) is not None), None)


def _value(node: Node, option: Option, tree: SourceTree, builds: Sequence[Foreseen]) -> str:
    if option.kind == "table":
        return "\n".join(
            f"{_fitting(Node(key, node.file, node.path, node.fail_with), option)} {_fitting(child, option)}"
            for key, child in _rows(node)
        )
    if option.kind == "text":
        return _fitting(node, option)
    if option.kind == "files":
        return _files(node, option, tree)
    return _switch(node) if option.kind == "switch" else _folder(node, tree, builds)


def _rows(node: Node) -> list[tuple[str, Node]]:
    if not isinstance(node.value, dict):
        node.fail("expected a table of names and values")
    return [(key, node.at(key)) for key in node.value]


def _fitting(node: Node, option: Option) -> str:
    if not isinstance(node.value, str) or not re.fullmatch(option.pattern, node.value, re.ASCII):
        node.fail(f"{str(node.value)[:80]!r} is not a value that {option.name} can have")
    return str(node.value)


def _switch(node: Node) -> str:
    value = node.value.lower() if isinstance(node.value, str) else None
    if value not in (*_ON, *_OFF):
        node.fail("expected enabled or disabled")
    return "true" if value in _ON else ""


def _folder(node: Node, tree: SourceTree, builds: Sequence[Foreseen]) -> str:
    text = node.value if isinstance(node.value, str) else ""
    path = text.removeprefix("./").rstrip("/")
    if path in ("", "."):
        return "."
    if not _FOLDER.match(path) or _leads_astray(path):
        node.fail("expected a folder of the app: letters, digits, '.', '_' and '-', parts joined by '/'")
    if not any(name.startswith(path + "/") for name in tree.files) and not any(one.makes(path) for one in builds):
        node.fail(f"there is no folder {path} in the app")
    return path


def _files(node: Node, option: Option, tree: SourceTree) -> str:
    text = node.value.removeprefix("./") if isinstance(node.value, str) else ""
    if not _FILES.match(text) or "**" in text or any(part in (".", "..") for part in text.split("/")):
        node.fail(f"expected files of the folder {option.below}, such as includes/*.conf")
    if not tree.glob(f"{option.below}/{text}"):
        node.fail(f"there is no {option.below}/{text} in the app")
    return text
