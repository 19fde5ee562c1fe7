"""A BOSH release whose compiled package is the droplet, and whose job runs its processes; see `release` for its texts.

The archive is one gzip member: the texts are compressed, the droplet lies in it as it is. Options: `name`, `supervisor`
(`bpm` or `monit`), `stemcell` (`ubuntu-jammy/1.199`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...digest import sha256
from ...droplet.reader import DropletFile
from ...files.writing import never
from ...formats import tar
from ...formats.archive import content_chunks, read_tar
from ...formats.errors import BadArchive
from .. import Exported
from ..cutting import gunzipped, layer_ids
from ..envelopes import Gzip, file_entry, folder_entry, name_of, packed, publishing
from .release import Release, make


def export(droplet: DropletFile, out: str, options: Mapping[str, Any]) -> Exported:
    """Write the release to `out`. Raises UsageError, Unfit, CannotWrite."""
    supervisor, stemcell = str(options.get("supervisor") or "bpm"), str(options.get("stemcell") or "")
    release = make(name_of(options), droplet.digest, droplet.facts, supervisor, stemcell)
    with publishing(out, options.get("stop", never)) as sink:
        archive = Gzip(sink.write)
        _fill(archive, release, droplet)
        archive.finish()
    ids = tuple(layer.diff_id for layer in droplet.layers)
    notes = (f"release {release.name}/{release.version} for stemcell {release.stemcell}", *release.notes)
    return Exported("bosh", out, sink.digest, sink.size, ids, notes)


def _fill(archive: Gzip, release: Release, droplet: DropletFile) -> None:
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
