"""The simple commands that a command line comes to, through scripts of package.json: npm's rules for running them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...model import Process, Reason
from .matching import LONGEST, AppFacts
from .modules import MANIFEST

_RUNNER = re.compile(
    r"(?:exec\s+)?(?:npm|yarn|pnpm|bun)\s+(?:(?:-s|--silent)\s+)?(?:run(?:-script)?\s+)?(?:(?:-s|--silent|--if-present)\s+)?"
    r"(?P<script>[A-Za-z0-9_][\w:.-]*)(?:\s+(?:-s|--silent|--(?:\s.*)?))?\Z"
)
_SPLIT = re.compile(r"\s*(?:&&|\|\||[;|&\n])\s*")
_CLEVER = re.compile(r"(?:^|[;&|]\s*)cd\s|`|\$\(|\|\|")
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class CommandStep:
    """One simple command of a start command, with the script it stands in (empty: the command itself)."""

    text: str
    script: str = ""


def steps(
    facts: AppFacts, command: str, ours: bool = False, script: str = "", seen: tuple[str, ...] = ()
) -> list[CommandStep]:
    """The simple commands a command line comes to, scripts followed; none when it changes folder or is too clever."""
    if len(command) > LONGEST or len(seen) > _DEPTH or _CLEVER.search(command):
        return []
    found = []
    for text in _SPLIT.split(command.strip()):
        runner = _RUNNER.match(text)
        name = runner["script"] if runner else ""
        bodies = _bodies(facts, name) if name not in seen else []
        for part, body in bodies:
            found += steps(facts, body, ours, part, (*seen, name))
        if text and not any(part == name for part, _ in bodies):
            found.append(CommandStep(text, script))
    return found


def texts(facts: AppFacts, command: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """A command line, and those of all scripts it comes to, whatever else they do."""
    yield command
    for part in _SPLIT.split(command.strip()) if len(command) <= LONGEST and len(seen) <= _DEPTH else ():
        runner = _RUNNER.match(part)
        for _, body in _bodies(facts, runner["script"]) if runner and runner["script"] not in seen else ():
            yield from texts(facts, body, (*seen, runner["script"] if runner else ""))


def started(facts: AppFacts, processes: Iterable[Process]) -> Iterator[str]:
    """What the app's own commands, or without these its start script, come to: lines as `texts` gives them."""
    commands = [one.command for one in processes]
    for command in commands or [body for _, body in _bodies(facts, "start")]:
        yield from texts(facts, command)


def _bodies(facts: AppFacts, name: str) -> list[tuple[str, str]]:
    """(script, its line) of what a package manager runs for a script: npm runs `pre` and `post` of each as well."""
    known = name and MANIFEST in facts.tree and facts.member(MANIFEST, f"scripts.{name}")
    parts = [f"pre{name}", name, f"post{name}"] if known else []
    bodies = [(part, facts.member(MANIFEST, f"scripts.{part}")) for part in parts]
    return [(part, body) for part, body in bodies if isinstance(body, str) and body.strip()]


def lines(facts: AppFacts, processes: Iterable[Process]) -> list[Process]:
    """The scripts of package.json that the processes run, each line as a process that is named for its script."""
    if MANIFEST not in facts.tree:
        return []
    found = {step.script: step for process in processes for step in steps(facts, process.command) if step.script}
    texts = ((name, facts.member(MANIFEST, f"scripts.{name}")) for name in found)
    return [
        Process(f"scripts.{name}", text, Reason("", MANIFEST, facts.line(MANIFEST, f"scripts.{name}")))
        for name, text in texts
        if not _RUNNER.match(text.strip())
    ]
