"""Detects which buildpacks take part in an app, and why: broadly, so that a precise refusal can say what is missing.

Every buildpack's rules claim the app with some strength (`vocabulary.CLAIMS`). Claims by a *manifest* stand side by
side (Python and Node.js in one app); anything weaker counts only when there is nothing stronger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...ecosystems import ecosystem, ecosystems
from ...errors import Ambiguous, BadManifest, UsageError
from ...model import Detection, Detections, Reason
from ..buildpacks import load_all
from ..buildpacks.definition import nearest
from ..buildpacks.vocabulary import CLAIMS, Buildpack, Condition, DetectRule
from ..errors import CommittedFiles, NotDetected
from . import appconfig, commands, foreign, procfile, versions
from .foreseen import due, foreseen, presumed, serves_pages, taking_part
from .matching import AppFacts, Match, fill, first, match
from .similar import similar

if TYPE_CHECKING:
    from ...tree import SourceTree
    from .foreseen import Foreseen


@dataclass(frozen=True, slots=True)
class _Claim:
    buildpack: Buildpack
    rule: DetectRule
    match: Match

    @property
    def reason(self) -> Reason:
        return Reason(fill(self.rule.why, self.match.values) or self.rule.why, self.match.file, self.match.line)


_SCRIPTS = ("start.sh", "run.sh", "app.sh", "server.sh", "entrypoint.sh", "docker-entrypoint.sh")
"""What others call a script that starts an app; some of them run it by its name."""


def detect(tree: SourceTree, buildpacks: Sequence[Buildpack] | None = None, *, only: Sequence[str] = ()) -> Detections:
    """The buildpacks that take part, in the order of `buildpacks` (the shipped ones when None).

    `only` names buildpacks that take part whatever the files say; without it the app's `stager.yml` may name them.
    Raises NotDetected, Ambiguous (two languages, two locks, contradicting versions), CommittedFiles, BadManifest,
    VersionError, and UsageError for an unknown name in `only`.
    """
    known = load_all() if buildpacks is None else tuple(buildpacks)
    _refuse_environments(tree)
    procfile.read(tree)  # what is wrong with it had better be said now
    facts = AppFacts(tree)
    forced = _forced(tree, known, only)
    claims = {buildpack.name: _claims(facts, buildpack) for buildpack in known}
    builds = due(tree, foreseen(tree, known))
    for claim in _pages(tree, known, builds):
        claims[claim.buildpack.name].insert(0, claim)
    chosen, notes = (forced, []) if forced else _chosen(known, claims)
    found = _similar(tree, known)
    rejected = tuple((one.name, one.looks_for) for one in known if one.name not in chosen)
    notes += _vendored(tree, [one.ecosystem for one in known if one.name in chosen])
    others = foreign.found(tree)
    beside = foreign.helpers(facts, chosen) if others and not forced else []
    if beside and all(language == foreign.CONDA for _, language in others):
        beside = []
    if not chosen or beside:
        looked_for = [(one.name, one.looks_for) for one in known] if beside else rejected
        helpers = list(zip(chosen, beside, strict=True)) if beside else []
        apps, pages = ([], []) if others else _inside(tree, known)
        others = others or ([] if apps or pages or foreign.site(tree) else foreign.sources(tree))
        script = "" if others else next((one for one in _SCRIPTS if one in tree), "")
        raise NotDetected(looked_for, found, others, helpers, apps, pages, foreign.site(tree), script)
    matched = [one for one in known if one.name in chosen]
    _refuse(AppFacts(presumed(tree, builds)), matched)
    detections = tuple(_detection(tree, one, chosen[one.name]) for one in matched)
    meant = [f"is {name} meant to be {right}? Then rename it" for name, right in found]
    passed = [text for one in matched for name in one.runtimes for text in versions.passed_over(tree, name)]
    own = taking_part(builds, matched) if matched else []
    by = {one.buildpack: one.reason for one in own if one.buildpack}
    building = tuple(_detection(tree, one, by[one.name]) for one in known if one.name in by and one not in matched)
    notes = [*notes, *meant, *passed, *_remarks(facts, matched)]
    coming = tuple((one.name, one.command, one.reason) for one in own)
    return Detections(detections, () if forced else rejected, tuple(notes), building, coming)


_TEMPLATE = re.compile(r"\{\{|\{%|<%|\A---")
"""What a page has that a program still has to fill in."""
_APP = "manage.py"
"""What makes a folder an app without being its manifest."""


def _inside(tree: SourceTree, known: Sequence[Buildpack]) -> tuple[list[str], list[str]]:
    """Folders of an app that nothing recognises: those with an app of their own, and those with a site's first page."""
    rules = [rule for one in known for rule in one.detect if rule.claim in (CLAIMS[0], CLAIMS[-1])]
    names = {_APP, *(name for rule in rules for name in rule.when.files if not {"/", "*"} & {*name})}
    apps = {path.rpartition("/")[0] for name in names for path in tree.glob(f"*/{name}")}
    apps |= {path.rpartition("/")[0] for name in names for path in ([] if apps else tree.glob(f"*/*/{name}"))}
    facts = AppFacts(tree)
    whole = [path for path in tree.glob("*/index.html") if not _TEMPLATE.search(facts.text(path))]
    pages = {path.rpartition("/")[0] for path in whole} - apps
    return sorted(apps, key=str.encode), sorted(pages, key=str.encode)


# --- which buildpacks ------------------------------------------------------------------------------------------


def _forced(tree: SourceTree, known: Sequence[Buildpack], only: Sequence[str]) -> dict[str, Reason]:
    names = [one.name for one in known]
    for name in only:
        if name not in names:
            message = f"there is no buildpack {name!r}{nearest(name, names)}"
            raise UsageError(message)
    config = appconfig.read(tree)
    if only and tuple(only) != config.buildpacks:
        return {name: Reason("asked for with --buildpack") for name in only}
    for index, name in enumerate(config.buildpacks):
        if name not in names:
            why = f"buildpacks[{index}]: there is no buildpack {name!r}{nearest(name, names)}"
            raise BadManifest(appconfig.NAME, why, line=config.lines.get(f"buildpacks[{index}]"))
    return {name: config.reason(f"buildpacks[{index}]") for index, name in enumerate(config.buildpacks)}


def _claims(facts: AppFacts, buildpack: Buildpack) -> list[_Claim]:
    """Every rule that holds, in the order of the definition."""
    return [
        _Claim(buildpack, rule, hit)
        for rule in buildpack.detect
        if (hit := match(facts, rule.when, {})) and first(facts, rule.unless) is None
    ]


def _pages(tree: SourceTree, known: Sequence[Buildpack], builds: Sequence[Foreseen]) -> list[_Claim]:
    """A claim of what serves pages for each build that makes some of an app without a server of its own.

    A settings file says more than that, and claims by itself.
    """
    server = next((pack for pack in known if serves_pages(pack) and pack.settings not in tree), None)
    claims = []
    for one in builds:
        pack = next((pack for pack in known if pack.name == one.buildpack and one.pages), None)
        if server and pack and not commands.has_server(tree, pack, _lock(tree, pack), builds):
            rule = DetectRule(Condition(), CLAIMS[0], f"'{one.command}' makes the pages in {one.pages}/", (), pack.name)
            claims.append(_Claim(server, rule, Match({}, one.reason.file, one.reason.line)))
    return claims


def _chosen(known: Sequence[Buildpack], claims: Mapping[str, list[_Claim]]) -> tuple[dict[str, Reason], list[str]]:
    best = {one.name: _best(claims[one.name], claims) for one in known}
    held = {name: claim for name, claim in best.items() if claim is not None}
    notes = [_replaced(claim) for claim in held.values() if claim.rule.replaces]
    for replaced in [claim.rule.replaces for claim in held.values()]:
        held.pop(replaced, None)
    level = min((CLAIMS.index(claim.rule.claim) for claim in held.values()), default=0)
    chosen = {name: claim for name, claim in held.items() if claim.rule.claim == CLAIMS[level]}
    if level and len(chosen) > 1:
        lines = " or ".join(f"'buildpacks: [{name}]'" for name in chosen)
        hint = f"Say whose app it is: write {lines} into stager.yml."
        raise Ambiguous(_LANGUAGES, [claim.match.file for claim in chosen.values()], hint)
    notes += [_left_out(claim) for name, claim in held.items() if name not in chosen and claim.rule.claim in _NOTED]
    return {name: claim.reason for name, claim in chosen.items()}, notes


_NOTED = ("code", "tooling")
_LANGUAGES = "programs of several languages"


def _best(claims: Sequence[_Claim], others: Mapping[str, Sequence[_Claim]]) -> _Claim | None:
    """A buildpack's strongest claim; one that replaces another buildpack's holds only when no third has a manifest."""
    for claim in claims:
        rivals = [name for name, items in others.items() if any(item.rule.claim == CLAIMS[0] for item in items)]
        if not claim.rule.replaces or set(rivals) - {claim.buildpack.name} == {claim.rule.replaces}:
            return claim
    return None


def _replaced(claim: _Claim) -> str:
    name, other = claim.buildpack.name, claim.rule.replaces
    how = f"to run the app with {other}, name it with --buildpack or in stager.yml"
    return f"{claim.reason.text}, which is served as it is ({name}); {how}"


def _left_out(claim: _Claim) -> str:
    return f"{claim.buildpack.name} takes no part: {claim.reason}, which alone is no reason beside other manifests"


# --- what the app must not have --------------------------------------------------------------------------------


def _refuse_environments(tree: SourceTree) -> None:
    for path in sorted(tree.environments, key=str.encode):
        what = "a virtual environment is among the app's files"
        hint = f"Add the line '{path}/' to .gitignore; if it was committed, run 'git rm -r --cached {path}' as well."
        raise CommittedFiles(path, what, hint)


def _vendored(tree: SourceTree, matched: Sequence[str]) -> list[str]:
    """Remarks on folders of installed packages, which are never in the app; `matched` are the ecosystems of what takes part.

    Raises CommittedFiles for such a folder without a manifest.
    """
    for one in ecosystems():
        lacks = one.vendored in tree.vendored and not any(path in tree for path in one.manifests)
        if lacks and (not matched or one.name in matched):
            manifest = one.manifests[0]
            what = f"{one.title} packages are among the app's files, but no {manifest} says which belong there"
            hint = f"Add a {manifest} with its dependencies and a lock file, or delete {one.vendored}."
            raise CommittedFiles(one.vendored, what, hint)
    how = "is left out: what the lock file pins is installed instead. Add it to .gitignore"
    return [f"{path} {how}" for path in sorted(tree.vendored)]


def _refuse(facts: AppFacts, matched: Sequence[Buildpack]) -> None:
    for refusal in (item for one in matched for item in one.refuse):
        if hit := match(facts, refusal.when, {}):
            why, hint = (fill(text, hit.values) or text for text in (refusal.why, refusal.hint))
            raise BadManifest(hit.file, why, hint, hit.line)


# --- a match's details -----------------------------------------------------------------------------------------


def _detection(tree: SourceTree, buildpack: Buildpack, reason: Reason) -> Detection:
    lock = _lock(tree, buildpack)
    if buildpack.ecosystem:
        ecosystem(buildpack.ecosystem).check_manager(tree, lock, dict(buildpack.managers))
    asked = tuple(
        request
        for runtime in versions.runtimes(tree, buildpack, lock)
        for request in _asked(tree, buildpack, lock, runtime)
    )
    return Detection(buildpack.name, reason, lock, asked)


def _asked(tree: SourceTree, buildpack: Buildpack, lock: str, runtime: str) -> tuple[versions.Request, ...]:
    """A runtime's requests; those for a package manager count only when it is the one in use."""
    managers = dict(buildpack.managers).values()
    if runtime in managers and runtime != versions.manager(tree, buildpack, lock):
        return ()
    return versions.requested(tree, runtime)


def _lock(tree: SourceTree, buildpack: Buildpack) -> str:
    locks = list(ecosystem(buildpack.ecosystem).find_locks(tree)) if buildpack.ecosystem else []
    if len(locks) > 1:
        what = f"{len(locks)} lock files say what the app's {ecosystem(buildpack.ecosystem).title} packages are"
        rest = "the others" if len(locks) > 2 else "the other"
        raise Ambiguous(what, locks, f"Keep the one that your tool writes, and delete {rest}.")
    return str(locks[0]) if locks else ""


# --- remarks ---------------------------------------------------------------------------------------------------


def _similar(tree: SourceTree, known: Sequence[Buildpack]) -> list[tuple[str, str]]:
    right = [pattern for one in known for pattern in one.inputs if "*" not in pattern and "/" not in pattern]
    return similar([path for path in tree.files if "/" not in path], right)


def _remarks(facts: AppFacts, matched: Sequence[Buildpack]) -> list[str]:
    return [text for one in matched for pattern, text in one.remarks if facts.files(pattern)]
