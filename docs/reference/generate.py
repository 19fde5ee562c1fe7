"""Makes the pages of this folder that code decides: `cli.md` from the argument parsers, `errors.md` from the errors.

    PYTHONPATH=. python docs/reference/generate.py

What people wrote in `errors.md`, its column "what to do", stays; a new code gets an empty cell, which a test refuses.
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import stager.errors
from stager.cli.commands import GROUPS, MODULES
from stager.cli.commands.arguments import parser_of

HERE = Path(__file__).parent
MADE = "<!-- Made by the code; change that, then run: PYTHONPATH=. python docs/reference/generate.py -->"
ACTS = {
    2: "the command line itself",
    20: "the app's author acts",
    30: "the author of a buildpack or stack acts",
    40: "the operator of the network or index acts",
    50: "security acts",
    60: "the app's author acts: something does not fit together or must be built",
    70: "the operator of this machine or of the target acts",
    80: "not reproducible",
    100: "stager's authors act",
    130: "stopped",
}
"""Exit status → its heading."""


def pages() -> dict[str, str]:
    """File name → its text as it has to be now."""
    errors = HERE / "errors.md"
    return {"cli.md": cli(), "errors.md": error_codes(errors.read_text("utf-8") if errors.exists() else "")}


# --- the command line ------------------------------------------------------------------------------------------


def cli() -> str:
    """The page of all commands."""
    parsers = {name: parser(name) for name in MODULES}
    shared = common(list(parsers.values()))
    parts = [
        "# The command line",
        MADE,
        "`stager COMMAND --help` prints the same. Options may come before or after the other arguments. "
        "[errors.md](errors.md) explains the exit statuses, [json.md](json.md) what `--json` prints.",
        "`source <(stager completion bash)` lets bash complete commands, options and paths; `stager completion zsh` and "
        "`fish` are for those. `stager help --man` prints the manual page. Both need the extra `stager[completion]`.",
        " · ".join(f"[{name}](#stager-{name.replace(' ', '-')})" for name in parsers),
        "| every command takes | |\n|---|---|\n" + "".join(_row(action) for action in shared),
    ]
    for name, made in parsers.items():
        own = [action for action in made._actions if _key(action) not in {_key(one) for one in shared}]
        rows = "".join(_row(action) for action in own if action.dest != "help")
        about = made.description or ""
        parts += [f"## stager {name}", f"{about}\n\n    {_usage(name, own)}"]
        parts += ["| argument | |\n|---|---|\n" + rows] if rows else []
    groups = "\n".join(f"| `{name}` | {help_} |" for name, help_ in GROUPS.items())
    parts += ["## Groups", f"| first word | of commands that |\n|---|---|\n{groups}"]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


parser = cache(parser_of)
"""The parser of one command, as `cli` makes it."""


def common(parsers: list[argparse.ArgumentParser]) -> list[argparse.Action]:
    """The options that every command has, meaning the same."""
    seen = Counter(key for made in parsers for key in {_key(action) for action in made._actions})
    return [action for action in parsers[0]._actions if action.dest != "help" and seen[_key(action)] == len(parsers)]


def _key(action: argparse.Action) -> tuple[object, ...]:
    return (*action.option_strings, action.dest, action.metavar, action.help)


def _usage(name: str, actions: list[argparse.Action]) -> str:
    words = [_value(action) for action in actions if not action.option_strings]
    needed = [
        f"{action.option_strings[-1]} {_value(action)}"
        for action in actions
        if action.required and action.option_strings
    ]
    return " ".join(["stager", name, *needed, "[options]", *words])


def _row(action: argparse.Action) -> str:
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    value = f"`{_value(action)}`" if action.nargs != 0 else ""
    help_ = (action.help or "").replace("|", "\\|")
    rest = "; required" if action.required and action.option_strings else ""
    return f"| {' '.join(filter(None, [names, value]))} | {help_}{rest} |\n".replace("`FILE|DIR`", "`FILE\\|DIR`")


def _value(action: argparse.Action) -> str:
    """What an argument is called where it is used: `FILE`, `{a,b}`, `[DIR]`."""
    choices = [str(choice) for choice in action.choices or () if choice != ""]
    name = str(action.metavar or (f"{{{','.join(choices)}}}" if choices else action.dest.upper()))
    if action.option_strings:
        return name
    return {"?": f"[{name}]", "*": f"[{name} …]", "+": f"{name} …", "...": f"[{name} …]"}.get(str(action.nargs), name)


# --- the errors ------------------------------------------------------------------------------------------------


def error_codes(before: str) -> str:
    """The page of all error codes; `before` is the page as it was, whose last column stays."""
    remedies = dict(re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| ?(.*?) ?\|$", before, re.MULTILINE))
    parts = [
        "# Error codes",
        MADE,
        "An error prints `stager: WHERE: WHAT [CODE]` on standard error, and below it how to mend it. With `--json`, "
        "standard output has [a document](json.md#errors) of the same. Codes and exit statuses are stable. "
        "After an error that is marked *again*, the same command may succeed later.",
        "Two statuses have no code: `stager diff` exits with 1 when the two differ, and a command whose output nobody reads "
        "any more exits with 141.",
    ]
    every = sorted(set(leaves(stager.errors.StagerError)), key=lambda kind: (kind.exit_code, kind.code))
    for status in sorted({kind.exit_code for kind in every}):
        rows = [
            f"| {_cell(kind)} | {meaning(kind)} | {remedies.get(kind.code, '')} |"
            for kind in every
            if kind.exit_code == status
        ]
        parts += [
            f"## {status}: {ACTS[status]}",
            "| code | what happened | what to do |\n|---|---|---|\n" + "\n".join(rows),
        ]
    return "\n\n".join(parts) + "\n"


def leaves(kind: type[stager.errors.StagerError]) -> Iterator[type[stager.errors.StagerError]]:
    """The classes that are raised as they are: `kind` and those below it, without families, which only gather others."""
    for path in sorted(Path(stager.errors.__file__).parent.rglob("errors.py")):
        import_module(
            ".".join(["stager", *path.relative_to(Path(stager.errors.__file__).parent).with_suffix("").parts])
        )
    below = [one for one in kind.__subclasses__() if one.__module__.endswith("errors")]
    if kind.__name__ != "StagerError" and not (
        below and kind.__name__.endswith("Error") and kind.__name__ != "UsageError"
    ):
        yield kind
    for one in below:
        yield from leaves(one)


def _cell(kind: type[stager.errors.StagerError]) -> str:
    return f"`{kind.code}`{' *again*' if kind.retryable else ''}"


def meaning(kind: type[stager.errors.StagerError]) -> str:
    """The first paragraph of a class's description; the others are about its values."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    for _name, _text in pages().items():
        (HERE / _name).write_text(_text, "utf-8")
