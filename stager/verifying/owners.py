"""Whose a droplet's path is: the layer it lies in, the package that brings it, and whether its content is a copy.

Read from the droplet that was staged just now, which can be trusted, and from its plan.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Mapping

from .. import parsing
from ..model import Plan
from ..tar import ROOT
from .findings import Finding, shown
from .scanning import LAYERS, Scan, contents_of, end_of

_RUNTIMES = ("python", "node", "bun", "nginx")
_SITE = ".stager/pypi/site-packages/"
_MADE = re.compile(r"/(?:RECORD|INSTALLER|REQUESTED|direct_url\.json)$|\.pyc$|^\.stager/pypi/bin/|^\.profile\.d/000-")
"""What staging itself writes into a package's place; everything else there is a copy out of the artifact."""


class Owners:
    """Owners of the paths in the archive `of`, whose plan is `plan`; `known` maps droplet paths to packages' names."""

    def __init__(self, of: Scan, plan: Plan | None, known: Mapping[str, str]) -> None:
        self._of = of
        self._known = known
        self._places = {path: one.name for one in (plan.artifacts if plan else ()) for path in one.paths}
        self._wheels = {_normal(one.name): one.name for one in (plan.artifacts if plan else ())}
        self._records: dict[str, str] | None = None
        self._bounds = _bounds(of)
        self._layers = self._by_name()

    def _by_name(self) -> dict[str, str]:
        """Entry → layer, for every entry of the archive."""
        ends, names = [end for _, end in self._bounds], [name for name, _ in self._bounds]
        found = {}
        for entry in self._of.entries:
            index = bisect_right(ends, entry.offset)
            if entry.name.startswith(ROOT):
                found[entry.name] = names[index] if index < len(names) else ("app" if names else "")
        return found

    def layer(self, name: str) -> str:
        """The layer an entry lies in; empty for the envelope, and for what this archive does not have."""
        return self._layers.get(name, "")

    def package(self, name: str) -> str:
        """Who brings an entry: a package with its version, a runtime, `the app`, or `stager`."""
        if not name.startswith(ROOT):
            return ""
        path = name.removeprefix(ROOT).rstrip("/")
        if path in self._known:
            return self._known[path]
        if path.startswith(_SITE):
            return self._recorded().get(path, self._of_folder(path))
        return self._of_folder(path)

    def _of_folder(self, path: str) -> str:
        for runtime in _RUNTIMES:
            if path.startswith(f".stager/{runtime}/"):
                return f"{runtime} (runtime)"
        above = path
        while above:
            if above in self._places and above != ".stager/pypi":
                return self._places[above]
            above = above.rpartition("/")[0]
        return "stager" if path.startswith((".stager/", ".profile.d/000-")) else "the app"

    def verbatim(self, name: str) -> bool:
        """Whether an entry's content is copied as it is from the source or from an artifact, so only these can differ."""
        path = name.removeprefix(ROOT)
        if _MADE.search(path):
            return False
        if self.layer(name) in ("", "skeleton"):
            return False
        return self.layer(name) == "app" or self.package(name) not in ("the app", "stager")

    def finding(
        self, level: str, cause: str, name: str, what: str, where: str = "", droplet: str = "", rebuilt: str = ""
    ) -> Finding:
        """A finding at an entry, with its layer and package filled in and everything fit to be shown."""
        values = (shown(what), shown(where), shown(droplet), shown(rebuilt))
        return Finding(level, cause, shown(name, 400), *values, self.layer(name), shown(self.package(name)))

    def _recorded(self) -> dict[str, str]:
        """Path → package for every file that a wheel's RECORD lists."""
        if self._records is None:
            names = {name for name in self._layers if re.search(r"\.dist-info/RECORD$", name)}
            self._records = {}
            for name, data in contents_of(self._of.path, names).items():
                package = name.removeprefix(ROOT + _SITE).partition(".dist-info/")[0].replace("-", "@", 1)
                package = self._wheels.get(_normal(package), package)
                for path in _rows(data):
                    while path and not path.startswith("../"):
                        self._records.setdefault(_SITE + path, package)
                        path = path.rpartition("/")[0]  # its folders belong to the first that brings them
        return self._records


def _normal(name: str) -> str:
    """A Python project's name as indexes compare it (PEP 503), with its version."""
    name, _, version = name.rpartition("@")
    return re.sub(r"[-_.]+", "-", name).lower() + "@" + version


def _rows(data: bytes) -> list[str]:
    try:
        return [row[0] for row in csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline="")) if row]
    except csv.Error:
        return []


def _bounds(of: Scan) -> list[tuple[str, int]]:
    """Every layer's name and the tar's byte after it, in order; the app's layer, which comes last, is not among them."""
    try:
        table = parsing.json(of.texts.get(LAYERS, b"{}"))
        count = int(table["entries"])
        bounds = [("skeleton", end_of(of.entries[count - 1]))]
        for row in table["layers"]:
            bounds.append((str(row["name"]), bounds[-1][1] + int(row["length"])))
        return bounds
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return []
