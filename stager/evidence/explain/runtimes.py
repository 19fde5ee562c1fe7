"""Why this version of a runtime: what the app asks for, the candidates in the order they are tried, and the rule."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ... import runtimes
from ...facts import stacks
from ...model import Plan, Reason, Runtime
from ...planning.detection import versions
from ...planning.packages import made_for
from .answers import Answer, Question, where

_NUMBERS = re.compile(r"\d+(?:\.\d+){0,2}")
Request = tuple[str, Reason]


def answer(question: Question) -> tuple[Answer, ...]:
    """One answer for each runtime of the plan. Raises what planning raises."""
    plan = question.plan()
    asked = _asked(question)
    if not plan.runtimes:
        return (Answer("none", "The app has no runtime: it brings its own program.", data={"runtimes": []}),)
    return tuple(_runtime(one, plan, asked.get(one.name, []), question) for one in plan.runtimes)


def _asked(question: Question) -> dict[str, list[Request]]:
    """What the app asks for by runtime, highest precedence first."""
    found: dict[str, list[Request]] = {}
    packs = question.buildpacks()
    for one in question.detections(question.tree).matched:
        for name, text, why in one.versions:
            found.setdefault(name, []).append((text, why))
        for name, text, why in made_for(question.tree, packs[one.buildpack], one.lock):
            found.setdefault(name, []).append((text, why))
    return found


def _runtime(one: Runtime, plan: Plan, asked: Sequence[Request], question: Question) -> Answer:
    because = [f"{place or 'the settings'} asks for '{text}'" for text, place in _requests(asked)]
    because += [] if asked else ["no file of the app asks for a version"]
    because.append(f"the rule: {_rule(one.name)}")
    candidates = [*_candidates(one, plan, asked)]
    because += [f"candidate {text}" for _, _, text in candidates]
    if question.plan_from_lock():
        because.append("stager.lock pins it: it stays while it fits, until 'stager lock --upgrade'")
    data = {
        "runtime": one.name,
        "version": one.version,
        "source": one.source,
        "asked": [{"wanted": text, "where": place} for text, place in _requests(asked)],
        "candidates": [{"version": version, "chosen": chosen, "why": text} for version, chosen, text in candidates],
    }
    return Answer(one.name, f"{one.name} {one.version}: {one.reason}.", tuple(because), data)


def _requests(asked: Iterable[Request]) -> list[tuple[str, str]]:
    return [(text, where(why)) for text, why in asked]


def _rule(name: str) -> str:
    own = runtimes.kind(name)
    return own.rule.format(default=own.releases().default if own.releases else "")


def _candidates(one: Runtime, plan: Plan, asked: Sequence[Request]) -> Iterator[tuple[str, bool, str]]:
    """(version or line, whether it is the chosen one, a sentence) in the order of preference."""
    stack = stacks.load(plan.stack, plan.architecture)
    for version, line, chosen, text in runtimes.kind(one.name).candidates(one, stack):
        yield version, chosen, f"{text}: {_verdict(one.name, line, asked, chosen)}"


def _verdict(runtime: str, line: str, asked: Sequence[Request], chosen: bool) -> str:
    if chosen:
        return "chosen"
    for text, why in asked:
        if not admits(runtime, text, line):
            return f"refused by '{text}'" + (f" ({where(why)})" if where(why) else "")
    return "would do, but comes later"


def admits(runtime: str, wanted: str, line: str) -> bool:
    """Whether a request allows any version of a release line.

    A range's bounds are among the versions it names, so a range that allows anything of a line allows one of these: the
    line's first and last, and those at and beside what the range names.
    """
    return any(versions.satisfies(runtime, wanted, version) for version in _samples(wanted, line))


def _samples(wanted: str, line: str) -> list[str]:
    named = [[*(int(part) for part in text.split(".")), 0, 0][:3] for text in _NUMBERS.findall(wanted)]
    found = [[*(int(part) for part in line.split(".")), last, last][:3] for last in (0, 99)]
    for major, minor, patch in named:
        found += [[major, minor, patch], [major, minor, patch + 1], [major, minor + 1, 0], [major, minor, 99]]
        found += [[major, minor, max(patch - 1, 0)], [major, max(minor - 1, 0), 99]]
    dotted = [".".join(str(min(part, 10**6)) for part in numbers) for numbers in found]
    return [version for version in dotted if version.startswith(f"{line}.")]
