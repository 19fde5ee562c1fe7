"""The builds of a plan: what an app has to have built, with what each has around it beside the droplet's own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import BadManifest
from ..facts import stacks
from ..model import APP, ARTIFACT, DROPLET, NOTHING, Artifact, Build, BuildRoot, Locked, Plan, Runtime
from ..runtimes import kind
from ..runtimes.errors import VersionError
from ..tree import SourceTree
from .buildpacks import load_all
from .buildpacks.definition import nearest
from .detection import appconfig, members, versions
from .detection.foreseen import Foreseen
from .detection.matching import AppFacts
from .detection.modules import MANIFEST
from .detection.steps import texts
from .packages import Aim, Party, choose, packages

if TYPE_CHECKING:
    from ..tree import SourceTree
    from .buildpacks.vocabulary import Buildpack

_PLAIN, _OWN = "stack", "user"
"""The root that has nothing beside the stack's own packages, and that of builds of `stager.yml`."""


@dataclass(frozen=True, slots=True)
class _Around:
    """What a build has beside what `on` says."""

    on: str
    locked: Locked
    """What it has of artifacts, links and files."""
    parties: tuple[Party, ...] = ()
    """Whose buildpacks it has."""
    runtimes: tuple[Runtime, ...] = ()


def planned(
    aim: Aim, found: Iterable[Foreseen], used: Sequence[Party], building: Sequence[Party]
) -> tuple[tuple[Build, ...], tuple[str, ...]]:
    """The builds, in the order in which they run, and remarks of the locks they need.

    `used` are the buildpacks that take part; `building` are those that only builds need, with all packages. Raises what
    reading a lock raises.
    """
    wholes: dict[str, Locked] = {}
    made, missing = [], list[str]()
    for one in found:
        only = next((party for party in building if party.pack.name == one.buildpack), None)
        around = _alone([only], [only.locked]) if only else _beside(aim, one, used, wholes)
        for party in (*([only] if only else ()), *used):
            if one.development and one.buildpack in ("", party.pack.name):
                around = _with_managers(aim, one, party, around, missing)
        made.append(_build(one, around))
    notes = (
        *missing,
        *(note for whole in [*wholes.values(), *(party.locked for party in building)] for note in whole.notes),
    )
    return tuple(made), notes


def _build(one: Foreseen, around: _Around) -> Build:
    rows = [row for party in around.parties for row in party.pack.env]
    rows += [row for runtime in around.runtimes for row in kind(runtime.name).env]
    env = {name: value for name, value, _ in rows}
    return Build(
        name=one.name,
        kind=APP,
        root=_root(one),
        command=one.command,
        reason=one.reason,
        folder=one.folder,
        inputs=one.inputs or ("**",),
        outputs=one.outputs,
        env=tuple(sorted({**env, **dict(one.env)}.items())),
        recipes=one.recipes,
        twice=one.twice,
        on=around.on,
        runtimes=around.runtimes,
        buildpacks=tuple(party.pin for party in around.parties),
        artifacts=around.locked.artifacts,
        links=around.locked.links,
        files=around.locked.files,
        unsure=around.locked.unsure,
    )


# --- what is around a build ------------------------------------------------------------------------------------


def _alone(parties: Sequence[Party], wholes: Iterable[Locked]) -> _Around:
    """What a build has of which the droplet has nothing, or something else."""
    chosen = [one for party in parties for one in party.runtimes.values()]
    runtimes = Locked(
        artifacts=tuple(file for one in chosen for file in one.artifacts),
        links=tuple(link for one in chosen for link in one.links),
        files=tuple(file for one in chosen for file in one.files),
    )
    return _Around(NOTHING, _joined([runtimes, *wholes]), tuple(parties), tuple(one.runtime for one in chosen))


def _beside(aim: Aim, one: Foreseen, used: Sequence[Party], wholes: dict[str, Locked]) -> _Around:
    """The droplet with the packages for development; or these with all others, where the two are laid out differently."""
    parties = [party for party in used if one.development and one.buildpack in ("", party.pack.name)]
    for party in parties:
        if party.pack.name not in wholes:
            wholes[party.pack.name] = packages(aim, party.detected, party.pack, party.runtimes, development=True)
    found = [wholes[party.pack.name] for party in parties]
    more = [beyond(party.locked, whole) for party, whole in zip(parties, found, strict=True)]
    added = [part for part in more if part is not None]
    return _Around(DROPLET, _joined(added)) if len(added) == len(more) else _alone(parties, found)


def _with_managers(aim: Aim, one: Foreseen, party: Party, around: _Around, missing: list[str]) -> _Around:
    """The surroundings with the package manager that the app's scripts call; `missing` takes what to say of one without."""
    name = versions.manager(aim.tree, party.pack, party.detected.lock)
    for runtime in dict(party.pack.building).get(name, ()) if _calls(aim.tree, party.pack, one, name) else ():
        try:
            chosen = choose(aim, party.detected, party.pack, runtime, party.runtimes)
        except VersionError as error:
            instead = f"builds: {{{one.name}: {{run: npm run build --workspaces --if-present}}}}"
            missing.append(
                f"{one.name} is without {name}, which its scripts call: {error.message}; have them call 'npm run', or write "
                f"what is run instead in {appconfig.NAME}, such as {instead}"
            )
            continue
        missing += chosen.notes
        more = Locked(chosen.artifacts, chosen.links, chosen.files)
        around = replace(around, runtimes=(*around.runtimes, chosen.runtime), locked=_joined([around.locked, more]))
    return around


_RUNNERS = r"turbo|nx|lerna"
"""Programs that call the package manager in their turn."""


def _calls(tree: SourceTree, pack: Buildpack, one: Foreseen, manager: str) -> bool:
    facts = AppFacts(tree)
    lines = list(texts(facts, one.command))
    for folder in members.folders(tree, pack):
        scripts = facts.member(f"{folder}/{MANIFEST}", "scripts")
        lines += [text for text in scripts.values() if isinstance(text, str)] if isinstance(scripts, dict) else []
    return any(re.search(rf"(?<![\w./-])(?:{re.escape(manager)}|{_RUNNERS})\s", line) for line in lines)


def beyond(locked: Locked, whole: Locked) -> Locked | None:
    """What `whole` has beside `locked`; None when something that `locked` has is elsewhere, or another, in `whole`."""
    places = {_key(one): {*one.paths} for one in whole.artifacts}
    links, files = dict(whole.links), dict(whole.files)
    kept = all({*one.paths} <= places.get(_key(one), set()) for one in locked.artifacts)
    same = all(links.get(path) == to for path, to in locked.links) and all(
        files.get(path) == text for path, text in locked.files
    )
    if not (kept and same):
        return None
    held = {_key(one): {*one.paths} for one in locked.artifacts}
    rest = ((one, {*one.paths} - held.get(_key(one), set())) for one in whole.artifacts)
    return Locked(
        artifacts=tuple(replace(one, paths=tuple(sorted(paths, key=str.encode))) for one, paths in rest if paths),
        links=_sorted({path: to for path, to in links.items() if path not in dict(locked.links)}),
        files=_sorted({path: text for path, text in files.items() if path not in dict(locked.files)}),
        unsure=tuple(purl for purl in whole.unsure if purl not in {one.purl for one in locked.artifacts}),
    )


def _joined(parts: Iterable[Locked]) -> Locked:
    found = [*parts]
    return Locked(
        artifacts=tuple(sorted((one for part in found for one in part.artifacts), key=_order)),
        links=_sorted({path: to for part in found for path, to in part.links}),
        files=_sorted({path: text for part in found for path, text in part.files}),
        unsure=tuple(sorted({purl for part in found for purl in part.unsure})),
    )


def _key(one: Artifact) -> tuple[str, str, str]:
    return one.purl, str(one.digest), one.layout


def _order(one: Artifact) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in _key(one))


def _sorted(table: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(table.items(), key=lambda item: item[0].encode()))


# --- roots -----------------------------------------------------------------------------------------------------


def _root(one: Foreseen) -> str:
    return (one.name if one.buildpack else _OWN) if one.packages else _PLAIN


def roots(others: Mapping[str, Iterable[str]], found: Iterable[Foreseen], stack: str) -> tuple[BuildRoot, ...]:
    """The roots that builds run in, as far as planning knows: what is in them is pinned afterwards.

    `others` are the names of those that are wanted besides, and what is wanted in each.
    """
    wants = {name: {*packages} for name, packages in others.items()}
    for one in found:
        wants.setdefault(_root(one), set()).update(one.packages)
    base = stacks.for_builds(stack) if wants else ""
    return tuple(BuildRoot(name, base, "", wants=tuple(sorted(wants[name]))) for name in sorted(wants))


# --- what stager.yml says of builds ----------------------------------------------------------------------------


def check_options(tree: SourceTree, plan: Plan) -> None:
    """Raise BadManifest for options of a build that there cannot be, and for those that it cannot have."""
    config = appconfig.read(tree)
    if not config.build_options:
        return
    made = {build.name: build for build in plan.builds}
    own = [one.name for one in config.own_builds]
    rules = [rule.name for pack in load_all() for rule in pack.builds]
    for name, options in config.build_options.items():
        why = ""
        if name in own:
            why = "is a build of the app's own: say it there"
        elif name not in made and name not in rules:
            why = f"there is no such build{nearest(name, sorted({*made, *rules}))}"
        elif (
            name in made
            and made[name].kind == ARTIFACT
            and (options.off or options.run or options.inputs or options.outputs)
        ):
            why = "builds a package: its env, packages and twice can be otherwise"
        if why:
            raise BadManifest(appconfig.NAME, f"builds.{name}: {why}", line=options.line)
