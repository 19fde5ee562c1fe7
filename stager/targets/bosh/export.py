"""A BOSH release whose compiled package is the droplet, and whose job runs its processes; see `release` for its texts.

The archive is one gzip member: the texts are compressed, the droplet lies in it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...digest import sha256
from ...droplet.cutting import layer_ids
from ...droplet.reader import DropletFile
from ...errors import UsageError
from ...files.writing import never
from ...formats import tar
from ...formats.archive import content_chunks, read_tar
from ...formats.errors import BadArchive
from ...formats.gunzip import gunzipped
from ..envelopes import Gzip, NamedOptions, file_entry, folder_entry, packed, publishing
from ..record import Exported, Platform, option
from .release import TEMPLATES, BoshRelease, check_stemcell, make

if TYPE_CHECKING:
    from ...store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class BoshOptions(NamedOptions):
    """Who keeps the processes running, and the stemcell that the release names."""

    supervisor: str = option("bpm", "what keeps the processes running (bpm)", choices=tuple(TEMPLATES))
    stemcell: str = option("", "the stemcell line (the oldest whose glibc is enough)", "OS/VERSION")

    def __post_init__(self) -> None:
        NamedOptions.__post_init__(self)
        if self.supervisor not in TEMPLATES:
            raise UsageError(f"there is no supervisor {self.supervisor!r}", f"One of: {', '.join(TEMPLATES)}.")
        check_stemcell(self.stemcell)


def export(
    droplet: DropletFile,
    out: str,
    options: BoshOptions = BoshOptions(),
    *,
    store: Store | None = None,  # noqa: ARG001
    stop: Callable[[], bool] = never,
) -> Exported:
    """Write the release to `out`. Raises UsageError, Unfit, CannotWrite."""
    release = make(options.name, droplet.digest, droplet.launch, options.supervisor, options.stemcell)
    with publishing(out, stop) as sink:
        archive = Gzip(sink.write)
        _fill(archive, release, droplet)
        archive.finish()
    ids = tuple(layer.diff_id for layer in droplet.layers)
    notes = (f"release {release.name}/{release.version} for stemcell {release.stemcell}", *release.notes)
    return Exported("bosh", out, sink.digest, sink.size, ids, notes)


def _fill(archive: Gzip, release: BoshRelease, droplet: DropletFile) -> None:
    job = packed({f"./{name}": (text, False) for name, text in release.job.items()})
    archive.add(file_entry("./release.MF", release.manifest(sha256(job)).encode()))
    archive.add(folder_entry("./jobs"))
    archive.add(file_entry(f"./jobs/{release.name}.tgz", job))
    archive.add(folder_entry("./compiled_packages"))
    archive.add(tar.header(f"./compiled_packages/{release.name}.tgz".encode(), droplet.size, False))
    archive.stored(droplet.whole())
    archive.add(tar.padding(droplet.size) + tar.END)


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the layers of the droplet that is a release's package. Raises BadArchive, Unreadable."""
    return packaged_layers(path, "compiled_packages/")


def packaged_layers(path: str, folder: str) -> tuple[str, ...]:
    """The diffIDs of the layers of the one droplet file in an archive's `folder`."""
    with read_tar(path, path, "gz") as archive:
        found = [member for member in archive.members if member.name.startswith(folder) and not member.is_link]
        if len(found) != 1:
            raise BadArchive(path, f"has {len(found)} files in {folder}, not one droplet")
        return layer_ids(gunzipped(content_chunks(found[0].content, label=path), path), path)


BOSH = Platform(
    "bosh", "write a BOSH release whose compiled package is the droplet", BoshOptions, export, layers, "release.tgz"
)
