"""What no process of a droplet may do, in the words of its commands, and how to mend each.

A process stays in the foreground: every platform takes it for ended otherwise. It finds its packages installed, as the lock
says, and no file that never comes into a droplet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...tree import SourceTree

Fault = tuple[str, str]
"""(what a process does, how to mend it)."""

_BEFORE = r"(?:\w+=\S*\s+|exec\s+|npx\s+)*"
_BACKGROUND = (
    (
        r"pm2\s+(?:start|restart|reload)\b(?!.*\s--(?:no-daemon|attach)\b)",
        "Start the program itself, such as 'node app.js', or write 'pm2-runtime' in place of 'pm2'.",
    ),
    (r"forever\s+(?:start|restart)\b", "Write 'node' in place of 'forever start': the platform starts it again."),
    (r"gunicorn\b.*\s(?:--daemon\b|-D\b)", "Take --daemon out of the command."),
    (r"uwsgi\b.*\s--?d(?:aemonize)?\b", "Take --daemonize out of the command."),
    (r"celery\b.*\smulti\s+(?:start|restart)\b", "Write 'celery worker' in place of 'celery multi start'."),
)
_INSTALLS = re.compile(
    r"(?:sudo\s+)?(?:(?:npm|pnpm|yarn|bun|bundle|poetry|pipenv|pdm)\s+(?:install|i|ci|add)\b|yarn\s*\Z|uv\s+(?:sync|pip\s+install)\b|"
    r"(?:python[\d.]*\s+-m\s+)?pip[\d.]*\s+install\b)"
)
_LOADER = re.compile(r"(?:^|[\s/='\"])(\.pnp\.(?:c?js|loader\.mjs))(?=[\s'\"]|$)")
_ENVIRONMENT = re.compile(rf"{_BEFORE}(?:node|tsx|bun)\s(?:.*\s)?--env-file[= ]([\w./-]+)")
"""Node.js ends at once when such a file is missing."""


def fault(text: str, tree: SourceTree) -> Fault | None:
    """What is wrong with a simple command wherever it stands in a line."""
    if _INSTALLS.match(text):
        hint = f"Take '{text[:80]}' out of it: the droplet has the packages that the lock names."
        return f"installs packages each time it starts: {text[:80]}", hint
    if found := _LOADER.search(text):
        hint = (
            f"Take {found[1]} out of the command: Node.js finds the packages in node_modules, laid out from yarn.lock."
        )
        return f"loads {found[1]}, whose packages are in Yarn's cache, which is not in the droplet", hint
    if (found := _ENVIRONMENT.match(text)) and found[1].removeprefix("./") not in tree:
        hint = f"Write '--env-file-if-exists={found[1]}', or take it out: a platform sets the environment itself."
        return f"reads {found[1]}, which is not in the droplet", hint
    return None


def last_fault(text: str) -> Fault | None:
    """What is wrong with a simple command as the last of its line."""
    hint = next((hint for pattern, hint in _BACKGROUND if re.match(_BEFORE + pattern, text)), "")
    return (f"puts its program into the background and ends: {text[:80]}", hint) if hint else None
