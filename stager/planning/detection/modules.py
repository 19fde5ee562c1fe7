"""Which file of an app Node.js runs for a path, and which packages a program without a package.json asks for.

Source of the first: Node.js's documentation of modules, "All together" (LOAD_AS_FILE, LOAD_AS_DIRECTORY). Files that only
newer versions or other runtimes take without being told their ending count as well.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...errors import BadManifest
from ...text.source_lines import text_line

if TYPE_CHECKING:
    from .matching import AppFacts

MANIFEST = "package.json"
_ENDINGS = ("", ".js", ".json", ".node", ".cjs", ".mjs", ".ts")
_INDEX = ("index.js", "index.json", "index.node", "index.ts", "index.mjs", "index.cjs")


def program(facts: AppFacts, path: str) -> str:
    """The file of the app that Node.js runs when it is given `path`, which may be a folder or lack its ending; else empty.

    A folder's package.json names its file by `main`, which may itself be a folder, `./` or nothing.
    """
    path = posixpath.normpath(path)
    if path.startswith(("/", "../")) or path == "..":
        return ""
    manifest = posixpath.normpath(f"{path}/{MANIFEST}")
    main = facts.member(manifest, "main") if manifest in facts.tree else None
    named = posixpath.normpath(f"{path}/{main}") if isinstance(main, str) and main else path
    return _file(facts, path) or _file(facts, named) or _index(facts, named) or _index(facts, path)


def _file(facts: AppFacts, path: str) -> str:
    return next((path + ending for ending in _ENDINGS if path + ending in facts.tree.files), "")


def _index(facts: AppFacts, folder: str) -> str:
    candidates = (posixpath.normpath(f"{folder}/{name}") for name in _INDEX)
    return next((path for path in candidates if path in facts.tree.files), "")


# --- a program alone -------------------------------------------------------------------------------------------

_BUILTIN = re.compile(
    r"(?:assert|async_hooks|buffer|child_process|cluster|console|constants|crypto|dgram|diagnostics_channel|dns|domain|"
    r"events|fs|https?|http2|inspector|module|net|os|path|perf_hooks|process|punycode|querystring|readline|repl|stream|"
    r"string_decoder|sys|timers|tls|trace_events|tty|url|util|v8|vm|wasi|worker_threads|zlib)(?:/|\Z)"
)
"""Modules of Node.js itself that need no `node:` before their name."""
_LOADED = re.compile(
    r"""(?:\brequire\(\s*|^import\s+|^[ \t]*(?:(?:import|export)\b[^\n"']{0,500}?|\}\s*)\bfrom\s+)(["'])([^"'\s]+)\1""",
    re.MULTILINE,
)
_COMMENT = re.compile(r"[ \t]*(?://|/?\*)")
_TRIED = re.compile(r"\btry\s*\{[^}]*\Z")
_MOST = 100
"""Files of a program that are looked at."""


def check_alone(facts: AppFacts, file: str) -> None:
    """Raise BadManifest when a program, or a file of the app that it loads, loads a package and no package.json names any."""
    queue = [file]
    for path in queue:
        for name, line in _modules(facts, path):
            if name.startswith("."):
                found = program(facts, posixpath.join(posixpath.dirname(path), name))
                queue += [found] if found and found not in queue and len(queue) < _MOST else []
            else:
                package = "/".join(name.split("/")[: 2 if name.startswith("@") else 1])
                hint = f"Run 'npm init -y' and 'npm install {package}', and commit package.json and package-lock.json."
                raise BadManifest(
                    path, f"it loads {package}, and there is no package.json that asks for it", hint, line
                )


def _modules(facts: AppFacts, path: str) -> Iterator[tuple[str, int]]:
    """(module, line) of what a file loads, Node.js's own modules and what it does without (`try`) left out."""
    text = facts.text(path)
    for found in _LOADED.finditer(text):
        name = found[2]
        if _COMMENT.match(text, text.rfind("\n", 0, found.start() + 1) + 1):
            continue
        own = name.startswith(("/", "#", "node:", "bun:", "file:", "data:")) or _BUILTIN.match(name)
        if not own and "$" not in name and not _TRIED.search(text, max(0, found.start() - 200), found.start(1)):
            yield name, text_line(text, found.start(2))
