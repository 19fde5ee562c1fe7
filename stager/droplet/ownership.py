"""Whose a file of a droplet is: the app's, stager's, a package's of its plan, a runtime's.

Assembly decides it (`base`): of several packages that bring one path, the first in the plan's order has it; what is
generated, the plan's links and those to packages' commands are stager's own. Here the same is read back from a finished
droplet, for every command that tells it: by the plan, by the layer a path lies in (docs/droplet-format.md §4), and by the
lists of files that wheels leave behind (RECORD, PEP 376). A path costs a look or two into a table.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from .. import runtimes
from ..model import Artifact, Plan
from ..tree.ignore import FILLED_BY_STAGING

APP, STAGER, BASE, ENVELOPE = "the app", "stager", "the base image", "the envelope"
"""Owners that are no package."""
NOBODY = "no package"
"""Whose a file is that lies where packages do and that none of them brings. Assembly leaves none."""
SKELETON, APP_LAYER, BEHIND = "skeleton", "app", "envelope"
"""Names of a droplet's first layer and its last, and of what lies behind the layers: Cloud Foundry's own files."""
RECORD = ".dist-info/RECORD"
"""How the path of a wheel's list of its files ends."""
_OWN, _EVERYWHERE = FILLED_BY_STAGING
_GENERATED = (".profile.d/000-env.sh", ".profile.d/000-stager-")
_ENVELOPE = ("/deps", "/logs", "/profile.d", "/staging_info.yml", "/tmp")  # noqa: S108 - a name in the droplet
_PYTHON = f"{_OWN}/pypi"


class Owners:
    """Answers for one droplet.

    `records` are files of its packages by path in the app folder, wheels' RECORDs among them: at least those in the layers
    that will be asked about. `listed` are the files and links of each Debian package, by its index in the plan, for whoever
    knows them, since a droplet does not say; without it they are their runtime's. Without a `plan`, folders' names tell.
    """

    def __init__(
        self, plan: Plan | None, records: Mapping[str, bytes], listed: Mapping[int, Iterable[str]] | None = None
    ) -> None:
        artifacts = plan.artifacts if plan is not None else ()
        self._known = plan is not None
        self._runtimes = {place: f"{one.name} (runtime)" for place, one in runtimes.places().items()}
        self._names = [one.name for one in artifacts]
        self._generated = {path for path, _ in plan.files} if plan is not None else set[str]()
        self._linked = {path for path, _ in plan.links} if plan is not None else set[str]()
        self._places: dict[str, int] = {}
        self._shared = {_PYTHON}
        self._listed: dict[str, int] = {}
        for index, one in enumerate(artifacts):
            if one.layout.startswith("wheel/") or (listed is not None and index in listed):
                self._shared.update(one.paths)
            else:
                for place in one.paths:
                    self._places.setdefault(place, index)
        for index, place, folder in wheels(artifacts, records) if self._known else self._unplanned(records):
            self._claim(index, _rows(place, records[f"{folder}/RECORD"]), f"{_site(place)}/")
        for index, paths in (listed or {}).items():
            self._claim(index, paths)

    def _unplanned(self, records: Mapping[str, bytes]) -> Iterator[tuple[int, str, str]]:
        """The wheels that there seem to be, as `wheels` does; they are called as their folders."""
        for record in sorted(records):
            folder, _, file = record.rpartition("/")
            site, _, name = folder.rpartition("/")
            if site == _site(_PYTHON) and file == "RECORD":
                self._names.append(name.removesuffix(".dist-info").replace("-", "@", 1))
                yield len(self._names) - 1, _PYTHON, folder

    def _claim(self, index: int, paths: Iterable[str], below: str = "\0") -> None:
        """An artifact has what it lists, unless an earlier one lists it too; so with the folders above `below` a folder."""
        for path in paths:
            self._listed.setdefault(path, index)
            while (path := path.rpartition("/")[0]).startswith(below) and path not in self._listed:
                self._listed[path] = index

    def of(self, path: str, kind: str = "file", layer: str = "") -> str:
        """The owner of an entry, for people: `name@version`, `python (runtime)`, or one of the constants of this module.

        `path` is relative to the app folder, and begins with `/` outside it; `kind` is `file`, `link` or `folder`; `layer` is
        the name of the droplet's layer it lies in, empty where that is not known.
        """
        found = self.find(path, kind, layer)
        if isinstance(found, str):
            return found
        return self._runtime(path) or self._names[found]

    def find(self, path: str, kind: str = "file", layer: str = "") -> int | str:
        """As `of`, but of a package its index among the plan's artifacts, and of a runtime that of what brings the path."""
        if path.startswith("/") or layer == BEHIND:
            inside = layer == BEHIND or path in _ENVELOPE or path.startswith(tuple(f"{one}/" for one in _ENVELOPE))
            return ENVELOPE if inside else BASE
        if layer == APP_LAYER:
            return APP
        if path in (self._linked if kind == "link" else self._generated) or (layer == SKELETON and kind == "file"):
            return STAGER
        if path in self._listed:
            return self._listed[path]
        runtime = self._runtime(path)
        if kind != "link" or runtime:  # no package brings a link, but a runtime's archive does
            place = above(path if kind == "folder" else path.rpartition("/")[0], self._places)
            if place:
                return self._places[place]
        return runtime if runtime and not self._known else self._rest(path, kind, layer)

    def _runtime(self, path: str) -> str:
        """What people call the runtime that a path is a part of; empty for none."""
        return self._runtimes.get("/".join(path.split("/", 2)[:2]), "") if path.startswith(_OWN) else ""

    def _rest(self, path: str, kind: str, layer: str) -> str:
        """Whose an entry is that no package has."""
        if kind == "file" and (layer or above(path, self._shared)):
            return NOBODY
        if layer or path == _OWN or path.startswith((f"{_OWN}/", *_GENERATED)):
            return STAGER
        if _EVERYWHERE in path.split("/"):
            return NOBODY if kind == "file" else STAGER
        return APP


def above(path: str, places: Collection[str]) -> str:
    """The nearest of the places at or above a path; empty when there is none."""
    while path and path not in places:
        path = path.rpartition("/")[0]
    return path


# --- wheels ----------------------------------------------------------------------------------------------------


def wheels(artifacts: Sequence[Artifact], files: Iterable[str]) -> Iterator[tuple[int, str, str]]:
    """Index, place and `.dist-info` folder of each wheel of a plan that has a RECORD among `files`, in the plan's order.

    Only a folder beside the modules themselves is a wheel's: packages carry others' inside, as data.
    """
    folders: dict[tuple[str, str], str] = {}
    for path in sorted(files):
        folder, _, file = path.rpartition("/")
        if file == "RECORD" and folder.endswith(".dist-info"):
            site, _, name = folder.removesuffix(".dist-info").rpartition("/")
            project, _, version = name.rpartition("-")
            folders[site, f"{normal(project)}@{version}"] = folders[site, normal(project)] = folder
    for index, one in enumerate(artifacts):
        project, _, version = one.name.rpartition("@")
        exact = f"{normal(project)}@{version}"  # a plan may hold two versions
        for place in one.paths if one.layout.startswith("wheel/") else ():
            found = folders.get((_site(place), exact)) or folders.get((_site(place), normal(project)))
            if found:
                yield index, place, found


def normal(project: str) -> str:
    """A Python project's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", project).lower()


def _site(place: str) -> str:
    """The folder of modules of wheels that are placed there."""
    return f"{place}/site-packages"


def _rows(place: str, record: bytes) -> Iterator[str]:
    """The paths in the app folder that a RECORD lists, without what cannot be read and what leads out of the place."""
    site = _site(place)
    try:
        for row in csv.reader(io.StringIO(record.decode("utf-8", "surrogateescape"), newline="")):
            path, above = row[0] if row else "", site
            while path.startswith("../"):
                path, above = path[3:], above.rpartition("/")[0]
            if path and len(above) >= len(place):
                yield f"{above}/{path}"
    except csv.Error:
        return
