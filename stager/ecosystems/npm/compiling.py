"""Which packages of an app are compiled, and in what: decided when it is locked, by looking into their tarballs.

Only those are built that could not work otherwise (`natives`): no other install script is run, and a package that ships an
add-on for the stack stays as it is. A build has around it Node with its headers, npm, the package and what that needs, laid
out in a way that depends on nothing else of the app, so that every app with the same ones shares it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from posixpath import normpath, relpath
from typing import TYPE_CHECKING

from stager.ecosystems.record import WantedBuilds
from stager.facts import stacks
from stager.model import ARTIFACT, NOTHING, Artifact, Build, BuildRoot, Reason

from .collect import SKIPPED
from .direct import UNBUILT
from .graph import NpmGraph, Unit
from .layout import hoist
from .names import COMMIT, LAYOUT, LOCKS, from_purl
from .natives import needs_build
from .rebuilding import RECIPE, WAYS, project
from .said import PackageSaid
from .words import words

if TYPE_CHECKING:
    from stager.ecosystems.record import Laid, LookRequest
    from stager.model import Plan

ROOT, WANTS = "node", ("g++", "make", "python3")
"""The root that add-ons are compiled in: what node-gyp runs."""
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "canvas": ("libcairo2-dev", "libgif-dev", "libjpeg-dev", "libpango1.0-dev", "librsvg2-dev", "pkg-config"),
    "kerberos": ("libkrb5-dev",),
    "libpq": ("libpq-dev",),
    "node-libcurl": ("libcurl4-openssl-dev",),
    "odbc": ("unixodbc-dev",),
    "usb": ("libudev-dev",),
}
"""Package → what else it is compiled with, which its documentation says. The app then needs the libraries themselves, too."""
_NODE, _HEADERS, _NPM = "node/1", "node-build/1", "npm-cli/1"
"""Layouts: of Node, of Node with its headers, and of npm, whose node-gyp compiles."""
_PLACE = ".stager/node/"
_LOCK = "stager.lock"


def is_around(plan: Plan) -> bool:
    """Whether a plan is what a build has around it (`planning.surroundings`), in which no package need be ready to run.

    In an add-on's own build it is not compiled yet; what an app's build needs of its development packages, it tells itself.
    """
    return not plan.inputs and not plan.processes


def wanted(request: LookRequest) -> WantedBuilds:
    """The builds of a plan's packages: of those in doubt that must be compiled.

    Raises BadManifest, and what looking into them raises.
    """
    plan, known = request.plan, _Packages(request)
    asked = known.look([one for one in known.artifacts if one.purl in plan.unsure])
    native = [said for _, said in asked if said.native]
    if not native:
        return WantedBuilds()
    names = {name for said in native for name in said.wants}
    beside = known.look([one for one in known.artifacts if _name(one) in names])
    stack = stacks.load(plan.stack, plan.architecture)
    placed = [(path, said) for one, said in {**dict(asked), **dict(beside)}.items() for path in one.paths]
    allowed = words(request.tree, _lock_of(plan))
    reasons = dict(needs_build(placed, stack, {said.name for said in native}, allowed.compiles))
    needy = [(one, said) for one, said in asked if str(said) in reasons]
    left = sorted({said.name for _, said in needy if allowed.forbid(said.name)})
    chosen = [(one, said) for one, said in needy if said.name not in left]
    node = [one for one in plan.artifacts if one.layout in (_NODE, _NPM)]
    if len(node) != 2:  # what laying out the packages says of them is all there is to say
        chosen = []
    builds = tuple(_build(plan, one, reasons[str(said)], known) for one, said in chosen)
    where = stacks.for_builds(plan.stack)
    roots = {build.root: BuildRoot(build.root, where, "", (), wants(_named(build))) for build in builds}
    facts = ((UNBUILT, " ".join(left)),) if left else ()
    ran = {str(said) for _, said in chosen}
    said_before = tuple(note for note in plan.notes if note.startswith(SKIPPED))
    others = [one for note in said_before for one in note.removeprefix(SKIPPED).split(", ") if one not in ran]
    skipped = (SKIPPED + ", ".join(others),) if others else ()
    notes = (*skipped, *_notes(builds, left))
    return WantedBuilds(builds, tuple(roots[name] for name in sorted(roots)), said_before, facts, notes)


def wants(package: str) -> tuple[str, ...]:
    """The Debian packages that compiling a package takes, beyond the stack's."""
    return tuple(sorted((*WANTS, *LIBRARIES.get(package, ()))))


def _root(package: str, called: str) -> str:
    """One root for all that wants no more than a compiler, so that they share it."""
    return called if package in LIBRARIES else ROOT


def _named(build: Build) -> str:
    return from_purl(build.of)[0]


def _notes(builds: Sequence[Build], left: Sequence[str]) -> tuple[str, ...]:
    named = [from_purl(build.of) for build in builds]
    labels = ", ".join(f"{name}@{version}" if version else name for name, version in named)
    ways = list(dict.fromkeys(WAYS[name] for name, _ in named if name in WAYS))
    instead = "; ".join(ways) or "a version that ships a binary for this stack needs no build"
    built = f"compiled when the app is staged: {labels}; {instead}"
    unbuilt = f"the app's settings leave these unbuilt, which would have to be compiled: {', '.join(left)}"
    return (*([built] if builds else []), *([unbuilt] if left else []))


def _lock_of(plan: Plan) -> str:
    """The app's own lock, of those that its plan rests on."""
    return next((lock for lock in LOCKS if lock in dict(plan.inputs)), "")


def _name(artifact: Artifact) -> str:
    return from_purl(artifact.purl.partition("?")[0])[0]


class _Packages:
    """The packages of a plan: where they are, and what they say of themselves, which is asked as it is needed."""

    def __init__(self, request: LookRequest) -> None:
        self.artifacts = [one for one in request.plan.artifacts if one.layout in (LAYOUT, COMMIT)]
        self._at = {path: one for one in self.artifacts for path in one.paths}
        self._links = dict(request.plan.links)
        self._look = request.look
        self._said: dict[Artifact, PackageSaid] = {}

    def look(self, artifacts: Iterable[Artifact]) -> list[tuple[Artifact, PackageSaid]]:
        wanted = list(artifacts)
        unknown = [one for one in wanted if one not in self._said]
        for laid in self._look(unknown) if unknown else ():
            self._said[_same(laid, unknown)] = PackageSaid.from_json(laid.meta)
        return [(one, self._said[one]) for one in wanted]

    def found(self, path: str, name: str) -> Artifact | None:
        """What Node finds under `name` from the package at `path`; None for what is not there, or a folder of the app."""
        while path:
            place = f"{path}/node_modules/{name}"
            if place in self._links:
                place = normpath(f"{place.rpartition('/')[0]}/{self._links[place]}")
            if place in self._at:
                return self._at[place]
            path = path.rpartition("/")[0]
        return self._at.get(f"node_modules/{name}")

    def closure(self, first: Artifact) -> dict[str, Unit]:
        """The packages that one needs, itself among them, by their artifact's id."""
        units: dict[str, Unit] = {}
        queue = [(first, first.paths[0])]
        while queue:
            self.look([one for one, _ in queue])
            ahead = []
            for one, path in queue:
                if _id(one) not in units:
                    said = self._said[one]
                    met = {name: other for name in (*said.needs, *said.wants) if (other := self.found(path, name))}
                    needs = {name: _id(other) for name, other in met.items()}
                    units[_id(one)] = Unit(said.name, needs, frozenset(said.wants), frozenset(), said.version)
                    ahead += [(other, other.paths[0]) for other in met.values()]
            queue = [(one, path) for one, path in ahead if _id(one) not in units]
        return units


def _same(laid: Laid, artifacts: Iterable[Artifact]) -> Artifact:
    return next(one for one in artifacts if _id(one) == _id(laid.artifact))


def _id(artifact: Artifact) -> str:
    return f"{artifact.purl} {artifact.digest}"


def _build(plan: Plan, one: Artifact, why: str, known: _Packages) -> Build:
    name, version = from_purl(one.purl.partition("?")[0])
    units = known.closure(one)
    places, links = hoist(NpmGraph({"": Unit("", {name: _id(one)})}, units), _LOCK)
    at: dict[str, list[str]] = {}
    for path, key in places.items():
        at.setdefault(key, []).append(path)
    packages = [
        replace(each, paths=tuple(sorted(at[_id(each)], key=str.encode))) for each in known.artifacts if _id(each) in at
    ]
    home = f"node_modules/{name}/"
    inner = sorted(path.removeprefix(home) for path in places if path.startswith(home))
    tools = [
        replace(each, layout=_HEADERS) if each.layout == _NODE else each
        for each in plan.artifacts
        if each.layout in (_NODE, _NPM)
    ]
    kept = {path: target for path, target in plan.links if path.startswith(_PLACE)}
    kept |= {path: relpath(f"/{target}", f"/{path.rpartition('/')[0]}") for path, target in links.items()}
    called = build_name(name, version, one.purl)
    return Build(
        name=called,
        kind=ARTIFACT,
        root=_root(name, called),
        command=RECIPE,
        reason=Reason(why),
        of=one.purl,
        on=NOTHING,
        runtimes=tuple(
            replace(each, reason=Reason("what add-ons are compiled with"))
            for each in plan.runtimes
            if each.name in ("node", "npm")
        ),
        artifacts=tuple(sorted((*tools, *packages), key=lambda each: (each.purl.encode(), each.digest, each.layout))),
        links=tuple(sorted(kept.items(), key=lambda item: item[0].encode())),
        files=(("package.json", project(name, version, inner)),),
    )


def build_name(name: str, version: str, purl: str) -> str:
    """What a build is called: the package's name and version in lower-case letters, digits and `-`, at most 63 of them."""
    text = f"{name}-{version}"
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if plain == re.sub(r"[@/.]", "-", text).strip("-") and len(plain) <= 63:
        return plain
    return f"{plain[:52].rstrip('-')}-{hashlib.sha256(purl.encode()).hexdigest()[:10]}"
