"""What the builds of an app would leave, found out from its files alone: commands, outputs and how these are started.

Rules are a buildpack's `builds` and `tools`. Nothing is run: a tool writes where its own documentation says, unless an option
of its command or a setting of its own file, as far as it is written out there, names another place. What is not known is
not guessed. Detection and start commands then look at the tree with the files in it that are surely there after a build.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ... import runtimes
from ...model import Reason
from ..buildpacks.vocabulary import Buildpack, BuildRule, BuildTool
from . import appconfig, members, s2i
from .angular import output_path
from .build_settings import BuildOptions
from .matching import LONGEST, AppFacts, fill, search
from .modules import MANIFEST
from .steps import steps

if TYPE_CHECKING:
    from ...runtimes.record import Told
    from ...tree import SourceTree

_BEFORE = (
    r"\A(?:(?:\w+=\S*|cross-env|dotenv|--|npx|bunx|pnpx|pnpm exec|yarn|node --\S+)\s+)*(?:\./)?(?:node_modules/\.bin/)?"
)
"""What may stand before the program of a simple command."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A build that an app could have, before it is known what has to be around it."""

    buildpack: str
    """The one whose rule it is; empty for a build of the app's own (`stager.yml`)."""
    name: str
    command: str
    reason: Reason
    outputs: tuple[str, ...] = ()
    """Without a `/` at the end; empty when nobody knows them."""
    leaves: tuple[str, ...] = ()
    """Files that are surely there after it."""
    inputs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    development: bool = False
    late: bool = False
    twice: bool = True
    folder: str = ""
    pages: str = ""
    """The folder that is served to browsers as it is; empty for none."""
    routes: bool = False
    start: str = ""
    """A command for what was built, for an app that has none of its own."""
    ask: str = ""
    """A command that prints the folder it leaves, where `outputs` is empty."""
    instead: str = ""
    """Why it is not run after all, as a sentence; then it is no build, but something to tell."""
    asked: bool = False
    """Whether `stager.yml` speaks of it, so that it is built in any case."""

    def missing(self, tree: SourceTree) -> tuple[str, ...]:
        """The outputs of which the app has nothing."""
        return tuple(path for path in self.outputs if path not in tree and not tree.glob(f"{path}/**"))

    def makes(self, path: str) -> bool:
        """Whether a file or folder is one of its outputs, or lies in one."""
        return any(path == output or path.startswith(f"{output}/") for output in self.outputs)


def foreseen(tree: SourceTree, known: Iterable[Buildpack], names: frozenset[str] = frozenset()) -> tuple[Foreseen, ...]:
    """The builds that an app could have, in the order in which they would run, each name once.

    Those by the rules of these buildpacks, then the author's own, one of which takes the place of a rule's of its name, then
    those by rules that want what the others leave. `names` are the packages that will be installed: a rule that asks for some
    finds nothing before these are known. Raises BadManifest.
    """
    authors = own(tree)
    taken = {one.name for one in authors}
    packs = [pack for pack in known if pack.builds]
    rules = [one for pack in packs for one in _of_buildpack(AppFacts(tree, names), pack) if one.name not in taken]
    return (*(one for one in rules if not one.late), *authors, *(one for one in rules if one.late))


def own(tree: SourceTree) -> tuple[Foreseen, ...]:
    """The builds that the app's `stager.yml` has, in its order; packages for development are there, as people expect."""
    config = appconfig.read(tree)
    return tuple(
        Foreseen(
            buildpack="",
            name=one.name,
            command=one.run,
            reason=Reason(f"{appconfig.NAME} has it built", appconfig.NAME, one.line),
            outputs=one.outputs,
            inputs=one.inputs,
            packages=one.packages,
            env=_merged(tuple(_variables(tree)[0].items()), one.env),
            development=True,
            twice=one.twice,
            folder=one.folder,
            asked=True,
        )
        for one in config.own_builds
    )


def presumed(tree: SourceTree, builds: Iterable[Foreseen]) -> SourceTree:
    """The tree with the files that builds surely leave, empty, where it has none of the same name."""
    more = {path: b"" for one in builds for path in one.leaves if path not in tree}
    return tree.with_files(more) if more else tree


def due(tree: SourceTree, builds: Iterable[Foreseen]) -> list[Foreseen]:
    """Those of which an output is not in the app or not known yet, or of which `stager.yml` speaks."""
    return [one for one in builds if not one.instead and (one.asked or not one.outputs or one.missing(tree))]


def serves_pages(pack: Buildpack) -> bool:
    """Whether a buildpack serves the files of a folder, which its option `root` names."""
    return any(option.name == "root" for option in pack.options)


def taking_part(builds: Iterable[Foreseen], used: Sequence[Buildpack]) -> list[Foreseen]:
    """The builds of buildpacks that take part, of those whose pages one that takes part serves, and the app's own."""
    names, pages = {"", *(pack.name for pack in used)}, any(serves_pages(pack) for pack in used)
    return [one for one in builds if one.buildpack in names or (pages and one.pages)]


def written(facts: AppFacts, pack: Buildpack, command: str) -> Foreseen:
    """What a command writes, by the tools of a buildpack."""
    build = Foreseen(pack.name, "", command, Reason(""))
    for step in steps(facts, command):
        build = _with_tool(facts, build, pack, step.text[:LONGEST])
    return replace(build, outputs=_outermost(build.outputs))


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Each path once, without those that lie in another one."""
    found = dict.fromkeys(paths)
    return tuple(path for path in found if not any(path.startswith(f"{other}/") for other in found))


def _of_buildpack(facts: AppFacts, pack: Buildpack) -> list[Foreseen]:
    found: dict[str, Foreseen] = {}
    for rule in pack.builds:
        if rule.name not in found and (one := _build(facts, pack, rule) or _in_members(facts, pack, rule)):
            found[rule.name] = one
    return list(found.values())


def _build(facts: AppFacts, pack: Buildpack, rule: BuildRule) -> Foreseen | None:
    hit = search(facts, rule.when, {})
    if hit is None:
        return None
    options = appconfig.read(facts.tree).build_options.get(rule.name, _AS_IT_IS)
    builder, launch = _variables(facts.tree)
    quoted = {name: shlex.quote(value) for name, value in hit.values.items()}
    command = options.run or " && ".join(line for text in rule.run if (line := fill(text, quoted)))
    if not command or options.off or {**launch, **builder}.get(rule.unless):
        return None
    left = written(facts, pack, command)
    build = replace(
        left,
        name=rule.name,
        command=command if options.run else _for_member(facts, pack, command),
        reason=Reason(fill(rule.why, hit.values) or rule.why, hit.file, hit.line),
        outputs=_outermost((*_paths(rule.outputs, hit.values), *left.outputs)),
        leaves=tuple(dict.fromkeys((*_paths(rule.leaves, hit.values), *left.leaves))),
        inputs=tuple(text for pattern in rule.inputs if (text := fill(pattern, hit.values))),
        packages=rule.packages,
        recipes=tuple(dict.fromkeys((*rule.recipes, *left.recipes))),
        env=_merged(_merged(tuple(builder.items()), rule.env), left.env),
        development=rule.development,
        late=rule.late,
        ask=rule.ask,
    )
    told = _by_runtime(facts.tree, rule, {**builder, **launch})
    if rule.tells and told is None:
        return None
    return _with_options(_with_told(build, told) if told else build, options)


def _variables(tree: SourceTree) -> tuple[dict[str, str], dict[str, str]]:
    """The variables that a builder image would have for builds, and those that the app sets at launch, which win."""
    launch = {variable.name: variable.value for variable in appconfig.read(tree).env}
    return {name: value for name, value in s2i.carried(tree).items() if name not in launch}, launch


def _by_runtime(tree: SourceTree, rule: BuildRule, env: Mapping[str, str]) -> Told | None:
    """What a runtime finds out for a rule."""
    known = {name: read for kind in runtimes.kinds() for name, read in kind.tells.items()} if rule.tells else {}
    return known[rule.tells](tree, env) if rule.tells in known else None


def _with_told(build: Foreseen, told: Told) -> Foreseen:
    return replace(
        build,
        reason=Reason(build.reason.text, told.file, told.line),
        folder=told.folder,
        outputs=told.outputs or build.outputs,
        inputs=told.inputs or build.inputs,
        env=_merged(build.env, told.env),
        instead=told.instead,
    )


_AS_IT_IS = BuildOptions()


def _with_options(build: Foreseen, options: BuildOptions) -> Foreseen:
    """The build as the app's `stager.yml` wants it."""
    return replace(
        build,
        outputs=options.outputs or build.outputs,
        inputs=options.inputs or build.inputs,
        packages=tuple(sorted({*build.packages, *options.packages})),
        env=_merged(build.env, options.env),
        twice=build.twice if options.twice is None else options.twice,
        instead="" if options.outputs else build.instead,
        asked=options != _AS_IT_IS,
    )


def _merged(env: tuple[tuple[str, str], ...], more: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({**dict(env), **dict(more)}.items()))


def _paths(texts: Iterable[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """Those paths whose values are all known, and that stay inside the app."""
    filled = (posixpath.normpath(path) for text in texts if (path := fill(text, values)))
    return tuple(path for path in filled if _inside(path))


def _inside(path: str) -> bool:
    return path not in ("", ".") and not path.startswith(("/", "..")) and not re.search(r"[$*\\:]", path)


# --- workspaces ------------------------------------------------------------------------------------------------


def _in_members(facts: AppFacts, pack: Buildpack, rule: BuildRule) -> Foreseen | None:
    """The build of a workspace that has none itself: of the members that are started, after those that they depend on."""
    known = members.folders(facts.tree, pack) if rule.members else []
    options = appconfig.read(facts.tree).build_options.get(rule.name, _AS_IT_IS)
    if not known or options.off:
        return None
    ordered = members.with_needs(facts, known, members.started(facts.tree, pack))
    found = [(path, one) for path in ordered if (one := _build(_member(facts, pack, path), pack, rule))]
    if not found:
        return None
    lines = [f"(cd {shlex.quote(path)} && {one.command})" for path, one in found]
    build = replace(_moved(*found[-1]), command=" && ".join(lines), outputs=(), leaves=())
    for path, one in found:
        build = _and(build, _moved(path, one))
    if len(found) == 1:
        build = replace(build, folder=found[0][0], command=found[0][1].command)
    return _with_options(replace(build, command=options.run or build.command), options)


def _for_member(facts: AppFacts, pack: Buildpack, command: str) -> str:
    """A command whose script is a workspace's runner and nothing else, for the one member that is started."""
    last = next(reversed(steps(facts, command)), None)
    names = [members.name_of(facts, path) for path in members.started(facts.tree, pack)] if last else []
    if last is None or len(names) != 1 or facts.member(MANIFEST, f"scripts.{last.script}") != last.text:
        return command
    found = ((tool, re.fullmatch(rf"{_BEFORE}(?:{tool.command})", last.text)) for tool in pack.tools)
    more = next((tool.only for tool, match in found if match and not match.groupdict().get("member")), "")
    return command + (fill(more, {"member": shlex.quote(names[0])}) or "")


def _with_members(
    facts: AppFacts, build: Foreseen, pack: Buildpack, tool: BuildTool, named: Mapping[str, str]
) -> Foreseen:
    """The build with what a runner has the members of a workspace build."""
    known, script = members.folders(facts.tree, pack), fill(tool.members, named)
    started = members.started(facts.tree, pack) if tool.only else []
    chosen = members.meant(facts, known, [named["member"]]) if "member" in named else started
    found = [
        _moved(path, written(_member(facts, pack, path), pack, f"npm run {script}"))
        for path in members.with_needs(facts, known, chosen if len(chosen) == 1 else known)
    ]
    served = [one for one in found if one.pages or one.start]
    for one in found:
        build = _and(build, one if len(served) == 1 else replace(one, pages="", routes=False, start=""))
    return build


def _member(facts: AppFacts, pack: Buildpack, path: str) -> AppFacts:
    """A member as an app of its own, whose lock is the workspace's."""
    locks = {name: b"" for name in dict(pack.managers) if name in facts.tree}
    return AppFacts(facts.tree.below(path).with_files(locks), facts.names)


def _moved(path: str, one: Foreseen) -> Foreseen:
    """A build of a member as one of the app."""
    return replace(
        one,
        reason=replace(one.reason, file=f"{path}/{one.reason.file}" if one.reason.file else ""),
        outputs=tuple(f"{path}/{output}" for output in one.outputs),
        leaves=tuple(f"{path}/{leaf}" for leaf in one.leaves),
        inputs=tuple(f"!{path}/{text[1:]}" if text.startswith("!") else f"{path}/{text}" for text in one.inputs),
        pages=f"{path}/{one.pages}" if one.pages else "",
        start=f"cd {shlex.quote(path)} && {one.start}" if one.start else "",
    )


def _and(build: Foreseen, more: Foreseen) -> Foreseen:
    """The build with what another one leaves as well."""
    return replace(
        build,
        outputs=_outermost((*build.outputs, *more.outputs)),
        leaves=tuple(dict.fromkeys((*build.leaves, *more.leaves))),
        recipes=tuple(dict.fromkeys((*build.recipes, *more.recipes))),
        env=_merged(build.env, more.env),
        pages=more.pages or build.pages,
        routes=more.routes if more.pages else build.routes,
        start=more.start or build.start,
    )


# --- tools -----------------------------------------------------------------------------------------------------


def _with_tool(facts: AppFacts, build: Foreseen, pack: Buildpack, line: str) -> Foreseen:
    """The build with what the first tool that fits this simple command adds to it."""
    for tool in pack.tools:
        match = re.search(rf"{_BEFORE}(?:{tool.command})(?=\s|\Z)", line)
        values = _values(facts, tool, line, match) if match else None
        if match and values is not None:
            named = {name: value for name, value in match.groupdict().items() if value is not None}
            left = Foreseen(
                pack.name,
                "",
                "",
                Reason(""),
                outputs=_paths(tool.outputs, values),
                leaves=_paths(tool.leaves, values),
                recipes=tool.recipes,
                env=tool.env,
                pages=next(iter(_paths((tool.pages,), values)), "") if tool.pages else "",
                routes=tool.routes,
                start=(fill(tool.start, values) or "") if tool.start else "",
            )
            return _and(_with_members(facts, build, pack, tool, named) if tool.members else build, left)
    return build


def _values(facts: AppFacts, tool: BuildTool, line: str, match: re.Match[str]) -> dict[str, str] | None:
    """The values of a tool that fits a command line; None when its conditions do not hold."""
    named = {name: value for name, value in match.groupdict().items() if value is not None}
    given = {"out": path} if (path := output_path(facts)) else {}
    hit = search(facts, tool.when, {**given, **named})
    if hit is None:
        return None
    told = _told(line, tool.options)
    here = {"out": told, "folder": "."} if told and _inside(posixpath.normpath(told)) else {}
    values = {**hit.values, **named, **here}
    return {**values, "folder": values.get("folder") or "."}


def _told(line: str, options: Sequence[str]) -> str:
    """The value of one of these options, or of such a variable before the command; a program's folder for a program."""
    try:
        words = shlex.split(line)
    except ValueError:
        return ""
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in options:
            named = value if equals else (words[index + 1] if index + 1 < len(words) else "")
            ended = posixpath.splitext(named)[1] in (".js", ".cjs", ".mjs")
            return posixpath.dirname(named) if ended else named
    return ""
