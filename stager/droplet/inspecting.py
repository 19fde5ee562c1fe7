"""Looking inside a droplet file: what it runs, what it carries, how big each part is.

Everything comes from the file itself: its `launch.json`, the plan it carries, and the lengths of its layers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from ..digest import Digest
from ..formats.tar import ROOT
from ..formats.tar_reader import Keep
from ..model import Layer
from ..store import Store
from .launch import LaunchInfo
from .ownership import NOBODY, Owners, list_test
from .reader import DropletFile, open_droplet

_SHOWN = ("plan", "stack", "architecture", "buildpacks", "runtimes", "processes", "env")


@dataclass(frozen=True, slots=True)
class PackageSize:
    """How many bytes a package's files have, unpacked; `name` may also be `the app`, `stager` or another owner of files."""

    name: str
    unpacked: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a droplet file is and holds."""

    digest: Digest
    size: int
    files: int
    """How many are in the app folder."""
    launch: LaunchInfo
    layers: tuple[Layer, ...]
    packages: tuple[PackageSize, ...]
    """Biggest first. Together they are all files of the app folder."""

    @property
    def unpacked(self) -> int:
        """Bytes of all files in the app folder."""
        return sum(one.unpacked for one in self.packages)

    def as_json(self) -> dict[str, Any]:
        """The document of `stager inspect --json`."""
        said = self.launch.to_json()
        return {
            "digest": self.digest,
            "size": self.size,
            "unpacked": self.unpacked,
            "files": self.files,
            **{key: said[key] for key in _SHOWN},
            "layers": [
                {"name": one.name, "digest": one.digest, "diff_id": one.diff_id, "size": one.size}
                for one in self.layers
            ],
            "packages": [asdict(one) for one in self.packages],
        }


def inspect(path: str, store: Store | None = None) -> Inspection:
    """Look into a droplet file. Raises Unreadable, BadArchive, BadLock.

    With a `store`, what it remembers of this very file spares inflating it to learn its layers' digests.
    """
    with open_droplet(path, store) as droplet:
        sizes = _sizes(droplet)
        packages = [PackageSize(name, size) for name, (size, _) in sizes.items()]
        return Inspection(
            droplet.digest,
            droplet.size,
            sum(count for _, count in sizes.values()),
            droplet.launch,
            droplet.layers,
            tuple(sorted(packages, key=lambda one: (-one.unpacked, one.name))),
        )


def _sizes(droplet: DropletFile) -> dict[str, tuple[int, int]]:
    """Owner → the bytes of its files in the app folder, and how many they are.

    One entry is held at a time, since there may be 200,000; but what only the list of a package in the same layer can tell is
    held until that layer ends.
    """
    plan, found = droplet.plan, dict[str, tuple[int, int]]()

    def count(owner: str, size: int) -> None:
        before = found.get(owner, (0, 0))
        found[owner] = before[0] + size, before[1] + 1

    owners = Owners(plan, {})
    is_list = list_test()
    lists = Keep(lambda name: name.startswith(f"{ROOT}.stager/") and is_list(name.removeprefix(ROOT)))
    for layer, entries in groupby(droplet.layered(contents=False, keep=lists), key=itemgetter(0)):
        waiting = []
        for _, entry in entries:
            if entry.kind == "file" and entry.name.startswith(ROOT):
                path = entry.name.removeprefix(ROOT)
                owner = owners.of(path, entry.kind, layer)
                if owner == NOBODY:
                    waiting.append((path, entry.size))
                else:
                    count(owner, entry.size)
        records = {name.removeprefix(ROOT): data for name, data in lists.taken().items()}
        listed = Owners(plan, records) if waiting else owners
        for path, size in waiting:
            count(listed.of(path, "file", layer), size)
    return found
