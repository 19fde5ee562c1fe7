"""Rows and values of a `stager.lock`: written byte for byte the same, read with a check of each for what it will be used as.

A lock is untrusted input; a wrong value is told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from posixpath import normpath
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from ..digest import Digest
from ..ecosystems import by_layout, repository
from ..model import Artifact, BuildpackPin, DebPin, EnvVar, Process, Reason, Runtime
from ..names import LONGEST_PATH, characters_fault, fault, path_fault
from ..text.toml import basic
from ..text.typed import Node, whole
from . import layouts

T = TypeVar("T")

LAYERS = ".stager/layers.json"
"""Where a droplet says how long its layers are; written by `droplet.base`, which knows."""
OWN = (
    ".stager/bin",
    ".stager/launch.json",
    LAYERS,
    ".stager/stager.lock",
    ".stager/processes",
    ".profile.d/000-env.sh",
)
"""What stager makes itself in every droplet (see `launch`): nothing of a plan stands there, above it or below it."""
_DEPTH = 64
"""Parts of a path; as for archives."""
_LARGEST = 1 << 50
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,254}"
WORD = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"
_VERSION = r"[0-9]{1,6}\.[0-9]{1,6}(?:\.[0-9A-Za-z.+~-]{1,60})?"
_PURL = (
    r"pkg:[a-z][a-z0-9.+-]{0,31}/[!-~]{1,2000}"  # bun's lock knows no version of a tarball that is not the registry's
)


# --- writing ---------------------------------------------------------------------------------------------------


def buildpack_pairs(pin: BuildpackPin) -> list[tuple[str, str]]:
    folder = [("folder", pin.folder)] if pin.folder else []
    return [("name", pin.name), ("digest", str(pin.digest)), *folder, *reason_pairs(pin.reason)]


def runtime_pairs(runtime: Runtime) -> list[tuple[str, str]]:
    floor = f"{runtime.glibc[0]}.{runtime.glibc[1]}"
    named = [("name", runtime.name), ("version", runtime.version), ("source", runtime.source), ("glibc", floor)]
    return named + reason_pairs(runtime.reason)


def reason_pairs(reason: Reason) -> list[tuple[str, str]]:
    where = f"{reason.file}:{reason.line}" if reason.line else reason.file
    return [("reason", reason.text), *([("where", where)] if where else [])]


def block(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    return f"[[{name}]]\n" + "".join(f"{key} = {basic(value)}\n" for key, value in pairs)


def table(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    rows = [f"{basic(key)} = {basic(value)}\n" for key, value in pairs]
    return f"[{name}]\n" + "".join(rows) if rows else ""


def artifact_blocks(artifacts: Iterable[Artifact], name: str = "artifact") -> str:
    return "".join(
        f"[[{name}]]\npurl = {basic(one.purl)}\nfile = {basic(one.filename)}\ndigest = {basic(one.digest)}\n"
        + (f"size = {one.size}\n" if one.size is not None else "")
        + f"layout = {basic(one.layout)}\npaths = [{', '.join(basic(path) for path in one.paths)}]\n"
        + (f"url = {basic(one.url)}\n" if one.url else "")
        + "\n"
        for one in artifacts
    )[:-1]


def deb_row(pin: DebPin) -> str:
    """A Debian package as one line."""
    return (
        f"{{ name = {basic(pin.name)}, version = {basic(pin.version)}, architecture = {basic(pin.architecture)}, "
        f"size = {pin.size}, digest = {basic(pin.digest)}, path = {basic(pin.path)} }}"
    )


def strings(key: str, values: Iterable[str]) -> str:
    """A key and its list of strings."""
    return f"{key} = [{', '.join(map(basic, values))}]\n"


# --- values ----------------------------------------------------------------------------------------------------


def text_of(node: Node) -> str:
    if not isinstance(node.value, str):
        node.fail("expected a string")
    return _whole(node, "", node.value)


def free_text(node: Node, key: str, default: str | None = None) -> str:
    """A text for people or for a shell: any characters but NUL."""
    return _whole(node, f"{key}: ", node.str(key) if default is None else node.str(key, default))


def _whole(node: Node, label: str, value: str) -> str:
    if "\0" in value:
        node.fail(f"{label}has a NUL character")
    return value


def digest_of(node: Node, key: str) -> Digest:
    value = node.str(key) if key else text_of(node)
    try:
        return Digest(value)
    except ValueError:
        node.fail(f"{value[:200]!r} is not a digest")


def word(node: Node, key: str, pattern: str) -> str:
    value: str = node.str(key)
    if not re.fullmatch(pattern, value):
        node.at(key).fail(f"{key} {value[:200]!r} is not allowed")
    return value


def alone(found: Iterable[T], document: Node, key: str) -> tuple[T, ...]:
    """The values, of which no two may have the same `key`."""
    values, seen = list(found), set()
    for value in values:
        name = getattr(value, key)
        if name in seen:
            document.fail(f"{type(value).__name__} {name!r} is there twice")
        seen.add(name)
    return tuple(values)


# --- paths -----------------------------------------------------------------------------------------------------


def paths_of(document: Node, key: str, *, own: bool = True) -> Iterator[tuple[str, Node]]:
    """A table's paths; `own` is for those of the app's files, which may have the names that stager makes."""
    for path, node in document.table(key).items():
        check_path(path, node)
        if not own:
            _check_place(path, node)
        yield path, node


def check_path(path: str, node: Node) -> None:
    """A path that stays in the app and that every platform can hold (`names`)."""
    shown = path[:200]
    if not path or path.startswith("/") or normpath(path) != path or path.split("/")[0] in (".", "..") or "\0" in path:
        node.fail(f"the path {shown!r} does not stay inside the app folder")
    if wrong := path_fault(path):
        node.fail(f"the path {shown!r} {wrong}")
    if path.count("/") >= _DEPTH:
        node.fail(f"the path {shown!r} is more than {_DEPTH} folders deep")


def _check_place(path: str, node: Node) -> None:
    """Where something of the plan may be put: not with a separator of other systems, nor in place of what stager makes."""
    if "\\" in path:
        node.fail(f"the path {path[:200]!r} has a backslash")
    if any(f"{path}/".startswith(f"{own}/") or own.startswith(f"{path}/") for own in OWN):
        node.fail(f"the path {path[:200]!r} is one that stager makes itself")


def target_of(path: str, node: Node) -> str:
    target = text_of(node)
    shown = target[:200]
    where = normpath(path.rpartition("/")[0] + "/" + target if "/" in path else target)
    if not target or target.startswith("/") or where.split("/")[0] == "..":
        node.fail(f"the link target {shown!r} does not stay inside the app folder")
    wrong = next(filter(None, map(fault, target.split("/"))), "")
    if wrong or "\\" in target or target.count("/") > 2 * _DEPTH or len(target) > LONGEST_PATH:
        node.fail(f"the link target {shown!r} {wrong or 'is too long, too deep, or has a backslash'}")
    return target


def _part(node: Node, key: str) -> str:
    """A name that is one part of a path."""
    value = str(node.str(key))
    if value in ("", ".", "..") or "/" in value or "\\" in value or fault(value):
        node.at(key).fail(f"{key} {value[:200]!r} is not the name of one file or folder")
    return value


def _folder(node: Node) -> str:
    """Where a user's own buildpack is, from the app's folder: below it or beside it."""
    value = str(node.str("folder", ""))
    below = value.removeprefix("../" * value.count("../"))
    if value and (value.startswith("/") or normpath(value) != value or (below != ".." and path_fault(below))):
        node.at("folder").fail(f"folder {value[:200]!r} is not a relative path")
    return value


# --- tables ----------------------------------------------------------------------------------------------------


def read_reason(node: Node) -> Reason:
    text, place = free_text(node, "reason"), free_text(node, "where", "")
    file, _, line = place.rpartition(":")
    number = whole(line, 9)
    return Reason(text, file, number) if file and number else Reason(text, place)


def read_process(node: Node) -> Process:
    command = free_text(node, "command")
    if not command.strip() or "\n" in command or "\r" in command:
        node.at("command").fail("a command is one line")
    return Process(word(node, "type", r"[A-Za-z0-9_-]{1,63}"), command, read_reason(node))


def read_variable(node: Node) -> EnvVar:
    return EnvVar(word(node, "name", VARIABLE), free_text(node, "value"), read_reason(node))


def read_buildpack(node: Node) -> BuildpackPin:
    return BuildpackPin(_part(node, "name"), digest_of(node, "digest"), read_reason(node), _folder(node))


def read_runtime(node: Node) -> Runtime:
    major, _, minor = word(node, "glibc", r"[0-9]{1,4}\.[0-9]{1,4}").partition(".")
    name, version, source = word(node, "name", WORD), word(node, "version", _VERSION), word(node, "source", WORD)
    return Runtime(name, version, source, (int(major), int(minor)), read_reason(node))


def read_artifact(node: Node) -> Artifact:
    layout, size = node.str("layout"), node.int("size", None)
    if layout not in layouts.names():
        node.at("layout").fail(f"layout {layout[:200]!r} is not one this stager knows")
    if size is not None and not 0 <= size <= _LARGEST:
        node.at("size").fail(f"size is negative, or more than {_LARGEST}")
    return Artifact(
        purl=read_purl(node),
        filename=_file(node),
        digest=digest_of(node, "digest"),
        layout=layout,
        paths=_artifact_paths(node),
        size=size,
        url=_url(node),
    )


def _file(node: Node) -> str:
    """A file's name; in Debian's archive, its place."""
    value = str(node.str("file"))
    check_path(value, node.at("file"))
    if "\\" in value:
        node.at("file").fail(f"file {value[:200]!r} has a backslash")
    return value


def _artifact_paths(node: Node) -> tuple[str, ...]:
    paths = tuple(node.strings("paths"))
    for path in paths:
        check_path(path, node.at("paths"))
        _check_place(path, node.at("paths"))
    if not paths or len(set(paths)) < len(paths):
        node.fail("has no path" if not paths else "a path is there twice")
    return paths


def read_purl(node: Node, key: str = "purl") -> str:
    """A package URL, e.g. `pkg:pypi/django@5.2`."""
    purl = word(node, key, _PURL)
    if wrong := characters_fault(unquote(purl, errors="surrogateescape")):
        node.at(key).fail(f"{purl[:200]!r} {wrong}")
    return purl


def _url(node: Node) -> str:
    """Nothing, `file:` and a path in the app, a commit of a repository, or an address without credentials."""
    url = str(node.str("url", ""))
    if url.startswith("file:"):
        check_path(url.removeprefix("file:"), node.at("url"))
    elif repository.is_from(url):
        try:
            repository.of(url)
        except ValueError:
            node.at("url").fail("no whole commit of a repository on a web server")
    elif url:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("https", "http") and parts.hostname and parts.username is None
        except ValueError:
            good = False
        if not good or not re.fullmatch(r"[!-~]{1,8000}", url):
            node.at("url").fail("neither an http address without a login nor a file of the app")
    return url


def placed(rows: list[tuple[Node, Artifact]]) -> tuple[Artifact, ...]:
    """The artifacts, none of them twice, no package twice in one place, and no two in a place that one fills."""
    filling = {name for name, one in by_layout().items() if one.listing is None}
    seen, filled, packages = set(), dict[str, str](), dict[tuple[str, str], str]()
    for node, one in rows:
        if (one.purl, one.digest, one.layout) in seen:
            node.fail(f"{one.purl} is there twice")
        seen.add((one.purl, one.digest, one.layout))
        for path in one.paths:
            package = (re.split(r"[@?]", one.purl, maxsplit=1)[0], path)
            if package in packages:
                node.fail(f"{one.purl} is to be at {path!r}, where another file of the package is: {packages[package]}")
            packages[package] = f"{one.purl} ({one.digest[:19]}…)"
        for path in one.paths if one.layout in filling else ():
            if path in filled:
                node.at("paths").fail(f"the path {path!r} is also that of {filled[path]}")
            filled[path] = one.purl
    return tuple(one for _, one in rows)


def read_debs(node: Node) -> tuple[DebPin, ...]:
    """The `packages` of a root: each once, sorted by name."""
    pins = tuple(_read_deb(child) for child in node.list("packages"))
    names = [pin.name for pin in pins]
    if names != sorted(set(names)):
        node.at("packages").fail("expected each package once, sorted by name")
    return pins


DEB_NAME = r"[a-z0-9][a-z0-9+.-]{0,200}"
DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"


def _read_deb(node: Node) -> DebPin:
    digest = digest_of(node, "digest")
    if digest.algorithm != "sha256":
        node.at("digest").fail("is not a SHA-256")
    return DebPin(
        word(node, "name", DEB_NAME),
        word(node, "version", r"[0-9][0-9A-Za-z.+~:-]{0,199}"),
        word(node, "architecture", "all|amd64|arm64"),
        node.int("size"),
        digest,
        word(node, "path", r"pool/(?:(?!\.\.)[0-9A-Za-z.+~_%:-]+/)+(?!\.)[0-9A-Za-z.+~_%:-]+\.deb"),
    )
