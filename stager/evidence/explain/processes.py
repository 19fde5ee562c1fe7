"""Why this start command: who says it, and which of stager's own rules were tried before the one that fits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...model import Plan, Process
from ...planning.buildpacks import load_pinned
from ...planning.detection import matching, procfile, s2i, versions
from ...planning.detection.appconfig import NAME as CONFIG
from ...planning.detection.foreseen import due, foreseen, presumed
from .answers import Answer, Question, listed

ORDER = "the order: stager.yml, Procfile, .s2i/environment, then the rules of the buildpacks, the first that fits"


def answer(question: Question) -> tuple[Answer, ...]:
    """One answer for each process of the plan. Raises what planning raises."""
    plan = question.plan()
    return tuple(_process(one, plan, question) for one in plan.processes)


def _process(one: Process, plan: Plan, question: Question) -> Answer:
    because = []
    by_rule = one.reason.file not in (CONFIG, procfile.NAME, s2i.NAME)
    if by_rule and one.type == "web":
        absent = [name for name in (CONFIG, procfile.NAME) if name not in question.tree]
        because += [f"{' and '.join(absent)} would come first, but there is none"] if absent else []
        because += _rules(one, plan, question)
    because.append(ORDER)
    data = {
        "process": one.type,
        "command": one.command,
        "file": one.reason.file,
        "line": one.reason.line,
        "by_rule": by_rule,
    }
    return Answer(one.type, f"{one.type} runs `{one.command}`: {one.reason}.", tuple(because), data)


def _rules(one: Process, plan: Plan, question: Question) -> Iterator[str]:
    """Which rules of the buildpacks were passed over, up to the one that gave the command."""
    names = _installed(plan)
    locks = {found.buildpack: found.lock for found in question.detections(question.tree).matched}
    packs = [load_pinned(pin, question.folder.root) for pin in plan.buildpacks]
    tree = presumed(question.tree, due(question.tree, foreseen(question.tree, packs, names)))
    for pack in packs:
        manager = versions.manager(tree, pack, locks.get(pack.name, ""))
        facts = matching.AppFacts(tree, names, {r.name: r.version for r in plan.runtimes}, pack.roots)
        passed: list[str] = []
        for rule in pack.start:
            if _says(rule.why, one) and matching.search(facts, rule.when, {"manager": manager}) is not None:
                if passed := [name for name in passed if name != rule.name]:
                    yield f"rules of {pack.name} that do not fit: {listed(dict.fromkeys(passed), 12)}"
                yield f"the rule of {pack.name} that fits: {rule.name}"
                return
            passed.append(rule.name)


def _says(why: str, one: Process) -> bool:
    """Whether a rule's reason, its placeholders filled in, is the one that the process has."""
    pattern = "".join(".*" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", why))
    return re.fullmatch(pattern, one.reason.text, re.DOTALL) is not None


def _installed(plan: Plan) -> frozenset[str]:
    """The names of all packages, as start rules know them."""
    from ...droplet.contents import Package
    from ...ecosystems import by_layout

    packages = by_layout()
    return frozenset(Package.of(artifact).name for artifact in plan.artifacts if artifact.layout in packages)
