"""What an app is when nothing of it serves: an extension, an app of desktops or phones, another cloud's function, a library.

Such an app is refused with its kind, since "add a start command" would send its author looking for what cannot be.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .matching import AppFacts
from .modules import MANIFEST, program


class Kind(NamedTuple):
    """What an app is, and where it says so."""

    what: str
    file: str
    line: int | None = None


_SERVER = "If it has a server as well, name that in a file Procfile, such as 'web: node server.js'."
_DESKTOP = ("opens a window on a desktop", _SERVER)
_PHONE = ("is for developing an app of phones", _SERVER)
_EXPO = (_PHONE[0], f"Run 'npx expo export -p web' and keep dist/ in the app, to serve it to browsers. {_SERVER}")
_WORKER = ("imitates another cloud's functions, for development", _SERVER)
_STORIES = (
    "is for developing components",
    "Run 'npm run build-storybook' and keep storybook-static/ in the app, with 'root: storybook-static' in a file Staticfile.",
)
TOOLS = {
    **dict.fromkeys(("electron", "electron-forge", "electron-vite", "electronmon", "nw", "neu", "tauri"), _DESKTOP),
    **dict.fromkeys(("react-native", "ionic", "cap", "cordova"), _PHONE),
    "expo": _EXPO,
    **dict.fromkeys(("wrangler", "sls", "serverless", "vercel", "netlify"), _WORKER),
    **dict.fromkeys(("storybook", "start-storybook"), _STORIES),
    **dict.fromkeys(("web-ext", "plasmo", "wxt"), ("loads an extension into a browser", _SERVER)),
}
"""Program of a start script → what it does instead of serving the app, and what to do."""

_PACKAGES = {
    "electron": "a desktop's app (electron)",
    "expo": "an app of phones (expo)",
    "react-native": "an app of phones (react-native)",
    "@tauri-apps/cli": "a desktop's app (@tauri-apps/cli)",
    "obsidian": "an extension of Obsidian",
    "@actions/core": "a GitHub action",
}
_FILES = {
    "wrangler.toml": "a Cloudflare Worker's",
    "wrangler.json": "a Cloudflare Worker's",
    "wrangler.jsonc": "a Cloudflare Worker's",
    "serverless.yml": "a set of functions'",
    "action.yml": "a GitHub action's",
}
_EXTENSION = re.compile(r'"manifest_version"\s*:\s*[123]\b')
_HANDLER = re.compile(
    r"^(?:module\.)?exports\.handler\s*=|^export\s+(?:const|async function|function)\s+handler\b", re.MULTILINE
)
_EXPORTS = re.compile(r"\bmodule\.exports\b|^exports\.|^export\b", re.MULTILINE)
_PAGE = re.compile(
    r"(?:^|[^.\w\"'])(?:document|window|navigator|localStorage|customElements|chrome|jQuery)\s*[.)\[]|"
    r"\.\$?mount\s*\(|\b(?:create|hydrate)Root\s*\(|\bReactDOM\.\w|\bbootstrapApplication\s*\(",
    re.MULTILINE,
)
_PROGRAMS = ("index", "main", "app", "server", "src/index", "src/main", "src/app")


def kind(facts: AppFacts) -> Kind | None:
    """What a Node.js app without a start command is, as far as its files tell."""
    if MANIFEST in facts.tree:
        if facts.member(MANIFEST, "engines.vscode"):
            return Kind(
                "package.json is an extension's of Visual Studio Code", MANIFEST, facts.line(MANIFEST, "engines.vscode")
            )
        for table in ("dependencies", "devDependencies"):
            named = facts.member(MANIFEST, table)
            found = next((name for name in _PACKAGES if isinstance(named, dict) and name in named), "")
            if found:
                return Kind(f"it is {_PACKAGES[found]}", MANIFEST, facts.line(MANIFEST, f"{table}.{found}"))
    for file in ("manifest.json", "src/manifest.json", "public/manifest.json"):
        if file in facts.tree and _EXTENSION.search(facts.text(file)):
            return Kind(f"{file} is a browser extension's", file)
    found = next((file for file in _FILES if file in facts.tree), "")
    return Kind(f"{found} is {_FILES[found]}", found) if found else _code(facts)


def _code(facts: AppFacts) -> Kind | None:
    main = facts.member(MANIFEST, "main") if MANIFEST in facts.tree else None
    named = main if isinstance(main, str) and main else ""
    if named and not any(program(facts, one) for one in (named, *_PROGRAMS)):
        return Kind(f"package.json names {named[:80]}, which is not in the app", MANIFEST, facts.line(MANIFEST, "main"))
    for file in (found for one in (named, *_PROGRAMS) if one and (found := program(facts, one))):
        text = facts.text(file)
        if _HANDLER.search(text):
            return Kind(f"{file} is a function's, which another cloud calls", file)
        if _EXPORTS.search(text):
            return Kind(f"{file} only exports, as a library does", file)
        if _PAGE.search(text):
            return Kind(f"{file} is the code of a page, which browsers run", file)
    return None
