"""One walk through a droplet: whose its files are, what its layers hold, and what its packages say of themselves."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ...droplet.contents import Look
from ...droplet.ownership import APP
from ...ecosystems import ecosystems
from ..diff import Contents, Item

_LARGEST = 32 << 20
"""Bytes of a text that is read."""
_MOST = 64 << 20
"""Bytes of all of them."""
Files = list[tuple[str, int]]
"""Path and size of each: of 200,000 files no more is held."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What the walk found."""

    files: Mapping[str, Files]
    """Owner → the files that are its own."""
    holds: tuple[Mapping[str, int], ...]
    """For each of the droplet's parts: kind of entry → how many."""
    links: Mapping[str, str]
    """Symbolic links: path → target."""
    asking: frozenset[str]
    """The app's own files and links in which it may ask for packages, or pin them."""
    texts: Mapping[str, bytes]
    """Their bytes, and those of the files in which packages say what they are."""

    @property
    def count(self) -> int:
        """How many files there are."""
        return sum(map(len, self.files.values()))

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(size for files in self.files.values() for _, size in files)


def look_into(found: Contents) -> Inside:
    """Read a whole droplet, slug or image. Raises BadArchive."""
    rows: dict[Look, Files] = {}
    links: dict[str, Item] = {}
    holds = []
    for part in found.parts():
        kinds = Counter[str]()
        for item in part.walk():
            kinds[item.kind] += 1
            if item.kind == "file":
                rows.setdefault(item.look, []).append((item.path, item.size))
            elif item.kind == "link":
                links[item.path] = item
        holds.append(kinds)
    owner = found.owners()
    files: dict[str, Files] = {}
    for look, some in rows.items():
        for row in some:
            files.setdefault(owner(Item(row[0], look)), []).append(row)
    asking = _asking(found, files.get(APP, []), {path: one.link for path, one in links.items() if owner(one) == APP})
    targets = {path: one.link for path, one in links.items()}
    return Inside(files, tuple(holds), targets, asking, _texts(found, files, asking))


def _asking(found: Contents, files: Files, links: Mapping[str, str]) -> frozenset[str]:
    """The plan's inputs, and what is called as manifests and locks are; with the files that such links lead to."""
    names = {name for one in ecosystems() for name in (*one.locks, *one.manifests, *one.workspaces)}
    inputs = {path for path, _ in found.plan.inputs} if found.plan else set[str]()
    named = {
        path for path in (*links, *(path for path, _ in files)) if path in inputs or path.rpartition("/")[2] in names
    }
    led = {posixpath.normpath(posixpath.join(posixpath.dirname(path), links[path])) for path in named & links.keys()}
    return frozenset(named | led)


def _texts(found: Contents, files: Mapping[str, Files], asking: frozenset[str]) -> Mapping[str, bytes]:
    """Those that are wanted, as far as they are not too large; nothing where there is no plan whose packages they are."""
    if found.plan is None or not found.plan.artifacts or found.fetch is None:
        return {}
    kinds, left = ecosystems(), _MOST
    wanted = set[str]()
    for path, size in sorted(row for some in files.values() for row in some):
        if size <= min(_LARGEST, left) and (path in asking or any(one.tells(path) for one in kinds)):
            wanted.add(path)
            left -= size
    return dict(found.fetch(wanted, _LARGEST))
