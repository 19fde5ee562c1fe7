"""Taking the inventory of a droplet: its components, who needs whom, and whose each file is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..digest import Digest
from ..droplets import DropletFile
from ..errors import LockMissing, NotCached, UsageError
from ..model import Artifact, Plan
from ..receipt import check_plan, source
from ..runtimes import known, of_layout
from ..store.stored import resolve
from . import contents, debs, graph, licences, owners
from .components import APP, GENERATED, STACK, Component, FileRow, Inventory, Licence
from .owners import Bundled

if TYPE_CHECKING:
    from ..store import Store

    Needs = dict[str, set[str]]

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def outside(plan: Plan) -> list[Artifact]:
    """The artifacts whose own files are needed beside the droplet: Debian packages."""
    return [one for one in plan.artifacts if debs.is_deb(one)]


def take(droplet: DropletFile, store: Store, name: str = "droplet") -> Inventory:
    """Everything in an open droplet; `name` is what documents call it.

    Raises NotCached when one of `outside(plan)` is not in the store, BadArchive when a file has no owner.
    """
    plan = droplet.plan
    check_plan(droplet, plan)
    tree = source(droplet).digest  # before the rest: it is as large while it is made
    held, facts = contents.read(droplet), _deb_facts(plan, store)
    inner = owners.bundled(held, plan)
    owner = owners.assign(held, plan, facts, inner, droplet.name)
    needs = _needs(plan, held, inner)
    parts = [
        *_artifacts(plan, held, facts, needs),
        *(_inner(one, needs) for one in inner),
        *_runtimes(plan),
        *_once(droplet, plan, tree, needs, inner),
    ]
    files = [FileRow(one, owner[one.path]) for one in held.held]
    files.sort(key=lambda row: row.path.encode())
    return Inventory(
        droplet.digest,
        droplet.size,
        tuple(sorted(parts, key=lambda one: one.ref.encode())),
        tuple(files),
        name,
    )


def _deb_facts(plan: Plan, store: Store) -> dict[str, dict[str, Any]]:
    """Digest → what each Debian package says of itself."""
    wanted = outside(plan)
    blobs = resolve(store, wanted)
    missing = sorted({one.name for one in wanted if one.digest not in blobs})
    if missing:
        raise NotCached(missing)
    return {one.digest: debs.facts(one, blobs[one.digest], store) for one in wanted}


# --- who needs whom --------------------------------------------------------------------------------------------


def _needs(plan: Plan, held: contents.Contents, inner: Iterable[Bundled]) -> Needs:
    """Ref → the refs it needs, for packages."""
    known = owners.refs(plan)
    found: Needs = {}
    for one in inner:
        found.setdefault(one.carrier, set()).add(one.ref)
    names = {owners.python_name(one): known[n] for n, one in enumerate(plan.artifacts) if one.layout == "wheel/1"}
    packages = {
        owners.python_name(plan.artifacts[n]): owners.metadata(held, folder)
        for n, folder in owners.info_folders(held, plan).items()
    }
    for name, others in graph.python(packages, _target(plan)).items():
        found.setdefault(names[name], set()).update(names[other] for other in others)
    places = {p: known[n] for n, one in enumerate(plan.artifacts) if one.layout == "npm/1" for p in one.paths}
    places |= {one.place: one.ref for one in inner}
    manifests = {place: owners.manifest(held, place) for place in sorted(places)}
    links = {one.place: one.target for one in held.held if one.target}
    for place, others in graph.node(manifests, links).items():
        found.setdefault(places[place], set()).update({places[other] for other in others} - {places[place]})
    return found


def _target(plan: Plan) -> graph.Target:
    version = next((one.version for one in plan.runtimes if one.name == "python"), "3.11.0")
    return graph.Target(version, _MACHINES.get(plan.architecture, plan.architecture))


# --- components ------------------------------------------------------------------------------------------------


def _artifacts(
    plan: Plan, held: contents.Contents, facts: Mapping[str, Mapping[str, Any]], needs: Needs
) -> Iterator[Component]:
    known, folders = owners.refs(plan), owners.info_folders(held, plan)
    packages = {debs.package(one): facts[one.digest] for one in outside(plan)}
    for n, one in enumerate(plan.artifacts):
        yield Component(
            known[n],
            "library",
            *name_and_version(one.purl),
            one.purl,
            (one.digest,),
            _licence(one, held, folders.get(n, ""), packages),
            tuple(sorted(needs.get(known[n], ()))),
            (("file", one.filename), ("layout", one.layout), *(("path", path) for path in one.paths)),
        )


def name_and_version(purl: str) -> tuple[str, str]:
    """`@scope/name` and version of a package URL."""
    from packageurl import PackageURL

    try:
        parsed = PackageURL.from_string(purl)
    except ValueError:
        return purl, ""
    scoped = parsed.type == "npm" and parsed.namespace
    return (f"{parsed.namespace}/{parsed.name}" if scoped else parsed.name), parsed.version or ""


def _licence(one: Artifact, held: contents.Contents, info: str, packages: Mapping[str, Mapping[str, Any]]) -> Licence:
    if one.layout == "wheel/1":
        return licences.of_python(owners.metadata(held, info))
    if debs.is_deb(one):
        return licences.of_debian(debs.copyright_of(debs.package(one), packages))
    if one.layout in ("npm/1", "npm-cli/1"):
        return licences.of_npm(owners.manifest(held, one.paths[0]))
    own = of_layout(one.layout)
    return Licence(own.layouts[one.layout].licence if own else "")


def _inner(one: Bundled, needs: Needs) -> Component:
    purl = one.ref.partition("#")[0]
    return Component(
        one.ref,
        "library",
        *name_and_version(purl),
        purl,
        licence=licences.of_npm(one.manifest),
        needs=tuple(sorted(needs.get(one.ref, ()))),
        facts=(("bundled-in", one.carrier), ("path", one.place)),
    )


def _runtimes(plan: Plan) -> Iterator[Component]:
    """A runtime as such: what it is made of are its artifacts."""
    for runtime in plan.runtimes:
        yield Component(
            f"runtime:{runtime.name}",
            "platform",
            runtime.name,
            runtime.version,
            f"pkg:generic/{runtime.name}@{runtime.version}",
            needs=tuple(sorted(_made_of(runtime.name, plan))),
            facts=(("glibc", "{}.{}".format(*runtime.glibc)), ("source", runtime.source)),
        )


def _made_of(runtime: str, plan: Plan) -> Iterator[str]:
    own, refs = known(runtime), owners.refs(plan)
    layouts = own.layouts if own else ()
    for n, one in enumerate(plan.artifacts):
        if one.layout in layouts:
            yield refs[n]


def _once(
    droplet: DropletFile, plan: Plan, tree: Digest, needs: Needs, inner: Iterable[Bundled]
) -> Iterator[Component]:
    """The app, what stager generates for it, and the stack it needs."""
    runtimes = {f"runtime:{runtime.name}" for runtime in plan.runtimes}
    firm = {*_direct(plan, needs), *runtimes} - {one.ref for one in inner}
    yield Component(APP, "application", "app", needs=tuple(sorted({GENERATED, *firm})), facts=(("source", tree),))
    made = tuple((f"buildpack:{pin.name}", str(pin.digest)) for pin in plan.buildpacks)
    facts = (("plan", str(droplet.facts["plan"])), ("codec", plan.codec), *made)
    yield Component(GENERATED, "data", "generated by stager", needs=(STACK,), facts=facts)
    glibc = str(droplet.facts.get("glibc", ""))
    where = (("architecture", plan.architecture), *((("glibc", glibc),) if glibc != "0.0" else ()))
    packages = list(_stack_packages(plan))
    below = tuple(one.ref for one in packages)
    yield Component(STACK, "operating-system", *_stack(plan.stack), needs=below, facts=where)
    yield from packages


def _stack_packages(plan: Plan) -> Iterator[Component]:
    """The packages of the stack's root filesystem, by its `box.lock`; they are not in the droplet, but it runs on them.

    Raises BadLock, and LockStale for a lock that its `box.yml` has left behind.
    """
    from ..stacks import extend, lock

    try:
        pins = lock.load(extend.load(plan.stack)).pins(("root",), plan.architecture)
    except (LockMissing, UsageError):
        return  # a stack that others make, or one without a lock: nothing is known of its packages
    for pin in sorted(pins, key=lambda pin: f"{STACK}:{pin.artifact().purl}".encode()):
        one = pin.artifact()
        facts = (("file", pin.file), ("part-of", STACK))
        yield Component(f"{STACK}:{one.purl}", "library", pin.name, pin.version, one.purl, (pin.digest,), facts=facts)


def _direct(plan: Plan, needs: Needs) -> set[str]:
    """What the app itself asks for: its npm packages are in the plan; else what no other package needs."""
    known, asked = owners.refs(plan), dict(plan.facts).get("nodejs.direct", "").split()
    wanted = {other for others in needs.values() for other in others}
    roots = {known[n] for n, one in enumerate(plan.artifacts) if one.layout in ("wheel/1", "npm/1")} - wanted
    top = {f"node_modules/{name}" for name in asked}
    return roots | {known[n] for n, one in enumerate(plan.artifacts) if top & set(one.paths)}


def _stack(name: str) -> tuple[str, str]:
    """`debian-12` → `debian`, `12`."""
    base, _, version = name.rpartition("-")
    return (base, version) if base and version[:1].isdigit() else (name, "")
