"""Finds the start command that an app has in a file of another platform, to name it where stager has none.

Such a command is not taken over: it may hold that platform's variables, paths and assumptions. Its author can tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ...errors import BadManifest
from ...text.source_lines import text_line
from .matching import LONGEST, AppFacts

Found = tuple[str, int | None]


def _line(pattern: str) -> Callable[[AppFacts, str], Found]:
    """The last place of a pattern in the file: its group `command`, without quotes around it."""

    def read(facts: AppFacts, file: str) -> Found:
        text = facts.text(file)
        found = list(re.finditer(pattern, text, re.MULTILINE))
        return (_plain(found[-1]["command"]), text_line(text, found[-1].start("command"))) if found else ("", None)

    return read


def _plain(text: str) -> str:
    """Without quotes, and a Dockerfile's list of words as one line."""
    text = text.strip()[:LONGEST]
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            return ""
        return " ".join(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else ""
    return text[1:-1] if text[:1] == text[-1:] and text[:1] in ("'", '"') else text


def _member(*dotted: str) -> Callable[[AppFacts, str], Found]:
    """The first of these members of a JSON or TOML file that is a text."""

    def read(facts: AppFacts, file: str) -> Found:
        try:
            values = [(path, facts.member(file, path)) for path in dotted]
        except BadManifest:  # another platform's file is not ours to correct
            return "", None
        return next(((value, facts.line(file, path)) for path, value in values if isinstance(value, str)), ("", None))

    return read


_YAML = r"[ \t]*:[ \t]*(?P<command>[^\s|>#].*?)[ \t]*$"
_SOURCES: dict[str, Callable[[AppFacts, str], Found]] = {
    "manifest.yml": _line(rf"^[ \t]*(?:-[ \t]+)?command{_YAML}"),
    "heroku.yml": _line(rf"^[ \t]+web{_YAML}"),
    "render.yaml": _line(rf"^[ \t]*(?:-[ \t]+)?(?:startCommand|dockerCommand){_YAML}"),
    "railway.json": _member("deploy.startCommand"),
    "railway.toml": _member("deploy.startCommand"),
    "nixpacks.toml": _member("start.cmd"),
    "railpack.json": _member("deploy.startCommand"),
    "fly.toml": _member("processes.app", "processes.web"),
    "app.yaml": _line(rf"^entrypoint{_YAML}"),
    "Procfile.dev": _line(r"^web[ \t]*:[ \t]*(?P<command>\S.*)$"),
    "Dockerfile": _line(r"^CMD[ \t]+(?P<command>\S.*)$"),
}


def command(facts: AppFacts) -> tuple[str, str]:
    """(command, file and line) of the first file that has one; empty when none has."""
    for file, read in _SOURCES.items():
        text, line = read(facts, file) if file in facts.tree else ("", None)
        if text and text.isprintable():
            return text[:200], f"{file}:{line}" if line else file
    return "", ""
