"""The text of commands in `.stager/pypi/bin`: they find their interpreter from where they lie.

A command must work in any home folder, through a symlink, with spaces in its path and from PATH, and a `#!` line can
hold neither a relative path nor a space. So `/bin/sh` starts it and replaces itself with Python at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PYTHON = "../../python/bin/python3"
"""The interpreter, relative to the folder of the command."""

_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@=,:%~-]*")
_REFERENCE = re.compile(r"([\w.]+)\s*:\s*([\w.]+)\s*(?:\[[^\]]*\])?")

# To sh, '''exec' is the word exec, and what follows it the command line; to Python, both lines are one string.
_ENTRY_POINT = """\
#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/{python}" "$0" "$@"
' '''
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({attribute}())
"""

_SCRIPT = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/{python}" "$here/../libexec/{name}" "$@"
"""


def is_command(name: str) -> bool:
    """Whether `name` can be a command's file name and stand in a shell script as it is."""
    return _COMMAND.fullmatch(name) is not None


def entry_point(reference: str) -> str | None:
    """The command that calls `module:attribute` (entry points specification); None when the reference is malformed."""
    found = _REFERENCE.fullmatch(reference.strip())
    if found is None:
        return None
    module, attribute = found[1], found[2]
    if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return None
    first = attribute.partition(".")[0]
    return _ENTRY_POINT.format(python=PYTHON, module=module, first=first, attribute=attribute)


def script(name: str) -> str:
    """The command that runs the Python script `libexec/<name>`.

    The script itself stays as it is: put into the launcher, it would lose its docstring, its encoding line and its
    right to `from __future__`.
    """
    return _SCRIPT.format(python=PYTHON, name=name)


def parse_entry_points(text: str) -> Iterator[tuple[str, str]]:
    """(name, reference) of the console and GUI scripts in the text of an `entry_points.txt`."""
    section = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif line and line[0] not in "#;" and section in ("console_scripts", "gui_scripts"):
            name, _, reference = line.partition("=")
            yield name.strip(), re.split(r"\s[#;]", reference)[0].strip()
