"""Chooses an app's processes: what its author says, else what its framework's users expect.

A process type comes from the first of: the caller's overrides, `stager.yml`, the Procfile, and for `web` OpenShift's
`.s2i/environment`, then the start rules of the buildpacks that take part. Every command that stager chooses listens on
`$PORT`, which the platform sets.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from ... import runtimes
from ...errors import Ambiguous, BadManifest, NeedsBuild, UsageError
from ...model import Detection, Detections, Process, Reason
from ..buildpacks.vocabulary import Buildpack, Server, StartRule
from ..errors import NoProcess
from . import appconfig, elsewhere, foreign, kinds, procfile, s2i, scripts, unfit, versions
from .matching import AppFacts, Match, fill, installed, search

if TYPE_CHECKING:
    from ...tree import SourceTree

WEB = "web"
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ChosenProcesses:
    """The processes, `web` first and the others by name, and remarks about them for people."""

    processes: tuple[Process, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Party:
    """A buildpack that takes part, with what its rules are asked about."""

    buildpack: Buildpack
    facts: AppFacts
    manager: str


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
    needs what a build would write, Ambiguous when two languages each have a start command, NoProcess when there is
    none, and UsageError for an override that is no process.
    """
    known = {buildpack.name: buildpack for buildpack in buildpacks}
    parties = [_party(tree, known[one.buildpack], one, names) for one in detections.matched]
    given = _given(tree, overrides)
    settings = {} if WEB in given else s2i.read(tree)
    if asked := next((found for party in parties if (found := s2i.web(party.facts, settings))), None):
        given[WEB] = asked
    for process in given.values():
        for party in parties:
            scripts.check(party.facts, party.buildpack, process, party.manager, ours=False)
    notes = [note for process in given.values() if (note := _not_installed(process, parties))]
    notes += [note] if (note := s2i.unused(settings)) else []
    if WEB not in given:
        found, more = _by_rules(parties, bool(given))
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
    notes += scripts.not_run(parties[0].facts) if len(parties) == 1 and dict(parties[0].buildpack.managers) else []
    ordered = sorted(given.values(), key=lambda process: (process.type != WEB, process.type.encode()))
    return ChosenProcesses(tuple(ordered), tuple(notes))


def _example(tree: SourceTree, parties: Sequence[_Party]) -> tuple[str, str]:
    """A command for an example, and the file of another platform that has it; empty where nothing tells one."""
    told = elsewhere.command(AppFacts(tree))
    own = [text for party in parties for name in party.facts.runtimes if (text := runtimes.kind(name).example)]
    return told if told[0] or not own else (own[0], "")


def _party(tree: SourceTree, buildpack: Buildpack, detection: Detection, names: frozenset[str]) -> _Party:
    used = versions.runtimes(tree, buildpack, detection.lock)
    newest = {runtime: versions.newest(runtime, detection.versions) for runtime in used}
    manager = versions.manager(tree, buildpack, detection.lock)
    return _Party(buildpack, AppFacts(tree, names, newest, buildpack.roots), manager)


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
            steps = scripts.steps(party.facts, process.command)
            found = [(step, bad) for step in steps if (bad := unfit.fault(step.text, party.facts.tree))]
            found += [(step, bad) for step in steps[-1:] if (bad := unfit.last_fault(step.text))]
            for step, (why, hint) in found:
                raise BadManifest(*scripts.error(party.facts, step, process, f"{process.type} {why}", hint))


def _given_already(found: Process, given: Iterable[Process], parties: Sequence[_Party]) -> bool:
    """Whether a process of another type runs what was found: the app is a worker, which one process does once."""
    return any(_runs(party, found) & _runs(party, process) for party in parties for process in given)


def _runs(party: _Party, process: Process) -> set[str]:
    """The simple commands of a process; one interpreter has several names, and options that change nothing here."""
    found = [step.text for step in scripts.steps(party.facts, process.command)]
    names = "|".join(one.interpreter for one in runtimes.kinds() if one.interpreter)
    return {re.sub(rf"^(?:{names})(?: -[a-zA-Z]+)*(?= )", "run", text) for text in found}


# --- what the rules say ----------------------------------------------------------------------------------------


def _by_rules(parties: Sequence[_Party], others: bool) -> tuple[Process | None, list[str]]:
    """The web process by the buildpacks' rules, and notes. `others` says that the app has processes of other types."""
    found: list[tuple[_Party, Process, str]] = []
    refused: list[NeedsBuild | BadManifest] = []
    for party in parties:
        try:
            if (hit := _start(party)) is not None:
                scripts.check(party.facts, party.buildpack, hit[0], party.manager, ours=True)
                found.append((party, *hit))
        except (NeedsBuild, BadManifest) as error:
            refused.append(error)
    if len(found) > 1:
        real = [it for it in found if not scripts.is_development(it[0].facts, it[0].buildpack, it[1])]
        found = real or found
    if not found and refused and not others:
        raise refused[0]
    if len(found) > 1:
        candidates = [f"{process.command} ({process.reason})" for _, process, _ in found]
        hint = f"Add a file Procfile with the one to use, in a line such as 'web: {found[0][1].command}'."
        raise Ambiguous(_SEVERAL, candidates, hint)
    notes = [f"not used as the start command: {error.message}" for error in refused]
    return (found[0][1], [*([found[0][2]] if found[0][2] else []), *notes]) if found else (None, notes)


_SEVERAL = "several start commands"


def _start(party: _Party) -> tuple[Process, str] | None:
    """The process that the first fitting rule gives, and the rule's note. Raises NeedsBuild."""
    for rule in party.buildpack.start:
        hit = search(party.facts, rule.when, {"manager": party.manager})
        if hit is None:
            continue
        if rule.needs_build:
            raise NeedsBuild([_need(party, rule, hit)], scripts.not_built(party.facts, party.manager))
        for server in _servers(party, rule):
            command = _command(rule, server, hit)
            if command:
                values = {**hit.values, "server": server.name if server else ""}
                reason = Reason(fill(rule.why, values) or rule.why, hit.file, hit.line)
                return Process(WEB, command, reason), fill(rule.note, values) or ""
    return None


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
