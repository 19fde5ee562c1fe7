"""Taking the inventory of a droplet: its components, who needs whom, and whose each file is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...digest import Digest, key_of
from ...droplet.contents import Package
from ...droplet.reader import DropletFile
from ...ecosystems import ECOSYSTEMS, by_layout, ecosystem, ecosystems, kind_of, of_purl
from ...ecosystems.graph import Graph
from ...ecosystems.installed import Inner, Installed, Node, Said
from ...ecosystems.licence import Licence
from ...ecosystems.repository import package_url
from ...errors import LockMissing, UsageError
from ...formats.archive import HeldArchive
from ...model import Artifact, Plan
from ...net.errors import NotCached
from ...planning.layouts import recipe
from ...runtimes import known, of_layout
from ...store.errors import DamagedArtifact, StoreCorrupt
from ...store.stored import resolve
from ..built import only_for_builds
from ..receipt import check_plan, source
from . import contents, owners
from .components import APP, BUILD, GENERATED, STACK, Component, FileRow, Inventory

if TYPE_CHECKING:
    from ...store import Store

    Needs = dict[str, set[str]]

_FORMAT = 1
"""Of what is remembered of an artifact."""


def outside(plan: Plan) -> list[Artifact]:
    """The artifacts whose own files are needed beside the droplet, as not all that they say is in it: Debian packages."""
    return [one for one in plan.artifacts if (kind := of_purl(one)) and kind.look]


def take(droplet: DropletFile, store: Store, name: str = "droplet") -> Inventory:
    """Everything in an open droplet; `name` is what documents call it.

    Raises NotCached when one of `outside(plan)` is not in the store, BadArchive when a file has no owner.
    """
    plan = droplet.plan
    check_plan(droplet)
    tree = source(droplet).digest  # before the rest: it is as large while it is made
    held, looked = contents.read(droplet), look(plan, store)
    said = ask(plan, held.texts, held.links, looked)
    owner = owners.assign(held, plan, looked, said.inner, droplet.name)
    needs = _needs(plan, said)
    parts = [
        *_artifacts(plan, said, needs),
        *(_inner(one, plan, needs) for one in said.inner),
        *_runtimes(plan),
        *_once(droplet, plan, tree, needs, said),
        *_for_builds(plan),
    ]
    files = [FileRow(one, owner[one.path], sha1) for one, sha1 in zip(held.items, held.sha1, strict=True)]
    return Inventory(
        droplet.digest,
        droplet.size,
        tuple(sorted(parts, key=lambda one: one.ref.encode())),
        tuple(_sorted(files)),
        name,
    )


def _sorted(files: Iterable[FileRow]) -> Iterator[FileRow]:
    """By path in the archive. No other list of 200,000 texts is made for it: nearly all of them are in the app folder."""
    rows = sorted(files, key=lambda row: row.item.path)
    beside = sorted((row for row in rows if row.item.outside), key=lambda row: row.path)
    yield from (row for row in beside if row.path < "app/")
    yield from (row for row in rows if not row.item.outside)
    yield from (row for row in beside if row.path > "app/")


def look(plan: Plan, store: Store) -> dict[int, dict[str, Any]]:
    """What artifacts say that the droplet does not, by index in the plan; remembered. Raises NotCached, DamagedArtifact."""
    wanted = outside(plan)
    blobs = resolve(store, wanted)
    missing = sorted({one.name for one in wanted if one.digest not in blobs})
    if missing:
        raise NotCached(missing)
    return {n: _look(one, blobs[one.digest], store) for n, one in enumerate(plan.artifacts) if one.digest in blobs}


def _look(artifact: Artifact, blob: str, store: Store) -> dict[str, Any]:
    key = key_of(_FORMAT, artifact.digest, artifact.layout, artifact.purl, artifact.paths)
    found: dict[str, Any] | None = store.recall("looked", key)
    kind = of_purl(artifact)
    if found is None and kind and kind.look:
        try:
            with store.prove(blob, artifact.digest) as descriptor:
                found = kind.look(artifact, HeldArchive(descriptor, ""), recipe(artifact.layout))
        except StoreCorrupt as error:
            raise DamagedArtifact(artifact.name, error, store.path(blob)) from None
        store.remember("looked", key, found)
    return found or {}


def ask(
    plan: Plan, texts: Mapping[str, bytes], links: Mapping[str, str], looked: Mapping[int, Mapping[str, Any]]
) -> Said:
    """What all ecosystems say of the droplet, together; of what they are told, `ecosystems.installed.Installed` says more."""
    packages = by_layout()
    licences, needs, inner, asked = dict[int, Licence](), dict[Node, frozenset[Node]](), list[Inner](), set[int]()
    for kind in ecosystems():
        own = {n: one for n, one in enumerate(plan.artifacts) if kind_of(one) == kind.name}
        if not own or kind.inventory is None:
            continue
        firm = frozenset(n for n, one in own.items() if one.layout in packages)
        said = kind.inventory(Installed(plan, own, firm, texts, links, {n: looked[n] for n in own if n in looked}))
        licences |= said.licences
        needs |= said.needs
        inner += said.inner
        asked |= said.asked
    return Said(licences, needs, tuple(inner), frozenset(asked))


def _needs(plan: Plan, said: Said) -> Needs:
    """Ref → the refs it needs, for packages; that a package asks for itself, with an extra, says nothing."""
    known = dict[Node, str](owners.refs(plan).items()) | {one.place: owners.inner_ref(one) for one in said.inner}
    return {known[node]: {known[other] for other in others if other != node} for node, others in said.needs.items()}


def graphs(plan: Plan, said: Said) -> dict[str, Graph]:
    """The same as graphs, by ecosystem: who needs whom as it is found when the app runs, whatever a lock says."""
    needs = _needs(plan, said)
    direct, found = _direct(plan, needs, said), dict[str, Graph]()
    names = {ref: Package.of(plan.artifacts[n]) for n, ref in owners.refs(plan).items()}
    for ref, one in sorted(names.items()):
        graph = found.setdefault(one.ecosystem, Graph("the plan", silence="and no package in the droplet needs it"))
        graph.names[ref] = (one.name, one.version)
        graph.edges[ref] = sorted(other for other in needs.get(ref, ()) if other in names)
        if ref in direct:
            graph.roots[ref] = "no other package needs it"
    return found


# --- components ------------------------------------------------------------------------------------------------


def _artifacts(plan: Plan, said: Said, needs: Needs) -> Iterator[Component]:
    known = owners.refs(plan)
    for n, one in enumerate(plan.artifacts):
        yield Component(
            known[n],
            "library",
            *name_and_version(one.purl),
            package_url(one),
            (one.digest,),
            licence(n, one, said),
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
    scoped = parsed.namespace and parsed.type in ECOSYSTEMS and ecosystem(parsed.type).scoped
    return (f"{parsed.namespace}/{parsed.name}" if scoped else parsed.name), parsed.version or ""


def licence(n: int, one: Artifact, said: Said) -> Licence:
    """What the plan's artifact number `n` says of its licence; of a runtime's archive without a readable one, its record."""
    own = of_layout(one.layout)
    return said.licences.get(n) or Licence(own.layouts[one.layout].licence if own else "")


def _inner(one: Inner, plan: Plan, needs: Needs) -> Component:
    ref = owners.inner_ref(one)
    return Component(
        ref,
        "library",
        *name_and_version(one.purl),
        one.purl,
        licence=one.licence,
        needs=tuple(sorted(needs.get(ref, ()))),
        facts=(("bundled-in", owners.refs(plan)[one.carrier]), ("path", one.place)),
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


def _once(droplet: DropletFile, plan: Plan, tree: Digest, needs: Needs, said: Said) -> Iterator[Component]:
    """The app, what stager generates for it, and the stack it needs."""
    runtimes = {f"runtime:{runtime.name}" for runtime in plan.runtimes}
    firm = {*_direct(plan, needs, said), *runtimes} - {owners.inner_ref(one) for one in said.inner}
    yield Component(APP, "application", "app", needs=tuple(sorted({GENERATED, *firm})), facts=(("source", tree),))
    made = tuple((f"buildpack:{pin.name}", str(pin.digest)) for pin in plan.buildpacks)
    facts = (("plan", str(droplet.launch.plan)), ("codec", plan.codec), *made)
    yield Component(GENERATED, "data", "generated by stager", needs=(STACK,), facts=facts)
    glibc = droplet.launch.glibc
    where = (("architecture", plan.architecture), *((("glibc", "{}.{}".format(*glibc)),) if any(glibc) else ()))
    packages = list(_stack_packages(plan))
    below = tuple(one.ref for one in packages)
    yield Component(STACK, "operating-system", *_stack(plan.stack), needs=below, facts=where)
    yield from packages


def _for_builds(plan: Plan) -> Iterator[Component]:
    """What builds have and the droplet has not: packages of their roots, and what their commands need. Each once."""
    places: dict[Artifact, list[str]] = {}
    for place, some in only_for_builds(plan).items():
        for one in some:
            places.setdefault(one, []).append(place)
    seen = set[str]()
    for one, where in places.items():
        ref = f"{BUILD}:{one.purl}"
        ref = f"{ref}#{one.digest}" if ref in seen else ref
        if ref not in seen:
            seen.add(ref)
            facts = (("file", one.filename), *(("needed-by", place) for place in where))
            purl = package_url(one)
            yield Component(ref, "library", *name_and_version(one.purl), purl, (one.digest,), facts=facts)


def _stack_packages(plan: Plan) -> Iterator[Component]:
    """The packages of the stack's root filesystem, by its `box.lock`; they are not in the droplet, but it runs on them.

    Raises BadLock, and LockStale for a lock that its `box.yml` has left behind.
    """
    from ...stacks import find, lock

    try:
        pins = lock.load(find.load(plan.stack)).pins(("root",), plan.architecture)
    except (LockMissing, UsageError):
        return  # a stack that others make, or one without a lock: nothing is known of its packages
    for pin in sorted(pins, key=lambda pin: f"{STACK}:{lock.deb_artifact(pin).purl}".encode()):
        one = lock.deb_artifact(pin)
        facts = (("file", pin.file), ("part-of", STACK))
        yield Component(f"{STACK}:{one.purl}", "library", pin.name, pin.version, one.purl, (pin.digest,), facts=facts)


def _direct(plan: Plan, needs: Needs, said: Said) -> set[str]:
    """What the app itself asks for: as far as the plan says it; else what no other package needs."""
    known, packages = owners.refs(plan), by_layout()
    wanted = {other for others in needs.values() for other in others}
    roots = {known[n] for n, one in enumerate(plan.artifacts) if one.layout in packages} - wanted
    return roots | {known[n] for n in said.asked}


def _stack(name: str) -> tuple[str, str]:
    """`debian-12` → `debian`, `12`."""
    base, _, version = name.rpartition("-")
    return (base, version) if base and version[:1].isdigit() else (name, "")
