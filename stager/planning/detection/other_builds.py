"""Names what other platforms have an app build, where stager does not do the same by itself.

Such a command is not taken over: nobody says which files it makes. Its author can, in one line of `stager.yml`, and the
remark has that line. Steps that install packages are no build, and steps that change a database belong into a process
`release`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import BadManifest
from ...text.source_lines import text_line
from . import appconfig
from .matching import AppFacts

if TYPE_CHECKING:
    from ...model import Process
    from ...tree import SourceTree
    from .foreseen import Foreseen


@dataclass(frozen=True, slots=True)
class OtherBuild:
    """A build command in another platform's file, and the folder that it says is served then."""

    command: str
    file: str
    line: int | None = None
    outputs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def remarks(tree: SourceTree, foreseen: Iterable[Foreseen], processes: Iterable[Process]) -> list[str]:
    """What to tell of the builds that other platforms would run; `foreseen` are those that stager runs."""
    scripts = {name for one in foreseen for name in re.findall(r"\brun ([\w:.-]+)", one.command)}
    own = bool(appconfig.read(tree).own_builds)
    released = any(process.type == "release" for process in processes)
    notes = []
    for one in _found(AppFacts(tree)):
        steps = list(_steps(tree, one.command))
        left = [
            step
            for step in steps
            if not _INSTALLS.match(step) and not _RELEASE.search(step) and not _same(step, scripts)
        ]
        if left and not own:
            notes.append(_remark(one, left))
        if changing := [step for step in steps if _RELEASE.search(step) and not released]:
            notes.append(f"{one} runs {changing[0]}, which changes a database: give it to a process 'release'")
    return notes


def _remark(one: OtherBuild, left: Sequence[str]) -> str:
    whole = left[0] if len(left) == 1 else one.command
    outputs = ", ".join(one.outputs) or "what it makes"
    line = f"build: [{{run: {_scalar(whole)}, outputs: [{outputs}]}}]"
    what = "is not run" if one.command == one.file else f"has a build that is not run: {', '.join(left[:3])}"
    return f"{one} {what}. If the app needs what it makes, write in {appconfig.NAME}: {line}"


def _scalar(text: str) -> str:
    """A text as a value inside a list of YAML."""
    return text if re.fullmatch(r"[\w./][\w ./@-]*", text) else json.dumps(text)


# --- which steps are builds --------------------------------------------------------------------------------------

_INSTALLS = re.compile(
    r"""(?:set\s[-+]|echo\b|printf\b|true\b|exit\b|date\b|pwd\b|ls\b|corepack\b|source\b|\.\s|export\s"""
    r"""|(?:python[\d.]*\s+-m\s+)?(?:pip[\d.]*|pipenv|poetry|uv|pdm)\s+(?:install|sync|config|self|pip|add|lock|--version)\b"""
    r"""|python[\d.]*\s+-m\s+(?:venv|ensurepip)\b"""
    r"""|(?:npm|pnpm|yarn|bun)\s+(?:ci|i|install|add|prune|--version)\b|yarn\s*\Z|npm\s+install\s*\Z"""
    r"""|(?:python[\d.]*\s+)?(?:\S*/)?manage\.py\s+collectstatic\b)"""
)
"""What brings packages, says something, or is done by stager anyway."""
_RELEASE = re.compile(
    r"""manage\.py\s+(?:migrate|makemigrations|createsuperuser|loaddata|createcachetable)\b|\bflask\s+db\s+upgrade\b"""
    r"""|\balembic\s+upgrade\b|\bprisma\s+(?:migrate|db)\b|\b(?:sequelize|knex|typeorm)\S{0,80}\s{1,8}\S{0,80}migrat"""
)
_SCRIPT = re.compile(r"(?:npm|pnpm|yarn|bun)\s+(?:run(?:-script)?\s+)?(?P<name>[\w:.-]+)\s*\Z")
_RUN = re.compile(r"(?:(?:ba)?sh\s+)?(?:\./)?(?P<file>[\w./-]+)\s*\Z")
_LARGEST = 64 * 1024


def _same(step: str, scripts: set[str]) -> bool:
    """Whether stager runs the same script of the app's."""
    found = _SCRIPT.match(step)
    return found is not None and found["name"] in scripts


def _steps(tree: SourceTree, command: str) -> Iterator[str]:
    """The simple commands of a line; where one is a short script of the app, those of its lines."""
    for step in _split(command):
        file = found["file"] if (found := _RUN.match(step)) else ""
        if file in tree.files and tree.files[file].size <= _LARGEST:
            yield from _split(tree.read_bytes(file).decode("utf-8", "replace"), file)
        else:
            yield step


def _split(text: str, file: str = "") -> list[str]:
    """The simple commands of a text; the script `file` itself where it is more than one command after another."""
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    steps = [step.strip() for line in lines if not line.startswith("#") for step in re.split(r"&&|;|\|\|", line)]
    steps = [step for step in steps if step]
    if file and any(
        re.match(r"(?:if|for|while|case|function|fi|then|else|do|done|cd)\b|\w+\s*\(\)|[{}]", step) for step in steps
    ):
        return [file]
    return steps


# --- the files of other platforms ----------------------------------------------------------------------------------


def _found(facts: AppFacts) -> Iterator[OtherBuild]:
    for file in ("bin/pre_compile", "bin/post_compile"):
        if file in facts.tree:
            yield OtherBuild(file, file)
    for file, read in _SOURCES.items():
        if file in facts.tree:
            yield from (one for one in read(facts, file) if one.command.isprintable())


def _yaml(*names: str) -> Callable[[AppFacts, str], list[OtherBuild]]:
    """The commands of these keys, wherever they are in the file: on one line, or in a block of lines."""
    key = re.compile(
        rf"^(?P<indent>[ \t]*)(?:-[ \t]+)?(?:{'|'.join(names)})[ \t]*:[ \t]*(?P<value>[^\n]*)$", re.MULTILINE
    )

    def read(facts: AppFacts, file: str) -> list[OtherBuild]:
        text = facts.text(file)
        found = []
        for match in key.finditer(text):
            value = match["value"].strip()
            if value[:1] in ("|", ">"):
                block = re.compile(rf"(?:\n{match['indent']}[ \t]+[^\n]*|\n[ \t]*)*").match(text, match.end())
                value = " && ".join(_split(block[0] if block else ""))
            elif value[:1] == value[-1:] and value[:1] in ("'", '"'):
                value = value[1:-1]
            if value:
                found.append(OtherBuild(value, file, text_line(text, match.start("value"))))
        return found

    return read


def _member(dotted: str, folder: str = "") -> Callable[[AppFacts, str], list[OtherBuild]]:
    """The command, or the list of commands, of a member of a JSON or TOML file; and the folder that another one names."""

    def read(facts: AppFacts, file: str) -> list[OtherBuild]:
        try:
            command = " && ".join(_commands(facts.member(file, dotted)))
            served = facts.member(file, folder) if folder else None
        except BadManifest:  # another platform's file is not ours to correct
            return []
        outputs = (served.strip("/"),) if isinstance(served, str) and re.fullmatch(r"[\w-][\w./-]*", served) else ()
        return [OtherBuild(command, file, facts.line(file, dotted), outputs)] if command else []

    return read


def _commands(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = value.get("cmd", value.get("command"))
    if isinstance(value, str):
        return [value.strip()] if value.strip() not in ("", "...") else []
    return [text for item in value for text in _commands(item)] if isinstance(value, list) else []


_SOURCES: dict[str, Callable[[AppFacts, str], list[OtherBuild]]] = {
    "railway.json": _member("build.buildCommand"),
    "railway.toml": _member("build.buildCommand"),
    "nixpacks.toml": _member("phases.build.cmds"),
    "railpack.json": _member("steps.build.commands"),
    "netlify.toml": _member("build.command", "build.publish"),
    "vercel.json": _member("buildCommand", "outputDirectory"),
    "render.yaml": _yaml("buildCommand"),
    ".do/app.yaml": _yaml("build_command"),
}
