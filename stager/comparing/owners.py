"""Which package, runtime or part of the app a file belongs to."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping

from ..model import Plan
from .contents import OWN, Item

APP, STAGER, BASE, ENVELOPE = "the app", "stager", "the base image", "the envelope"
"""Owners that are no package."""
RUNTIMES = ("python", "node", "bun", "nginx")
_SITE = ".stager/pypi/site-packages/"
_ENVELOPE = ("/deps", "/logs", "/profile.d", "/staging_info.yml", "/tmp")  # noqa: S108 - a name in the droplet


class Owners:
    """Answers for one thing's files: by its plan, and by the lists of files that wheels carry (RECORD, PEP 376)."""

    def __init__(self, plan: Plan | None, records: Mapping[str, bytes]) -> None:
        self._homes = {} if plan is None else {place: one.name for one in plan.artifacts for place in one.paths}
        self._generated = set() if plan is None else {path for path, _ in (*plan.files, *plan.links)}
        self._wheels = (
            {}
            if plan is None
            else {_module(one.name): one.name for one in plan.artifacts if one.layout.startswith("wheel/")}
        )
        self._listed: dict[str, str] = {}
        for path, data in sorted(records.items()):
            if path.endswith(".dist-info/RECORD"):
                self._list(path, data)

    def _list(self, record: str, data: bytes) -> None:
        folder = record.rpartition("/")[0]
        home, _, name = folder.rpartition("/")
        owner = self._wheels.get(_module(name.removesuffix(".dist-info").replace("-", "@", 1)))
        owner = owner or name.removesuffix(".dist-info").replace("-", "@", 1)
        for path in _paths(data):
            self._listed[_joined(home, path)] = owner
        self._listed[record] = owner

    def of(self, path: str) -> str:
        """The owner of a file or link: `name@version`, `python (runtime)`, or one of the constants of this module."""
        if path.startswith("/"):
            return ENVELOPE if path in _ENVELOPE or path.startswith(tuple(f"{one}/" for one in _ENVELOPE)) else BASE
        for runtime in RUNTIMES:
            if path.startswith(f"{OWN}{runtime}/"):
                return f"{runtime} (runtime)"
        if path in self._listed:
            return self._listed[path]
        if path in self._generated:
            return STAGER
        if path.startswith(_SITE):
            return self._by_name(path)
        above = path
        while above := above.rpartition("/")[0]:
            if above in self._homes and above != ".stager/pypi":
                return self._homes[above]
        return STAGER if self.generated(path) else APP

    def _by_name(self, path: str) -> str:
        """A file of a wheel that lists it not: by the top-level name it lies under."""
        top = path.removeprefix(_SITE).partition("/")[0]
        name = top.partition("-")[0].partition(".")[0]
        return self._wheels.get(_module(name), f"python: {name}")

    def generated(self, path: str) -> bool:
        """Whether staging put it there, and no package did."""
        if path.startswith((OWN, ".profile.d/000-")) or path in (".stager", ".profile.d/000-env.sh"):
            return True
        return path in self._generated or "node_modules" in path.split("/")

    def is_apps(self, path: str) -> bool:
        """Whether a file is the app's own."""
        return self.of(path) == APP


def _module(name: str) -> str:
    """A distribution's name as a module would be called, without its version."""
    return name.partition("@")[0].lower().replace("-", "_").replace(".", "_")


def _paths(data: bytes) -> list[str]:
    """The paths of a RECORD (a CSV file); what cannot be read lists nothing."""
    try:
        return [row[0] for row in csv.reader(data.decode("utf-8", "replace").splitlines()) if row]
    except csv.Error:
        return []


def _joined(home: str, path: str) -> str:
    """A RECORD's path seen from the app folder; `../../bin/x` leads to the commands."""
    while path.startswith("../"):
        path, home = path[3:], home.rpartition("/")[0]
    return f"{home}/{path}" if home else path


def app_items(items: Iterable[Item], owners: Owners) -> list[Item]:
    """The app's own files and links among the items; folders are left out, since a source tree has none of its own."""
    return [item for item in items if item.kind in ("file", "link") and not item.outside and owners.is_apps(item.path)]
