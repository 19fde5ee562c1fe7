"""How two plans, and what their apps launch, differ: packages by name and version, then everything else that is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...digest import key_of
from ...droplet.contents import Contents, Package
from ...model import Plan
from ...planning.lockfile import plan_digest
from ...planning.surroundings import parts
from .versions import direction, key


@dataclass(frozen=True, slots=True)
class Change:
    """One named thing that differs.

    `what` is package, runtime, stack, buildpack, build, root, process, env, input, codec, fact, link, file, plan, detail,
    order, repeated, layer, padding or packing; `how` is added, removed, up, down or changed. `envelope` says that an app sees
    nothing of it.
    """

    what: str
    name: str
    how: str
    before: str = ""
    after: str = ""
    envelope: bool = False


def facets(a: Contents, b: Contents) -> Iterator[Change]:
    """Everything but files and layers that both sides say of themselves."""
    if a.plan is not None and b.plan is not None:
        yield from plans(a.plan, b.plan)
    if a.processes is not None and b.processes is not None:
        yield from tables("process", a.processes, b.processes)
    if a.env is not None and b.env is not None:
        yield from tables("env", a.env, b.env)
    if a.kind == b.kind:
        yield from tables("detail", a.details, b.details)


def plans(a: Plan, b: Plan) -> Iterator[Change]:
    """What differs between two plans, processes and environment aside."""
    found = [*_plans(a, b)]
    yield from found
    if not found and _launched(a) == _launched(b) and plan_digest(a) != plan_digest(b):
        yield Change("plan", "reasons", "changed", str(plan_digest(a)), str(plan_digest(b)))


def _launched(plan: Plan) -> tuple[object, object]:
    return [(one.type, one.command) for one in plan.processes], [(one.name, one.value) for one in plan.env]


def _plans(a: Plan, b: Plan) -> Iterator[Change]:
    yield from tables("stack", {"stack": f"{a.stack}/{a.architecture}"}, {"stack": f"{b.stack}/{b.architecture}"})
    yield from tables("codec", {"codec": a.codec}, {"codec": b.codec})
    yield from _runtimes(a, b)
    yield from packages(map(Package.of, a.artifacts), map(Package.of, b.artifacts))
    yield from tables("buildpack", _buildpacks(a), _buildpacks(b))
    yield from tables("build", _builds(a), _builds(b))
    yield from tables("root", _roots(a), _roots(b))
    for what in ("input", "fact", "link", "file"):
        yield from tables(what, dict(getattr(a, f"{what}s")), dict(getattr(b, f"{what}s")))


def _builds(plan: Plan) -> dict[str, str]:
    """Each build by what is run; what else goes into it, by a digest."""
    return {one.name: f"{one.command} [{key_of(parts(plan, one))[:12]}]" for one in plan.builds}


def _roots(plan: Plan) -> dict[str, str]:
    return {one.name: f"{len(one.packages)} packages of {one.epoch} [{key_of(repr(one))[:12]}]" for one in plan.roots}


def _buildpacks(plan: Plan) -> dict[str, str]:
    return {pin.name: str(pin.digest) for pin in plan.buildpacks}


def _runtimes(a: Plan, b: Plan) -> Iterator[Change]:
    before, after = ({one.name: one for one in plan.runtimes} for plan in (a, b))
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            yield _one_sided("runtime", name, old.version if old else None, new.version if new else None)
        elif old.version != new.version:
            yield Change("runtime", name, direction(name, old.version, new.version), old.version, new.version)
        elif old.source != new.source:
            yield Change("runtime", name, "changed", f"{old.version} by {old.source}", f"{new.version} by {new.source}")


def _one_sided(what: str, name: str, before: str | None, after: str | None) -> Change:
    return Change(what, name, "removed" if after is None else "added", before or "", after or "")


def tables(what: str, a: Mapping[str, object], b: Mapping[str, object]) -> Iterator[Change]:
    """Names that came, went, or have another value."""
    for name in sorted({*a, *b}):
        old, new = a.get(name), b.get(name)
        if old is None or new is None:
            yield _one_sided(what, name, None if old is None else str(old), None if new is None else str(new))
        elif old != new:
            yield Change(what, name, "changed", str(old), str(new))


# --- packages --------------------------------------------------------------------------------------------------


def packages(a: Iterable[Package], b: Iterable[Package]) -> Iterator[Change]:
    """Packages added, removed, up or down; one of which two versions are there is paired version by version."""
    before, after = _by_name(a), _by_name(b)
    for kind, name in sorted({*before, *after}):
        yield from _versions(kind, name, before.get((kind, name), {}), after.get((kind, name), {}))


def _by_name(packages: Iterable[Package]) -> dict[tuple[str, str], dict[str, list[Package]]]:
    found: dict[tuple[str, str], dict[str, list[Package]]] = {}
    for one in packages:
        found.setdefault((one.ecosystem, one.name), {}).setdefault(one.version, []).append(one)
    return found


def _versions(
    kind: str, name: str, before: Mapping[str, list[Package]], after: Mapping[str, list[Package]]
) -> Iterator[Change]:
    label = f"{kind}:{name}"
    for version in sorted({*before} & {*after}):
        yield from _same_version(label, before[version], after[version])
    gone, come = (_sorted(kind, set(one) - set(other)) for one, other in ((before, after), (after, before)))
    for old, new in zip(gone, come, strict=False):
        yield Change("package", label, direction(kind, old, new), old, new)
    for old in gone[len(come) :]:
        yield Change("package", label, "removed", old, "")
    for new in come[len(gone) :]:
        yield Change("package", label, "added", "", new)


def _sorted(kind: str, versions: set[str]) -> list[str]:
    try:
        return sorted(versions, key=lambda version: key(kind, version))
    except (TypeError, ValueError):
        return sorted(versions)


def _same_version(label: str, before: list[Package], after: list[Package]) -> Iterator[Change]:
    """The same version, but another file, or other places."""
    old, new = ({(one.filename, one.digest) for one in some} for some in (before, after))
    version = before[0].version
    if old != new:
        yield Change("package", label, "changed", f"{version} {_files(old - new)}", f"{version} {_files(new - old)}")
        return
    places = [sorted({place for one in some for place in one.places}) for some in (before, after)]
    if places[0] != places[1]:
        at = [f"{version} at {', '.join(some)}" for some in places]
        yield Change("package", label, "changed", at[0], at[1])
    elif _purls(before) != _purls(after):
        yield Change("package", label, "changed", _purls(before), _purls(after))


def _purls(packages: Iterable[Package]) -> str:
    return ", ".join(sorted(one.purl for one in packages))


def _files(files: set[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {digest}" for name, digest in sorted(files))
