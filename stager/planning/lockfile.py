"""`stager.lock`: a `Plan` as TOML 1.0, byte for byte the same whenever it is written. `docs/lock-format.md` specifies it.

Writing is this module's own, because the bytes are the plan's identity; reading is `tomllib` and typed getters. A lock is
untrusted input: every value is checked for what it will be used as, and a wrong one is told with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from posixpath import normpath
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from ..digest import Digest, sha256
from ..ecosystems import by_layout
from ..errors import BadLock
from ..files import limits
from ..model import Artifact, BuildpackPin, EnvVar, LockedPlan, Plan, Process, Reason, Runtime
from ..names import LONGEST_PATH, characters_fault, fault, path_fault
from ..text import parsing
from ..text.toml import basic
from ..text.typed import Node, Steps, whole
from . import layouts

T = TypeVar("T")

NAME = "stager.lock"
VERSION = 1
LAYERS = ".stager/layers.json"
"""Where a droplet says how long its layers are; written by `droplet.base`, which knows."""
_HEAD = """\
# What this app is staged from, pinned. Made by stager; commit it. 'stager lock' makes it again after a change.
version = 1
"""


# --- writing ---------------------------------------------------------------------------------------------------


def dumps(plan: Plan) -> str:
    """The plan as the text of a `stager.lock`. Equal plans give equal bytes."""
    parts = [
        _HEAD + "".join(f"{key} = {basic(value)}\n" for key, value in _scalars(plan)),
        *(_block("buildpack", _buildpack(pin)) for pin in plan.buildpacks),
        *(_block("runtime", _runtime(runtime)) for runtime in plan.runtimes),
        *(_block("process", [("type", p.type), ("command", p.command), *_reason(p.reason)]) for p in plan.processes),
        *(_block("env", [("name", v.name), ("value", v.value), *_reason(v.reason)]) for v in plan.env),
        _table("inputs", plan.inputs),
        _table("facts", plan.facts),
        _table("links", plan.links),
        _table("files", plan.files),
        _artifacts(plan.artifacts),
    ]
    return "\n".join(part for part in parts if part)


def locked(plan: Plan) -> LockedPlan:
    """The plan with its lock's text and its digest."""
    text = dumps(plan)
    return LockedPlan(plan, text, sha256(text.encode()))


def plan_digest(plan: Plan) -> Digest:
    """The digest of a plan that comes without its lock."""
    return locked(plan).digest


def _scalars(plan: Plan) -> list[tuple[str, str]]:
    return [("stack", plan.stack), ("architecture", plan.architecture), ("codec", plan.codec)]


def _buildpack(pin: BuildpackPin) -> list[tuple[str, str]]:
    folder = [("folder", pin.folder)] if pin.folder else []
    return [("name", pin.name), ("digest", str(pin.digest)), *folder, *_reason(pin.reason)]


def _runtime(runtime: Runtime) -> list[tuple[str, str]]:
    floor = f"{runtime.glibc[0]}.{runtime.glibc[1]}"
    named = [("name", runtime.name), ("version", runtime.version), ("source", runtime.source), ("glibc", floor)]
    return named + _reason(runtime.reason)


def _reason(reason: Reason) -> list[tuple[str, str]]:
    where = f"{reason.file}:{reason.line}" if reason.line else reason.file
    return [("reason", reason.text), *([("where", where)] if where else [])]


def _block(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    return f"[[{name}]]\n" + "".join(f"{key} = {basic(value)}\n" for key, value in pairs)


def _table(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    rows = [f"{basic(key)} = {basic(value)}\n" for key, value in pairs]
    return f"[{name}]\n" + "".join(rows) if rows else ""


def _artifacts(artifacts: Iterable[Artifact]) -> str:
    return "".join(
        f"[[artifact]]\npurl = {basic(one.purl)}\nfile = {basic(one.filename)}\ndigest = {basic(one.digest)}\n"
        + (f"size = {one.size}\n" if one.size is not None else "")
        + f"layout = {basic(one.layout)}\npaths = [{', '.join(basic(path) for path in one.paths)}]\n"
        + (f"url = {basic(one.url)}\n" if one.url else "")
        + "\n"
        for one in artifacts
    )[:-1]


# --- reading ---------------------------------------------------------------------------------------------------

ARCHITECTURES = ("amd64", "arm64")
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
_WORD = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"
_VERSION = r"[0-9]{1,6}\.[0-9]{1,6}(?:\.[0-9A-Za-z.+~-]{1,60})?"
_PURL = (
    r"pkg:[a-z][a-z0-9.+-]{0,31}/[!-~]{1,2000}"  # bun's lock knows no version of a tarball that is not the registry's
)


def loads(data: bytes, file: str = NAME) -> LockedPlan:
    """The plan that the bytes of a lock hold. Raises BadLock with the place of what is wrong."""
    plan = _read(data, file)
    _compare(dumps(plan), data, file)
    return LockedPlan(plan, data.decode(), sha256(data))


def check(plan: LockedPlan) -> None:
    """Raise BadLock for a plan whose lock could not be read again as that very plan."""
    found = _read(plan.text.encode(), NAME)
    if (
        found != plan.plan
    ):  # equal plans have equal texts; others may, too: a place may be in a reason's file or its line
        _compare(dumps(found), plan.text.encode(), NAME)


def _compare(written: str, data: bytes, file: str) -> None:
    """Raise BadLock for a lock that is not as `dumps` writes it."""
    if written.encode() != data:
        pairs = enumerate(zip(written.encode().split(b"\n"), data.split(b"\n"), strict=False), 1)
        line = next((number for number, (wanted, got) in pairs if wanted != got), None)
        raise BadLock(file, "was changed by hand or by a merge", "Run 'stager lock' and commit the result.", line)


def _read(data: bytes, file: str) -> Plan:
    parsed = _parse(data, file)
    document = Node(parsed, file, find=lambda steps: _line(data.decode(), steps))
    version = document.int("version")
    if version != VERSION:
        raise BadLock(file, f"lock version {version} is not one this stager reads", "Run 'stager lock'.")
    return Plan(
        stack=_word(document, "stack", _WORD),
        architecture=_word(document, "architecture", "|".join(ARCHITECTURES)),
        codec=_word(document, "codec", r"[A-Za-z0-9][A-Za-z0-9./_+-]{0,63}"),
        buildpacks=_alone((_read_buildpack(node) for node in document.list("buildpack")), document, "name"),
        inputs=tuple((path, _digest(node, "")) for path, node in _paths(document, "inputs")),
        runtimes=_alone((_read_runtime(node) for node in document.list("runtime")), document, "name"),
        artifacts=_placed([(node, _read_artifact(node)) for node in document.list("artifact")]),
        links=tuple((path, _target(path, node)) for path, node in _paths(document, "links", own=False)),
        files=tuple((path, _text_of(node)) for path, node in _paths(document, "files", own=False)),
        processes=_alone((_read_process(node) for node in document.list("process")), document, "type"),
        env=_alone((_read_variable(node) for node in document.list("env")), document, "name"),
        facts=tuple((name, _text_of(node)) for name, node in document.table("facts").items()),
    )


def _parse(data: bytes, file: str) -> dict[str, object]:
    if len(data) > limits.LOCK:
        raise BadLock(file, f"is larger than {limits.LOCK} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadLock(file, "is not UTF-8 text", line=data.count(b"\n", 0, error.start) + 1) from None
    try:
        return parsing.toml(text)
    except ValueError as error:
        raise BadLock(file, f"is not valid TOML: {error}", line=parsing.toml_line(error, text)) from None


def _line(text: str, steps: Steps) -> int | None:
    """The line of a value in a lock that is laid out as `dumps` does it; its table's line for what is not found."""
    header, index = "", 0
    if len(steps) > 1:
        header, index = (f"[[{steps[0]}]]", steps[1]) if isinstance(steps[1], int) else (f"[{steps[0]}]", 0)
    keys = [str(step) for step in steps if isinstance(step, str)][1 if header else 0 :]
    starts = tuple(f"{key} =" for key in (*keys[:1], *map(basic, keys[:1])))
    begin = None if header else 0
    for number, line in enumerate(text.split("\n"), 1):
        if line == header and begin is None:
            index, begin = index - 1, number if not index else None
        elif begin is not None and line.startswith("["):
            return begin or None
        elif begin is not None and starts and line.startswith(starts):
            return number
    return begin or None


def _text_of(node: Node) -> str:
    if not isinstance(node.value, str):
        node.fail("expected a string")
    return _whole(node, "", node.value)


def _free(node: Node, key: str, default: str | None = None) -> str:
    """A text for people or for a shell: any characters but NUL."""
    return _whole(node, f"{key}: ", node.str(key) if default is None else node.str(key, default))


def _whole(node: Node, label: str, value: str) -> str:
    if "\0" in value:
        node.fail(f"{label}has a NUL character")
    return value


def _digest(node: Node, key: str) -> Digest:
    value = node.str(key) if key else _text_of(node)
    try:
        return Digest(value)
    except ValueError:
        node.fail(f"{value[:200]!r} is not a digest")


def _word(node: Node, key: str, pattern: str) -> str:
    value: str = node.str(key)
    if not re.fullmatch(pattern, value):
        node.at(key).fail(f"{key} {value[:200]!r} is not allowed")
    return value


def _alone(found: Iterable[T], document: Node, key: str) -> tuple[T, ...]:
    """The values, of which no two may have the same `key`."""
    values, seen = list(found), set()
    for value in values:
        name = getattr(value, key)
        if name in seen:
            document.fail(f"{type(value).__name__} {name!r} is there twice")
        seen.add(name)
    return tuple(values)


# --- paths -----------------------------------------------------------------------------------------------------


def _paths(document: Node, key: str, *, own: bool = True) -> Iterator[tuple[str, Node]]:
    """A table's paths; `own` is for those of the app's files, which may have the names that stager makes."""
    for path, node in document.table(key).items():
        _check_path(path, node)
        if not own:
            _check_place(path, node)
        yield path, node


def _check_path(path: str, node: Node) -> None:
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


def _target(path: str, node: Node) -> str:
    target = _text_of(node)
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


def _read_reason(node: Node) -> Reason:
    text, place = _free(node, "reason"), _free(node, "where", "")
    file, _, line = place.rpartition(":")
    number = whole(line, 9)
    return Reason(text, file, number) if file and number else Reason(text, place)


def _read_process(node: Node) -> Process:
    command = _free(node, "command")
    if not command.strip() or "\n" in command or "\r" in command:
        node.at("command").fail("a command is one line")
    return Process(_word(node, "type", r"[A-Za-z0-9_-]{1,63}"), command, _read_reason(node))


def _read_variable(node: Node) -> EnvVar:
    return EnvVar(_word(node, "name", r"[A-Za-z_][A-Za-z0-9_]{0,254}"), _free(node, "value"), _read_reason(node))


def _read_buildpack(node: Node) -> BuildpackPin:
    return BuildpackPin(_part(node, "name"), _digest(node, "digest"), _read_reason(node), _folder(node))


def _read_runtime(node: Node) -> Runtime:
    major, _, minor = _word(node, "glibc", r"[0-9]{1,4}\.[0-9]{1,4}").partition(".")
    name, version, source = _word(node, "name", _WORD), _word(node, "version", _VERSION), _word(node, "source", _WORD)
    return Runtime(name, version, source, (int(major), int(minor)), _read_reason(node))


def _read_artifact(node: Node) -> Artifact:
    layout, size = node.str("layout"), node.int("size", None)
    if layout not in layouts.names():
        node.at("layout").fail(f"layout {layout[:200]!r} is not one this stager knows")
    if size is not None and not 0 <= size <= _LARGEST:
        node.at("size").fail(f"size is negative, or more than {_LARGEST}")
    return Artifact(
        purl=_purl(node),
        filename=_file(node),
        digest=_digest(node, "digest"),
        layout=layout,
        paths=_artifact_paths(node),
        size=size,
        url=_url(node),
    )


def _file(node: Node) -> str:
    """A file's name; in Debian's archive, its place."""
    value = str(node.str("file"))
    _check_path(value, node.at("file"))
    if "\\" in value:
        node.at("file").fail(f"file {value[:200]!r} has a backslash")
    return value


def _artifact_paths(node: Node) -> tuple[str, ...]:
    paths = tuple(node.strings("paths"))
    for path in paths:
        _check_path(path, node.at("paths"))
        _check_place(path, node.at("paths"))
    if not paths or len(set(paths)) < len(paths):
        node.fail("has no path" if not paths else "a path is there twice")
    return paths


def _purl(node: Node) -> str:
    purl = _word(node, "purl", _PURL)
    if wrong := characters_fault(unquote(purl, errors="surrogateescape")):
        node.at("purl").fail(f"{purl[:200]!r} {wrong}")
    return purl


def _url(node: Node) -> str:
    """Nothing, `file:` and a path in the app, or an address without credentials."""
    url = str(node.str("url", ""))
    if url.startswith("file:"):
        _check_path(url.removeprefix("file:"), node.at("url"))
    elif url:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("https", "http") and parts.hostname and parts.username is None
        except ValueError:
            good = False
        if not good or not re.fullmatch(r"[!-~]{1,8000}", url):
            node.at("url").fail("neither an http address without a login nor a file of the app")
    return url


def _placed(rows: list[tuple[Node, Artifact]]) -> tuple[Artifact, ...]:
    """The artifacts, none of them twice, no package twice in one place, and no two in a place that one fills."""
    alone = {name for name, one in by_layout().items() if one.listing is None}
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
        for path in one.paths if one.layout in alone else ():
            if path in filled:
                node.at("paths").fail(f"the path {path!r} is also that of {filled[path]}")
            filled[path] = one.purl
    return tuple(one for _, one in rows)
