"""Chooses an app's processes: what its author says, else what its framework's users expect.

A process type comes from the first of: the caller's overrides, `stager.yml`, the Procfile, and for `web` OpenShift's
`.s2i/environment`, then the start rules of the buildpacks that take part. Every command that stager chooses listens on
`$PORT`, which the platform sets.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ... import runtimes
from ...errors import Ambiguous, BadManifest, NeedsBuild, UsageError
from ...model import Detection, Detections, Process, Reason
from ..buildpacks.vocabulary import Buildpack, Server, StartRule
from ..errors import NoProcess
from . import (
    appconfig,
    elsewhere,
    foreign,
    kinds,
    members,
    other_builds,
    other_variables,
    outputs,
    procfile,
    s2i,
    scripts,
    unfit,
    versions,
)
from .foreseen import Foreseen, due, foreseen, presumed, taking_part
from .matching import AppFacts, Match, fill, installed, search
from .steps import steps

if TYPE_CHECKING:
    from ...tree import SourceTree

WEB = "web"
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ChosenProcesses:
    """The processes, `web` first and the others by name, what has to be built for them, and remarks about them for people."""

    processes: tuple[Process, ...]
    notes: tuple[str, ...] = ()
    builds: tuple[Foreseen, ...] = ()
    """In the order in which they run; each has outputs."""


@dataclass(frozen=True, slots=True)
class _Party:
    """A buildpack that takes part, with what its rules are asked about."""

    buildpack: Buildpack
    facts: AppFacts
    """The tree is the app's with what builds leave."""
    manager: str
    tree: SourceTree
    """The app's own."""


def processes(
    tree: SourceTree,
    buildpacks: Sequence[Buildpack],
    detections: Detections,
    names: frozenset[str],
    overrides: Mapping[str, str] = _NONE,
) -> tuple[Process, ...]:
    """The processes of `choose`."""
    return choose(tree, buildpacks, detections, names, overrides).processes


def choose(
    tree: SourceTree,
    buildpacks: Sequence[Buildpack],
    detections: Detections,
    names: frozenset[str],
    overrides: Mapping[str, str] = _NONE,
) -> ChosenProcesses:
    """The app's processes. `names` are the normalised names of all packages that will be installed.

    Raises BadManifest for a Procfile, stager.yml or script that cannot be used, NeedsBuild when the start command
    needs what no build that can be planned would write, Ambiguous when two languages each have a start command, NoProcess
    when there is none, and UsageError for an override that is no process.
    """
    known = {buildpack.name: buildpack for buildpack in buildpacks}
    used = [known[one.buildpack] for one in detections.matched]
    builds = taking_part(foreseen(tree, buildpacks, names), used)
    parties = [_party(tree, known[one.buildpack], one, names, builds) for one in detections.matched]
    needs: list[tuple[str, str]] = []
    given = _given(tree, overrides)
    settings = {} if WEB in given else s2i.read(tree)
    if asked := next((found for party in parties if (found := s2i.web(party.facts, settings))), None):
        given[WEB] = asked
    for process in given.values():
        for party in parties:
            needs += _needs(party, process, ours=False)
    notes = [note for process in given.values() if (note := _not_installed(process, parties))]
    notes += [note] if (note := s2i.unused(settings)) else []
    if WEB not in given:
        found, more = _by_rules(parties, bool(given), needs)
        given |= {WEB: found} if found and not _given_already(found, given.values(), parties) else {}
        notes += more
    _check_lines(given.values(), parties)
    if not given:
        raise NoProcess(
            [party.buildpack.name for party in parties],
            _looked_for(parties),
            *_instead(parties),
            foreign.site(tree),
            _example(tree, parties),
        )
    alone = parties[0] if len(parties) == 1 and dict(parties[0].buildpack.managers) else None
    planned = _due(tree, builds, needs)
    notes += scripts.not_run(alone.facts, alone.buildpack, planned) if alone else []
    notes += [note for one in planned for note in _replaced(tree, one)]
    notes += other_builds.remarks(tree, planned, given.values())
    notes += other_variables.remarks(tree)
    untold = (one for one in builds if not one.outputs and all(one.name != other.name for other in planned))
    notes += [
        *(one.instead for one in builds if one.instead),
        *(outputs.untold(one) for one in untold if not one.instead),
    ]
    ordered = sorted(given.values(), key=lambda process: (process.type != WEB, process.type.encode()))
    return ChosenProcesses(tuple(ordered), tuple(notes), planned)


def _needs(party: _Party, process: Process, ours: bool) -> list[tuple[str, str]]:
    """(buildpack, path) of what a process needs of the app's builds. Raises as `scripts.check`."""
    found = scripts.check(party.facts, party.buildpack, process, party.manager, ours)
    return [(party.buildpack.name, path) for path in found]


def _due(tree: SourceTree, builds: Sequence[Foreseen], needs: Sequence[tuple[str, str]]) -> tuple[Foreseen, ...]:
    """The builds that are to be planned: those that are due, and those that make what processes need.

    What no build is known to make is an output of the first one of the buildpack whose process needs it.
    """
    found = {one.name: one for one in due(tree, builds)}
    for pack, path in needs:
        made = [found.get(one.name, one) for one in builds]
        maker = next((one for one in made if one.makes(path)), None)
        if maker is None:
            first = next(one for one in made if one.buildpack == pack)
            folder = members.around(tree, path)
            maker = _making(tree, first, folder + scripts.output_of(path.removeprefix(folder)).rstrip("/"))
        found[maker.name] = maker
    return tuple(found[one.name] for one in builds if one.name in found and (found[one.name].outputs or one.ask))


def _replaced(tree: SourceTree, build: Foreseen) -> list[str]:
    """Remarks on what the app has in the place of an output, unless the build adds to it."""
    missing = build.missing(tree)
    there = [path for path in build.outputs if path not in missing and f"{path}/**" not in build.inputs]
    return [f"{path} is in the app: what '{build.command}' leaves takes its place" for path in there]


def _making(tree: SourceTree, build: Foreseen, path: str) -> Foreseen:
    """The build with one more output; where the app has files there already, it adds to them."""
    there = (f"{path}/**",) if tree.glob(f"{path}/**") else ()
    inputs = (*(build.inputs or ("**",)), *there) if there else build.inputs
    return replace(build, outputs=(*build.outputs, path), inputs=inputs)


def has_server(tree: SourceTree, pack: Buildpack, lock: str, builds: Sequence[Foreseen]) -> bool:
    """Whether an app that one of these builds makes pages of has a program of its own to serve it.

    A development server is none, nor is a command that does nothing but serve what was built.
    """
    if WEB in _given(tree, _NONE):
        return True
    party = _party(tree, pack, Detection(pack.name, Reason(""), lock), frozenset(), builds)
    for rule in pack.start:
        hit = search(party.facts, rule.when, {"manager": party.manager})
        if hit and rule.needs_build:
            program = hit.values.get("value", "") if rule.run else ""
            made = [one for one in builds if one.makes(posixpath.normpath(program))]
            return any(not program.startswith(f"{one.pages}/") for one in made)
        process = Process(WEB, _command(rule, None, hit), Reason("")) if hit and rule.run else None
        if process and process.command and not _for_looking(party, process):
            return True
    return any(one.start for one in builds)


def _for_looking(party: _Party, process: Process) -> bool:
    """Whether a command only shows what is being developed, or was built."""
    known = (scripts.is_development, scripts.only_serves)
    return any(test(party.facts, party.buildpack, process) for test in known)


def _example(tree: SourceTree, parties: Sequence[_Party]) -> tuple[str, str]:
    """A command for an example, and the file of another platform that has it; empty where nothing tells one."""
    told = elsewhere.command(AppFacts(tree))
    own = [text for party in parties for name in party.facts.runtimes if (text := runtimes.kind(name).example)]
    return told if told[0] or not own else (own[0], "")


def _party(
    tree: SourceTree, buildpack: Buildpack, detection: Detection, names: frozenset[str], builds: Sequence[Foreseen]
) -> _Party:
    seen = presumed(tree, due(tree, builds))
    used = versions.runtimes(tree, buildpack, detection.lock)
    newest = {runtime: versions.newest(runtime, detection.versions) for runtime in used}
    manager = versions.manager(tree, buildpack, detection.lock)
    return _Party(buildpack, AppFacts(seen, names, newest, buildpack.roots, tuple(builds)), manager, tree)


def _instead(parties: Sequence[_Party]) -> tuple[str, str]:
    """What an app without a start command is, and where it says so; empty when that cannot be told."""
    found = next((one for party in parties if (one := _unserved(party))), None)
    if found is None and len(parties) == 1 and dict(parties[0].buildpack.managers):
        found = kinds.kind(parties[0].facts)
    return (found.what, f"{found.file}:{found.line}" if found.line else found.file) if found else ("", "")


def _unserved(party: _Party) -> kinds.Kind | None:
    """An application that one of the rules finds, where none of the packages is a server for it."""
    known = {server.name: server for server in party.buildpack.servers}
    for rule in party.buildpack.start:
        if rule.serve and (hit := search(party.facts, rule.when, {"manager": party.manager})):
            names = dict.fromkeys(item.split("|")[0] for name in rule.serve for item in known[name].installed)
            what = f"{hit.file} has an application, and none of the packages serves it ({', '.join(names)})"
            return kinds.Kind(what, hit.file, hit.line)
    return None


def _looked_for(parties: Iterable[_Party]) -> list[str]:
    return list(dict.fromkeys(["a Procfile", *(rule.name for party in parties for rule in party.buildpack.start)]))


# --- what the author says --------------------------------------------------------------------------------------


def _given(tree: SourceTree, overrides: Mapping[str, str]) -> dict[str, Process]:
    found = {process.type: process for process in procfile.read(tree)}
    found |= {process.type: process for process in appconfig.read(tree).processes}
    for kind, command in overrides.items():
        if kind in found and found[kind].command == command:
            continue
        if not procfile.TYPE.match(kind) or not command.strip() or not command.isprintable():
            message = f"{kind!r}: {command!r} is not a process type and a command of one line"
            raise UsageError(message)
        found[kind] = Process(kind, command.strip(), Reason("asked for by the caller"))
    return found


def _not_installed(process: Process, parties: Sequence[_Party]) -> str:
    """A remark when a command starts with a server that none of the app's packages brings."""
    program = process.command.split()[0]
    for party in parties:
        servers = [one for one in party.buildpack.servers if one.run.split()[0] == program]
        if servers and (module := _absent(process.command, party)):
            what = f"{process.type} serves the module {module}"
            return f"{what}, which is neither among the app's files nor its packages ({process.reason})"
        if servers and not any(installed(party.facts, one.installed) for one in servers):
            return f"{process.type} runs {program}, which is not among the app's packages ({process.reason})"
    return ""


_SERVED = re.compile(r"(?<![\w./=-])([A-Za-z_]\w*(?:\.\w+)*)(?::[A-Za-z_]\w*(?:\(\))?)?(?=\s|$)")


def _absent(command: str, party: _Party) -> str:
    """The module that a server is told to serve when nothing in the app and none of its packages is called so."""
    words = [word for word in command.split()[1:] if not word.startswith("-")]
    named = [
        found[1]
        for word in words
        if (":" in word or ".wsgi" in word or ".asgi" in word) and (found := _SERVED.fullmatch(word))
    ]
    top = named[0].split(".")[0] if named else ""
    known = top.replace("_", "-").lower() in party.facts.names
    files = ("{}.py", "{}/**", "*/{}.py", "*/{}/**", "*/*/{}.py", "*/*/{}/**")
    return named[0] if top and not known and not any(party.facts.files(one.format(top)) for one in files) else ""


def _check_lines(processes: Iterable[Process], parties: Sequence[_Party]) -> None:
    """Raise BadManifest for what no process may do."""
    for process in processes:
        for party in parties:
            parts = steps(party.facts, process.command)
            found = [(step, bad) for step in parts if (bad := unfit.fault(step.text, party.facts.tree))]
            found += [(step, bad) for step in parts[-1:] if (bad := unfit.last_fault(step.text))]
            for step, (why, hint) in found:
                raise BadManifest(*scripts.error(party.facts, step, process, f"{process.type} {why}", hint))


def _given_already(found: Process, given: Iterable[Process], parties: Sequence[_Party]) -> bool:
    """Whether a process of another type runs what was found: the app is a worker, which one process does once."""
    return any(_runs(party, found) & _runs(party, process) for party in parties for process in given)


def _runs(party: _Party, process: Process) -> set[str]:
    """The simple commands of a process; one interpreter has several names, and options that change nothing here."""
    found = [step.text for step in steps(party.facts, process.command)]
    names = "|".join(one.interpreter for one in runtimes.kinds() if one.interpreter)
    return {re.sub(rf"^(?:{names})(?: -[a-zA-Z]+)*(?= )", "run", text) for text in found}


# --- what the rules say ----------------------------------------------------------------------------------------


def _by_rules(
    parties: Sequence[_Party], others: bool, needs: list[tuple[str, str]]
) -> tuple[Process | None, list[str]]:
    """The web process by the buildpacks' rules, and notes. `others` says that the app has processes of other types.

    What the processes need of builds is added to `needs`.
    """
    found: list[tuple[_Party, Process, str]] = []
    refused: list[NeedsBuild | BadManifest] = []
    helping: list[NeedsBuild | BadManifest] = []
    for party in parties:
        try:
            if (hit := _start(party)) is not None:
                needs += _needs(party, hit[0], ours=True)
                found.append((party, *hit))
        except (NeedsBuild, BadManifest) as error:
            refused.append(error)
            helping += [error] if isinstance(error, NeedsBuild) and _is_built(party) else []
    if len(found) > 1:
        real = [it for it in found if not scripts.is_development(it[0].facts, it[0].buildpack, it[1])]
        found = real or found
    if not found and refused and not others:
        raise refused[0]
    if len(found) > 1:
        candidates = [f"{process.command} ({process.reason})" for _, process, _ in found]
        hint = f"Add a file Procfile with the one to use, in a line such as 'web: {found[0][1].command}'."
        raise Ambiguous(_SEVERAL, candidates, hint)
    notes = [f"not used as the start command: {error.message}" for error in refused if error not in helping]
    return (found[0][1], [*([found[0][2]] if found[0][2] else []), *notes]) if found else (None, notes)


_SEVERAL = "several start commands"


def _is_built(party: _Party) -> bool:
    """Whether a build of this buildpack is known to leave something: it needs no command, another party has its output."""
    return any(one.buildpack == party.buildpack.name and one.outputs for one in party.facts.builds)


def _start(party: _Party) -> tuple[Process, str] | None:
    """The process that the first fitting rule gives, else that of what is built, and the rule's note. Raises NeedsBuild."""
    own = [one for one in party.facts.builds if one.buildpack == party.buildpack.name]
    ready = next((Process(WEB, one.start, one.reason) for one in own if one.start), None)
    planned = due(party.tree, own)
    pages = any(one.pages for one in planned)  # which another party serves
    for rule in party.buildpack.start:
        hit = search(party.facts, rule.when, {"manager": party.manager})
        if hit is None:
            continue
        if rule.needs_build and ready:
            return ready, ""
        if rule.needs_build and not (own and rule.run):
            if pages:
                return None
            hint = scripts.not_built(party.facts, party.buildpack, party.manager)
            raise NeedsBuild([_need(party, rule, hit)], hint)
        for server in _servers(party, rule):
            command = _command(rule, server, hit)
            if command:
                values = {**hit.values, "server": server.name if server else ""}
                process = Process(WEB, command, _reason(party, fill(rule.why, values) or rule.why, hit))
                if planned and ready and _for_looking(party, process):
                    return ready, ""
                if pages and scripts.is_development(party.facts, party.buildpack, process):
                    return None
                return process, fill(rule.note, values) or ""
    return (ready, "") if ready else None


def _reason(party: _Party, text: str, hit: Match) -> Reason:
    """Where a rule found something; for what only a build leaves, where that is told to run."""
    maker = next((one for one in party.facts.builds if hit.file in one.leaves), None)
    if maker is None or hit.file in party.tree:
        return Reason(text, hit.file, hit.line)
    return Reason(text, maker.reason.file, maker.reason.line)


def _need(party: _Party, rule: StartRule, hit: Match) -> tuple[str, str]:
    why = fill(rule.needs_build, hit.values) or rule.needs_build
    return scripts.app_name(party.facts), why


def _servers(party: _Party, rule: StartRule) -> Sequence[Server | None]:
    """The installed servers that the rule may use, in its order; one None when it has a command of its own."""
    known = {server.name: server for server in party.buildpack.servers}
    return (
        [known[name] for name in rule.serve if installed(party.facts, known[name].installed)] if rule.serve else [None]
    )


def _command(rule: StartRule, server: Server | None, hit: Match) -> str:
    """The command line; empty when a value it needs was not found."""
    text = rule.run if server is None else (server.factory if "factory" in hit.values else server.run)
    return fill(text, {name: shlex.quote(value) for name, value in hit.values.items()}) or ""
