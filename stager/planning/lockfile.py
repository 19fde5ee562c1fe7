"""`stager.lock`: a `Plan` as TOML 1.0, byte for byte the same whenever it is written. `docs/lock-format.md` specifies it.

Writing is this module's own, because the bytes are the plan's identity; reading is `tomllib` and typed getters. A lock is
untrusted input: every value is checked for what it will be used as, and a wrong one is told with its line.
"""

from __future__ import annotations

from ..digest import Digest, sha256
from ..errors import BadLock
from ..files import limits
from ..model import LockedPlan, Plan
from ..text import parsing
from ..text.toml import basic
from ..text.typed import Node, Steps
from . import lock_builds
from .lock_rows import (
    WORD,
    alone,
    artifact_blocks,
    block,
    buildpack_pairs,
    digest_of,
    paths_of,
    placed,
    read_artifact,
    read_buildpack,
    read_process,
    read_runtime,
    read_variable,
    reason_pairs,
    runtime_pairs,
    table,
    target_of,
    text_of,
    word,
)

NAME = "stager.lock"
VERSION = 1
_HEAD = """\
# What this app is staged from, pinned. Made by stager; commit it. 'stager lock' makes it again after a change.
version = 1
"""


# --- writing ---------------------------------------------------------------------------------------------------


def dumps(plan: Plan) -> str:
    """The plan as the text of a `stager.lock`. Equal plans give equal bytes."""
    parts = [
        _HEAD + "".join(f"{key} = {basic(value)}\n" for key, value in _scalars(plan)),
        *(block("buildpack", buildpack_pairs(pin)) for pin in plan.buildpacks),
        *(block("runtime", runtime_pairs(runtime)) for runtime in plan.runtimes),
        *(
            block("process", [("type", p.type), ("command", p.command), *reason_pairs(p.reason)])
            for p in plan.processes
        ),
        *(block("env", [("name", v.name), ("value", v.value), *reason_pairs(v.reason)]) for v in plan.env),
        table("inputs", plan.inputs),
        table("facts", plan.facts),
        table("links", plan.links),
        table("files", plan.files),
        artifact_blocks(plan.artifacts),
        *map(lock_builds.root_block, plan.roots),
        *map(lock_builds.build_block, plan.builds),
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


# --- reading ---------------------------------------------------------------------------------------------------

ARCHITECTURES = ("amd64", "arm64")


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
    artifacts = placed([(node, read_artifact(node)) for node in document.list("artifact")])
    roots = lock_builds.read_roots(document)
    return Plan(
        stack=word(document, "stack", WORD),
        architecture=word(document, "architecture", "|".join(ARCHITECTURES)),
        codec=word(document, "codec", r"[A-Za-z0-9][A-Za-z0-9./_+-]{0,63}"),
        buildpacks=alone((read_buildpack(node) for node in document.list("buildpack")), document, "name"),
        inputs=tuple((path, digest_of(node, "")) for path, node in paths_of(document, "inputs")),
        runtimes=alone((read_runtime(node) for node in document.list("runtime")), document, "name"),
        artifacts=artifacts,
        links=tuple((path, target_of(path, node)) for path, node in paths_of(document, "links", own=False)),
        files=tuple((path, text_of(node)) for path, node in paths_of(document, "files", own=False)),
        processes=alone((read_process(node) for node in document.list("process")), document, "type"),
        env=alone((read_variable(node) for node in document.list("env")), document, "name"),
        facts=tuple((name, text_of(node)) for name, node in document.table("facts").items()),
        builds=lock_builds.read_builds(document, roots, artifacts),
        roots=roots,
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
    lines, at, name = text.split("\n"), 0, ""
    while len(steps) > 1:  # into a table, or into one of several of the same name
        name += f".{steps[0]}" if name else str(steps[0])
        which = steps[1] if isinstance(steps[1], int) else None
        header = f"[{name}]" if which is None else f"[[{name}]]"
        places = [number for number, line in enumerate(lines[at:], at + 1) if line == header]
        if (which or 0) >= len(places):
            break
        at, steps = places[which or 0], steps[1:] if which is None else steps[2:]
    starts = tuple(f"{key} =" for step in steps[:1] for key in (str(step), basic(str(step))))
    for number, line in enumerate(lines[at:], at + 1):
        if line.startswith("["):
            break
        if line.startswith(starts):
            return number
    return at or None
