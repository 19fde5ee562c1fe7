"""`manifest.yml`: what it says of each app, checked as the platform will check it, and rendered for the API.

The API takes no anchors, so what is sent is the meaning of the file, as JSON (which is YAML). Keys are those of the
"App manifest" page of the v3 documentation. What belongs to staging is left out with a remark: a droplet is staged already.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import BadManifest, UsageError
from ...fetching.errors import TooLarge
from ...files import regular
from . import rules, variables
from .yamlvalues import YamlValue, read

NAMES = ("manifest.yml", "manifest.yaml")
_ODD = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")
"""What may stand in JSON as it is, and not in YAML."""
LARGEST = 1 << 20
"""Bytes that the API accepts of a manifest (its own limit is one megabyte)."""


@dataclass(frozen=True, slots=True)
class AppManifest:
    """One app of a manifest: `values` are its keys with their lines; `file` is empty when there was no manifest."""

    name: str
    values: Mapping[str, YamlValue]
    file: str = ""
    notes: tuple[str, ...] = ()

    def text(self, key: str) -> str:
        """A top-level text such as `stack`, empty when it is not given."""
        found = self.values.get(key)
        return str(found.raw) if found is not None and found.raw is not None else ""

    def processes(self) -> dict[str, Mapping[str, YamlValue]]:
        """Process type → what the manifest says of it; the app's own keys are those of `web` unless it is listed."""
        listed = self.values.get("processes")
        rows = listed.raw if listed is not None and isinstance(listed.raw, list) else []
        found = {str(row.raw["type"].raw): row.raw for row in rows}
        return {"web": self.values, **found}


def find(folder: str) -> str:
    """The manifest in a folder; empty when it has none."""
    return next((path for path in (os.path.join(folder, name) for name in NAMES) if os.path.isfile(path)), "")


def load(path: str, assignments: Sequence[str] = (), vars_files: Sequence[str] = ()) -> tuple[AppManifest, ...]:
    """The apps of a manifest file with its variables filled in. Raises BadManifest with file and line, UsageError."""
    return parse(_text(path), path, variables.collect(assignments, [(file, _text(file)) for file in vars_files]))


def secrets(assignments: Sequence[str], vars_files: Sequence[str], apps: Sequence[AppManifest]) -> list[str]:
    """What may not be repeated to anybody: the variables' values, the apps' environment and service parameters."""
    given = variables.collect(assignments, [(file, _text(file)) for file in vars_files])
    found = list(variables.texts(given))
    for app in apps:
        private = {key: app.values[key] for key in ("env", "services", "cnb-credentials") if key in app.values}
        found += variables.texts(private)
    public = " ".join(app.name for app in apps)
    return [one for one in found if one not in public]


def _text(path: str) -> str:
    try:
        return regular.read(path, LARGEST).decode("utf-8-sig")
    except OSError as error:
        raise BadManifest(path, f"cannot be read: {error.strerror or error}", "Give its path with -f.") from None
    except UnicodeDecodeError:
        raise BadManifest(path, "is not UTF-8 text", "Save it as UTF-8.") from None


def parse(text: str, file: str, given: Mapping[str, YamlValue]) -> tuple[AppManifest, ...]:
    """The apps of a manifest's text. Raises BadManifest."""
    document = variables.fill(read(text, file), given, file)
    if not isinstance(document.raw, dict):
        raise BadManifest(file, "a manifest is a table with the key 'applications'", line=document.line)
    notes = rules.check_top(document.raw, file)
    listed = document.raw.get("applications")
    if listed is None or not isinstance(listed.raw, list) or not listed.raw:
        raise BadManifest(file, "has no app under 'applications'", "List at least one app with a name.", line=1)
    apps = [_app(one, file, notes) for one in listed.raw]
    seen: set[str] = set()
    for app in apps:
        if app.name in seen:
            raise BadManifest(file, f"the app {app.name} is there twice", line=app.values["name"].line)
        seen.add(app.name)
    return tuple(apps)


def _app(value: YamlValue, file: str, notes: Sequence[str]) -> AppManifest:
    if not isinstance(value.raw, dict):
        raise BadManifest(file, "an app is a table with a name", line=value.line)
    kept, found = rules.check_app(value, file)
    return AppManifest(str(kept["name"].raw), kept, file, (*notes, *found))


def choose(apps: Sequence[AppManifest], names: Sequence[str], file: str) -> tuple[AppManifest, ...]:
    """The apps to push: those named; the only one when none is. One name renames a manifest's only app, as `cf push` does."""
    if not apps:
        return tuple(AppManifest(name, {"name": YamlValue(name, 1, name)}) for name in names)
    if not names and len(apps) > 1:
        what = f"{file} has {len(apps)} apps; say which get this droplet"
        raise UsageError(what, f"Name one or more of: {', '.join(app.name for app in apps)}.")
    if len(apps) == 1 and len(names) == 1 and apps[0].name != names[0]:
        renamed = {**apps[0].values, "name": YamlValue(names[0], apps[0].values["name"].line, names[0])}
        return (AppManifest(names[0], renamed, file, apps[0].notes),)
    known = {app.name: app for app in apps}
    for name in names:
        if name not in known:
            raise UsageError(f"{file} has no app {name}", f"It has: {', '.join(known)}.")
    return tuple(known[name] for name in names) if names else (apps[0],)


def render(app: AppManifest, stack: str) -> bytes:
    """The manifest to apply for one app, on a stack. Raises TooLarge."""
    values: dict[str, Any] = {key: one.plain() for key, one in app.values.items()}
    if stack:
        values["stack"] = stack
    document = json.dumps({"version": 1, "applications": [values]}, ensure_ascii=False, indent=1)
    text = _ODD.sub(lambda sign: f"\\u{ord(sign[0]):04x}", document).encode() + b"\n"
    if len(text) > LARGEST:
        raise TooLarge(f"the manifest of {app.name}", LARGEST, len(text))
    return text
