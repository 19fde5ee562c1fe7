"""Reading a stack's definition: the sections `root`, `vagrant` and `services` of a `box.yml`, and the files beside it.

Numbers are written as text in YAML and converted here. Every path is checked to be a plain one below the root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from ..facts.stacks import StackFacts
from ..files import regular
from ..text.typed import Node
from .definition import Definition, StackFile, StackFolder, StackPart, StackStep, User

LARGEST = 64 << 20
"""Bytes of a stack's own files, all together; what is larger belongs into a package."""
_PART = {"packages", "exclude", "users", "folders", "links", "files", "remove", "keep", "tree"}
_ROOT = _PART | {"merged-usr", "locale", "env", "script", "chef"}
_SET = _PART | {"with"}
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(?:\$architecture)?[a-z0-9+.-]*")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def read(name: str, top: Node, box: StackFacts, folder: str) -> Definition:
    """The definition in a parsed `box.yml`; `folder` is where the files it names are. Raises the document's error."""
    node = top.get("root") or Node({}, top.file, "root", top.fail_with)
    only(node, _ROOT)
    root = _part("root", node, folder)
    sets = [
        _set(key, child, folder) for section in ("vagrant", "services") for key, child in top.table(section).items()
    ]
    names = [part.name for part in (root, *sets)]
    for twice in sorted({one for one in names if names.count(one) > 1}):
        top.fail(f"two parts are called {twice}")
    return Definition(
        name,
        box,
        folder,
        root,
        tuple(sets),
        _yes(node, "merged-usr"),
        node.str("locale", "C.UTF-8"),
        tuple((key, text) for key, text, _ in _texts(node, "env")),
        _steps(node, folder),
    )


def only(node: Node, allowed: set[str]) -> None:
    """Fail for a key of this table that is not among those allowed."""
    for key in node.value if isinstance(node.value, dict) else ():
        if key not in allowed:
            node.fail(f"does not know {key!r}; it knows {', '.join(sorted(allowed))}")


def _yes(node: Node, key: str) -> bool:
    text = node.str(key, "no")
    if text not in ("yes", "no"):
        node.at(key).fail("expected yes or no")
    return bool(text == "yes")


def _set(name: str, node: Node, folder: str) -> StackPart:
    only(node, _SET)
    if not _NAME.fullmatch(name):
        node.fail("is not a plain name")
    return _part(name, node, folder)


def _part(name: str, node: Node, folder: str) -> StackPart:
    links, files = _tree(node, folder)
    return StackPart(
        name,
        _names(node, "packages"),
        _names(node, "exclude"),
        tuple(node.strings("with")),
        tuple(_user(key, child) for key, child in sorted(node.table("users").items())),
        tuple(_folder(key, child) for key, child in sorted(node.table("folders").items())),
        (*((_path(child, key), text) for key, text, child in _texts(node, "links")), *links),
        (*(_file(key, child) for key, child in sorted(node.table("files").items())), *files),
        tuple(_pattern(node.at("remove"), text) for text in node.strings("remove")),
        tuple(_pattern(node.at("keep"), text) for text in node.strings("keep")),
    )


def _texts(node: Node, key: str) -> list[tuple[str, str, Node]]:
    """(key, text, node) of every member of a table of strings, sorted."""
    table = node.get(key)
    return [(name, table.str(name), child) for name, child in sorted(node.table(key).items())] if table else []


def _names(node: Node, key: str) -> tuple[str, ...]:
    found = tuple(sorted(set(node.strings(key))))
    for name in found:
        if not _PACKAGE.fullmatch(name):
            node.at(key).fail(f"{name!r} is not the name of a Debian package")
    return found


def _user(name: str, node: Node) -> User:
    only(node, {"uid", "gid", "home", "shell"})
    home, shell = node.str("home"), node.str("shell")
    if not _NAME.fullmatch(name):
        node.fail("is not the name of a user")
    for key, path in (("home", home), ("shell", shell)):
        if ":" in path or not path.startswith("/") or not path.isprintable():
            node.at(key).fail("expected an absolute path")
    _path(node.at("home"), home)
    return User(name, _number(node, "uid", 10), _number(node, "gid", 10), home, shell)


def _folder(path: str, node: Node) -> StackFolder:
    only(node, {"mode", "uid", "gid"})
    mode = _number(node, "mode", 8) if node.get("mode") else 0o755
    return StackFolder(
        _path(node, path), mode, *(_number(node, key, 10) if node.get(key) else 0 for key in ("uid", "gid"))
    )


def _file(path: str, node: Node) -> StackFile:
    """A file's text, or a table of its `text` and octal `mode`."""
    if isinstance(node.value, str):
        return StackFile(_path(node, path), node.value.encode())
    only(node, {"mode", "text"})
    return StackFile(
        _path(node, path), node.str("text").encode(), _number(node, "mode", 8) if node.get("mode") else 0o644
    )


def _number(node: Node, key: str, base: int) -> int:
    text = node.str(key)
    if not re.fullmatch(r"[0-7]{1,4}" if base == 8 else r"[0-9]{1,5}", text) or int(text, base) > 65533:
        node.at(key).fail("expected a mode such as 0755" if base == 8 else "expected a number below 65534")
    return int(text, base)


def _path(node: Node, path: str) -> str:
    """A path below the root, without its leading slash; other spellings of it are refused."""
    bare = path.removeprefix("/")
    if path == bare or not bare.isprintable() or any(part in ("", ".", "..") for part in bare.split("/")):
        node.fail(f"{path!r} is not a plain absolute path")
    return bare


def _pattern(node: Node, text: str) -> str:
    bare = text.removeprefix("/")
    if any(part in ("", ".", "..") for part in bare.split("/")) or "**" in bare.removesuffix("/**"):
        node.fail(f"{text!r} is not a pattern of paths")
    return bare


# --- files beside box.yml --------------------------------------------------------------------------------------


def _tree(node: Node, folder: str) -> tuple[list[tuple[str, str]], list[StackFile]]:
    """Links and files of the folder that `tree` names, which is laid over the root."""
    if not node.get("tree"):
        return [], []
    top = _beside(node.at("tree"), node.str("tree"), folder)
    links: list[tuple[str, str]] = []
    files: list[StackFile] = []
    for path, full in _below(top):
        if os.path.islink(full):
            links.append((path, os.readlink(full)))
        else:
            mode = 0o755 if os.stat(full).st_mode & 0o100 else 0o644
            files.append(StackFile(path, _read(node.at("tree"), full), mode))
    _check_size(node.at("tree"), (file.data for file in files))
    return links, files


def _steps(node: Node, folder: str) -> tuple[StackStep, ...]:
    """`script` before `chef`, when there are both."""
    steps = []
    if node.get("script"):
        path = _beside(node.at("script"), node.str("script"), folder)
        steps.append(StackStep("script", (("script", _read(node.at("script"), path)),)))
    if (chef := node.get("chef")) is not None:
        only(chef, {"run_list", "cookbooks", "attributes"})
        steps.append(_chef(chef, folder))
    return tuple(steps)


def _chef(node: Node, folder: str) -> StackStep:
    run_list = tuple(node.strings("run_list"))
    for item in run_list:
        if not re.fullmatch(r"(recipe|role)\[[A-Za-z0-9_:@.-]+\]|[A-Za-z0-9_:@.-]+", item):
            node.at("run_list").fail(f"{item!r} is neither recipe[NAME] nor role[NAME]")
    if not run_list:
        node.fail("needs a run_list")
    top = _beside(node, node.str("cookbooks", "cookbooks"), folder)
    files = {f"cookbooks/{path}": _read(node, full) for path, full in _below(top) if not os.path.islink(full)}
    if node.get("attributes"):
        files["attributes.json"] = _read(node, _beside(node.at("attributes"), node.str("attributes"), folder))
    _check_size(node, files.values())
    return StackStep("chef", tuple(sorted(files.items())), run_list)


def _beside(node: Node, name: str, folder: str) -> str:
    path = os.path.normpath(os.path.join(folder, name))
    if os.path.isabs(name) or not path.startswith(os.path.normpath(folder) + os.sep) or not os.path.exists(path):
        node.fail(f"there is no {name} beside box.yml")
    return path


def _below(top: str) -> list[tuple[str, str]]:
    """(path below `top`, full path) of every file and link, in the order of their names' bytes."""
    found, waiting = [], [""]
    while waiting:
        base = waiting.pop()
        for name in os.listdir(os.path.join(top, base)):
            path = f"{base}/{name}" if base else name
            full = os.path.join(top, path)
            if os.path.isdir(full) and not os.path.islink(full):
                waiting.append(path)
            else:
                found.append((path, full))
    return sorted(found, key=lambda pair: os.fsencode(pair[0]))


def _read(node: Node, path: str) -> bytes:
    if not os.path.isfile(path):
        node.fail(f"{path} is not a file")
    try:
        return regular.read(path, LARGEST + 1)
    except OSError as error:
        node.fail(f"{path} cannot be read: {error.strerror}")


def _check_size(node: Node, contents: Iterable[bytes]) -> None:
    if sum(map(len, contents)) > LARGEST:
        node.fail(f"holds more than {LARGEST} bytes; make a package of it")
