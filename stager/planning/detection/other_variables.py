"""Names the variables that other platforms' files set, where the app does not set them for stager.

Values are not taken over: they may be that platform's, or a secret that was written there by mistake. Their author can
tell, in `stager.yml`, and the remark has the line. `app.json` is Heroku's; what it asks for without a value (`required`,
`generator`) is the platform's to give here as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import BadManifest, StagerError
from ...text import yamltext
from . import appconfig
from .matching import AppFacts

if TYPE_CHECKING:
    from ...tree import SourceTree

_PLACES = {
    "app.json": (("env",),),
    "fly.toml": (("env",),),
    "netlify.toml": (("build", "environment"),),
    "vercel.json": (("env",), ("build", "env")),
    "app.yaml": (("env_variables",),),
    "manifest.yml": (("applications", "env"), ("env",)),
    "render.yaml": (("services", "envVars"), ("envVarGroups", "envVars")),
}
"""File → the tables of variables in it, by their keys; a list on the way stands for each of its items."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OWN = ("PORT", "HOME", "NODE_ENV")


def remarks(tree: SourceTree) -> list[str]:
    """What to tell of the variables in each file."""
    facts, own = AppFacts(tree), {one.name for one in appconfig.read(tree).env}
    notes = []
    for file, places in _PLACES.items():
        found = (
            {name for keys in places for name in _names(_document(facts, file), keys)} if file in tree.files else set()
        )
        if names := sorted(found - own - {*_OWN}):
            line = f"env: {{{names[0]}: value}}"
            notes.append(
                f"not taken over from {file}: {', '.join(names)}; what the app needs of it, set on the platform, or write in "
                f"{appconfig.NAME}: {line}, for a build alone under builds: {{NAME: {{{line}}}}}"
            )
    return notes


def _document(facts: AppFacts, file: str) -> Any:
    """What the file holds; nothing where it is malformed, as another platform's file is not ours to correct."""
    try:
        if file.endswith((".yml", ".yaml")):
            return yamltext.parse(
                facts.text(file), file, lambda name, why, line: BadManifest(name, why, line=line)
            ).value
        return facts.document(file)
    except StagerError:
        return None


def _names(value: Any, keys: tuple[str, ...]) -> Iterator[str]:
    """The names that have a plain value in a table, or in a list of rows with `key` and `value`, as Render has."""
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, Mapping):
            continue
        if keys:
            yield from _names(item.get(keys[0]), keys[1:])
        elif "key" in item and isinstance(value, list):
            yield from _named(item["key"], item.get("value"))
        else:
            for name, given in item.items():
                yield from _named(name, given.get("value") if isinstance(given, Mapping) else given)


def _named(name: object, value: object) -> Iterator[str]:
    if isinstance(name, str) and _NAME.match(name) and isinstance(value, (str, int, float)) and value != "":
        yield name
