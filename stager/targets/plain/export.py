"""A droplet for a bare Debian machine.

The option `form` chooses what is written. `tar`: the layers as one uncompressed tar, for whatever unpacks it. `systemd`: a
tar.gz of the droplet as it is, a unit for each process type, and an install script that checks the digest before it unpacks
and switches by a rename. Option `name`: the app's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...droplet.reader import DropletFile
from ...errors import UsageError
from ...files.writing import never
from ...formats import tar
from ...formats.archive import content_chunks, read_tar
from ...formats.errors import BadArchive
from ...text.templates import fill
from .. import Exported
from ..cutting import file_parts, gunzipped, layer_ids
from ..envelopes import Gzip, Sink, file_entry, folder_entry, name_of, publishing
from .systemd import ONCE, units

FORMS = ("tar", "systemd")
_DROPLET = "droplet.tgz"


def export(droplet: DropletFile, out: str, options: Mapping[str, Any]) -> Exported:
    """Write the tar, or the installable archive. Raises UsageError, BadArchive, CannotWrite."""
    form = str(options.get("form") or FORMS[0])
    if form not in FORMS:
        raise UsageError(f"there is no form {form!r}", f"One of: {', '.join(FORMS)}.")
    name = name_of(options)
    with publishing(out, options.get("stop", never)) as sink:
        if form == "tar":
            _tar(droplet, sink)
        else:
            _bundle(name, droplet, Gzip(sink.write))
    once = form == "systemd" and ONCE in droplet.facts["processes"]
    notes = (f"'{ONCE}' is started by hand: systemctl start {name}-{ONCE}.service",) if once else ()
    return Exported("plain", out, sink.digest, sink.size, tuple(layer.diff_id for layer in droplet.layers), notes)


def _tar(droplet: DropletFile, sink: Sink) -> None:
    for layer in droplet.layers:
        for part in droplet.tar(layer):
            sink.write(part)
    sink.write(tar.END)


def _bundle(name: str, droplet: DropletFile, archive: Gzip) -> None:
    """A folder named for app and digest: the droplet in stored blocks, the units, the script."""
    folder = f"./{name}-{droplet.digest.hex[:12]}"
    archive.add(folder_entry(folder))
    script = fill(__file__, "install.j2", {"name": name, "droplet": droplet.digest.hex})
    archive.add(file_entry(f"{folder}/install", script.encode(), executable=True))
    for file, text in sorted(units(name, droplet.facts).items()):
        archive.add(file_entry(f"{folder}/{file}", text.encode()))
    archive.add(tar.header(f"{folder}/{_DROPLET}".encode(), droplet.size, False))
    archive.stored(droplet.whole())
    archive.add(tar.padding(droplet.size) + tar.END)
    archive.finish()


def layers(path: str) -> tuple[str, ...]:
    """The diffIDs of the droplet's layers in either form. Raises BadArchive, Unreadable."""
    first = next(iter(file_parts(path)), b"")
    if not first.startswith(b"\x1f\x8b"):
        return layer_ids(file_parts(path), path)
    with read_tar(path, path, "gz") as archive:
        found = [member for member in archive.members if member.name.endswith(f"/{_DROPLET}") and not member.is_link]
        if len(found) != 1:
            raise BadArchive(path, f"has {len(found)} files {_DROPLET}, not one")
        return layer_ids(gunzipped(content_chunks(found[0].content, label=path), path), path)
