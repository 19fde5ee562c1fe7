"""What differs between two plans, named as `stager.lock` names it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...model import Artifact, Plan
from ...text.wording import shown
from ..diff.planned import tables
from .findings import Finding

_ORDERED = (
    "buildpacks",
    "runtimes",
    "processes",
    "env",
    "inputs",
    "facts",
    "links",
    "files",
    "builds",
    "roots",
    "artifacts",
)


def plan_findings(droplet: Plan, rebuilt: Plan, path: str) -> Iterator[Finding]:
    """The differences between the plan of a droplet and that of the source, plan first, then artifacts; `path` is the lock's.

    Equal plans give none; different ones at least one.
    """
    yield from _scalars(droplet, rebuilt, path)
    for name, sides in _tables(droplet, rebuilt):
        yield from _table(name, *sides, path)
    yield from _artifacts(droplet.artifacts, rebuilt.artifacts, path)
    for name in _ORDERED:
        one, other = getattr(droplet, name), getattr(rebuilt, name)
        if one != other and sorted(map(repr, one)) == sorted(map(repr, other)):
            level = "artifact" if name == "artifacts" else "plan"
            yield Finding(level, "order", path, f"the same {name} in another order", name)


def _scalars(droplet: Plan, rebuilt: Plan, path: str) -> Iterator[Finding]:
    for name in ("stack", "architecture", "codec"):
        one, other = getattr(droplet, name), getattr(rebuilt, name)
        if one != other:
            cause = "compressor" if name == "codec" else "different input"
            what = f"made for the {name} {shown(one)}, not {shown(other)}"
            yield Finding("plan", cause, path, what, name, shown(one), shown(other))


Table = Mapping[str, str]


def _tables(a: Plan, b: Plan) -> Iterator[tuple[str, tuple[Table, Table]]]:
    """Each part of a plan as name → text, for both plans."""
    for name in ("inputs", "facts", "links", "files"):
        yield name, (_plain(getattr(a, name)), _plain(getattr(b, name)))
    yield "buildpack", (_keyed(a.buildpacks, "name"), _keyed(b.buildpacks, "name"))
    yield "runtime", (_keyed(a.runtimes, "name"), _keyed(b.runtimes, "name"))
    yield "process", (_keyed(a.processes, "type"), _keyed(b.processes, "type"))
    yield "env", (_keyed(a.env, "name"), _keyed(b.env, "name"))
    yield "build", (_keyed(a.builds, "name"), _keyed(b.builds, "name"))
    yield "root", (_keyed(a.roots, "name"), _keyed(b.roots, "name"))


def _plain(pairs: Iterable[tuple[str, object]]) -> Table:
    return {key: str(value) for key, value in pairs}


def _keyed(rows: Iterable[object], key: str) -> Table:
    """Rows by their key; rows of one key in a row of their own, so that a repetition shows."""
    found: dict[str, str] = {}
    for row in rows:
        values = [str(getattr(row, name)) for name in row.__slots__ if name != key]  # type: ignore[attr-defined]
        name = str(getattr(row, key))
        found[name] = f"{found[name]}; {', '.join(values)}" if name in found else ", ".join(values)
    return found


_HINTS = {
    "inputs": "This file of the source is not the one that the plan was made from: check out the droplet's commit, or run "
    "'stager lock' and stage again.",
    "buildpack": "Another version of stager, or a changed buildpack, made the droplet: verify with that version.",
    "runtime": "The lock pins another runtime now: check out the lock the droplet was made from, or stage again.",
}


def _table(part: str, a: Table, b: Table, path: str) -> Iterator[Finding]:
    for row in tables(part, a, b):
        what = f"{part} {shown(row.name)} {_HOW[row.how]}"
        values = shown(row.before), shown(row.after)
        where = shown(f"{part}.{row.name}")
        yield Finding("plan", "different input", path, what, where, *values, hint=_HINTS.get(part, ""))


_HOW = {
    "changed": "is not the same",
    "removed": "is in the droplet's plan only",
    "added": "is not in the droplet's plan",
}


# --- artifacts -------------------------------------------------------------------------------------------------


def _artifacts(a: tuple[Artifact, ...], b: tuple[Artifact, ...], path: str) -> Iterator[Finding]:
    left, right = _by_name(a), _by_name(b)
    for name in sorted({*left, *right}):
        one, other = left.get(name, ()), right.get(name, ())
        if one != other:
            yield _artifact(name, one, other, path)


def _by_name(artifacts: Iterable[Artifact]) -> dict[str, tuple[Artifact, ...]]:
    """Artifacts by their package URL without version and qualifiers; there may be several of one."""
    found: dict[str, tuple[Artifact, ...]] = {}
    for one in artifacts:
        name = one.purl.partition("?")[0].rpartition("@")[0]
        found[name] = (*found.get(name, ()), one)
    return found


def _artifact(name: str, a: tuple[Artifact, ...], b: tuple[Artifact, ...], path: str) -> Finding:
    package = shown((b or a)[0].name)
    if not a or not b:
        what = f"{package} is in the droplet's plan only" if a else f"{package} is not in the droplet's plan"
        return Finding("artifact", "different input", path, what, shown(name), package=package)
    one, other = next(((x, y) for x, y in zip(a, b, strict=False) if x != y), (a[-1], b[-1]))
    field, values = "count", (str(len(a)), str(len(b)))
    for label in ("purl", "filename", "digest", "layout", "paths", "size", "url"):
        if getattr(one, label) != getattr(other, label):
            field, values = label, (str(getattr(one, label)), str(getattr(other, label)))
            break
    what = f"{package} was made from another {'file' if field == 'digest' else field}"
    shorts = shown(values[0]), shown(values[1])
    where = f"{shown(name)} {field}"
    return Finding("artifact", "different input", path, what, where, shorts[0], shorts[1], package=package)
