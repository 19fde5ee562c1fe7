"""Whose a file of a droplet is: the app's, a build's, stager's, a package's of its plan, a runtime's.

Assembly decides it (`base`): of several packages that bring one path, the first in the plan's order has it; what is
generated, the plan's links and those to packages' commands are stager's own; bytecode is whose its source is. Here the same
is read back from a finished droplet, for every command that tells it: by the plan, by the layer a path lies in
(docs/droplet-format.md §4), and by the lists of files that packages leave behind where they share a place (RECORD of wheels,
PEP 376). A path costs a look or two into a table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from .. import runtimes
from ..ecosystems import by_layout, ecosystems
from ..ecosystems.record import Listing
from ..model import Artifact, Plan
from ..planning import bytecode
from ..tree import within
from ..tree.ignore import FILLED_BY_STAGING

APP, STAGER, BASE, ENVELOPE = "the app", "stager", "the base image", "the envelope"
"""Owners that are no package."""
BUILT = "built by "
"""What the name of a build of the app follows: whose those files are that it left."""
NOBODY = "no package"
"""Whose a file is that lies where packages do and that none of them brings. Assembly leaves none."""
SKELETON, APP_LAYER, BEHIND = "skeleton", "app", "envelope"
"""Names of a droplet's first layer and its last, and of what lies behind the layers: Cloud Foundry's own files."""
_OWN, _EVERYWHERE = FILLED_BY_STAGING
_GENERATED = (".profile.d/000-env.sh", ".profile.d/000-stager-")
_ENVELOPE = ("/deps", "/logs", "/profile.d", "/staging_info.yml", "/tmp")  # noqa: S108 - a name in the droplet


Claim = tuple[int, Iterable[str], str]
"""Index of a package in the plan, the paths that it lists, and the folder below which the folders of these are its as well."""


class Owners:
    """Answers for one droplet.

    `records` are files of its packages by path in the app folder, their lists (`list_test`) among them: at least those in the
    layers that will be asked about. `listed` are the files and links of each Debian package, by its index in the plan, for
    whoever knows them, since a droplet does not say; without it they are their runtime's. Without a `plan`, folders' names
    tell.
    """

    def __init__(
        self, plan: Plan | None, records: Mapping[str, bytes], listed: Mapping[int, Iterable[str]] | None = None
    ) -> None:
        artifacts = plan.artifacts if plan is not None else ()
        self._known = plan is not None
        self._compiled = [made.source for made in (bytecode.kinds() if plan is None else dict(bytecode.asked(plan)))]
        self._runtimes = {place: f"{one.name} (runtime)" for place, one in runtimes.places().items()}
        self._names = [one.name for one in artifacts]
        self._generated = {path for path, _ in plan.files} if plan is not None else set[str]()
        self._linked = {path for path, _ in plan.links} if plan is not None else set[str]()
        builds = plan.builds if plan is not None else ()
        self._left = [
            (BUILT + one.name, one.outputs) for one in reversed(builds) if one.outputs
        ]  # a later one's comes on top
        self._places: dict[str, int] = {}
        self._shared = {one.place for one in _listings()}
        self._listed: dict[str, int] = {}
        sharing = {layout for layout, one in by_layout().items() if one.listing}
        for index, one in enumerate(artifacts):
            if one.layout in sharing or (listed is not None and index in listed):
                self._shared.update(one.paths)
            else:
                for place in one.paths:
                    self._places.setdefault(place, index)
        for index, paths, below in _claims(artifacts, records) if self._known else self._unplanned(records):
            self._claim(index, paths, below)
        for index, paths in (listed or {}).items():
            self._claim(index, paths)

    def _unplanned(self, records: Mapping[str, bytes]) -> Iterator[Claim]:
        """The packages that there seem to be, as `_claims` gives them; they are called as their lists are."""
        for one in _listings():
            for name, paths, below in one.unplanned(records):
                self._names.append(name)
                yield len(self._names) - 1, paths, below

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
        made = "bytecode of " if self._source(path, kind) else ""
        return made + (self._runtime(path) or self._names[found])

    def find(self, path: str, kind: str = "file", layer: str = "") -> int | str:
        """As `of`, but of a package its index among the plan's artifacts, and of a runtime that of what brings the path."""
        if path.startswith("/") or layer == BEHIND:
            inside = layer == BEHIND or path in _ENVELOPE or path.startswith(tuple(f"{one}/" for one in _ENVELOPE))
            return ENVELOPE if inside else BASE
        if layer == APP_LAYER:
            return self._made(path)
        if path not in self._listed and (source := self._source(path, kind)):
            return self.find(source, kind, layer)
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

    def _source(self, path: str, kind: str) -> str:
        """The file whose bytecode a file is; empty when it is none's, or the plan has none."""
        return next((found for source in self._compiled if kind == "file" and (found := source(path))), "")

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
        return self._made(path)

    def _made(self, path: str) -> str:
        """Whose an entry among the app's own is: the app's, or a build's."""
        return next((name for name, outputs in self._left if within(path, outputs)), APP)


def above(path: str, places: Collection[str]) -> str:
    """The nearest of the places at or above a path; empty when there is none."""
    while path and path not in places:
        path = path.rpartition("/")[0]
    return path


# --- packages that share a place -------------------------------------------------------------------------------


def list_test() -> Callable[[str], bool]:
    """A test of paths in the app folder: whether one is that of a package's list of its files."""
    tests = tuple(one.is_list for one in _listings())
    return lambda path: any(test(path) for test in tests)


def _listings() -> list[Listing]:
    return [one.listing for one in ecosystems() if one.listing]


def _claims(artifacts: Iterable[Artifact], records: Mapping[str, bytes]) -> Iterator[Claim]:
    """What packages list, by ecosystem, then in the plan's order."""
    numbered = list(enumerate(artifacts))
    for one in ecosystems():
        own = [(index, artifact) for index, artifact in numbered if artifact.layout in one.layouts]
        if own and one.listing:
            yield from one.listing.claims(own, records)
