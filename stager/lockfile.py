"""`stager.lock`: a `Plan` as TOML 1.0, byte for byte the same whenever it is written. `docs/lock-format.md` specifies it.

Writing is this module's own, because the bytes are the plan's identity; reading is `tomllib` and typed getters. A lock is
untrusted input: every path in it is checked to stay inside the app folder.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from posixpath import normpath

from .checked import Node
from .digest import Digest, sha256
from .errors import BadLock
from .model import Artifact, BuildpackPin, EnvVar, Plan, Process, Reason, Runtime

NAME = "stager.lock"
VERSION = 1
LARGEST = 32 << 20
"""A lock of more bytes than this is refused unread."""
_HEAD = """\
# What this app is staged from, pinned. Made by stager; commit it. 'stager lock' makes it again after a change.
version = 1
"""


# --- writing ---------------------------------------------------------------------------------------------------


def dumps(plan: Plan) -> str:
    """The plan as the text of a `stager.lock`. Equal plans give equal bytes."""
    parts = [
        _HEAD + "".join(f"{key} = {_text(value)}\n" for key, value in _scalars(plan)),
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


def plan_digest(plan: Plan) -> Digest:
    """The plan's identity: the SHA-256 of its lock's bytes."""
    return sha256(dumps(plan).encode())


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
    return f"[[{name}]]\n" + "".join(f"{key} = {_text(value)}\n" for key, value in pairs)


def _table(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    rows = [f"{_text(key)} = {_text(value)}\n" for key, value in pairs]
    return f"[{name}]\n" + "".join(rows) if rows else ""


def _artifacts(artifacts: Iterable[Artifact]) -> str:
    return "".join(
        f"[[artifact]]\npurl = {_text(one.purl)}\nfile = {_text(one.filename)}\ndigest = {_text(one.digest)}\n"
        + (f"size = {one.size}\n" if one.size is not None else "")
        + f"layout = {_text(one.layout)}\npaths = [{', '.join(_text(path) for path in one.paths)}]\n"
        + (f"url = {_text(one.url)}\n" if one.url else "")
        + "\n"
        for one in artifacts
    )[:-1]


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- reading ---------------------------------------------------------------------------------------------------


def loads(data: bytes, file: str = NAME) -> Plan:
    """The plan that the bytes of a lock hold. Raises BadLock with the place of what is wrong."""
    document = Node(_parse(data, file), file)
    version = document.int("version")
    if version != VERSION:
        raise BadLock(file, f"lock version {version} is not one this stager reads", "Run 'stager lock'.")
    plan = Plan(
        stack=document.str("stack"),
        architecture=document.str("architecture"),
        codec=document.str("codec"),
        buildpacks=tuple(_read_buildpack(node) for node in document.list("buildpack")),
        inputs=tuple((path, _digest(node, "")) for path, node in _paths(document, "inputs")),
        runtimes=tuple(_read_runtime(node) for node in document.list("runtime")),
        artifacts=tuple(_read_artifact(node) for node in document.list("artifact")),
        links=tuple((path, _target(path, node)) for path, node in _paths(document, "links")),
        files=tuple((path, _string(node)) for path, node in _paths(document, "files")),
        processes=tuple(
            Process(_word(node, "type", r"[A-Za-z0-9_-]{1,63}"), node.str("command"), _read_reason(node))
            for node in document.list("process")
        ),
        env=tuple(
            EnvVar(_word(node, "name", r"[A-Za-z_][A-Za-z0-9_]*"), node.str("value"), _read_reason(node))
            for node in document.list("env")
        ),
        facts=tuple((name, _string(node)) for name, node in document.table("facts").items()),
    )
    if dumps(plan).encode() != data:
        raise BadLock(file, "was changed by hand or by a merge", "Run 'stager lock' and commit the result.")
    return plan


def _parse(data: bytes, file: str) -> dict[str, object]:
    if len(data) > LARGEST:
        raise BadLock(file, f"is larger than {LARGEST} bytes")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise BadLock(file, "is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = re.search(r"at line (\d+)", str(error))
        raise BadLock(file, f"is not valid TOML: {error}", line=int(found[1]) if found else None) from None


def _string(node: Node) -> str:
    if not isinstance(node.value, str):
        node.fail("expected a string")
    return node.value


def _digest(node: Node, key: str) -> Digest:
    value = node.str(key) if key else _string(node)
    try:
        return Digest(value)
    except ValueError:
        node.fail(f"{value!r} is not a digest")


def _word(node: Node, key: str, pattern: str) -> str:
    value: str = node.str(key)
    if not re.fullmatch(pattern, value):
        node.fail(f"{key} {value!r} is not allowed")
    return value


def _paths(document: Node, key: str) -> Iterator[tuple[str, Node]]:
    for path, node in document.table(key).items():
        _inside(path, node)
        yield path, node


def _inside(path: str, node: Node) -> None:
    if not path or path.startswith("/") or normpath(path) != path or path.split("/")[0] == ".." or "\0" in path:
        node.fail(f"the path {path!r} does not stay inside the app folder")


def _target(path: str, node: Node) -> str:
    target = _string(node)
    where = normpath(path.rpartition("/")[0] + "/" + target if "/" in path else target)
    if not target or target.startswith("/") or where.split("/")[0] == "..":
        node.fail(f"the link target {target!r} does not stay inside the app folder")
    return target


def _read_reason(node: Node) -> Reason:
    file, _, line = node.str("where", "").rpartition(":")
    if file and line.isdigit():
        return Reason(node.str("reason"), file, int(line))
    return Reason(node.str("reason"), node.str("where", ""))


def _read_buildpack(node: Node) -> BuildpackPin:
    return BuildpackPin(node.str("name"), _digest(node, "digest"), _read_reason(node), node.str("folder", ""))


def _read_runtime(node: Node) -> Runtime:
    major, _, minor = _word(node, "glibc", r"\d+\.\d+").partition(".")
    floor = (int(major), int(minor))
    return Runtime(node.str("name"), node.str("version"), node.str("source"), floor, _read_reason(node))


def _read_artifact(node: Node) -> Artifact:
    paths = tuple(node.strings("paths"))
    for path in paths:
        _inside(path, node)
    size = node.int("size", None)
    if size is not None and size < 0:
        node.fail("size is negative")
    return Artifact(
        purl=node.str("purl"),
        filename=node.str("file"),
        digest=_digest(node, "digest"),
        layout=node.str("layout"),
        paths=paths,
        size=size,
        url=node.str("url", ""),
    )
