"""The app's own projects: import path, commands and metadata, as an editable installation would give them.

Nothing of the app is copied: a `.pth` file leads to its folders, so editing code never changes the plan.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from stager.errors import BadManifest
from stager.text.typed import Node

from . import launcher
from .building import BUILT
from .folders import import_roots
from .manifest import PYPROJECT, dig, entries, pyproject, setup_cfg
from .pins import PLACE, normalise

if TYPE_CHECKING:
    from stager.tree import SourceTree

IMPORT_PATH = f"{PLACE}/site-packages/stager-app.pth"
_TO_APP = "../../.."
"""From the folder of the import path file to the app."""
_COMPILERS = ("maturin", "scikit_build_core", "mesonpy", "sipbuild", "py_build_cmake", "skbuild", "setuptools_rust")
_COMPILING = (
    "cython",
    "setuptools-rust",
    "pybind11",
    "nanobind",
    "scikit-build",
    "hatch-cython",
    "hatch-mypyc",
)
_SETUP_PY = re.compile(r"\b(ext_modules|cythonize|rust_extensions|cffi_modules|mypycify)\b")


def installed_folders(tree: SourceTree, lock: str, folders: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The projects in the app that are installed: those the lock names, and the app where its tool installs it."""
    found = dict.fromkeys(folders)
    if not any(not path for _, path in found) and _tool_installs(pyproject(tree), lock):
        name = _static(pyproject(tree), "name")
        if name:
            found[normalise(name, PYPROJECT), ""] = None
    return sorted(found, key=lambda folder: folder[1].encode())


def _tool_installs(document: Node, lock: str) -> bool:
    """Poetry and pdm install the app itself without saying so in the lock."""
    if lock == "poetry.lock":
        poetry = dig(document, "tool", "poetry")
        return poetry.bool("package-mode", True) if poetry is not None else document.get("build-system") is not None
    if lock == "pdm.lock":
        pdm = dig(document, "tool", "pdm")
        return pdm.bool("distribution", "build-system" in document.value) if pdm else "build-system" in document.value
    return False


def must_build(tree: SourceTree, folder: str) -> str:
    """Why a project of the app cannot be used from its folder as it is: it is compiled. Empty when it can."""
    document = pyproject(tree, folder)
    build = document.get("build-system")
    backend = build.str("build-backend", "") if build is not None else ""
    if backend.partition(".")[0] in _COMPILERS:
        return f"it is compiled by {backend.partition('.')[0]}"
    requires = [re.split(r"[^A-Za-z0-9._-]", line.strip())[0] for line in build.strings("requires")] if build else []
    for name in requires:
        if re.sub(r"[-_.]+", "-", name).lower() in _COMPILING:
            return f"it is compiled with {name}"
    if dig(document, "tool", "setuptools", "ext-modules") is not None or dig(document, "tool", "poetry", "build"):
        return "it has extension modules"
    setup = posixpath.join(folder, "setup.py")
    if setup in tree and _SETUP_PY.search(tree.read_whole(setup).decode("utf-8", "replace")):
        return "its setup.py compiles extension modules"
    return ""


def app_files(
    tree: SourceTree, folders: Sequence[tuple[str, str]], compiled: Sequence[str] = ()
) -> tuple[tuple[str, str], ...]:
    """The generated files (path, text) that make the app's own projects importable and their commands callable.

    `folders` are the installed projects, `compiled` the names of those that are built in place; the app itself is always on
    the import path. Raises BadManifest for a command that cannot be, or that two projects claim.
    """
    paths = dict.fromkeys(["", *(path for _, path in folders)])
    roots = dict.fromkeys(["."])
    for path in paths:
        roots.update(dict.fromkeys(import_roots(tree, path)))
    roots.update(dict.fromkeys(f"{BUILT}/{name}" for name in compiled))
    files = {IMPORT_PATH: "".join(f"{_TO_APP}{'' if root == '.' else '/' + root}\n" for root in roots)}
    for path in paths:
        for name, text in _commands(tree, path):
            if files.setdefault(f"{PLACE}/bin/{name}", text) != text:
                raise BadManifest(posixpath.join(path, PYPROJECT), f"the command {name} is defined twice")
    for name, path in folders:
        files.update(_metadata(tree, name, path))
    return tuple(sorted(files.items(), key=lambda pair: pair[0].encode()))


def _commands(tree: SourceTree, folder: str) -> Iterator[tuple[str, str]]:
    """(name, launcher) of each command a project defines."""
    for name, reference, file in _references(tree, folder):
        text = launcher.entry_point(reference)
        if text is None or not launcher.is_command(name):
            why = f"the command {name[:50]!r} = {reference[:80]!r} cannot be made"
            raise BadManifest(file, why, "A command is a name and 'module:function'.")
        yield name, text


def _references(tree: SourceTree, folder: str) -> Iterator[tuple[str, str, str]]:
    """(name, `module:function`, file) from `[project]`, Poetry's table and `setup.cfg`."""
    document = pyproject(tree, folder)
    for keys in (("project", "scripts"), ("project", "gui-scripts"), ("tool", "poetry", "scripts")):
        for name, node in entries(dig(document, *keys)).items():
            if isinstance(node.value, str):
                yield name, node.value, document.file
            elif node.str("type", "console") == "console":  # Poetry's type "file" is a file of the app already
                yield name, node.str("reference", "") or node.str("callable"), document.file
    path = posixpath.join(folder, "setup.cfg")
    if path in tree:
        section = setup_cfg(tree, path).get("options.entry_points", {})
        text = "".join(f"[{kind}]\n{section.get(kind, '')}\n" for kind in ("console_scripts", "gui_scripts"))
        yield from ((name, reference, path) for name, reference in launcher.parse_entry_points(text))


def _metadata(tree: SourceTree, name: str, folder: str) -> dict[str, str]:
    """The `.dist-info` of an installed project, so that `importlib.metadata` finds its version and plugins."""
    document = pyproject(tree, folder)
    version = _static(document, "version") or _dynamic(tree, document, folder)
    if not version or not re.fullmatch(r"[0-9A-Za-z.!+_-]+", version):
        return {}
    place = f"{PLACE}/site-packages/{name.replace('-', '_')}-{version}.dist-info"
    written = _static(document, "name") or name
    lines = f"Metadata-Version: 2.1\nName: {written}\nVersion: {version}\n"
    plugins = "".join(_entry_point_sections(document))
    return {f"{place}/METADATA": lines, **({f"{place}/entry_points.txt": plugins} if plugins else {})}


_ASSIGNED = r"(?mi)^(?:__version__|version)(?: ?: ?str)? *= *(['\"])v?(?P<version>[^'\"\n]+)\1"
"""How hatch finds a version in a module where nothing else is said; pdm and flit read the same."""
_UNKNOWN = "0"
"""Where the version comes from the history of the repository, which is no part of the app."""


def _dynamic(tree: SourceTree, document: Node, folder: str) -> str:
    """A version that `[project]` leaves to its build backend, as an editable installation of this moment has it.

    Read, never run: from the file that hatch, setuptools or pdm is told, else from the project's module as flit does. Empty
    where the version is not dynamic.
    """
    project = dig(document, "project")
    if project is None or "version" not in project.strings("dynamic"):
        return ""
    for path, pattern in _version_files(tree, document, folder):
        text = tree.read_whole(path).decode("utf-8", "replace").strip() if path in tree else ""
        found = re.search(pattern, text[:_MOST])
        if found and (version := found["version"].strip()):
            return version
    return _UNKNOWN


_MOST = 1 << 16


def _version_files(tree: SourceTree, document: Node, folder: str) -> Iterator[tuple[str, str]]:
    """(path, pattern) of the files that may hold the version, the one that the backend is told first."""
    roots = [*import_roots(tree, folder), posixpath.join(folder, "src"), folder]
    for keys in (("hatch", "version", "path"), ("pdm", "version", "path")):
        if path := _text(dig(document, "tool", *keys)):
            yield posixpath.normpath(posixpath.join(folder, path)), _ASSIGNED
    stated = ("tool", "setuptools", "dynamic", "version")
    if path := _text(dig(document, *stated, "file")):
        yield posixpath.normpath(posixpath.join(folder, path)), r"\A(?P<version>\S+)"
    module, _, name = _text(dig(document, *stated, "attr")).rpartition(".")
    own = normalise(_static(document, "name") or "-", PYPROJECT).replace("-", "_")
    for place, pattern in ((module.replace(".", "/"), _assigned(name)), (own, _ASSIGNED)):
        for root in roots if place else ():
            base = posixpath.normpath(posixpath.join(root, place))
            yield from ((base + ending, pattern) for ending in (".py", "/__init__.py"))


def _assigned(name: str) -> str:
    return rf"(?m)^{re.escape(name)}(?: ?: ?str)? *= *(['\"])(?P<version>[^'\"\n]+)\1"


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""


def _static(document: Node, key: str) -> str:
    for keys in (("project", key), ("tool", "poetry", key)):
        node = dig(document, *keys)
        if node is not None and isinstance(node.value, str) and node.value.isprintable():
            return node.value
    return ""


def _entry_point_sections(document: Node) -> Iterator[str]:
    """`[project.entry-points]` and Poetry's plugins as `entry_points.txt` writes them."""
    tables = {
        **entries(dig(document, "tool", "poetry", "plugins")),
        **entries(dig(document, "project", "entry-points")),
        "console_scripts": dig(document, "project", "scripts") or Node({}, document.file),
        "gui_scripts": dig(document, "project", "gui-scripts") or Node({}, document.file),
    }
    for group in sorted(tables):
        pairs = [(name, node.value) for name, node in sorted(entries(tables[group]).items())]
        lines = [f"{name} = {value}\n" for name, value in pairs if isinstance(value, str) and value.isprintable()]
        if lines and group.isprintable():
            yield f"[{group}]\n{''.join(lines)}\n"
