"""Looks through a command to what it runs, where that is a script of package.json or a Node.js program in the app.

Scripts often need what a build leaves behind (`dist/server.js`, `.next/`). A droplet is made without running the app's
code, so a start command whose output is not among the files is refused with what to do, instead of failing on the
platform.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ..buildpack.vocabulary import Buildpack
from ..errors import BadManifest, NeedsBuild
from ..model import Process
from .matching import LONGEST, Facts

MANIFEST = "package.json"
_RUNNER = re.compile(r"(?:exec\s+)?(?:npm|yarn|pnpm|bun)\s+(?:run(?:-script)?\s+)?(?P<script>[\w:.-]+)\Z")
_SPLIT = re.compile(r"\s*(?:&&|\|\||[;|&\n])\s*")
_BEFORE = re.compile(r"(?:(?:[A-Za-z_]\w*=\S*|cross-env|cross-env-shell|exec|npx|dotenv|--)\s+)*")
_NODE = ("node", "nodejs", "nodemon", "tsx", "ts-node", "bun", "pm2-runtime")
_TAKES_VALUE = (
    "-r",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "-C",
    "--conditions",
    "--watch-path",
)
_NO_FILE = ("-e", "--eval", "-p", "--print", "-v", "--version", "--test", "-c", "--check")
_ENDINGS = ("", ".js", ".cjs", ".mjs", ".ts", ".json", "/index.js", "/index.ts", "/index.mjs", "/index.cjs")
_CLEVER = re.compile(r"(?:^|[;&|]\s*)cd\s|`|\$\(")
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Step:
    """One simple command of a start command, with the script it stands in (empty: the command itself)."""

    text: str
    script: str = ""


def check(facts: Facts, buildpack: Buildpack, process: Process, manager: str, ours: bool) -> None:
    """Raise NeedsBuild or BadManifest when `process` runs something that is not in the app.

    `ours` says that stager chose the command, so that a development server is refused, too, if the app has a build
    script.
    """
    if MANIFEST not in facts.tree:
        return
    for step in steps(facts, process.command, ours):
        _check_output(facts, buildpack, step, manager)
        if ours:
            _check_development(facts, buildpack, step, manager)
        _check_program(facts, step, process, manager)
        _check_tool(facts, step)


def is_development(facts: Facts, buildpack: Buildpack, process: Process) -> bool:
    """Whether the command is a development server."""
    found = steps(facts, process.command, True) if MANIFEST in facts.tree else []
    return any(re.search(pattern, step.text) for step in found for pattern in buildpack.development)


def steps(facts: Facts, command: str, ours: bool = False, script: str = "", seen: tuple[str, ...] = ()) -> list[Step]:
    """The simple commands a command line comes to, scripts followed; none when it changes folder or is too clever."""
    if len(command) > LONGEST or len(seen) > _DEPTH or _CLEVER.search(command):
        return []
    found = []
    for text in _SPLIT.split(command.strip()):
        runner = _RUNNER.match(text)
        name = runner["script"] if runner else ""
        body = facts.member(MANIFEST, f"scripts.{name}") if name and name not in seen else None
        if isinstance(body, str) and body.strip():
            found += steps(facts, body, ours, name, (*seen, name))
        elif text:
            found.append(Step(text, script))
    return found


def _check_output(facts: Facts, buildpack: Buildpack, step: Step, manager: str) -> None:
    for known in buildpack.scripts:
        if re.search(known.pattern, step.text) and not any(facts.files(path) for path in known.needs):
            _needs_build(facts, step, known.output, manager)


def _check_development(facts: Facts, buildpack: Buildpack, step: Step, manager: str) -> None:
    if not facts.member(MANIFEST, "scripts.build"):
        return
    if any(re.search(pattern, step.text) for pattern in buildpack.development):
        raise NeedsBuild(
            [(_name(facts), f"{_where(step)} is a development server, and scripts.build has not run")], hint(manager)
        )


def _needs_build(facts: Facts, step: Step, output: str, manager: str) -> None:
    if facts.member(MANIFEST, "scripts.build"):
        why = f"scripts.build writes {output}, which {_where(step)} needs"
        raise NeedsBuild([(_name(facts), why)], hint(manager, output))


def hint(manager: str, output: str = "dist/") -> str:
    """How to have a build's output in the app."""
    run = f"{manager or 'npm'} run build"
    return f"Run '{run}' and keep {output} in the app: commit it, or add the line '!{output}' to .stagerignore."


def _where(step: Step) -> str:
    return f"scripts.{step.script}" if step.script else "the start command"


def _name(facts: Facts) -> str:
    name = facts.member(MANIFEST, "name")
    return name if isinstance(name, str) and name else MANIFEST


def _check_program(facts: Facts, step: Step, process: Process, manager: str) -> None:
    file = _program(step.text)
    if not file or _in_app(facts, file):
        return
    _needs_build(facts, step, _output(file), manager)
    if step.script and facts.member(MANIFEST, f"scripts.pre{step.script}"):
        return
    place, line = process.reason.file, process.reason.line
    if step.script:
        place, line = MANIFEST, facts.line(MANIFEST, f"scripts.{step.script}")
    why = f"{_where(step) if step.script else process.type} runs {file}, which is not in the app"
    raise BadManifest(
        place or MANIFEST, why, "Correct the command, or see that .gitignore does not leave the file out.", line
    )


def _output(file: str) -> str:
    first = posixpath.normpath(file).split("/")[0]
    return f"{first}/" if "/" in posixpath.normpath(file) or not posixpath.splitext(first)[1] else first


def _program(text: str) -> str:
    """The file in the app that a simple command has Node.js run; empty when it does not, or it cannot be told."""
    words = list(_words(text))
    if not words or words[0] not in _NODE:
        return ""
    rest = iter(words[2:] if words[:2] == ["bun", "run"] else words[1:])
    for word in rest:
        if word in _NO_FILE:
            return ""
        if word in _TAKES_VALUE:
            next(rest, "")
        elif not word.startswith("-"):
            return "" if word.startswith("/") or "$" in word or "*" in word or "node_modules" in word else word
    return ""


def _words(text: str) -> Iterator[str]:
    try:
        yield from shlex.split(text[len(match[0]) if (match := _BEFORE.match(text)) else 0 :])
    except ValueError:
        return


def _in_app(facts: Facts, file: str) -> bool:
    path = posixpath.normpath(file)
    if path == ".":
        main = facts.member(MANIFEST, "main")
        path = posixpath.normpath(main) if isinstance(main, str) and main else "index.js"
    return path.startswith("../") or any(path + ending in facts.tree for ending in _ENDINGS)


def _check_tool(facts: Facts, step: Step) -> None:
    """Refuse a script whose program is a development dependency, which a droplet does not carry."""
    tool = next(_words(step.text), "")
    if not step.script or not tool or tool in facts.names or not _has(facts, "devDependencies", tool):
        return
    if not _has(facts, "dependencies", tool) and not _has(facts, "optionalDependencies", tool):
        why = f"scripts.{step.script} runs {tool}, which is only among devDependencies"
        line = facts.line(MANIFEST, f"scripts.{step.script}")
        raise BadManifest(MANIFEST, why, f"Move {tool} to dependencies and make the lock file again.", line)


def _has(facts: Facts, table: str, name: str) -> bool:
    found = facts.member(MANIFEST, table)
    return isinstance(found, dict) and name in found
